"""The drive shows what the rounds do, and leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from posttrain.recipe import load_recipe
from posttrain.run import start_run
from posttrain_airflow.drive import Progress, end_family, outcome, rounds_so_far

LOG = """\
2026-11-21T11:13:00.2Z [info     ] [DAG TEST] starting task_id=start map_index=-1 [airflow.sdk.definitions.dag] loc=dag.py:1490
2026-11-21T11:13:00.3Z [info     ] [DAG TEST] end task task_id=start map_index=-1 [airflow.sdk.definitions.dag] loc=dag.py:1563
2026-11-21T11:13:00.4Z [info     ] [DAG TEST] starting task_id=sft.sft map_index=-1 [airflow.sdk.definitions.dag] loc=dag.py:1490
2026-11-21T11:13:09.4Z [info     ] step 7/12 loss 1.25            [airflow.task.operators.TrainOperator] loc=launch.py:78
2026-11-21T11:13:09.5Z [info     ] ::endgroup::                   [task] loc=task_runner.py:2379
"""


def test_progress_follows_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("r", str(tmp_path))
    for line in LOG.splitlines(keepends=True):
        progress.read(line)
    assert capsys.readouterr().out == "[ 0:00] round 1\n"
    assert (progress.task, progress.last_line) == ("sft.sft", "step 7/12 loss 1.25")
    progress.spoke -= 60
    progress.beat()
    assert "… sft: step 7/12 loss 1.25" in capsys.readouterr().out


def test_progress_shows_each_stage_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start_run(load_recipe("smoke"), "r", workspace=str(tmp_path))
    progress = Progress("r", str(tmp_path))
    progress.round = 0

    def work(out: object) -> None:
        out.read("a", 1200)  # type: ignore[attr-defined]
        out.kept("a", 1200)  # type: ignore[attr-defined]

    for _ in range(2):
        run.stage("filter", "posttrain.gate", inputs=[], settings={}, work=work)
        progress.show_records()
    assert [line.split("]")[1].split() for line in capsys.readouterr().out.splitlines()] == [
        ["filter", "0.0", "s", "1,200", "rows", "read,", "1,200", "kept"]]


def test_a_family_of_processes_ends_together(tmp_path: Path) -> None:
    """A child in a session of its own, as every trainer is, ends with the rest."""
    pids = tmp_path / "pids"
    script = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while len((pids.read_text() if pids.exists() else "").split()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    family = [int(pid) for pid in pids.read_text().split()]
    assert all(psutil.pid_exists(pid) for pid in family)
    end_family(process.pid)
    process.wait(timeout=5)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in family)
    end_family(process.pid)  # gone already: nothing happens


def test_outcome_names_the_task_that_failed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "[DAG TEST] starting task_id=filter.filter map_index=-1\nTask failed with exception\nValueError: boom\n::endgroup::\n"
        "[DAG TEST] starting task_id=report map_index=-1\nTask failed with exception\nValueError: no report\n")
    text = outcome(1, [], log)
    assert "task filter.filter\nValueError: boom" in text and "no report" not in text


def test_an_unknown_recipe_is_wrong_use(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "posttrain_airflow.drive", "dmeo", "--workspace", str(tmp_path)],
                          capture_output=True, text=True, env=os.environ | {"AIRFLOW_HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "no recipe 'dmeo'; did you mean 'demo'?" in done.stderr


def test_rounds_are_found_by_their_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path))
    assert rounds_so_far("r") == []
    for run_id in ("r", "r__r1", "r__r3"):
        start_run(load_recipe("smoke"), run_id).stage("gate", "posttrain.gate", inputs=[], settings={}, work=lambda out: None)
    assert [run.run_id for run in rounds_so_far("r")] == ["r", "r__r1"]
