# What prefline does today, on a small example. Run by `make demo`; BIN names the folder of `prefline`.
set -eu
BIN=${BIN:-.venv/bin}
OUT=${OUT:-demo}
export PREFLINE_STORE="$OUT/store"

run() {
    printf '\n$ prefline %s\n' "$*"
    "$BIN/prefline" "$@"
}

run ingest docs/example/labels.jsonl --name example
run ingest docs/example/labels.jsonl --feedback mock --name rehearsal
run plan docs/example/pipeline.yaml
run plan docs/example/pipeline.yaml --set stages.labels.params.feedback=judge
run list
run show example
run why example rehearsal
run verify
run graph
"$BIN/prefline" graph --as svg >"$OUT/lineage.svg"

cat <<END

Look at:
  $OUT/lineage.svg    what was made from what, in a browser
  $("$BIN/prefline" show example --path)
      an artifact: plain files, and manifest.json, which says what they are and what they were made from
Then try a file of your own (README.md shows the layout):
  export PATH="\$PWD/$BIN:\$PATH"
  prefline ingest FILE
END
