import hashlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prefline.data.comparison import Comparison
from prefline.data.contents import Message
from prefline.data.digests import digest_prompt
from prefline.data.errors import ConfigError, DataError
from prefline.data.splitting import is_held_out, split
from prefline.pipeline.builtin import models, world
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.builtin.scoring import SCORERS
from prefline.pipeline.builtin.world import DATASETS, SEPARATOR, render, write_rows
from prefline.pipeline.catalogue import find_stage
from prefline.pipeline.pipeline_file import load_pipeline


def rows(name: str, **options: object) -> list[dict[str, Any]]:
    return list(write_rows(name, {key: str(value) for key, value in options.items()}))


# A change that moves one of these gives everybody other data under the old name: count up VERSION in world.py.
GOLDEN = {
    ("reviews", ""): "3c06e68610e60a6f",
    ("reviews", "responses=4"): "7c5bcc8cdf07624d",
    ("reviews", "split=held_out&seed=3"): "ace94369388c7731",
    ("notes", ""): "7414057c3308f97c",
    ("notes", "split=held_out"): "a7dbf9f7c8286623",
    ("texts", ""): "44a5e590cb2df5e7",
}


@pytest.mark.parametrize(("name", "options"), GOLDEN, ids=["-".join(key) for key in GOLDEN])
def test_a_data_set_is_the_same_for_ever(name: str, options: str) -> None:
    given = dict(pair.split("=") for pair in options.split("&") if pair)
    digest = hashlib.sha256(render(name, {"rows": "300", **given})).hexdigest()
    assert (world.VERSION, digest[:16]) == (1, GOLDEN[name, options])


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_json_lines_of_its_own_columns(name: str) -> None:
    columns = {
        "reviews": {"prompt", "response", "text", "sentiment", "descriptiveness"},
        "notes": {"prompt", "reference"},
        "texts": {"text"},
    }
    written = render(name, {"rows": "50"})
    assert written.endswith(b"\n")
    found = [json.loads(line) for line in written.decode().splitlines()]
    assert len(found) == 50
    assert all(row.keys() == columns[name] for row in found)
    assert found == rows(name, rows=50)


@pytest.mark.parametrize("name", DATASETS)
def test_more_rows_change_none_of_those_before(name: str) -> None:
    assert rows(name, rows=80)[:30] == rows(name, rows=30)


@pytest.mark.parametrize("name", DATASETS)
def test_another_seed_gives_other_rows(name: str) -> None:
    assert rows(name, rows=5, seed=1) != rows(name, rows=5)


@pytest.mark.parametrize("name", DATASETS)
def test_the_two_splits_make_up_the_whole(name: str) -> None:
    whole = rows(name, rows=1000, split="all")
    train = iter(rows(name, rows=1000))
    held_out = iter(rows(name, rows=120, split="held_out"))
    sides = [next(train), next(held_out)]
    for row in whole:
        sides[sides.index(row)] = next(train if row == sides[0] else held_out)


@pytest.mark.parametrize("name", ["reviews", "notes"])
def test_a_prompt_is_held_out_where_ingest_would_hold_it_out(name: str) -> None:
    def comparisons(**options: object) -> list[Comparison]:
        return [Comparison(row["prompt"], ("a", "b"), best=(0,)) for row in rows(name, **options)]

    assert not split(comparisons(rows=2000), near=None).held_out
    held_out = comparisons(rows=400, split="held_out")
    assert not split(held_out, near=None).train
    assert len({comparison.prompt for comparison in held_out}) > 300


def test_texts_hold_only_what_is_for_training() -> None:
    for row in rows("texts", rows=2000, notes=0):
        assert not is_held_out(digest_prompt(row["text"].partition(".")[0] + "."), 0.1)
    for row in rows("texts", rows=2000, notes=1):
        assert not is_held_out(digest_prompt(row["text"].partition(SEPARATOR)[0]), 0.1)


def test_texts_are_notes_and_reviews_in_the_share_asked_for() -> None:
    for share in (0, 0.25, 0.5, 1):
        for other in ({"notes": share, "summaries": 1}, {"notes": 1, "summaries": share}):
            found = sum(SEPARATOR in row["text"] for row in rows("texts", rows=1000, split="all", **other))
            assert found / 1000 == pytest.approx(share, abs=0.05)


def test_a_review_is_its_prompt_and_what_follows_and_has_its_scores() -> None:
    for row in rows("reviews", rows=200):
        assert row["text"] == row["prompt"] + row["response"]
        for score in ("sentiment", "descriptiveness"):
            assert row[score] == SCORERS[score](row["prompt"], row["response"])


def test_several_responses_to_one_prompt_differ() -> None:
    for row in rows("reviews", rows=200, responses=4):
        assert row.keys() == {"prompt", "responses"}
        assert len(set(row["responses"])) == 4


def test_references_of_notes_are_perfect_and_each_others_are_not() -> None:
    found = rows("notes", rows=50, split="held_out")
    for one, other in itertools.pairwise(found):
        assert SCORERS["summary"](one["prompt"], one["reference"]) == 1
        assert SCORERS["summary"](one["prompt"], other["reference"]) < 1


def test_a_chat_is_scored_by_its_words_and_token_ids_are_refused() -> None:
    (row,) = rows("notes", rows=1)
    chat = (Message("user", row["prompt"]), Message("user", "Sum this up in one sentence"))
    assert SCORERS["summary"](chat, row["reference"]) == 1
    with pytest.raises(DataError, match="found token ids"):
        SCORERS["summary"]((1, 2, 3), row["reference"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("review", {}, r"expected a data set \(reviews, notes, texts\), found 'review' \(did you mean 'reviews'\?\)"),
        ("notes", {"row": "3"}, r"builtin:notes: unknown key 'row' \(did you mean 'rows'\?\)"),
        ("notes", {"responses": "4"}, "unknown key 'responses'"),
        ("texts", {"rows": "many"}, "builtin:texts: rows: .* found 'many'"),
        ("texts", {"rows": "0"}, "rows: .* found '0'"),
        ("texts", {"notes": "1.5"}, "notes: .* found '1.5'"),
        ("reviews", {"split": "test"}, "'train', 'held_out' or 'all', found 'test'"),
        ("reviews", {"responses": "0"}, "responses: .* found '0'"),
    ],
    ids=range(8),
)
def test_what_there_is_not_is_refused_at_once(name: str, options: Mapping[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_rows(name, options)


def test_a_model_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a model \(tiny\), found 'tinny' \(did you mean 'tiny'\?\)"):
        find_model("tinny")


def test_the_tiny_model_is_looked_for_beside_the_code() -> None:
    assert find_model("tiny") == Path(models.__file__).parent / "tiny"


def test_the_recipe_of_the_tiny_model_can_be_planned() -> None:
    folder = find_model("tiny").parent
    (entry,) = load_pipeline(folder / "tiny.yaml").stages.values()
    assert entry.inputs == {"texts": "builtin:texts", "config": "tiny-config.json"}
    find_stage(entry.stage).params.parse(entry.params)
    sizes = json.loads((folder / "tiny-config.json").read_text())
    assert sizes["n_positions"] >= entry.params["length"]


def test_the_samples_in_the_documentation_are_what_the_code_writes() -> None:
    page = (Path(__file__).parents[1] / "docs" / "builtin.md").read_text(encoding="utf-8")
    for row in rows("reviews", rows=10, split="held_out"):
        assert "{prompt} |{response} ({sentiment}, {descriptiveness})\n".format_map(row) in page
    for row in rows("notes", rows=10, split="held_out"):
        assert "{prompt}\n=> {reference}\n".format_map(row) in page
    assert all(f"`builtin:{name}`" in page for name in DATASETS)
