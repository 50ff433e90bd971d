"""The data half on the command line: the same bytes from the same seed, also after ten SIGKILLs."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posttrain.run import load_run

KILLS = 10


def start(workspace: Path, seed: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "posttrain", "run", "smoke", "--until", "mix", "--run-id", "half", "--seed", str(seed)]
    environment = os.environ | {"POSTTRAIN_WORKSPACE": str(workspace)}
    return subprocess.Popen(
        arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )


def mixture(workspace: Path) -> dict[str, bytes]:
    """The bytes of every split of the mixture."""
    manifest = load_run("half", str(workspace)).manifest("mix")
    return {entry.name: Path(manifest.file(entry.name)).read_bytes() for entry in manifest.files if entry.split}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The mixture of one quiet run, and how long that took."""
    workspace = tmp_path_factory.mktemp("quiet")
    began = time.monotonic()
    assert start(workspace, 0).wait(300) == 0
    return mixture(workspace), time.monotonic() - began


def test_same_seed_same_bytes_and_another_seed_other_bytes(uninterrupted, tmp_path):
    for seed in (0, 1):
        assert start(tmp_path / str(seed), seed).wait(300) == 0
    assert mixture(tmp_path / "0") == uninterrupted[0]
    other = mixture(tmp_path / "1")
    assert other["part-sft-00000.parquet"] != uninterrupted[0]["part-sft-00000.parquet"]


def test_ten_kills_change_no_byte(uninterrupted, tmp_path):
    """Each kill comes at a random moment of a quiet run's length; whatever ended by itself before it is started anew."""
    expected, seconds = uninterrupted
    moments, killed, workspace = random.Random(20261121), 0, tmp_path
    while killed < KILLS:
        process = start(workspace, 0)
        try:
            process.wait(moments.uniform(0.0, seconds))
            workspace = tmp_path / f"after-{killed}"  # this one came through; go on with an empty workspace
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    assert start(workspace, 0).wait(300) == 0
    assert mixture(workspace) == expected
