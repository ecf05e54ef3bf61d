"""Rows of files that are not what their names say, or that other programs wrote in their own ways."""

import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_files import values, write

from prefline.data.errors import DataError
from prefline.data.rows import list_files, read_rows


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b'{"a": 1}\r{"a": 2}\r', "lines end at carriage returns alone"),
        ("a.csv", b"a,b\rx,y\r", "lines end at carriage returns alone"),
        ("a.csv", b'a,b\r"x\ny",z\r', "lines end at carriage returns alone"),  # Excel for Mac: \n within cells
        ("a.csv", b"sep=;\r\na;b\r\nx;y\r\n", "line 1 is for Excel alone ('sep=;'): delete it"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(b'{"a": 1}\n', mtime=0), mtime=0), "packed by gzip twice"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "`git lfs pull`"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "`git lfs pull`"),
        ("a.json", b"<!DOCTYPE html>\n<html></html>\n", "like a web page"),
        (
            "a.tar.gz",
            gzip.compress(b"a.jsonl".ljust(257, b"\0") + b"ustar\0" + bytes(250), mtime=0),
            "an archive of tar",
        ),
    ],
)
def test_what_cannot_be_rows_is_refused_with_what_to_do(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(DataError) as refusal:
        values(write(tmp_path, name, content))
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith(f"{tmp_path / name}: ")


def test_carriage_returns_in_cells_are_no_line_ends(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.csv", '"a\rb",c\r\nx,"y\rz"\r\n')) == [{"a\rb": "x", "c": "y\rz"}]


ROWS: list[dict[str, Any]] = [
    {"prompt": "p", "chosen": "a", "rejected": "b"},
    {"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]},
    {"prompt": [{"role": "user", "content": "u"}], "chosen": "a", "rejected": "b"},
    {"instruction": "i", "completions": [{"response": "a", "score": 2}, {"response": "b", "score": 1}]},
    {"prompt": "p", "responses": ["a", "b"], "best": 0},
]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_that_is_one_row_is_read_as_that(tmp_path: Path, row: dict[str, Any], indent: int | None) -> None:
    assert values(write(tmp_path, "a.json", json.dumps(row, indent=indent))) == [row]


def test_a_row_of_its_own_that_is_not_json_is_refused_as_that(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '{\n"a": 1,\n"b": [2,]\n}')
    assert values(path) == [(1, "not JSON: Expecting value at line 3, column 9")]


@pytest.mark.parametrize(
    "document",
    [
        {"prompt": "the prompt of the judge", "data": ROWS},  # one name of a row alone says little
        {"responses": ROWS},
        {"version": 1.5, "rows": ROWS, "done": True},
    ],
)
def test_a_document_that_holds_rows_is_no_row(tmp_path: Path, document: dict[str, Any]) -> None:
    assert values(write(tmp_path, "a.json", json.dumps(document, indent=1))) == ROWS


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"prompt": ["p", "q"], "chosen": ["a", "b"], "rejected": ["c", "d"]}, "orient='records'"),
        ({"prompt": {"0": "p"}, "chosen": {"0": "a"}, "rejected": {"0": "b"}}, "orient='records'"),
        ({"train": ROWS, "test": ROWS}, """`jq '.["train"]' OLD > NEW`"""),
    ],
)
def test_a_document_in_columns_or_splits_is_refused_with_what_to_do(
    tmp_path: Path, document: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError) as refusal:
        values(write(tmp_path, "a.json", json.dumps(document)))
    assert reason in str(refusal.value)


def test_a_header_between_rows_is_no_row(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b\nx,y\na,b\nz,w\n")
    refused = (3, "the header once more, as where files were put together")
    assert values(path) == [{"a": "x", "b": "y"}, refused, {"a": "z", "b": "w"}]


def test_a_folder_leaves_nothing_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"which are not looked into: name one \(train\)"):
        list_files(tmp_path)
    write(tmp_path, "a.jsonl", '{"a": 1}\n')
    write(tmp_path, "b.jsonl.zst", b"\x28\xb5\x2f\xfd...")
    (tmp_path / "c.jsonl").symlink_to("gone")
    first, packed, gone = list_files(tmp_path)
    assert values(first) == [{"a": 1}]
    with pytest.raises(DataError, match="packed by zstd"):
        read_rows(packed)
    with pytest.raises(DataError, match=r"c\.jsonl: cannot be read: No such file"):
        read_rows(gone)


def test_values_that_json_does_not_have_are_read_as_it_has_them(tmp_path: Path) -> None:
    columns = {
        "text": pa.array([b"p\xc3\xa9"]),  # binary, as writers have it that do not mark texts
        "picture": pa.array([b"\xff\xfe\xfd"]),
        "whole": pa.array([Decimal("4.00")]),
        "half": pa.array([[Decimal("4.5")]]),
        "day": pa.array([datetime.date(2024, 2, 29)]),
        "time": pa.array([datetime.datetime(2024, 2, 29, 12, 30)]),
        "nan": pa.array([float("nan")]),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "kind": pa.array(["x"]).dictionary_encode(),
        "list": pa.array([[{"n": 1, "when": datetime.date(2024, 1, 1)}]]),
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    (row,) = values(path)
    assert row == {
        "text": "pé",
        "picture": {"bytes": 3},
        "whole": 4,
        "half": [4.5],
        "day": "2024-02-29",
        "time": "2024-02-29 12:30:00",
        "nan": "nan",
        "map": [["k", 1]],
        "kind": "x",
        "list": [{"n": 1, "when": "2024-01-01"}],
    }
    assert json.loads(json.dumps(row, allow_nan=False)) == row
