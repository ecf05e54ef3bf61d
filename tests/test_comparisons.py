"""Comparisons: what is taken in, what is refused and how it is said, and that text is never edited."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline import data
from prefline.data.errors import DataError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"prompt": "a", "responses": ["b", "c"]}', "'best' is missing"),
        ('{"prompt": "a", "response": ["b", "c"], "best": 0}', "unknown key 'response' (did you mean 'responses'?)"),
        (
            '{"prompt": "a", "respons": [], "bst": 0}',
            "unknown key 'respons' (did you mean 'responses'?), 'bst' (did you mean 'best'?)",
        ),
        ('{"prompt": "a", "responses": ["b", "c"], "best": 2}', "'best' must be an index from 0 to 1, found 2"),
        ('{"prompt": "a", "responses": ["b", "c"], "best": -1}', "'best' must be an index from 0 to 1, found -1"),
        ('{"prompt": "a", "responses": ["b", "c"], "best": true}', "'best' must be a whole number, found boolean"),
        ('{"prompt": "a", "responses": ["b", "c"], "best": 1.0}', "'best' must be a whole number, found number"),
        ('{"prompt": "a", "responses": ["b"], "best": 0}', "'responses' must hold at least 2, found 1"),
        ('{"prompt": "a", "responses": ["b", true], "best": 0}', "'responses[1]' must be a string, found boolean"),
        ('{"prompt": "a", "responses": "bc", "best": 0}', "'responses' must be a list, found string"),
        ('{"prompt": null, "responses": ["b", "c"], "best": 0}', "'prompt' must be a string, found null"),
        ('["a", ["b", "c"], 0]', "a row must be an object, found list"),
        ('{"prompt": "a", "responses": ["b", "c"], "best": 0', "not JSON: Expecting ',' delimiter at column 51"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_reason(row: str, reason: str) -> None:
    good = '{"prompt": "p", "responses": ["x", "y"], "best": 1}'
    items = list(data.read_native([f"{good}\n".encode(), b"\n", f"{row}\n".encode()]))
    assert items[0] == data.Comparison("p", ("x", "y"), 1)
    assert items[1] == data.Rejection(3, reason, f"{row}\n".encode())


@given(prompt=TEXTS, responses=st.lists(TEXTS, min_size=2, max_size=6), choose=st.data())
def test_what_is_written_is_read_back_to_the_letter(prompt: str, responses: list[str], choose: st.DataObject) -> None:
    best = choose.draw(st.integers(0, len(responses) - 1))
    comparison = data.Comparison(prompt, tuple(responses), best)
    line = data.write_native(comparison)
    assert line.count(b"\n") == 1
    assert list(data.read_native([line])) == [comparison]


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    row = '{"prompt": "a\u2028b\u0085c", "responses": ["x", "y"], "best": 0}\r\n'
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + row.encode() * 2)
    comparisons, rejected = data.ingest(path)
    assert [comparison.prompt for comparison in comparisons] == ["a\u2028b\u0085c"] * 2
    assert rejected == []


def test_every_row_is_either_taken_in_or_rejected(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"prompt": "p", "responses": ["x", "y"], "best": 1}\n{"prompt": \n{}\n')
    comparisons, rejected = data.ingest(path)
    assert (len(comparisons), [row.line for row in rejected]) == (1, [2, 3])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: cannot be read: No such file"):
        data.ingest(tmp_path / "nowhere.jsonl")
