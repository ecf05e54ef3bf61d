"""The command line as people and programs use it: codes, streams, JSON, and what is never imported."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ids(prefline: Run, labels: Path) -> tuple[str, str]:
    """Two artifacts in the default store: `mine` from people, `rehearsal` from a mock."""
    first = prefline("ingest", labels, "--name", "mine")
    second = prefline("ingest", labels, "--feedback", "mock", "--name", "rehearsal")
    return first.stdout.strip(), second.stdout.strip()


def test_a_verb_that_makes_something_prints_its_id_and_nothing_else_on_stdout(prefline: Run, labels: Path) -> None:
    done = prefline("ingest", labels)
    assert done.returncode == 0
    assert done.stdout.startswith("sha256:")
    assert len(done.stdout) == len("sha256:") + 64 + 1
    assert done.stderr == f"2 comparisons from {labels}, ingested\n"
    again = prefline("ingest", labels)
    assert again.stdout == done.stdout
    assert again.stderr == f"2 comparisons from {labels}, made before and reused\n"


def test_every_verb_works_on_a_store(prefline: Run, ids: tuple[str, str], tmp_path: Path) -> None:
    mine, rehearsal = ids
    assert "comparisons  ingest  mock" in prefline("list").stdout
    assert f"  id        {mine}\n" in prefline("show", "mine").stdout
    assert (tmp_path / prefline("show", "mine", "--path").stdout.strip() / "comparisons.jsonl").is_file()
    assert "params.feedback: human -> mock" in prefline("why", "mine", "rehearsal").stdout
    assert prefline("graph", "mine").stdout.startswith("comparisons mine  ")
    assert prefline("graph", "--as", "svg").stdout.startswith("<svg")
    assert prefline("graph", "--as", "dot").stdout.startswith("digraph")
    assert prefline("verify").stdout.count("sound") == 2
    assert prefline("verify", "mine", "--quick").stdout.count("sound") == 1
    moved = prefline("name", "mine", "rehearsal")
    assert (moved.stdout, moved.stderr) == (f"{mine}\n", f"rehearsal was {rehearsal} before\n")
    assert prefline("unname", "rehearsal").stdout == f"{mine}\n"
    assert prefline("gc", "--grace", "0").stdout == f"{rehearsal}\n"
    assert "1 artifact (1.4 KiB) erased, 1 stay" in prefline("gc", "--grace", "0", "--delete").stderr
    assert prefline("list").stdout.count("ingest") == 1
    assert prefline("export", "mine", "folder").stdout == f"{mine}\n"
    assert prefline("push", "mine", f"file://{tmp_path}/remote").stdout == f"{mine}\n"
    assert prefline("pull", f"file://{tmp_path}/remote", "mine", "--store", "third").stdout == f"{mine}\n"
    assert prefline("list", "--store", "third").stdout.count("mine") == 1


def test_gc_gives_back_what_it_took(prefline: Run, ids: tuple[str, str], tmp_path: Path) -> None:
    prefline("unname", "rehearsal")
    for path in (tmp_path / ".prefline" / "objects").glob("*/*/manifest.json"):
        os.utime(path, (0, 0))
    taken = prefline("gc", "--delete")
    assert (taken.returncode, taken.stdout) == (0, f"{ids[1]}\n")
    assert "`prefline gc --restore ID` brings one back" in taken.stderr
    assert prefline("show", ids[1]).returncode == 1
    assert prefline("gc", "--restore", ids[1][:20]).stdout == f"{ids[1]}\n"
    assert prefline("verify", ids[1]).returncode == 0


def test_json_is_for_programs(prefline: Run, ids: tuple[str, str]) -> None:
    mine, rehearsal = ids
    assert {row["id"] for row in json.loads(prefline("list", "--json").stdout)} == {mine, rehearsal}
    shown = json.loads(prefline("show", "mine", "--json").stdout)
    assert (shown["id"], shown["names"], shown["recipe"]["params"]) == (mine, ["mine"], {"feedback": "human"})
    why = json.loads(prefline("why", "mine", "rehearsal", "--json").stdout)
    assert why["recipe"] == [{"field": "params.feedback", "first": "human", "second": "mock"}]
    assert why["verdict"] == "other recipe"
    checked = json.loads(prefline("verify", "--json").stdout)
    assert (checked["sound"], [item["faults"] for item in checked["artifacts"]]) == (True, [[], []])


def test_damage_ends_with_exit_code_1_and_names_the_file(prefline: Run, ids: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / prefline("show", "mine", "--path").stdout.strip() / "comparisons.jsonl"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"bang", b"bong"))
    found = prefline("verify", "mine")
    assert found.returncode == 1
    assert "comparisons.jsonl: its bytes have changed" in found.stdout
    assert json.loads(prefline("verify", "mine", "--json").stdout)["sound"] is False
    for words in (("export", "mine", "out"), ("push", "mine", f"file://{tmp_path}/remote")):
        refused = prefline(*words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "is damaged and was not used: comparisons.jsonl" in refused.stderr
    healed = prefline("ingest", tmp_path / "labels.jsonl")
    assert "It was made again from" in healed.stderr
    assert healed.stdout.strip() == ids[0]
    assert prefline("verify").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("ingst", "x"), 2, "No such command 'ingst'. Did you mean 'ingest'"),
        (("ingest",), 2, "Missing argument"),
        (("ingest", "x", "--nmae", "y"), 2, "--name"),
        (("ingest", "labels.jsonl", "--feedback", "hmuan"), 2, "'human'"),
        (("ingest", "nowhere.jsonl"), 1, "prefline: nowhere.jsonl: cannot be read: No such file or directory"),
        (("ingest", "."), 1, "prefline: .: expected a file, found a folder"),
        (("ingest", "bad.jsonl"), 1, "line 2: unknown key 'response' (did you mean 'responses'?)"),
        (("ingest", "empty.jsonl"), 1, "found no line that is not blank"),
        (("ingest", "labels.jsonl", "--name", "a b"), 1, "'a b' cannot be a name"),
        (("list", "--store", "nowhere"), 1, "prefline: nowhere does not exist"),
        (("show", "mine", "--store", "."), 1, "prefline: . is not a store"),
        (("gc", "--grace", "1w", "--store", "good"), 1, "--grace: expected a number and a unit"),
        (("show", "mien", "--store", "good"), 1, "did you mean 'mine'?"),
    ],
)
def test_mistakes_are_answered_with_what_to_do_and_never_a_traceback(
    prefline: Run, labels: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    prefline("ingest", labels, "--name", "mine", "--store", "good")
    (tmp_path / "bad.jsonl").write_text(f"{labels.read_text().splitlines()[0]}\n" + '{"prompt": "", "response": []}\n')
    (tmp_path / "empty.jsonl").write_text("\n\n")
    done = prefline(*words)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_many_bad_rows_are_counted_and_the_first_ones_named(prefline: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n" * 1234)
    done = prefline("ingest", "bad.jsonl")
    assert done.stderr.splitlines()[0] == "prefline: bad.jsonl: 1,234 rows cannot be taken in, so no artifact was made"
    assert done.stderr.splitlines()[5:7] == ["  line 5: 'prompt' is missing", "  and 1,229 more"]
    assert prefline("list").stdout == ""


def test_the_store_is_the_option_else_the_variable_else_the_current_folder(
    prefline: Run, labels: Path, tmp_path: Path
) -> None:
    prefline("ingest", labels)
    prefline("ingest", labels, env={"PREFLINE_STORE": "by variable"})
    prefline("ingest", labels, "--store", "by option", env={"PREFLINE_STORE": "not this"})
    assert {path.parent.name for path in tmp_path.glob("*/store.json")} == {".prefline", "by variable", "by option"}


IMPORTS = """
import sys
from prefline.pipeline.cli import main
try:
    main()
except SystemExit:
    heavy = sorted({"torch", "transformers", "datasets", "pandas"} & set(sys.modules))
    print(heavy, "pydantic" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "pydantic"),
    [
        (("--help",), False),
        (("ingest", "--help"), False),
        (("list",), True),
        (("show", "mine"), True),
        (("verify",), True),
        (("why", "mine", "mine"), True),
        (("ingest", "labels.jsonl", "--feedback", "nobody"), True),
        (("ingest", "labels.jsonl"), True),
    ],
)
def test_no_verb_of_the_store_and_no_mistake_imports_torch(
    prefline: Run, labels: Path, tmp_path: Path, words: tuple[str, ...], pydantic: bool
) -> None:
    prefline("ingest", labels, "--name", "mine")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == f"[] {pydantic}"


def test_a_shell_is_told_the_verbs_and_the_names(prefline: Run, ids: tuple[str, str]) -> None:
    def complete(line: str) -> list[str]:
        env = {"_PREFLINE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return prefline(env=env).stdout.split()

    assert complete("prefline in") == ["ingest"]
    assert set(complete("prefline ver")) == {"verify"}
    assert complete("prefline show mi") == ["mine"]
    assert complete(f"prefline show {ids[0][:12]}") == [ids[0]]
    for shell in ("bash", "zsh", "fish"):
        assert "_PREFLINE_COMPLETE=complete_" in prefline(env={"_PREFLINE_COMPLETE": f"source_{shell}"}).stdout


def test_output_that_nobody_reads_to_the_end_is_no_error(labels: Path, prefline: Run, tmp_path: Path) -> None:
    prefline("ingest", labels)
    command = f"{sys.executable} -c 'from prefline.pipeline.cli import main; main()' list | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_terminal_without_unicode_still_gets_an_answer(prefline: Run, ids: tuple[str, str]) -> None:
    done = prefline("graph", "mine", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "source: file" in done.stdout


def test_no_secret_of_the_environment_is_ever_said(prefline: Run, labels: Path, tmp_path: Path) -> None:
    secrets = {
        "HF_TOKEN": "canary-7",
        "AWS_SECRET_ACCESS_KEY": "canary-7",
        "HTTPS_PROXY": "http://me:canary-7@127.0.0.1:9",
    }
    url = "nonsense://me:canary-7@host/bucket?token=canary-7"
    for words in (
        ("ingest", labels, "--name", "mine"),
        ("show", "mine", "--json"),
        ("push", "mine", url),
        ("pull", url, "mine"),
        ("ingest", "nowhere"),
        ("verify",),
    ):
        done = prefline(*words, env=secrets)
        assert "canary-7" not in done.stdout + done.stderr, words
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary-7" in path.read_bytes()]


def test_a_store_that_cannot_be_written_can_still_be_read(prefline: Run, labels: Path, tmp_path: Path) -> None:
    mine = prefline("ingest", labels, "--name", "mine", "--store", "store").stdout.strip()
    shell = "mount --bind store store && mount -o remount,bind,ro store && "
    if subprocess.run(
        ["unshare", "-rm", "sh", "-c", shell + "true"], cwd=tmp_path, capture_output=True, check=False
    ).returncode:
        pytest.skip("this system lets nobody but its owner mount a read-only file system")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from prefline.pipeline.cli import main; main()", *words, "--store", "store"]
        script = shell + 'exec "$@"'
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, "sh", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "mine" in run("list").stdout
    assert mine in run("show", "mine").stdout
    assert run("verify").returncode == 0
    assert run("why", "mine", "mine").returncode == 0
    assert run("graph").returncode == 0
    assert run("export", "mine", "out").stdout.strip() == mine
    # What was made before needs no writing either.
    assert run("ingest", "labels.jsonl").stdout.strip() == mine
    for words in (("ingest", "labels.jsonl", "--feedback", "mock"), ("name", "mine", "other"), ("gc", "--delete")):
        refused = run(*words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "this place cannot be written" in refused.stderr
        assert "Traceback" not in refused.stderr
