"""The verb `score`: what it reads, what it writes, what it says of it, and what it does when it is stopped."""

import contextlib
import gzip
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, PreflineError
from prefline.data.ingestion import Rejection
from prefline.data.items import Item, open_items
from prefline.data.rewardbench import Scored, assess
from prefline.pipeline import Store
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.cli import app
from prefline.pipeline.cli_score import score
from prefline.pipeline.interruption import PROCESS
from prefline.pipeline.scores_file import open_part
from prefline.pipeline.scoring import Tally
from prefline.pipeline.terminal_scoring import describe_scores
from prefline.reward_model.model import RewardModel

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PEOPLE = ("The waiter", "Our cook", "My aunt", "The singer", "Nobody", "A guest")
DEEDS = ("was kind.", "was rude.", "came late.", "smiled a little.", "left.")


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(*words: str | Path) -> Said:
    """Run the verb as `main` does, in this process."""
    result = CliRunner().invoke(app, ["score", *map(str, words)])
    if isinstance(result.exception, PreflineError):
        return Said(1, result.stdout, f"{result.stderr}{result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pairs(number: int) -> list[dict[str, Any]]:
    """Comparisons that are all different."""
    return [
        {
            "prompt": f"{PEOPLE[index % 6]} {index}",
            "responses": [DEEDS[index % 5], DEEDS[(index + 1) % 5]],
            "best": index % 2,
        }
        for index in range(number)
    ]


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model with a new head."""
    folder = tmp_path_factory.mktemp("scorer")
    RewardModel.from_pretrained(find_model("tiny")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(scorer: Path) -> RewardModel:
    return RewardModel.from_pretrained(scorer)


def expect(model: RewardModel, rows: Sequence[Any]) -> None:
    """See that the scores are those that the model gives by itself."""
    assert rows
    for row in rows:
        alone = model.score([row["prompt"]] * len(row["responses"]), row["responses"])
        assert row["scores"] == pytest.approx(alone, abs=1e-5)


# --- what is read, and what is written ---


def test_a_comparison_is_written_as_it_is_with_its_scores(scorer: Path, model: RewardModel, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": "The film",
            "responses": ["wäs good.", "was bad.", "ended."],
            "best": [0, 2],
            "id": "a",
            "weight": 2,
        },
        {"prompt": "The food", "responses": ["was bad.", "came."], "best": None, "undecided": "all bad"},
    ]
    said = run(scorer, write(tmp_path / "labels.jsonl", rows))
    assert said.code == 0
    assert [{key: row[key] for key in row if key != "scores"} for row in said.rows] == rows
    expect(model, said.rows)
    assert all(Comparison.from_row(row) for row in said.rows)


def test_the_summary_says_how_often_the_highest_is_a_best(scorer: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "labels.jsonl", pairs(10))
    said = run(scorer, source, "--summary", tmp_path / "summary.json")
    right = sum(row["scores"].index(max(row["scores"])) == row["best"] for row in said.rows)
    assert 0 < right < 10
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["items"], summary["responses"], summary["refused"]) == (10, 20, 0)
    assert {key: summary["accuracy"][key] for key in ("right", "of", "share")} == {
        "right": right,
        "of": 10,
        "share": right / 10,
    }
    assert summary["accuracy"]["low"] < right / 10 < summary["accuracy"]["high"]
    assert summary["rewardbench"] == []
    assert (summary["scorer"], summary["source"]) == (str(scorer), str(source))
    *_, before, last = said.err.splitlines()
    assert before.startswith("20 responses of 10 items scored in ")
    assert last.startswith(f"accuracy {10 * right}.0 % (")


def test_a_tally_counts_by_hand() -> None:
    tally = Tally()
    items = [
        (Item("p", ("a", "b"), Comparison("p", ("a", "b"), (1,))), [0.0, 1.0]),  # right
        (Item("p", ("a", "b"), Comparison("p", ("a", "b"), (1,))), [1.0, 1.0]),  # half right
        (Item("p", ("a", "b", "c"), Comparison("p", ("a", "b", "c"), (0, 2))), [0.0, 2.0, 1.0]),  # wrong
        (Item("p", ("a", "b"), Comparison("p", ("a", "b"), (0, 1))), [0.0, 1.0]),  # nothing to be right about
        (Item("p", ("a", "b"), Comparison("p", ("a", "b"), (), undecided="skipped")), [0.0, 1.0]),
        (Item("p", ("a",)), [3.0]),
    ]
    for item, scores in items:
        tally.add(item, scores, None)
    found = tally.summarize()
    assert (found["items"], found["responses"], found["rewardbench"]) == (6, 12, [])
    assert (found["accuracy"]["right"], found["accuracy"]["of"]) == (1.5, 3)
    # Wilson's interval of 1.5 of 3, by hand: 0.5 -+ 1.96 sqrt(0.25 / 3 + 1.96^2 / 36) / (1 + 1.96^2 / 3)
    assert found["accuracy"]["low"] == pytest.approx(0.5 - 0.3746, abs=1e-4)
    lines = list(describe_scores({**found, "refused": 1, "seconds": 3.2}))
    assert lines[0] == "12 responses of 6 items scored in 4 s, 1 row refused"
    assert lines[1].startswith("accuracy 50.0 % (12.5 to 87.5 %): ")
    assert Tally().summarize()["accuracy"] is None


@pytest.mark.parametrize(
    ("row", "prompt", "responses"),
    [
        ({"prompt": "p", "response": "one"}, "p", ["one"]),
        ({"prompt": "p", "completion": ""}, "p", [""]),
        ({"prompt": "p", "responses": ["one", "two", "one"]}, "p", ["one", "two", "one"]),
        ({"query": "p", "sample1": "one", "sample2": "two"}, "p", ["one", "two"]),
        (
            {"prompt": [{"role": "user", "content": "p"}], "response": "one", "id": 7},
            [{"role": "user", "content": "p"}],
            ["one"],
        ),
        (
            {"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "one"}]},
            [{"role": "user", "content": "p"}],
            ["one"],
        ),
    ],
    ids=["response", "completion", "responses", "numbered", "chat", "messages"],
)
def test_rows_of_which_nobody_has_chosen_are_items_too(
    tmp_path: Path, row: dict[str, Any], prompt: Any, responses: list[str]
) -> None:
    found, items = open_items(write(tmp_path / "texts.jsonl", [row]))
    (item,) = items
    assert isinstance(item, Item)
    assert found is not None
    expected = {"prompt": prompt, "responses": responses} | ({"id": str(row["id"])} if "id" in row else {})
    assert json.loads(json.dumps(item.to_row())) == expected
    assert item.best == ()


def test_columns_are_named_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.jsonl", [{"ask": "p", "ours": "one", "theirs": "two", "who": "x"}])
    with pytest.raises(DataError, match=r"texts.jsonl: .*--map prompt=COLUMN --map responses=COLUMN"):
        open_items(path)
    columns = {"prompt": "ask", "responses": ("ours", "theirs")}
    (item,) = open_items(path, columns=columns).items
    assert item == Item("p", ("one", "two"))
    assert [*open_items(path, columns=columns, layout="candidates").items] == [item]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "p", "response": None}, "'response' must hold a response, found null"),
        ({"prompt": "p"}, "'response' must hold a response, found no such key"),
        ({"prompt": "p", "response": []}, "'response' must hold a response, found list"),
        ({"prompt": "p", "response": 3}, "'response' must be a string, found number"),
        ({"prompt": None, "response": "r"}, "'prompt' must be a string, found null"),
        ({"prompt": [], "response": "r"}, "'prompt' must hold messages, found an empty list"),
        ({"prompt": [{"role": "user", "content": "\0"}], "response": "r"}, "'prompt' holds the character NUL"),
    ],
    ids=str,
)
def test_an_odd_row_is_refused_by_name(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"prompt": "p", "response": "r"}
    *_, rejection = open_items(write(tmp_path / "texts.jsonl", [good, good, row])).items
    assert isinstance(rejection, Rejection)
    assert (rejection.file, rejection.line) == ("texts.jsonl", 3)
    assert rejection.reason.startswith(reason)


def test_a_folder_of_files_in_several_layouts_is_read_in_order(
    scorer: Path, model: RewardModel, tmp_path: Path
) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a.csv").write_text("prompt,chosen,rejected\nThe film,was good.,was bad.\n")
    write(tmp_path / "all" / "b.jsonl", [{"prompt": "The food", "response": "was good."}])
    said = run(scorer, tmp_path / "all")
    assert [row["prompt"] for row in said.rows] == ["The film", "The food"]
    expect(model, said.rows)
    assert "a.csv: CSV" in said.err
    assert "layout pairs" in said.err
    assert "layout candidates: a prompt with a response, or several" in said.err


def test_a_chat_is_made_of_texts_where_that_is_asked_for(scorer: Path, model: RewardModel, tmp_path: Path) -> None:
    source = write(tmp_path / "texts.jsonl", [{"prompt": "The film", "response": "was good."}])
    plain, chat = run(scorer, source), run(scorer, source, "--chat")
    assert chat.rows[0]["prompt"] == plain.rows[0]["prompt"] == "The film"
    assert chat.rows[0]["scores"] == pytest.approx(model.score(["user: The film\n\nassistant:"], ["was good."]))
    assert chat.rows[0]["scores"] != plain.rows[0]["scores"]


def test_scores_are_the_same_however_many_tokens_are_computed_at_once(scorer: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "labels.jsonl", pairs(70))
    first, *others = (run(scorer, source, "--tokens-at-once", size).rows for size in ("1", "40", "5000"))
    assert len(first) == 70
    for other in others:
        assert [row["responses"] for row in other] == [row["responses"] for row in first]
        for one, same in zip(first, other, strict=True):
            assert one["scores"] == pytest.approx(same["scores"], abs=1e-5)


# --- artifacts ---


def publish_comparisons(publish: Any, root: Path, train: Any, held_out: Any, **files: bytes) -> None:
    sides = {"train.jsonl": train, "held_out.jsonl": held_out}
    lines = {name: "".join(json.dumps(row) + "\n" for row in rows).encode() for name, rows in sides.items()}
    publish(Store.create(root), lines | files, kind="comparisons", name="mine")


@pytest.mark.parametrize(
    ("side", "places"), [(None, [0, 1, 2]), ("both", [0, 1, 2]), ("train", [0, 1]), ("held_out", [2])], ids=str
)
def test_an_artifact_gives_its_sides(
    publish: Any, scorer: Path, tmp_path: Path, side: str | None, places: list[int]
) -> None:
    rows = pairs(3)
    publish_comparisons(publish, tmp_path / "store", rows[:2], rows[2:])
    said = run(scorer, "mine", "--store", tmp_path / "store", *(("--side", side) if side else ()))
    assert [row["prompt"] for row in said.rows] == [rows[place]["prompt"] for place in places]


def test_a_scorer_may_be_an_artifact(publish: Any, scorer: Path, model: RewardModel, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in scorer.iterdir()}
    publish(Store.create(tmp_path / "store"), files, kind="reward-model", name="good")
    said = run("good", write(tmp_path / "labels.jsonl", pairs(2)), "--store", tmp_path / "store")
    expect(model, said.rows)


def test_token_ids_are_scored_with_their_own_tokenizer_and_refused_with_another(
    publish: Any, scorer: Path, model: RewardModel, tmp_path: Path
) -> None:
    ids = {"prompt": [5, 6, 7], "responses": [[8, 9], [10]], "best": 0}
    own = (scorer / "tokenizer.json").read_bytes()
    publish_comparisons(publish, tmp_path / "own", [ids], [], **{"tokenizer.json": own})
    said = run(scorer, "mine", "--store", tmp_path / "own")
    assert said.rows[0]["scores"] == pytest.approx(model.score([(5, 6, 7)] * 2, [(8, 9), (10,)]))

    other = json.loads(own)
    words = other["model"]["vocab"]
    first, second = [word for word in words if words[word] in (700, 701)]
    words[first], words[second] = words[second], words[first]
    publish_comparisons(publish, tmp_path / "other", [ids], [], **{"tokenizer.json": json.dumps(other).encode()})
    said = run(scorer, "mine", "--store", tmp_path / "other")
    assert (said.code, said.out) == (1, "")
    assert "and to that of the model 2 of them are others, such as 700, which is " in said.err


def test_what_is_no_scorer_and_what_are_no_comparisons_is_refused(publish: Any, scorer: Path, tmp_path: Path) -> None:
    source, store = write(tmp_path / "labels.jsonl", pairs(1)), tmp_path / "store"
    publish_comparisons(publish, store, pairs(1), [])
    publish(Store.open(store), {"config.json": b"{}"}, kind="model", name="lm")
    for words, message in (
        (
            (find_model("tiny"), source),
            "expected a scorer (its config names a ...ForSequenceClassification), found GPT2LM",
        ),
        (("lm", source), "lm: expected an artifact of the kind reward-model, found the kind model"),
        ((scorer, "lm"), "lm: expected an artifact of the kind comparisons, found the kind model"),
        (("goood", source), "has the id or the name 'goood'"),
        (("goood", source), "and there is no folder 'goood'"),
        ((scorer, "labels.json"), "and there is no file or folder 'labels.json'"),
        ((scorer, "hub:"), "expected hub:organisation/name, found 'hub:'"),
        ((scorer, source, "--device", "gpu"), "expected a device"),
        ((scorer, source, "--output", source), "labels.jsonl exists already: delete it, or name another file"),
        ((scorer, source, "--summary", source), "labels.jsonl exists already: delete it, or name another file"),
        ((scorer, source, "--layout", "nativ"), "unknown layout 'nativ' (did you mean 'native'?)"),
    ):
        said = run(*words, "--store", store)
        assert (said.code, said.out) == (1, ""), words
        assert message in said.err
    for words, message in (
        (("--side", "train"), "goes with an artifact of comparisons"),
        (("--map", "prompt"), "expected ROLE=COLUMN, found 'prompt'"),
        (("--map", "a=b", "--map", "a=c"), "expected ROLE=COLUMN, found 'a' twice"),
    ):
        said = run(scorer, source, *words)
        assert (said.code, said.out) == (2, "")
        assert message in " ".join(said.err.replace("│", " ").split())


# --- what is cut, and rows that are refused ---


def test_what_is_cut_is_counted_and_said(model: RewardModel, tmp_path: Path) -> None:
    cutting = RewardModel.from_pretrained(find_model("tiny"))
    cutting.read_as(cutting.reading.model_copy(update={"prompt_length": 4, "response_length": 3}))
    cutting.save_pretrained(tmp_path / "scorer")
    rows = [
        {"prompt": "The film " * 200, "responses": ["was good and then was bad.", "was", "came and left and came."]},
        {"prompt": "The", "response": "was"},
    ]
    source = write(tmp_path / "texts.jsonl", rows[:1])
    write(tmp_path / "one.jsonl", rows[1:])
    said = run(tmp_path / "scorer", source, "--summary", tmp_path / "summary.json")
    assert (said.code, len(said.rows)) == (0, 1)
    assert json.loads((tmp_path / "summary.json").read_text())["cut"] == {"prompts": 1, "responses": 2}
    assert "cut, as the scorer was trained: 1 prompt and 2 responses" in said.err.splitlines()
    assert "cut, " not in run(tmp_path / "scorer", tmp_path / "one.jsonl").err


def test_rows_that_cannot_be_scored_are_named_and_counted(scorer: Path, tmp_path: Path) -> None:
    long = {"prompt": "The film " * 200, "responses": ["a", "b"], "best": 0}
    ids = {"prompt": [1], "responses": [[2], [99999]], "best": 0}
    source = write(tmp_path / "labels.jsonl", [*pairs(2), long, [], ids, *pairs(1)])
    said = run(scorer, source)
    assert said.code == 0
    assert len(said.rows) == 3
    refused = [line.removeprefix("refused: labels.jsonl, ") for line in said.err.splitlines() if "refused: " in line]
    assert len(refused) == 3
    assert refused[0].startswith("item 3: with a prompt and a response of ")
    assert refused[0].endswith(" tokens: the scorer has places for 160")
    assert refused[1] == "line 4: a row must be an object, found list"
    assert refused[2].startswith("item 5: a response: expected token ids ")
    assert "99,999" in refused[2]
    assert said.err.splitlines()[-2].endswith(", 3 rows refused")


def test_where_nothing_can_be_scored_the_exit_code_says_so(scorer: Path, tmp_path: Path) -> None:
    said = run(scorer, write(tmp_path / "bad.jsonl", [{"prompt": 1, "responses": ["a", "b"], "best": 0}] * 7))
    assert (said.code, said.out) == (1, "")
    assert said.err.count("refused: bad.jsonl, line ") == 5
    assert "bad.jsonl: expected rows to score, found 7 that were refused; --layout and --map" in said.err
    (tmp_path / "empty.jsonl").write_text("\n")
    said = run(scorer, tmp_path / "empty.jsonl", "--output", tmp_path / "out.jsonl")
    assert said.code == 1
    assert "empty.jsonl: expected rows to score, found none" in said.err
    assert not [*tmp_path.glob("out*")]


def test_scores_that_are_no_numbers_stop_it(scorer: Path, tmp_path: Path) -> None:
    broken = RewardModel.from_pretrained(scorer)
    broken.scorer.get_submodule(broken.head).weight.data.mul_(1e38).mul_(1e38)  # type: ignore[operator, union-attr]
    broken.save_pretrained(tmp_path / "broken")
    said = run(tmp_path / "broken", write(tmp_path / "labels.jsonl", pairs(2)))
    assert (said.code, said.out) == (1, "")
    assert "expected finite scores" in said.err


# --- RewardBench ---


def test_a_file_of_rewardbench_1_comes_to_what_its_rules_say(scorer: Path, tmp_path: Path) -> None:
    subsets = ("hep-go", "math-prm", "hep-go", "donotanswer", "my-own")
    rows = [
        {"prompt": row["prompt"], "chosen": row["responses"][0], "rejected": row["responses"][1], "subset": subset}
        for row, subset in zip(pairs(5), subsets, strict=True)
    ]
    said = run(scorer, write(tmp_path / "bench.jsonl", rows), "--summary", tmp_path / "summary.json")
    scored = [Scored(subset, row["scores"], (0,)) for subset, row in zip(subsets, said.rows, strict=True)]
    expected = assess(scored, 1)
    assert json.loads((tmp_path / "summary.json").read_text())["rewardbench"] == [expected.to_dict()]
    lines = said.err.splitlines()
    place = lines.index("RewardBench 1, by its own rules:")
    names = [line.split()[0] for line in lines[place + 1 :]]
    assert names == ["hep-go", "math-prm", "donotanswer", "Safety", "Reasoning", "my-own", "total"]
    assert lines[-1].split() == ["total", "none,", "as", "a", "section", "is", "missing"]


def test_rewardbench_is_found_behind_rows_of_other_subsets(scorer: Path, tmp_path: Path) -> None:
    subsets = ["my-own"] * 65 + ["hep-go"] * 2
    rows = [
        {"prompt": row["prompt"], "chosen": row["responses"][0], "rejected": row["responses"][1], "subset": subset}
        for row, subset in zip(pairs(67), subsets, strict=True)
    ]
    said = run(scorer, write(tmp_path / "bench.jsonl", rows), "--summary", tmp_path / "summary.json")
    (found,) = json.loads((tmp_path / "summary.json").read_text())["rewardbench"]
    # The 65th row is read together with those that are known.
    assert (found["subsets"]["hep-go"]["rows"], found["apart"]["my-own"]["rows"]) == (2, 1)
    assert "bench.jsonl: RewardBench 1 has none of the subsets of the first 64 rows, so they are not" in said.err


def test_a_file_of_rewardbench_2_comes_to_what_its_rules_say(scorer: Path, tmp_path: Path) -> None:
    rows = [
        {"id": str(index), "prompt": f"The {index}", "chosen": [DEEDS[index % 5]], "rejected": ["x", "y", "z"]}
        | {"subset": subset}
        for index, subset in enumerate(("Factuality", "Precise IF", "Math", "Safety", "Focus", "Focus"))
    ]
    rows.append(
        {"id": "tied:0", "prompt": "A colour", "chosen": ["red", "blue"], "rejected": ["dog"], "subset": "Ties"}
    )
    rows.append({"id": "ref:0", "prompt": "The colour", "chosen": ["red"], "rejected": ["dog"], "subset": "Ties"})
    said = run(scorer, write(tmp_path / "bench.jsonl", rows), "--summary", tmp_path / "summary.json")
    scored = [
        Scored(str(row["subset"]), found["scores"], range(len(row["chosen"])), str(row["id"]))
        for row, found in zip(rows, said.rows, strict=True)
    ]
    expected = assess(scored, 2)
    assert expected.total is not None
    assert expected.ties is not None
    assert json.loads((tmp_path / "summary.json").read_text())["rewardbench"] == [expected.to_dict()]
    lines = said.err.splitlines()
    place = lines.index("RewardBench 2, by its own rules:")
    assert [line.split("  ")[1] for line in lines[place + 1 :]] == [
        *("Factuality", "Precise IF", "Math", "Safety", "Focus", "Ties", "total")
    ]
    assert lines[-1].split()[1] == f"{100 * expected.total:.1f}"


# --- files, stops, pipes ---


@pytest.fixture(scope="module")
def whole(scorer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source of three chunks, one row of which is refused, and with its scores."""
    folder = tmp_path_factory.mktemp("whole")
    rows = pairs(150)
    rows[70]["prompt"] = "The film " * 200
    said = run(scorer, write(folder / "labels.jsonl", rows), "--output", folder / "scores.jsonl")
    assert (said.code, said.out) == (0, "")
    assert not (folder / "scores.jsonl.part").exists()
    return folder


def test_a_file_holds_what_would_be_printed(scorer: Path, whole: Path) -> None:
    assert run(scorer, whole / "labels.jsonl").out.encode() == (whole / "scores.jsonl").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.43, 0.5, 0.9, 0.9999, 1.0])
def test_what_a_kill_has_left_is_gone_on_with_to_the_same_bytes(
    scorer: Path, whole: Path, tmp_path: Path, share: float
) -> None:
    expected = (whole / "scores.jsonl").read_bytes()
    part = tmp_path / "scores.jsonl.part"
    part.write_bytes(expected[: int(share * len(expected))])
    before = run(scorer, whole / "labels.jsonl", "--summary", tmp_path / "before.json").code
    said = run(
        scorer, whole / "labels.jsonl", "--output", tmp_path / "scores.jsonl", "--summary", tmp_path / "now.json"
    )
    assert (before, said.code) == (0, 0)
    assert ("is gone on with" in said.err) == (share > 0)
    assert (tmp_path / "scores.jsonl").read_bytes() == expected
    assert not part.exists()
    summaries = [json.loads((tmp_path / name).read_text()) for name in ("before.json", "now.json")]
    assert summaries[0] | {"seconds": 0} == summaries[1] | {"seconds": 0}


def test_what_was_written_before_is_not_computed_again(
    scorer: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (whole / "scores.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "scores.jsonl.part").write_bytes(b"".join(lines[:100]))
    computed: list[int] = []
    score_apart = RewardModel.score_apart

    def watch(self: RewardModel, given: Any, **settings: Any) -> Any:
        computed.append(len(given))
        return score_apart(self, given, **settings)

    monkeypatch.setattr(RewardModel, "score_apart", watch)
    assert run(scorer, whole / "labels.jsonl", "--output", tmp_path / "scores.jsonl").code == 0
    assert computed == [2 * 63, 2 * 22]  # of the second chunk, which was begun, and of the third


def test_a_part_of_something_else_is_refused_and_left_alone(scorer: Path, whole: Path, tmp_path: Path) -> None:
    lines = (whole / "scores.jsonl").read_bytes().splitlines(keepends=True)
    other = [json.loads(line) for line in lines[:3]]
    part = tmp_path / "scores.jsonl.part"
    shifted = [row | {"scores": [1 + score for score in row["scores"]]} for row in other]
    for content, message in (
        (b"".join(lines[1:3]), "expected scores of the rows of the source, found other rows"),
        (b"".join([*lines, lines[0]]), "expected scores of the rows of the source, found more rows"),
        (b"nonsense\n", "expected scores of the rows of the source, found other rows"),
        (lines[0][:-10] + b"\n", "expected lines of scores, found another"),
        ("".join(json.dumps(r, separators=(",", ":")) + "\n" for r in shifted).encode(), "found those of another"),
    ):
        part.write_bytes(content)
        said = run(scorer, whole / "labels.jsonl", "--output", tmp_path / "scores.jsonl")
        assert said.code == 1
        assert message in said.err
        assert "delete it to begin anew" in said.err
        assert part.read_bytes() == content
        assert not (tmp_path / "scores.jsonl").exists()


def test_two_do_not_write_one_file(scorer: Path, whole: Path, tmp_path: Path) -> None:
    with open_part(tmp_path / "scores.jsonl"):
        said = run(scorer, whole / "labels.jsonl", "--output", tmp_path / "scores.jsonl")
    assert (said.code, "another process is writing it" in said.err) == (1, True)


def test_a_signal_stops_it_after_rows_that_are_kept(
    scorer: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROCESS, "requested", signal.SIGINT)
    said = run(scorer, whole / "labels.jsonl", "--output", tmp_path / "scores.jsonl")
    assert said.code == 130
    expected = (whole / "scores.jsonl").read_bytes()
    kept = (tmp_path / "scores.jsonl.part").read_bytes()
    assert kept.count(b"\n") == 64
    assert expected.startswith(kept)


def test_lines_are_utf_8_whatever_stdout_is_set_to(
    scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "labels.jsonl", [{"prompt": "Thé film", "response": "ünded."}])
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii", errors="replace"))
    score(str(scorer), str(source))
    assert json.loads(printed.getvalue())["prompt"] == "Thé film"


def test_a_reader_that_has_enough_ends_it_quietly(scorer: Path, whole: Path) -> None:
    prefline = f"{sys.executable} -c 'from prefline.pipeline.cli import main; main()' score"
    command = f"{prefline} {scorer} {whole / 'labels.jsonl'} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr.splitlines()[-1] == "  best      <- best"  # what was said of the layout, and then nothing


def test_a_disk_that_is_full_is_an_error_in_one_line(
    scorer: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w") as full, contextlib.suppress(OSError):
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            score(str(scorer), str(whole / "labels.jsonl"))
        assert sys.stdout is None


def test_help_comes_without_pydantic_and_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom prefline.pipeline.cli import main\ntry:\n    main()\nexcept SystemExit:\n"
        "    print(sorted({'torch', 'pydantic', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "score", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]"


# --- what people have ---


@pytest.mark.parametrize(
    ("file", "items"),
    [
        ("summeval_bo4/comparisons.jsonl.gz", 852),
        ("oasst1_en_ranked/ranked.jsonl.gz", 275),
        ("hh_harmless_pairs/harmless_test.jsonl.gz", 1668),
    ],
    ids=["summeval", "oasst1", "hh"],
)
def test_real_files_are_items(file: str, items: int) -> None:
    if not SHARED.exists():
        pytest.skip("the shared data sets are not on this machine")
    found = [*open_items(SHARED / file).items]
    read = [each for each in found if isinstance(each, Item)]
    assert len(found) == items
    assert len(read) > 0.95 * items
    assert all(each.comparison for each in read)


def test_real_texts_are_scored(scorer: Path, model: RewardModel, tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip("the shared data sets are not on this machine")
    lines = gzip.decompress((SHARED / "pandalm_pairs" / "pairs.jsonl.gz").read_bytes()).split(b"\n")
    (tmp_path / "some.jsonl").write_bytes(b"\n".join(lines[:40]) + b"\n")
    said = run(scorer, tmp_path / "some.jsonl")
    assert said.code == 0
    assert len(said.rows) > 20
    expect(model, said.rows[:3])
