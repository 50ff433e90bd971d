"""Writing artifacts: parts, files and manifest; the books must balance."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.storage.unit import PROVENANCE, question, run, write_two

from posttrain.schema import REASONS, SCHEMAS, Message, Rejected, RLVRExample, UnreadableRow, from_row
from posttrain.storage import ArtifactWriter, StorageError, load_manifest, read_examples, read_rejected, read_rows, sha256_file


def test_a_stage_writes_kept_rows_rejected_rows_and_a_manifest(tmp_path):
    manifest = run(str(tmp_path)).manifest
    folder = tmp_path / "artifacts" / "filter" / manifest.key
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "part-sft-00000.parquet", "rejected-00000.parquet"]
    assert manifest.rows == {"read": 3, "kept": 2, "rejected": 1} == manifest.by_source["unit"]
    assert manifest.reasons == {"too_simple": 1}
    assert [e.id for e in read_examples(manifest)] == ["unit_1", "unit_2"]
    rejected = next(iter(read_rejected(manifest)))
    assert (rejected["id"], rejected["reason"], rejected["detail"]) == ("unit_3", "too_simple", "bare arithmetic")
    assert from_row("sft", json.loads(rejected["row"])) == question(3)


def test_the_manifest_holds_the_hash_and_size_of_every_file(tmp_path):
    manifest = load_manifest(run(str(tmp_path)).manifest.path)
    for entry in manifest.files:
        assert entry.sha256 == sha256_file(manifest.file(entry.name))
        assert entry.bytes == Path(manifest.file(entry.name)).stat().st_size
    assert {entry.split: entry.rows for entry in manifest.files} == {"sft": 2, "": 1}


def test_rows_of_two_kinds_go_to_two_splits(tmp_path):
    prompt = RLVRExample(**PROVENANCE, id="r", messages=(Message("user", "1+1?"),), ground_truth="2", verifier="gsm8k")

    def work(out: ArtifactWriter) -> None:
        out.read("unit", 2)
        out.keep(question(1))
        out.keep(prompt)

    manifest = run(str(tmp_path), work).manifest
    assert manifest.written == {"rlvr": 1, "sft": 1}
    assert list(read_examples(manifest, "rlvr")) == [prompt]
    assert list(read_examples(manifest, "sft")) == [question(1)]


def test_many_rows_are_cut_into_parts_and_read_back_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("posttrain.storage.writer.ROWS_PER_PART", 4)

    def work(out: ArtifactWriter) -> None:
        out.read("unit", 10)
        for n in range(10):
            out.keep(question(n))

    manifest = run(str(tmp_path), work).manifest
    assert [(e.name, e.rows) for e in manifest.files] == [
        ("part-sft-00000.parquet", 4), ("part-sft-00001.parquet", 4), ("part-sft-00002.parquet", 2)]
    assert [row["id"] for row in read_rows(manifest)] == [f"unit_{n}" for n in range(10)]


def test_files_have_the_fixed_schema_and_zstd(tmp_path):
    manifest = run(str(tmp_path)).manifest
    file = pq.ParquetFile(manifest.file("part-sft-00000.parquet"))
    assert file.schema_arrow.equals(SCHEMAS["sft"])
    columns = file.metadata.row_group(0)
    assert {columns.column(n).compression for n in range(columns.num_columns)} == {"ZSTD"}


def test_a_row_that_no_utf8_can_hold_is_rejected_with_its_text_escaped(tmp_path):
    def work(out: ArtifactWriter) -> None:
        out.read("unit")
        out.reject(Rejected(reason="undecodable_text", source="unit", detail="half a pair: \ud83d", row={"text": "a\ud83db"}))

    rejected = next(iter(read_rejected(run(str(tmp_path), work).manifest)))
    assert json.loads(rejected["row"]) == {"text": "a\ud83db"}
    assert rejected["detail"] == "half a pair: \\ud83d"


def test_a_folder_of_files_becomes_part_of_the_artifact(tmp_path):
    local = tmp_path / "trained"
    (local / "deep").mkdir(parents=True)
    (local / "model.bin").write_bytes(b"weights")
    (local / "deep" / "config.json").write_bytes(b"{}")
    manifest = run(str(tmp_path / "ws"), lambda out: out.add_folder("checkpoint", str(local))).manifest
    assert [e.name for e in manifest.files] == ["checkpoint/deep/config.json", "checkpoint/model.bin"]
    assert Path(manifest.file("checkpoint/model.bin")).read_bytes() == b"weights"
    assert not local.exists()


@pytest.mark.parametrize(
    ("read", "said"),
    [(4, r"source 'unit' does not add up: read 4, kept 2 \+ rejected 1"), (2, r"read 2, kept 2 \+ rejected 1")],
)
def test_books_that_do_not_add_up_are_refused(tmp_path, read, said):
    def work(out: ArtifactWriter) -> None:
        write_two(out)
        out.read("unit", read - 3)

    with pytest.raises(StorageError, match=said):
        run(str(tmp_path), work)
    assert not list(tmp_path.rglob("manifest.json"))


def test_the_books_are_kept_per_source(tmp_path):
    def work(out: ArtifactWriter) -> None:
        out.read("a", 2)
        out.read("b", 0)
        out.keep(question(1, "a"))
        out.keep(question(2, "b"))

    with pytest.raises(StorageError, match="source 'a' does not add up"):
        run(str(tmp_path), work)


@given(st.lists(st.sampled_from(["keep", "reject"]), max_size=30), st.integers(-2, 2))
@settings(max_examples=30, deadline=None)
def test_only_balanced_books_get_a_manifest(fates, missing):
    workspace = f"memory://{uuid.uuid4().hex}"

    def work(out: ArtifactWriter) -> None:
        out.read("unit", len(fates) + missing)
        for n, fate in enumerate(fates):
            if fate == "keep":
                out.keep(question(n))
            else:
                out.reject_example(question(n), "too_short")

    if missing:
        with pytest.raises(StorageError, match="does not add up"):
            run(workspace, work)
    else:
        manifest = run(workspace, work).manifest
        assert manifest.rows["kept"] == fates.count("keep") == len(list(read_rows(manifest)))
        assert manifest.rows["rejected"] == fates.count("reject") == len(list(read_rejected(manifest)))


def test_a_reason_must_be_on_the_closed_list():
    with pytest.raises(KeyError, match="not in schema.REASONS"):
        UnreadableRow("just_because", "messages")
    assert all(text[0].islower() and len(text.split()) > 3 for text in REASONS.values())
