"""A reader sees all of an artifact or nothing, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from tests.storage.unit import run, write_two

from posttrain.storage import ArtifactWriter, StorageError, exists, load_manifest, read_examples, write_atomic


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
