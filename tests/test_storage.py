"""Artifacts: the books must balance, a reader sees all or nothing, and a key changes with what decides the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain import storage
from posttrain.schema import (
    REASONS,
    SCHEMAS,
    Message,
    PreferencePair,
    Provenance,
    Rejected,
    RLVRExample,
    SFTExample,
    UnreadableRow,
    check_turns,
    from_row,
    kind_of,
    to_row,
)
from posttrain.storage import (
    ArtifactWriter,
    StorageError,
    artifact_key,
    do_once,
    exists,
    file_system,
    join,
    load_manifest,
    read_examples,
    read_rejected,
    read_rows,
    sha256_file,
    sha256_json,
    write_atomic,
)

PROVENANCE = {"source": "unit", "category": "math", "skill": "addition", "language": "en", "license": "MIT"}


def question(number: int, source: str = "unit") -> SFTExample:
    turns = (Message("user", f"{number}+1?"), Message("assistant", f"{number + 1}"))
    return SFTExample(**PROVENANCE | {"source": source}, id=f"{source}_{number}", messages=turns)


def write_two(out: ArtifactWriter) -> None:
    """Reads three rows, keeps two of them, rejects one."""
    out.read("unit", 3)
    out.keep(question(1))
    out.keep(question(2))
    out.reject_example(question(3), "too_simple", "bare arithmetic")


def run(workspace: str, work=write_two, *, inputs=(), code="c1", **choices) -> storage.StageResult:
    return do_once("filter", settings=choices, code=code, inputs=list(inputs), work=work, workspace=workspace)


# ---------------------------------------------------------------- writing and reading


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


# ---------------------------------------------------------------- the books


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


# ---------------------------------------------------------------- all or nothing


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), write_atomic(str(target)) as f:
        f.write(b"half")
        raise RuntimeError("the stage failed")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert target.read_text() == "old"


def test_a_stage_that_fails_is_not_done_and_is_done_anew(tmp_path):
    def fails(out: ArtifactWriter) -> None:
        write_two(out)
        out.write_bytes("extra.bin", b"left over")
        raise RuntimeError("no more memory")

    with pytest.raises(RuntimeError):
        run(str(tmp_path), fails)
    result = run(str(tmp_path))
    assert not result.skipped
    assert not exists(result.manifest.file("extra.bin"))


KILLED = """
import sys, time
from posttrain import storage
from posttrain.storage import writer
from tests_question import question
writer.ROWS_PER_PART = 2
def work(out):
    out.read("unit", 10)
    for n in range(5):
        out.keep(question(n))
    with storage.write_atomic(out.path + "/half.parquet") as f:
        f.write(b"PAR1 and then nothing")
        f.flush()
        print("ready", flush=True)
        time.sleep(60)
storage.do_once("filter", settings={}, code="c1", inputs=[], work=work, workspace=sys.argv[1])
"""

QUESTION = """
from posttrain.schema import Message, SFTExample
def question(number):
    turns = (Message("user", f"{number}+1?"), Message("assistant", f"{number + 1}"))
    return SFTExample(source="unit", category="math", skill="addition", language="en", license="MIT",
                      id=f"unit_{number}", messages=turns)
"""


def test_a_writer_killed_by_sigkill_leaves_nothing_that_a_reader_sees(tmp_path):
    (tmp_path / "tests_question.py").write_text(QUESTION)
    workspace = tmp_path / "ws"
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(workspace)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})
    try:
        assert process.stdout.readline().strip() == "ready"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    folder = next((workspace / "artifacts" / "filter").iterdir())
    left = sorted(p.name for p in folder.iterdir())
    assert left[0].startswith("half.parquet.tmp-")
    assert left[1:] == ["part-sft-00000.parquet", "part-sft-00001.parquet"]
    with pytest.raises(StorageError, match="has no manifest.json: the stage that writes it has not finished"):
        load_manifest(str(folder))

    result = run(str(workspace))
    assert not result.skipped and result.manifest.path == str(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "part-sft-00000.parquet", "rejected-00000.parquet"]
    assert [e.id for e in read_examples(result.manifest)] == ["unit_1", "unit_2"]


def test_a_finished_artifact_is_never_written_again(tmp_path):
    manifest = run(str(tmp_path)).manifest
    with pytest.raises(StorageError, match="is finished already"):
        ArtifactWriter(manifest.path, stage="filter")


def test_of_two_writers_at_one_artifact_the_cleared_one_is_refused(tmp_path):
    path = str(tmp_path / "artifact")
    first = ArtifactWriter(path, stage="filter")
    first.write_bytes("a.bin", b"first")
    second = ArtifactWriter(path, stage="filter")
    second.write_bytes("b.bin", b"second")
    with pytest.raises(StorageError, match=r"a\.bin is gone or changed since it was written: another process"):
        first.finish()
    assert [e.name for e in second.finish().files] == ["b.bin"]


# ---------------------------------------------------------------- keys


def test_an_unchanged_stage_is_skipped_and_says_why(tmp_path):
    first = run(str(tmp_path), keywords=True)
    before = (tmp_path / "artifacts" / "filter" / first.manifest.key / "manifest.json").stat().st_mtime_ns
    time.sleep(0.01)
    again = run(str(tmp_path), lambda out: pytest.fail("the work was done again"), keywords=True)
    assert (first.skipped, again.skipped) == (False, True)
    assert again.why == f"unchanged: same settings, code and inputs as filter/{first.manifest.key}"
    assert again.manifest == first.manifest
    assert (tmp_path / "artifacts" / "filter" / first.manifest.key / "manifest.json").stat().st_mtime_ns == before


def test_the_key_changes_with_settings_code_stage_and_inputs(tmp_path):
    parent = run(str(tmp_path)).manifest
    key = artifact_key("mix", {"seed": 0}, "c1", [parent])
    assert key == artifact_key("mix", {"seed": 0}, "c1", [parent])
    assert len(key) == 20 and set(key) <= set("0123456789abcdef")
    others = {
        artifact_key("mix", {"seed": 1}, "c1", [parent]),
        artifact_key("mix", {"seed": 0}, "c2", [parent]),
        artifact_key("convert", {"seed": 0}, "c1", [parent]),
        artifact_key("mix", {"seed": 0}, "c1", []),
        artifact_key("mix", {"seed": 0}, "c1", [parent, parent]),
        artifact_key("mix", {"seed": 0}, "c1", [replace(parent, content="another")]),
    }
    assert key not in others and len(others) == 6


def test_the_key_goes_by_content_and_not_by_path_or_order_of_settings(tmp_path):
    one, two = run(str(tmp_path / "a")).manifest, run(str(tmp_path / "b"), seed=7).manifest
    assert one.path != two.path and one.key != two.key and one.content == two.content
    assert artifact_key("mix", {"a": 1, "b": 2}, "c", [one]) == artifact_key("mix", {"b": 2, "a": 1}, "c", [two])


def test_one_changed_character_is_another_content(tmp_path):
    def other(out: ArtifactWriter) -> None:
        out.read("unit")
        out.keep(replace(question(1), messages=(Message("user", "1+1!"), Message("assistant", "2"))))

    def same(out: ArtifactWriter) -> None:
        out.read("unit")
        out.keep(question(1))

    contents = [run(str(tmp_path / name), work).manifest.content for name, work in [("a", same), ("b", other), ("c", same)]]
    assert contents[0] == contents[2] != contents[1]


def test_a_changed_rejected_row_redoes_the_next_stage_and_is_no_other_mixture(tmp_path):
    """`improve` reads what the filter rejected; the mixture's own content stays what its kept rows are."""
    def other(out: ArtifactWriter) -> None:
        out.read("unit", 3)
        out.keep(question(1))
        out.keep(question(2))
        out.reject_example(question(4), "too_simple", "bare arithmetic")

    one, two = run(str(tmp_path / "a")).manifest, run(str(tmp_path / "b"), other).manifest
    assert one.content == two.content
    assert artifact_key("improve", {}, "c", [one]) != artifact_key("improve", {}, "c", [two])


def test_settings_that_are_no_json_are_refused():
    with pytest.raises(TypeError):
        sha256_json({"skills": {"addition", "division"}})


def test_parents_are_named_in_the_manifest(tmp_path):
    parent = run(str(tmp_path)).manifest
    child = run(str(tmp_path), inputs=[parent]).manifest
    assert child.parents == [{"stage": "filter", "path": parent.path, "content": parent.content}]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        manifest = run(str(tmp_path / name)).manifest
        files.append({e.name: Path(manifest.file(e.name)).read_bytes() for e in manifest.files})
    assert files[0] == files[1]


# ---------------------------------------------------------------- other file systems


def test_a_workspace_in_memory_works_like_a_folder(tmp_path):
    workspace = f"memory://{uuid.uuid4().hex}"
    local = tmp_path / "trained"
    local.mkdir()
    (local / "model.bin").write_bytes(b"weights")

    def work(out: ArtifactWriter) -> None:
        write_two(out)
        out.add_folder("checkpoint", str(local))

    first = run(workspace, work)
    again = run(workspace, work)
    assert (first.skipped, again.skipped) == (False, True)
    assert [e.id for e in read_examples(again.manifest)] == ["unit_1", "unit_2"]
    fs, name = file_system(again.manifest.file("checkpoint/model.bin"))
    assert fs.cat(name) == b"weights"
    assert [e.name for e in again.manifest.files] == ["checkpoint/model.bin", "part-sft-00000.parquet", "rejected-00000.parquet"]
    assert first.manifest.content == run(f"memory://{uuid.uuid4().hex}/deep", _with_folder(tmp_path)).manifest.content


def _with_folder(tmp_path: Path):
    local = tmp_path / "again"
    local.mkdir()
    (local / "model.bin").write_bytes(b"weights")

    def work(out: ArtifactWriter) -> None:
        write_two(out)
        out.add_folder("checkpoint", str(local))

    return work


def test_a_file_url_is_the_same_place_as_its_path(tmp_path):
    first, again = run(str(tmp_path)), run(f"file://{tmp_path}")
    assert not first.skipped and again.skipped
    assert first.manifest.content == again.manifest.content


def test_the_workspace_is_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", "s3://bucket/folder/")
    assert storage.workspace_url() == "s3://bucket/folder"
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path) + "/")
    assert storage.workspace_url() == str(tmp_path)
    monkeypatch.delenv("POSTTRAIN_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert storage.workspace_url() == join(str(tmp_path), "workspace")


def test_the_scratch_folder_of_a_remote_workspace_is_local():
    folder = Path(storage.scratch_folder("memory://bucket/x", "sft", "abc"))
    assert folder.is_dir() and folder.is_absolute() and folder.parts[-3:] == ("scratch", "sft", "abc")


# ---------------------------------------------------------------- rows


text = st.text(st.characters(codec="utf-8"), max_size=40)
message = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=text)
turns = st.lists(message, max_size=4).map(tuple)
name = st.text("abcXYZ09_-", min_size=1, max_size=10)
shared = {
    "id": name, "source": name, "category": name, "skill": name, "language": st.sampled_from(["en", "ko"]), "license": text,
    "made_by": st.sampled_from(["selected", "rewritten", "new"]), "parent_id": st.none() | name, "persona": st.none() | text,
    "raw_file": st.none() | name, "raw_row": st.none() | st.integers(0, 2**40), "request_id": st.none() | name,
}
examples = st.one_of(
    st.builds(SFTExample, **shared, messages=turns),
    st.builds(PreferencePair, **shared, prompt=text, chosen=turns, rejected=turns, chosen_model=st.none() | name,
              rejected_model=st.none() | name, policy=st.sampled_from(["on_policy", "off_policy"])),
    st.builds(RLVRExample, **shared, messages=turns, ground_truth=text, verifier=name),
)


@given(st.lists(examples, max_size=8))
@settings(max_examples=40, deadline=None)
def test_examples_survive_parquet(rows):
    def work(out: ArtifactWriter) -> None:
        for example in rows:
            out.read(example.source)
            out.keep(example)

    found = list(read_examples(run(f"memory://{uuid.uuid4().hex}", work).manifest))
    by_kind = {kind: [e for e in rows if kind_of(e) == kind] for kind in ("preference", "rlvr", "sft")}
    assert found == by_kind["preference"] + by_kind["rlvr"] + by_kind["sft"]


@given(examples)
def test_a_row_is_the_example_in_the_order_of_its_schema(example):
    row = to_row(example)
    assert list(row) == SCHEMAS[kind_of(example)].names
    assert from_row(kind_of(example), row) == example
    assert pa.Table.from_pylist([row], schema=SCHEMAS[kind_of(example)]).to_pylist() == [row]


def test_a_row_with_an_unknown_column_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'score'"):
        from_row("sft", to_row(question(1)) | {"score": 1.0})
    assert issubclass(SFTExample, Provenance)


@pytest.mark.parametrize(
    ("roles", "answered", "reason"),
    [
        ("user assistant", True, None),
        ("system user assistant user assistant", True, None),
        ("user", False, None),
        ("user assistant user", False, None),
        ("user", True, "no_assistant_turn"),
        ("user assistant user", True, "no_assistant_turn"),
        ("user assistant", False, "roles_do_not_alternate"),
        ("assistant user assistant", True, "roles_do_not_alternate"),
        ("user user assistant", True, "roles_do_not_alternate"),
        ("user system assistant", True, "roles_do_not_alternate"),
        ("system", True, "no_user_turn"),
        ("", True, "no_user_turn"),
        ("user tool assistant", True, "unknown_role"),
    ],
)
def test_turns_alternate_and_begin_with_the_user(roles, answered, reason):
    messages = tuple(Message(role, "text") for role in roles.split())
    if reason is None:
        check_turns(messages, answered=answered)
    else:
        with pytest.raises(UnreadableRow) as error:
            check_turns(messages, answered=answered)
        assert error.value.reason == reason
