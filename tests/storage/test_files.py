"""Workspaces in memory, behind a URL and in a folder."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.storage.unit import run, write_two

from posttrain import storage
from posttrain.storage import ArtifactWriter, file_system, join, read_examples


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
