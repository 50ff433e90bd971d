"""The lock of Hub revisions: written by the first use, taken by every later one, moved by a person. Against a server."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.hub_server import HubServer
from tests.test_cli_sources import posttrain

from posttrain import pipeline
from posttrain.collect import SourceError, collect, pinned
from posttrain.convert.flan import collection_of
from posttrain.hub_revisions import HubRevisionError, commit_of, entries, move
from posttrain.raw_rows import RawRow, raw_rows
from posttrain.recipe import HubLoad, Source, load_recipe
from posttrain.run import start_run
from posttrain.storage import ArtifactWriter, load_manifest, read_rejected

NAME = "some/colours"


def jsonl(*texts: str) -> bytes:
    return "".join(json.dumps({"instruction": text, "output": text.upper()}) + "\n" for text in texts).encode()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub that this process asks, with a cache of its own."""
    server = HubServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                        server.address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "workspace"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def workspace(tmp_path: Path) -> str:
    return str(tmp_path / "workspace")


class TestTheLock:
    def test_the_first_use_decides_and_needs_no_hub_afterwards(self, hub: HubServer, workspace: str) -> None:
        first = hub.push(NAME, {"train.jsonl": jsonl("red")})
        assert commit_of(NAME, "main", workspace) == first
        hub.push(NAME, {"train.jsonl": jsonl("blue")})
        asked = len(hub.paths)
        assert commit_of(NAME, "main", workspace) == first and len(hub.paths) == asked
        (entry,) = entries(workspace)
        assert (entry.id, entry.revision, entry.commit) == (NAME, "main", first)
        assert (Path(workspace) / "hub_revisions" / "some--colours@main.json").is_file()

    def test_every_branch_and_tag_has_an_entry_of_its_own(self, hub: HubServer, workspace: str) -> None:
        one, two = hub.push(NAME, {"a": b"1"}), hub.push(NAME, {"a": b"2"}, branch="refs/convert/parquet")
        assert commit_of(NAME, "refs/convert/parquet", workspace) == two and commit_of(NAME, "main", workspace) == one
        assert [(e.revision, e.commit) for e in entries(workspace)] == [("main", one), ("refs/convert/parquet", two)]

    def test_a_commit_stands_for_itself(self, hub: HubServer, workspace: str) -> None:
        assert commit_of(NAME, "0" * 40, workspace) == "0" * 40
        assert hub.paths == [] and entries(workspace) == []

    @pytest.mark.parametrize(("name", "revision"), [("no/where", "main"), (NAME, "v1")])
    def test_what_the_hub_does_not_know_leaves_no_entry(
        self, name: str, revision: str, hub: HubServer, workspace: str,
    ) -> None:
        hub.push(NAME, {"a": b"1"})
        with pytest.raises(HubRevisionError, match=f"(?s)'{revision}' of the Hub data set '{name}'.*give the commit"):
            commit_of(name, revision, workspace)
        assert entries(workspace) == []

    def test_a_hub_that_does_not_answer_is_a_clear_error(
        self, hub: HubServer, workspace: str, monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(SourceError, match="'some/colours' cannot be resolved to a commit.*refused"):
            pinned(HubLoad(kind="hub", id=NAME, revision="main"), Path(), 0, workspace)

    @pytest.mark.parametrize("text", [
        "{", '{"commit": "main"}', '{"id": "some/colours", "revision": "main", "commit": "main", "locked_at": ""}'])
    def test_a_damaged_entry_is_named_and_not_replaced(self, text: str, hub: HubServer, workspace: str) -> None:
        hub.push(NAME, {"a": b"1"})
        commit_of(NAME, "main", workspace)
        path = Path(workspace) / "hub_revisions" / "some--colours@main.json"
        path.write_text(text)
        with pytest.raises(HubRevisionError, match=r"some--colours@main\.json is no entry of the lock.*delete it"):
            commit_of(NAME, "main", workspace)
        assert path.read_text() == text

    def test_it_lies_in_a_bucket_too(self, hub: HubServer, bucket: str) -> None:
        assert entries(bucket) == []
        first = hub.push(NAME, {"a": b"1"}, branch="refs/convert/parquet")
        assert commit_of(NAME, "refs/convert/parquet", bucket) == first
        second = hub.push(NAME, {"a": b"2"}, branch="refs/convert/parquet")
        assert commit_of(NAME, "refs/convert/parquet", bucket) == first
        assert [now.commit for _, now in move(entries(bucket), bucket)] == [second]
        assert [entry.commit for entry in entries(bucket)] == [second]


class TestMovingIt:
    def test_update_says_the_old_and_the_new_commit(
        self, hub: HubServer, workspace: str, capsys: pytest.CaptureFixture[str],
    ) -> None:
        old, other = hub.push(NAME, {"a": b"1"}), hub.push("some/shapes", {"a": b"1"})
        commit_of(NAME, "main", workspace), commit_of("some/shapes", "main", workspace)
        new = hub.push(NAME, {"a": b"2"})
        out, _ = posttrain(capsys, "sources", "--locked")
        assert [line.split()[:3] for line in out.splitlines()[1:3]] == [[NAME, "main", old], ["some/shapes", "main", other]]
        out, _ = posttrain(capsys, "sources", NAME, "--update")
        assert out == f"{NAME}@main: {old} -> {new}\n"
        assert commit_of(NAME, "main", workspace) == new
        out, _ = posttrain(capsys, "sources", "--update", "--all", "--json")
        assert [(entry["id"], entry["before"], entry["commit"]) for entry in json.loads(out)["locked"]] == [
            (NAME, new, new), ("some/shapes", other, other)]

    def test_a_family_stands_for_its_data_set(
        self, hub: HubServer, workspace: str, capsys: pytest.CaptureFixture[str],
    ) -> None:
        old = hub.push("LipengCS/Table-GPT", {"a": b"1"})
        commit_of("LipengCS/Table-GPT", "main", workspace)
        new = hub.push("LipengCS/Table-GPT", {"a": b"2"})
        assert posttrain(capsys, "sources", "table_gpt", "--update")[0] == f"LipengCS/Table-GPT@main: {old} -> {new}\n"

    def test_where_the_hub_cannot_be_asked_about_one_none_moves(
        self, hub: HubServer, workspace: str, capsys: pytest.CaptureFixture[str],
    ) -> None:
        old = hub.push(NAME, {"a": b"1"})
        hub.push("some/shapes", {"a": b"1"})
        commit_of(NAME, "main", workspace), commit_of("some/shapes", "main", workspace)
        hub.push(NAME, {"a": b"2"})
        del hub.commits["some/shapes"]
        _, err = posttrain(capsys, "sources", "--update", "--all", status=1)
        assert "'some/shapes'" in err and commit_of(NAME, "main", workspace) == old

    @pytest.mark.parametrize(("arguments", "says"), [
        (["--update"], "--update takes a NAME or --all"),
        (["some/shapes", "--update"], "'some/shapes' is not in the lock; it holds some/colours@main"),
        (["dolly", "--update"], "'dolly' is not in the lock"),
        (["--all"], "--all belongs to --update"),
        ([NAME, "--update", "--all"], "--update takes a NAME or --all"),
        (["dolly", "--locked"], "'dolly' is not in the lock"),
    ])
    def test_wrong_use(
        self, arguments: list[str], says: str, hub: HubServer, workspace: str, capsys: pytest.CaptureFixture[str],
    ) -> None:
        hub.push(NAME, {"a": b"1"})
        commit_of(NAME, "main", workspace)
        _, err = posttrain(capsys, "sources", *arguments, status=2)
        assert says in " ".join(err.replace("│", " ").split())

    def test_nothing_is_locked_yet(self, hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
        assert posttrain(capsys, "sources", "--locked")[0].startswith("nothing is locked in ")


def source(**load: Any) -> Source:
    return Source.model_validate({"name": "tiny", "family": "alpaca", "load": {"kind": "hub", "id": NAME, **load},
                                  "origin": "written for this test", "license": "CC0-1.0"})


def write_recipe(folder: Path, spec: Source) -> Path:
    training = {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64}
    recipe = {"name": "colours", "description": "A source for a test.", "model": {"kind": "tiny"},
              "sft": training, "dpo": training, "rlvr": training, "mix": {"sft": [{"source": "tiny", "count": 1}]},
              "sources": [spec.model_dump(mode="json", exclude_defaults=True)]}
    path = folder / "colours.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


class TestFilesOfARepository:
    """`files`: the repository's own files, read as local ones, so that a loading script beside them does not matter."""

    def collected(self, spec: Source, out: Path, workspace: str) -> tuple[list[RawRow], list[dict[str, Any]]]:
        writer = ArtifactWriter(str(out), stage="collect")
        collect(spec, out, 0, writer, pinned(spec.load, out, 0, workspace))
        manifest = writer.finish()
        return list(raw_rows(manifest)), list(read_rejected(manifest))

    def test_path_and_row_are_those_of_the_repository(self, hub: HubServer, tmp_path: Path, workspace: str) -> None:
        commit = hub.push(NAME, {
            "README.md": b"# colours", "colours.py": b"raise SystemExit", "test.jsonl": jsonl("black"),
            "cot_fsopt_data/a.jsonl": jsonl("red") + b"{broken\n" + jsonl("green"), "cot_fsopt_data/deep/b.jsonl": jsonl("grey"),
            "t0_fsopt_data/a.jsonl": jsonl("blue")})
        spec = source(revision="main", files=["t0_fsopt_data/*", "cot_fsopt_data/*"])
        rows, rejected = self.collected(spec, tmp_path / "out", workspace)
        assert [(file, number, row["instruction"]) for file, number, row in rows] == [
            (f"{NAME}@{commit}/t0_fsopt_data/a.jsonl", 0, "blue"), (f"{NAME}@{commit}/cot_fsopt_data/a.jsonl", 0, "red"),
            (f"{NAME}@{commit}/cot_fsopt_data/a.jsonl", 2, "green")]
        assert [collection_of((file, 0, {})) for file, _, _ in rows] == ["t0_fsopt", "cot_fsopt", "cot_fsopt"]
        assert [(row["reason"], row["raw_row"]) for row in rejected] == [("invalid_json", 1)]

    def test_the_rows_are_those_of_the_commit_that_was_decided_on(
        self, hub: HubServer, tmp_path: Path, workspace: str,
    ) -> None:
        """Between the decision and the reading `main` moves: what stands in the artifact's settings stands in its rows too."""
        spec = source(revision="main", files=["*.jsonl"])
        old = hub.push(NAME, {"train.jsonl": jsonl("red")})
        pin = pinned(spec.load, tmp_path, 0, workspace)
        hub.push(NAME, {"train.jsonl": jsonl("blue")})
        writer = ArtifactWriter(str(tmp_path / "out"), stage="collect")
        collect(spec, tmp_path, 0, writer, pin)
        ((file, _, row),) = raw_rows(writer.finish())
        assert file == f"{NAME}@{old}/train.jsonl" and row["instruction"] == "red"

    def test_without_files_a_loading_script_is_an_error_that_says_so(
        self, hub: HubServer, tmp_path: Path, workspace: str, monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.address)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
        hub.push(NAME, {"colours.py": b"raise SystemExit", "train.jsonl": jsonl("red")})
        with pytest.raises(SourceError, match="'some/colours' at commit .*scripts are no longer supported.*under `files`"):
            self.collected(source(revision="main"), tmp_path / "out", workspace)

    def test_a_file_without_a_row_is_counted(self, hub: HubServer, tmp_path: Path, workspace: str) -> None:
        commit = hub.push(NAME, {"a.jsonl": b"", "b.jsonl": jsonl("red")})
        rows, rejected = self.collected(source(revision="main", files=["*.jsonl"]), tmp_path / "out", workspace)
        assert [file for file, _, _ in rows] == [f"{NAME}@{commit}/b.jsonl"]
        assert [(row["reason"], row["raw_file"]) for row in rejected] == [("empty_file", f"{NAME}@{commit}/a.jsonl")]

    @pytest.mark.parametrize(("files", "says"), [
        (["*.parquet"], r"has no file '\*\.parquet' at commit"), (["*"], r"README\.md.*no reader for this ending"),
    ])
    def test_files_that_are_not_there_or_cannot_be_read(
        self, files: list[str], says: str, hub: HubServer, tmp_path: Path, workspace: str,
    ) -> None:
        hub.push(NAME, {"README.md": b"# colours", "train.jsonl": jsonl("red")})
        with pytest.raises(SourceError, match=says):
            self.collected(source(revision="main", files=files), tmp_path / "out", workspace)


def test_a_run_goes_on_without_the_hub_and_is_done_again_when_the_lock_moves(
    hub: HubServer, tmp_path: Path, workspace: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = hub.push(NAME, {"train.jsonl": jsonl("red")})
    recipe = load_recipe(str(write_recipe(tmp_path, source(revision="main", files=["train.jsonl"]))))
    run = start_run(recipe, "nightly", workspace=workspace)
    assert pipeline.collect(run, "tiny").manifest.settings["load"]["commit"] == old
    new = hub.push(NAME, {"train.jsonl": jsonl("blue")})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shutil.rmtree(tmp_path / "cache")
    assert pipeline.collect(run, "tiny").skipped
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert [after.commit for _, after in move(entries(workspace), workspace)] == [new]
    again = pipeline.collect(run, "tiny")
    assert not again.skipped and again.manifest.settings["load"]["commit"] == new


def test_the_locked_commit_is_collected_with_and_without_the_hub(
    hub: HubServer, tmp_path: Path, workspace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the `datasets` library, whose cache holds two commits in the end: offline it would give the newest of them,
    whichever was asked for."""
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.address)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "prepared")
    write_recipe(tmp_path, source(revision="main"))

    def collected(out: str, offline: bool = False) -> list[tuple[str, str]]:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", offline)
        posttrain(capsys, "collect", "--recipe", str(tmp_path / "colours.yaml"), "--source", "tiny", "--out", str(tmp_path / out))
        return [(file, row["instruction"]) for file, _, row in raw_rows(load_manifest(str(tmp_path / out)))]

    old = hub.push(NAME, {"data/train.jsonl": jsonl("red")})
    assert collected("first") == [(f"{NAME}@{old}/default/train", "red")]
    lock = Path(workspace) / "hub_revisions" / "some--colours@main.json"
    before = lock.read_bytes()
    new = hub.push(NAME, {"data/train.jsonl": jsonl("blue", "green")})
    assert posttrain(capsys, "sources", NAME, "--update")[0] == f"{NAME}@main: {old} -> {new}\n"
    assert collected("moved") == [(f"{NAME}@{new}/default/train", "blue"), (f"{NAME}@{new}/default/train", "green")]
    lock.write_bytes(before)
    asked = len(hub.paths)
    assert collected("offline", offline=True) == [(f"{NAME}@{old}/default/train", "red")]
    assert len(hub.paths) == asked
