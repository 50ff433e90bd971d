"""The data half with two worker processes: killed at twenty random moments, it gives the bytes of one quiet process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from posttrain.recipe import RECIPE_FOLDER
from posttrain.run import load_run
from posttrain.shards import ROWS_FOR_WORKERS

KILLS = 20
SECONDS_TO_DIE = 5.0


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe smoke with two sources, together large enough that every stage over shards starts its workers."""
    value = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    (source,) = value["sources"]
    rows = ROWS_FOR_WORKERS * 51 // 100
    value["sources"] = [source | {"name": name, "load": source["load"] | {"rows": rows, "seed_offset": offset}}
                        for offset, name in enumerate(("first", "second"))]
    value["mix"] = {"sft": [{"source": name, "proportion": 1.0} for name in ("first", "second")],
                    "rlvr": [{"source": "first", "count": 500}]}
    value |= {"name": "workers", "improve": {"max_rows": 0}, "synthesize": {}}
    path = tmp_path_factory.mktemp("recipe") / "workers.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True))
    return path


def start(recipe: Path, workspace: Path, workers: int) -> subprocess.Popen[bytes]:
    """The run in a session of its own, by which its workers are known."""
    return subprocess.Popen(
        [sys.executable, "-m", "posttrain", "run", str(recipe), "--until", "mix", "--run-id", "half"],
        env=os.environ | {"POSTTRAIN_WORKSPACE": str(workspace), "POSTTRAIN_WORKERS": str(workers)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )


def session_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes of the run that are alive, itself included."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == process.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def mixture(workspace: Path) -> dict[str, bytes]:
    """The bytes of every file of the mixture, the rejected rows among them."""
    manifest = load_run("half", str(workspace)).manifest("mix")
    return {entry.name: Path(manifest.file(entry.name)).read_bytes() for entry in manifest.files}


@pytest.fixture(scope="module")
def uninterrupted(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The mixture of a quiet run with two workers, and its seconds."""
    workspace, began = tmp_path_factory.mktemp("quiet"), time.monotonic()
    assert start(recipe, workspace, 2).wait(300) == 0
    return mixture(workspace), time.monotonic() - began


def test_one_process_gives_the_same_bytes(recipe: Path, uninterrupted: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    assert start(recipe, tmp_path, 1).wait(300) == 0
    assert mixture(tmp_path) == uninterrupted[0]


def test_twenty_kills_change_no_byte_and_leave_no_worker(
    recipe: Path, uninterrupted: tuple[dict[str, bytes], float], tmp_path: Path,
) -> None:
    """Only the first process is killed: its workers are to end by themselves. What is finished stays, so that moments within the
    first quarter of a quiet run's length reach every stage; a run that comes through is followed by one in an empty workspace."""
    expected, seconds = uninterrupted
    moments, workspace, most = random.Random(20261121), tmp_path / "0", 0
    for kill in range(1, KILLS + 1):
        process = start(recipe, workspace, 2)
        try:
            process.wait(moments.uniform(0.0, seconds / 4))
            assert mixture(workspace) == expected
            workspace = tmp_path / str(kill)
            process = start(recipe, workspace, 2)
            time.sleep(moments.uniform(0.0, seconds / 4))
        except subprocess.TimeoutExpired:
            pass
        most = max(most, len(session_of(process)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + SECONDS_TO_DIE
        while (left := session_of(process)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, f"alive after kill {kill}"
    assert most >= 3, "a kill met the run with both of its workers"
    assert start(recipe, workspace, 2).wait(300) == 0
    assert mixture(workspace) == expected
    assert not [path for path in workspace.rglob("*.tmp-*") if "artifacts" not in path.parts and "shards" not in path.parts]
