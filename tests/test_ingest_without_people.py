"""The stage `ingest` where nobody has chosen: references against texts made to fail, and labellers that are played."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from processes import exit_code

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError
from prefline.data.ingestion import ingest as ingest_rows
from prefline.data.labelling import parse_labellers, relabel
from prefline.data.layout import Aids
from prefline.data.layouts import find_layout
from prefline.data.writing import WRITERS
from prefline.pipeline import INGEST, Artifact, Runtime, Store, intake, make
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.ingest import IngestParams
from prefline.pipeline.provided import read_source

EXAMPLE = Path(__file__).parent.parent / "docs" / "example" / "references.jsonl"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(artifact: Artifact, *names: str) -> list[Any]:
    chosen = names or ("train.jsonl", "held_out.jsonl")
    return [row for name in chosen for row in read_lines(artifact.path / name)]


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def ingest(store: Store, path: Path, seed: int | None = 1, runtime: Runtime | None = None, **params: Any) -> Artifact:
    inputs = {"source": read_source(path)}
    return make(store, INGEST, params=params, inputs=inputs, seed=seed, runtime=runtime).artifact


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip("the shared data sets are not on this machine")
    return SHARED / name


REFERENCES = read_lines(EXAMPLE)
CANDIDATES = [
    {
        "prompt": f"p{number}",
        "responses": ["a" * (number % 5), "bbb", "c c", "dddddddd"[: number % 7]],
        "id": str(number),
    }
    for number in range(40)
]


# --- references ---


def test_a_reference_is_the_best_of_four(store: Store) -> None:
    made = ingest(store, EXAMPLE, negatives=["last-mile"])
    rows = read(made)
    known = {row["prompt"]: row["reference"] for row in REFERENCES}
    assert sorted(row["prompt"] for row in rows) == sorted(known)
    for row in rows:
        assert len(row["responses"]) == len(set(row["responses"])) == 4
        assert row["responses"][row["best"]] == known[row["prompt"]]
        assert [place for place, name in enumerate(row["categories"]) if name == "reference"] == [row["best"]]
        assert "annotator" not in row
    data = made.manifest.data
    counted = Counter(name for row in rows for name in row["categories"] if name != "reference")
    assert data["negatives"] == dict(sorted(counted.items()))
    assert sum(data["negatives"].values()) == 36
    families = {name.partition("-")[0] for name in counted}
    assert families == {"random", "irrelevant", "shuffled", "repetitive", "copied"}
    assert (made.manifest.feedback, made.manifest.recipe.seed) == (("synthetic",), 1)
    assert made.manifest.recipe.params["feedback"] == "synthetic"
    assert "labellers" not in data
    report = json.loads((made.path / "quality.json").read_text())
    assert not any("annotator" in sentence for sentence in report["verdict"])  # nobody was asked
    assert report["feedback"] == {"kind": "synthetic", "by": ["last-mile"]}
    assert "synthetic: nobody chose" in (made.path / "quality.html").read_text().partition("</header>")[0]


def test_pairs_hold_the_reference_against_each_negative(store: Store) -> None:
    rows = read(ingest(store, EXAMPLE, negatives="random,empty", choices=3, form="pairs"))
    assert len(rows) == 2 * len(REFERENCES)
    assert all(len(row["responses"]) == 2 for row in rows)
    names = {name for row in rows for name in row["categories"]}
    assert names == {"reference", "random-even", "random-frequent", "empty"}


def test_the_seed_decides_and_the_order_of_rows_does_not(store: Store, tmp_path: Path) -> None:
    first = ingest(store, EXAMPLE, negatives="last-mile")
    again = ingest(store, write(tmp_path / "moved.jsonl", REFERENCES[::-1]), negatives="last-mile")
    assert sorted(map(json.dumps, read(first))) == sorted(map(json.dumps, read(again)))
    assert first.manifest.data["rows_digest"] == again.manifest.data["rows_digest"]
    other = ingest(store, EXAMPLE, seed=2, negatives="last-mile")
    assert first.manifest.data["rows_digest"] != other.manifest.data["rows_digest"]


def test_rows_that_nothing_can_be_made_of_are_refused_by_name(store: Store, tmp_path: Path) -> None:
    rows = [*REFERENCES, {"prompt": "p", "reference": " "}, {"prompt": 7, "reference": "r"}]
    made = ingest(store, write(tmp_path / "rows.jsonl", rows), negatives="last-mile", max_rejected="2")
    assert [(row["line"], row["reason"]) for row in read(made, "rejected.jsonl")] == [
        (13, "'reference' must hold something, found white space"),
        (14, "'prompt' must be a string, found number"),
    ]
    # Of one word nothing can be shuffled, and of the only row nothing is irrelevant.
    path = write(tmp_path / "row.jsonl", [{"prompt": "p", "reference": "r"}])
    with pytest.raises(
        DataError,
        match=r"1 of 1 row cannot be taken in(.|\n)*1 negative is needed, and none could be made of .*; ask for more",
    ):
        ingest(store, path, negatives="irrelevant,shuffled", choices=2)


def test_every_file_is_looked_at_before_the_first_is_taken_in(store: Store, tmp_path: Path) -> None:
    """What is irrelevant to the only row of the first file comes from the second, of another shape."""
    folder = tmp_path / "files"
    folder.mkdir()
    write(folder / "1.jsonl", [{"prompt": "one", "reference": "first"}])
    turns = [{"role": "user", "content": "two"}, {"role": "assistant", "content": "second"}]
    write(folder / "2.jsonl", [{"messages": turns}])
    made = ingest(store, folder, negatives="irrelevant-any", choices=2, held_out=0)
    assert [sorted(row["responses"]) for row in read(made)] == [["first", "second"]] * 2
    assert made.manifest.data["layouts"] == ["references", "reference-chats"]


def take_in(root: Path, path: Path, params: dict[str, Any]) -> None:
    """Ingest in small steps, each of them saved."""
    intake._STEP = 3
    ingest(Store.create(root), path, runtime=Runtime(checkpoint_every=1), held_out=0.2, **params)


@pytest.mark.parametrize(
    "params",
    [{"negatives": "last-mile"}, {"labeller": "length:0.5,copy", "view": "majority"}],
    ids=["negatives", "labellers"],
)
def test_a_kill_after_any_step_leads_to_the_same_artifact(tmp_path: Path, params: dict[str, Any]) -> None:
    path = EXAMPLE if "negatives" in params else write(tmp_path / "rows.jsonl", CANDIDATES[:12])
    take_in(tmp_path / "whole", path, params)
    (expected,) = Store.open(tmp_path / "whole").ids()
    for step in (1, 3):
        root = tmp_path / str(step)
        assert exit_code(take_in, root, path, params, failpoint=f"step.finished:{step}") == -9
        take_in(root, path, params)
        assert list(Store.open(root).ids()) == [expected]
        assert len(Store.open(root).get(expected).manifest.run.get("resumed", [])) == (step > 1)


# --- labellers ---


def test_each_labeller_says_which_of_the_candidates_it_would_choose(store: Store, tmp_path: Path) -> None:
    made = ingest(store, write(tmp_path / "rows.jsonl", CANDIDATES), labeller=["length", "first,copy"], held_out=0)
    rows = read(made)
    assert len(rows) == 3 * len(CANDIDATES)
    for row in rows:
        if row["annotator"] == "length":
            assert len(row["responses"][row["best"]]) == max(map(len, row["responses"]))
        if row["annotator"] == "first":
            assert row["best"] == 0
    assert {(row["id"], row["annotator"]) for row in rows} == {
        (row["id"], name) for row in CANDIDATES for name in ("length", "first", "copy")
    }
    assert made.manifest.data["labellers"] == ["length", "first", "copy"]
    assert (made.manifest.feedback, made.manifest.data["layouts"]) == (("mock",), ["candidates"])


def test_the_order_of_rows_changes_nothing_that_is_said(store: Store, tmp_path: Path) -> None:
    specs = ["length:0.5", "length:0.5", "copy:1"]
    made = [ingest(store, write(tmp_path / f"{step}.jsonl", CANDIDATES[::step]), labeller=specs) for step in (1, -1)]
    assert made[0].manifest.data["rows_digest"] == made[1].manifest.data["rows_digest"]
    rows = read(made[0])
    best = {name: [row["best"] for row in rows if row["annotator"] == name] for name in {*specs, "length:0.5 #2"}}
    assert best["length:0.5"] != best["length:0.5 #2"]


def test_noise_is_measured_in_the_spread_of_all_responses(store: Store, tmp_path: Path) -> None:
    """Lengths ten times as long say the same: the spread grows with them."""
    few = [{"prompt": f"p{number}", "responses": ["a", "aa", "aaaa"]} for number in range(400)]
    many = [row | {"responses": [text * 10 for text in row["responses"]]} for row in few]
    counts = []
    for name, rows in (("few", few), ("many", many)):
        made = ingest(store, write(tmp_path / f"{name}.jsonl", rows), labeller="length:0.5", held_out=0)
        counts.append(Counter(row["best"] for row in read(made)))
    # Lengths 1, 2, 4 have a spread of 1.247, so the longest is chosen with 1 / (1 + exp(-2/0.624) + exp(-3/0.624)),
    # that is 0.954: in 382 cases of 400, give or take four times 4.2.
    assert all(abs(count[2] - 382) < 17 for count in counts)


def test_what_people_chose_is_forgotten_where_labellers_choose(tmp_path: Path) -> None:
    row = {"prompt": "p", "responses": ["long", "a"], "best": 1, "ratings": [1, 2], "systems": ["x", "y"]}
    (labeller,) = parse_labellers(["length"])
    aids = Aids(label=lambda one: relabel(one, [labeller], from_seed(1)))
    expected = Comparison("p", ("long", "a"), (0,), annotator="length", systems=("x", "y"))
    assert ingest_rows(write(tmp_path / "rows.jsonl", [row]), aids=aids).comparisons == [expected]
    # Three people said something of one item: a labeller is asked once.
    people = {"annotator1": 1, "annotator2": 2, "annotator3": 0}
    pandalm = {"idx": 1, "instruction": "p", "input": "", "response1": "long", "response2": "a", **people}
    found = ingest_rows(write(tmp_path / "pandalm.jsonl", [pandalm]), aids=aids, layout="pandalm")
    assert [(one.best, one.annotator) for one in found.comparisons] == [((0,), "length")]
    # And where a prompt is spread over rows.
    long = [{"prompt": "p", "response": text, "score": 1, "annotator": "ann"} for text in ("a", "long")]
    found = ingest_rows(write(tmp_path / "long.jsonl", long), aids=aids, layout="long")
    assert [(one.best, one.annotator) for one in found.comparisons] == [((1,), "length")]


@pytest.mark.parametrize(
    ("row", "responses"),
    [
        ({"prompt": "p", "responses": ["a", "b"]}, ("a", "b")),
        ({"query": "p", "sample0": "a", "sample1": "b", "sample2": "c"}, ("a", "b", "c")),
        ({"question": "p", "Answer 1": "a", "Answer 2": "b"}, ("a", "b")),
        ({"prompt": [{"role": "user", "content": "p"}], "candidates": ["a", "b"]}, ("a", "b")),
    ],
)
def test_candidates_are_found_where_somebody_will_choose(row: dict[str, Any], responses: tuple[str, ...]) -> None:
    found = find_layout([row], None, None, Aids(label=lambda one: [one]))
    assert found.layout.name == "candidates"
    assert found.layout.read is not None
    (read_,) = found.layout.read(row, found.columns, Aids(label=lambda one: [one]))
    assert (read_.responses, read_.best) == (responses, ())
    with pytest.raises(DataError, match=r"^responses of which nobody has chosen one: --labeller length") as refusal:
        find_layout([row])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"prompt": "p", "responses": ["a", "b"], "best": 1}, "native"),
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, "pairs"),
        ({"prompt": "p", "candidates": ["a", "b"]}, "candidates"),
    ],
)
def test_negatives_are_not_made_beside_responses(row: dict[str, Any], layout: str) -> None:
    aids = Aids(synthesize=lambda _document: [])
    with pytest.raises(DataError, match=f"^rows of the layout {layout} hold responses already: leave the negatives"):
        find_layout([row], None, None, aids)
    with pytest.raises(ConfigError, match=f"expected reference-chats or references, found '{layout}'"):
        find_layout([row], layout, None, aids)
    (best,) = {"chosen", "responses", "candidates"} & row.keys()
    assert find_layout([row], None, {"reference": best}, aids).columns["reference"] == best


@pytest.mark.parametrize("name", [None, "references"])
def test_a_labeller_wants_more_than_one_response(store: Store, name: str | None) -> None:
    with pytest.raises(
        DataError, match=r"one response each: a labeller chooses among several .*responses=4\)"
    ) as refusal:
        ingest(store, EXAMPLE, labeller="length", layout=name)
    assert "--negatives" not in str(refusal.value)


@pytest.mark.parametrize(
    ("params", "steps"),
    [({"labeller": "length"}, [20, 40, 60]), ({"seed": None}, [50, 60])],
    ids=["chosen", "as it is"],
)
def test_steps_are_short_where_rows_are_chosen_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], steps: list[int]
) -> None:
    monkeypatch.setattr(intake, "_STEP", 50)
    monkeypatch.setattr(intake, "_SLOW_STEP", 20)
    rows = [{"prompt": f"p{number}", "responses": ["a", "bb"], "best": 0} for number in range(60)]
    ingest(store, write(tmp_path / "rows.jsonl", rows), **params)
    (metrics,) = store.root.glob("runs/*/metrics.jsonl")
    assert [row["step"] for row in read_lines(metrics)] == steps


def test_candidates_that_cannot_be_read_are_refused_by_name(store: Store, tmp_path: Path) -> None:
    odd = [{"responses": ["a"]}, {"responses": ["a", 1]}, {"responses": "a"}, {"prompt": None}]
    rows = [*CANDIDATES, *(CANDIDATES[1] | change for change in odd)]
    made = ingest(store, write(tmp_path / "rows.jsonl", rows), labeller="length", max_rejected="4")
    assert [row["reason"] for row in read(made, "rejected.jsonl")] == [
        "'responses' must hold at least 2, found 1",
        "'responses[1]' must be a string, found number",
        "'responses' must be a list of texts, found string",
        "'prompt' must be a string, found null",
    ]


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"negatives": "random", "labeller": "length"}, "negatives and labeller exclude each other"),
        ({"negatives": "randm"}, r"'randm' \(did you mean 'random'"),
        ({"labeller": "lenght"}, r"unknown labeller 'lenght' \(did you mean 'length'"),
        ({"labeller": "sentimental"}, r"unknown labeller 'sentimental' \(did you mean 'sentiment'"),
        ({"labeller": "length:much"}, "expected NAME or NAME:NOISE"),
        (
            {"negatives": "random", "feedback": "human"},
            "with negatives, feedback can only be 'synthetic'",
        ),
        ({"labeller": "length", "feedback": "human"}, "with labeller, feedback can only be 'mock', found 'human'"),
        ({"choices": 3}, r"choices says how negatives are put together: name their classes \(negatives\) too"),
        ({"form": "pairs", "labeller": "length"}, "form says how negatives are put together"),
        ({"negatives": "random", "choices": 1}, "choices: Input should be greater than or equal to 2, found 1"),
        ({"negatives": [1]}, "negatives"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refusal:
        IngestParams.parse(settings)
    assert "\n" not in str(refusal.value)


def test_what_follows_from_other_settings_is_written_down_once() -> None:
    assert IngestParams.parse({}).feedback == "human"
    for settings, who in (({"negatives": "random"}, "synthetic"), ({"labeller": "length"}, "mock")):
        assert IngestParams.parse(settings) == IngestParams.parse({**settings, "feedback": who})
    assert IngestParams.parse({"negatives": ["random, copied", "empty"]}).negatives == ("random", "copied", "empty")


def test_a_seed_is_wanted_where_chance_plays_a_part_and_nowhere_else(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"prompt": "p", "responses": ["a", "b"], "best": 0}])
    with pytest.raises(ConfigError, match="ingest needs a seed"):
        ingest(store, path, seed=None, labeller="length")
    with pytest.raises(ConfigError, match="ingest leaves nothing to chance with these settings and takes no seed"):
        ingest(store, path, seed=1)
    assert ingest(store, path, seed=None).manifest.recipe.seed is None


def test_the_verb_takes_the_same_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--negatives", "random,copied", "--negatives", "empty", "--choices", "3", "--form", "pairs", "--seed", "7"]
    target = ["--store", str(tmp_path / "store")]
    build_command("ingest").main([str(EXAMPLE), *words, *target], standalone_mode=False)
    recipe = Store.open(tmp_path / "store").get(capsys.readouterr().out.strip()).manifest.recipe
    assert {name: recipe.params[name] for name in ("negatives", "choices", "form", "feedback")} == {
        "negatives": ["random", "copied", "empty"],
        "choices": 3,
        "form": "pairs",
        "feedback": "synthetic",
    }
    assert recipe.seed == 7


# --- the binary form ---


def test_unpaired_rows_are_one_a_response() -> None:
    best = Comparison("p", ("a", "b", "c"), (1,), id="7", annotator="ann", weight=2.0)
    shared_ = {"prompt": "p", "annotator": "ann", "id": "7", "weight": 2.0}
    assert WRITERS["unpaired"].write(best) == [
        shared_ | {"completion": text, "label": text == "b"} for text in ("a", "b", "c")
    ]
    tied = Comparison("p", ("a", "b", "c"), (0, 2))
    assert [row["label"] for row in WRITERS["unpaired"].write(tied)] == [True, False, True]
    twin = Comparison("p", ("a", "b", "a"), (0,))  # one text is not both good and bad
    assert [row["label"] for row in WRITERS["unpaired"].write(twin)] == [True, False, True]
    with pytest.raises(DataError, match="nobody chose"):
        WRITERS["unpaired"].write(Comparison("p", ("a", "b"), (), undecided="all bad"))
    with pytest.raises(DataError, match="decode them first"):
        WRITERS["unpaired"].write(Comparison((1,), ((1,), (2,)), (0,)))


def test_an_artifact_leaves_as_unpaired_rows(store: Store, tmp_path: Path) -> None:
    from prefline.pipeline.rewriting import rewrite

    made = ingest(store, EXAMPLE, negatives="last-mile", held_out=0)
    written = rewrite(made, "unpaired", tmp_path / "unpaired")
    assert written == (12, 48, 0)
    rows = read_lines(tmp_path / "unpaired" / "train.jsonl")
    assert sum(row["label"] for row in rows) == 12  # one positive for three negatives
    assert {row["completion"] for row in rows if row["label"]} == {row["reference"] for row in REFERENCES}


# --- real data ---


def test_real_references_become_comparisons(store: Store) -> None:
    made = ingest(store, shared("summ_scitldr/scitldr_a.jsonl.gz"), negatives="last-mile")
    data = made.manifest.data
    assert (data["comparisons"], data["rejected"]) == (3810, 0)  # one for each reference
    assert data["responses_per_comparison"] == {"4": 3810}
    families: Counter[str] = Counter()
    for name, times in data["negatives"].items():
        families[name.partition("-")[0]] += times
    assert families.total() == 3 * 3810
    # Three of five families are drawn for each: three fifths of 3,810 are 2,286, give or take four times 30.
    assert all(2166 < times < 2406 for times in families.values()), families
    report = json.loads((made.path / "quality.json").read_text(encoding="utf-8"))
    assert report["bias"]["position_test"]["p"] > 0.001
    assert report["duplicates"]["best_has_twin"] == 0


def test_real_candidates_are_labelled_by_length(store: Store) -> None:
    made = ingest(store, shared("summeval_bo4/comparisons.jsonl.gz"), labeller="length")
    rows = read(made)
    assert len(rows) == 852
    for row in rows:
        assert len(row["responses"][row["best"]]) == max(map(len, row["responses"]))
    report = json.loads((made.path / "quality.json").read_text(encoding="utf-8"))
    assert report["bias"]["longest"]["share"] > 0.98  # less where several are as long
    assert report["bias"]["systems"]  # who wrote what is known still
