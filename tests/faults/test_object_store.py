"""The data half in a bucket of an S3-compatible store: the same bytes as in a folder."""

from __future__ import annotations

from pathlib import Path

from posttrain.cli.runs import run_stages
from posttrain.recipe import load_recipe
from posttrain.run import Run, start_run
from posttrain.storage import Manifest, exists, file_system, join, read_json


def run(workspace: str) -> Run:
    """Does recipe smoke to its mixture."""
    started = start_run(load_recipe("smoke"), "half", until="mix", workspace=workspace)
    run_stages(started)
    return started


def contents(manifest: Manifest) -> dict[str, bytes]:
    fs, folder = file_system(manifest.path)
    return {entry.name: fs.cat_file(join(folder, entry.name)) for entry in manifest.files}


def test_the_same_bytes_in_a_bucket_and_in_a_folder(bucket: str, tmp_path: Path) -> None:
    there, here = run(bucket).manifest("mix"), run(str(tmp_path)).manifest("mix")
    assert (there.key, there.rows) == (here.key, here.rows)
    assert contents(there) == contents(here)
    fs, root = file_system(bucket)
    assert not [name for name in fs.find(root) if ".tmp-" in name], "no temporary object is left"
    assert all(record["skipped"] for record in run(bucket).stage_records()), "what stands in the bucket is found again"


def test_what_a_killed_stage_left_is_not_taken_for_an_artifact(bucket: str) -> None:
    """All of the mixture but its manifest, with a part that is no Parquet and one too many: it is written anew."""
    first = run(bucket).manifest("mix")
    expected = contents(first)
    fs, folder = file_system(first.path)
    fs.rm(join(folder, "manifest.json"))
    fs.pipe_file(join(folder, "part-sft-00000.parquet"), b"half a part")
    fs.pipe_file(join(folder, "part-sft-00009.parquet"), b"a part of another attempt")
    second = run(bucket)
    assert contents(second.manifest("mix")) == expected
    assert [record["stage"] for record in second.stage_records() if not record["skipped"]] == ["mix"]
    assert not fs.exists(join(folder, "part-sft-00009.parquet"))


def test_what_another_process_wrote_meanwhile_is_seen(bucket: str) -> None:
    """A client that keeps listings would say no for as long as its process lives."""
    import boto3

    path = join(bucket, "later", "manifest.json")
    assert not exists(path) and not exists(join(bucket, "later"))
    file_system(bucket)[0].find(bucket)
    for text in ("1", "22"):
        boto3.client("s3").put_object(Bucket=bucket.split("/")[2], Key="workspace/later/manifest.json", Body=text.encode())
        assert exists(path) and read_json(path) == int(text)
