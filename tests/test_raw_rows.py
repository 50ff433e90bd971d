"""The raw rows of an artifact: as texts and as columns they are the same rows, in the order of their files."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posttrain import raw_rows
from posttrain.collect import collect
from posttrain.raw_files import read_raw_file
from posttrain.raw_rows import RawWriter, is_in_columns, raw_batches
from posttrain.recipe import Source
from posttrain.storage import ArtifactWriter, Manifest, read_rejected

TALK = [{"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "네"}]


def collected(folder: Path, pattern: str = "*") -> Manifest:
    spec = Source.model_validate({"name": "tiny", "family": "messages", "load": {"kind": "file", "path": pattern},
                                  "origin": "written for this test", "license": "CC0-1.0"})
    out = ArtifactWriter(str(folder.parent / "out"), stage="collect")
    collect(spec, folder, 0, out)
    return out.finish()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    return place


def test_a_parquet_file_stays_columns_with_its_types(folder: Path) -> None:
    rows = [{"id": "a", "messages": TALK, "score": 1, "share": 0.1, "ok": True, "tags": ["x"]},
            {"id": None, "messages": [], "score": None, "share": None, "ok": None, "tags": None}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    manifest = collected(folder)
    assert list(raw_rows.raw_rows(manifest)) == [("a.parquet", 0, rows[0]), ("a.parquet", 1, rows[1])]
    (batch,) = raw_batches(manifest)
    assert is_in_columns(batch)
    assert manifest.facts["files"] == [
        {"name": "a.parquet", "sha256": hashlib.sha256((folder / "a.parquet").read_bytes()).hexdigest(), "rows": 2}]


@pytest.mark.parametrize("column", [
    pa.array([datetime.datetime(2024, 5, 1, 10)]), pa.array([b"\x00"]), pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    pa.array([1], pa.decimal128(3)),
], ids=["a time", "bytes", "a map", "a decimal number"])
def test_types_that_json_has_not_are_kept_as_text(column: pa.Array, folder: Path) -> None:
    table = pa.table({"id": ["a"], "odd": column})
    pq.write_table(table, folder / "a.parquet")
    manifest = collected(folder)
    ((_, _, row),) = raw_rows.raw_rows(manifest)
    assert row["id"] == "a" and not is_in_columns(next(raw_batches(manifest)))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_other_kinds_become_plain_ones(kind: pa.DataType, folder: Path) -> None:
    pq.write_table(pa.table({"q": pa.array(["하나", None, "x"], kind)}), folder / "a.parquet")
    manifest = collected(folder)
    assert [row for _, _, row in raw_rows.raw_rows(manifest)] == [{"q": "하나"}, {"q": None}, {"q": "x"}]
    assert next(raw_batches(manifest)).schema.field("raw").type == pa.struct([("q", pa.string())])


def test_text_that_is_not_utf8_is_rejected_with_its_row_and_the_others_stay(folder: Path) -> None:
    data = pa.array([b"one", b"\xff\xfe", b"three"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"q": data}), folder / "a.parquet")
    manifest = collected(folder)
    assert [(number, row) for _, number, row in raw_rows.raw_rows(manifest)] == [(0, {"q": "one"}), (2, {"q": "three"})]
    (rejected,) = read_rejected(manifest)
    assert (rejected["raw_row"], rejected["reason"], rejected["row"]) == (1, "undecodable_text", '{"q": "\\\\xff\\\\xfe"}')


def test_forms_and_layouts_follow_one_another_in_the_order_of_the_files(folder: Path) -> None:
    pq.write_table(pa.table({"q": ["a", "b"]}), folder / "1.parquet")
    (folder / "2.jsonl").write_text('{"q": "c"}\n\n{"q": "d"}\n')
    pq.write_table(pa.table({"q": ["e"]}), folder / "3.parquet")
    pq.write_table(pa.table({"q": [1]}), folder / "4.parquet")
    manifest = collected(folder)
    assert list(raw_rows.raw_rows(manifest)) == [
        ("1.parquet", 0, {"q": "a"}), ("1.parquet", 1, {"q": "b"}), ("2.jsonl", 0, {"q": "c"}), ("2.jsonl", 2, {"q": "d"}),
        ("3.parquet", 0, {"q": "e"}), ("4.parquet", 0, {"q": 1})]
    assert [entry.rows for entry in manifest.files] == [2, 2, 1, 1]


def test_a_cut_parquet_file_gives_no_half_rows(folder: Path) -> None:
    rows: list[dict[str, Any]] = [{"q": f"{n} " + "word " * 40} for n in range(20_000)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "whole.parquet", row_group_size=5_000, compression="none")
    data = bytearray((folder / "whole.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    (folder / "whole.parquet").write_bytes(data)
    manifest = collected(folder)
    by_row = list(read_raw_file(folder / "whole.parquet"))
    assert [(number, row) for _, number, row in raw_rows.raw_rows(manifest)] == [
        (number, value) for number, value in by_row if isinstance(value, dict)]
    assert manifest.rows["rejected"] == len(by_row) - manifest.rows["kept"] > 0


def test_a_part_is_full_by_rows_and_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "ROWS_PER_PART", 3)
    monkeypatch.setattr(raw_rows, "CHARACTERS_PER_PART", 100)
    out = ArtifactWriter(str(tmp_path / "out"), stage="collect")
    writer = RawWriter(out)
    for number in range(4):
        writer.add("a.jsonl", number, '"x"')
    writer.add("a.jsonl", 4, '"' + "y" * 100 + '"')
    writer.add_batch("b.parquet", 0, pa.record_batch({"q": ["a", "b"]}))
    writer.flush()
    manifest = out.finish()
    assert [entry.rows for entry in manifest.files] == [3, 2, 2]
    assert [number for _, number, _ in raw_rows.raw_rows(manifest)] == [0, 1, 2, 3, 4, 0, 1]
