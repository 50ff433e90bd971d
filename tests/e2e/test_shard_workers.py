"""Worker processes over shards: the bytes of one process, in a folder and in an S3-compatible store; one source changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from posttrain.run import Run
from posttrain.schema import SFTExample
from posttrain.storage import file_system, join, read_examples

START_SECONDS = 60.0
LIMIT = 3_000_000
"""Bytes: more than any part file has here, and less than the signatures of 11,000 rows."""
STAGES_OVER_SHARDS = ("filter", "decontaminate")


def contents(run: Run, stage: str = "mix") -> dict[str, bytes]:
    """The bytes of every file of a stage's artifact."""
    manifest = run.manifest(stage)
    fs, folder = file_system(manifest.path)
    return {entry.name: fs.cat_file(join(folder, entry.name)) for entry in manifest.files}





def test_two_workers_on_a_bucket_write_what_one_process_writes_into_a_folder(
    many_rows, alone: Run, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    there, said = many_rows.run(bucket, workers=2)
    for stage in STAGES_OVER_SHARDS:
        assert f"{stage}: redone 3 of 3 shards, in 2 worker processes" in said
    assert there.manifest("mix").key == alone.manifest("mix").key
    assert contents(there) == contents(alone)
    fs, root = file_system(bucket)
    found = fs.find(root)
    assert [name for name in found if name.endswith("/manifest.json") and "/shards/filter/" in name]
    assert not [name for name in found if ".tmp-" in name or ".shuffle" in name], "no temporary object is left"
    assert list(tmp_path.iterdir()) == [], "and no temporary file beside the bucket"


def test_a_disk_that_is_full_in_the_worker_processes(many_rows, alone: Run, tmp_path: Path) -> None:
    """A worker's error becomes one line of the command; with room again the same command goes on to the same bytes."""
    done = many_rows.command(str(tmp_path), 2, "many", limit=LIMIT)
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "File too large" in error and str(tmp_path) in error and "Traceback" not in done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines() if " done " in line] == ["collect"] * 3 + ["convert"] * 3
    assert not list(tmp_path.rglob("*.tmp-*"))
    run, said = many_rows.run(str(tmp_path), workers=2)
    assert [r["stage"] for r in run.stage_records() if r["skipped"]] == ["collect"] * 3 + ["convert"] * 3
    assert "filter: redone" in said and contents(run) == contents(alone)


def test_one_changed_source_costs_its_own_shard_and_what_depends_on_it(many_rows, alone: Run, tmp_path: Path) -> None:
    """The last row of one of six files says something else: of three shards one is done again, in either stage over shards."""
    data = tmp_path / "data"
    shutil.copytree(many_rows.data, data)
    file = data / "first" / "b.jsonl"
    *lines, last = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines, last.replace("Because ", "Nobody knows, for ")]), encoding="utf-8")
    assert last.count("Because ") == 1

    run, said = replace(many_rows, data=data).run(alone.workspace, workers=1, run_id="changed")
    redone = {(r["stage"], r["part"]) for r in run.stage_records() if not r["skipped"]}
    over_all = {(stage, "") for stage in ("filter", "improve", "synthesize", "decontaminate", "review", "mix")}
    assert redone == {("collect", "first"), ("convert", "first"), *over_all}
    lines_of = {line.split()[0]: line for line in said.splitlines() if " done " in line}
    for stage in STAGES_OVER_SHARDS:
        assert run.manifest(stage).facts["shards"] == {"all": 3, "redone": 1}
        assert "redone 1 of 3 shards" in lines_of[stage]

    def texts(of: Run) -> set[str]:
        return {e.messages[1].content for e in read_examples(of.manifest("mix")) if isinstance(e, SFTExample)}

    (gone,), (new,) = texts(alone) - texts(run), texts(run) - texts(alone)
    assert new == gone.replace("Because ", "Nobody knows, for ")
    assert run.manifest("mix").rows == alone.manifest("mix").rows
