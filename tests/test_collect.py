"""Collect: raw rows with file and row number, licence, origin and sha256; broken lines are kept aside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.collect import SourceError, check_files, collect, pinned, source_files
from posttrain.problems import raw_rows as problem_rows
from posttrain.raw_rows import raw_rows
from posttrain.recipe import HubLoad, Source
from posttrain.storage import ArtifactWriter, Manifest, read_rejected, read_rows

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _source(load: dict[str, Any]) -> Source:
    return Source.model_validate(
        {"name": "tiny", "family": "alpaca", "load": load, "origin": "written for this test", "license": "CC0-1.0"}
    )


def _collect(spec: Source, root: Path, out: Path, seed: int = 0) -> Manifest:
    writer = ArtifactWriter(str(out), stage="collect")
    collect(spec, root, seed, writer)
    return writer.finish()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "b.jsonl").write_text('{"instruction": "부탁해"}\n{"broken\n', encoding="utf-8")
    (folder / "a.json").write_text('[{"instruction": "x"}, {"instruction": "y"}]', encoding="utf-8")
    return folder


def test_rows_of_all_files_with_file_and_row(root: Path, tmp_path: Path) -> None:
    manifest = _collect(_source({"kind": "file", "path": "*.json*"}), root, tmp_path / "out")
    assert list(read_rows(manifest, "raw")) == [
        {"raw_file": "a.json", "raw_row": 0, "raw": '{"instruction": "x"}'},
        {"raw_file": "a.json", "raw_row": 1, "raw": '{"instruction": "y"}'},
        {"raw_file": "b.jsonl", "raw_row": 0, "raw": '{"instruction": "부탁해"}'},
    ]
    assert manifest.by_source == {"tiny": {"read": 4, "kept": 3, "rejected": 1}}
    (broken,) = read_rejected(manifest)
    assert (broken["reason"], broken["raw_file"], broken["raw_row"], broken["row"]) == ("invalid_json", "b.jsonl", 1, '{"broken')
    assert broken["field"] == "row"


def test_the_manifest_says_where_the_rows_come_from(root: Path, tmp_path: Path) -> None:
    manifest = _collect(_source({"kind": "file", "path": "b.jsonl"}), root, tmp_path / "out")
    sha256 = hashlib.sha256((root / "b.jsonl").read_bytes()).hexdigest()
    assert manifest.facts == {
        "origin": "written for this test",
        "license": "CC0-1.0",
        "non_commercial": False,
        "files": [{"name": "b.jsonl", "sha256": sha256, "rows": 1}],
    }


def test_a_changed_byte_changes_what_is_pinned_and_the_place_of_the_data_does_not(root: Path, tmp_path: Path) -> None:
    load = _source({"kind": "file", "path": "a.json"}).load
    before = pinned(load, root, 0)
    moved = tmp_path / "moved"
    root.rename(moved)
    assert pinned(load, moved, 1) == before
    (moved / "a.json").write_text("[]")
    assert pinned(load, moved, 0) != before


def test_a_file_outside_of_the_data_root_keeps_its_whole_name(root: Path, tmp_path: Path) -> None:
    load = _source({"kind": "file", "path": str(root / "a.json")}).load
    assert pinned(load, tmp_path / "elsewhere", 0)["files"][0][0] == str(root / "a.json")


@pytest.mark.parametrize("path", ["no.jsonl", "no/*.jsonl", "."])
def test_a_missing_file_names_path_and_data_root(path: str, root: Path) -> None:
    with pytest.raises(SourceError) as error:
        pinned(_source({"kind": "file", "path": path}).load, root, 0)
    assert repr(path) in str(error.value) and str(root) in str(error.value)


def test_all_missing_files_are_named_at_once(root: Path) -> None:
    loads = [_source({"kind": "file", "path": path}).load for path in ("a.json", "no.csv", "also-no.csv")]
    with pytest.raises(SourceError, match=r"(?s)'no\.csv'.*'also-no\.csv'"):
        check_files(loads, root)


def test_a_file_without_a_reader_is_refused_before_it_is_read(root: Path) -> None:
    (root / "notes.docx").write_text("x")
    with pytest.raises(SourceError, match=r"notes\.docx.*allowed: json"):
        source_files(_source({"kind": "file", "path": "notes.docx"}).load, root)


def test_procedural_rows_follow_from_settings_and_seed(root: Path, tmp_path: Path) -> None:
    spec = _source({"kind": "procedural", "rows": 20, "skills": ["addition", "korean_addition"], "seed_offset": 5})
    manifest = _collect(spec, root, tmp_path / "out", seed=3)
    rows = [row for _, _, row in raw_rows(manifest)]
    assert rows == list(problem_rows(20, ("addition", "korean_addition"), 0.0, 3, offset=5))
    assert pinned(spec.load, root, 3) != pinned(spec.load, root, 4)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    assert manifest.facts["files"] == [{"name": "procedural", "sha256": hashlib.sha256(lines.encode()).hexdigest(), "rows": 20}]


class TestHub:
    def test_a_commit_needs_no_network(self, root: Path) -> None:
        assert pinned(HubLoad(kind="hub", id="allenai/x", revision=COMMIT), root, 0)["commit"] == COMMIT

    def test_a_tag_that_cannot_be_resolved_is_a_clear_error(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(SourceError, match="'v1' of the Hub data set 'allenai/x'.*give the commit"):
            pinned(HubLoad(kind="hub", id="allenai/x", revision="v1"), root, 0)

    def test_rows_come_through_the_datasets_library(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`datasets` reads a local folder as it reads a repository, so the real loader runs without a network."""
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
        repository = tmp_path / "repository"
        repository.mkdir()
        (repository / "train.jsonl").write_text('{"instruction": "a", "input": null}\n{"instruction": "나", "input": "b"}\n')
        spec = _source({"kind": "hub", "id": str(repository), "revision": COMMIT})
        manifest = _collect(spec, root, tmp_path / "out")
        assert [row for _, _, row in raw_rows(manifest)] == [
            {"instruction": "a", "input": None},
            {"instruction": "나", "input": "b"},
        ]
        assert manifest.facts["files"][0]["name"] == f"{repository}@{COMMIT}/default/train"
