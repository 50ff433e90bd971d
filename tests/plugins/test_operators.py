"""The operators: what they return, and how a training task is killed and resumed. The process is a real one."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from traceback import format_exception_only
from typing import Any

import psutil
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from posttrain.recipe import RecipeError, load_recipe
from posttrain.run import Run, start_run
from posttrain.storage import StageResult
from posttrain_airflow.operators import (
    RETRY_POLICY,
    OutOfMemory,
    ReviewOperator,
    StageOperator,
    TrainOperator,
    WrongInput,
    diagnose,
    unknown_keys,
)

STAND_IN = Path(__file__).with_name("trainer_stand_in.py")


class Ti:
    """As much of a task instance as the operators ask for."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def xcom_pull(self, task_ids: str) -> Any:
        return self.answer


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "workspace"))
    return start_run(load_recipe("smoke"), "r")


# ---------------------------------------------------------------- library stages


def test_a_stage_passes_on_paths_and_counts(run: Run) -> None:
    first = StageOperator(task_id="collect", stage="collect", source="word_problems", run_id="r").execute({"ti": Ti()})
    assert first["rows"]["read"] == first["rows"]["kept"] == 400
    assert first["skipped"] is False and "no artifact" in first["why"]
    assert Path(first["manifest"], "manifest.json").is_file()
    assert set(first) == {"manifest", "rows", "skipped", "why"}
    again = StageOperator(task_id="collect", stage="collect", source="word_problems", run_id="r").execute({"ti": Ti()})
    assert again["skipped"] is True and "unchanged" in again["why"] and again["manifest"] == first["manifest"]


def test_a_stage_past_the_end_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path))
    start_run(load_recipe("smoke"), "short", until="convert")
    with pytest.raises(AirflowSkipException, match="only until convert"):
        StageOperator(task_id="filter", stage="filter", run_id="short").execute({"ti": Ti()})


def test_a_person_s_decision_takes_the_place_of_the_recipe_s(run: Run) -> None:
    operator = ReviewOperator(task_id="review", stage="review", run_id="r")
    assert operator.load_run({"ti": Ti()}).recipe.review.unattended == "paraphrase"
    assert operator.load_run({"ti": Ti({"chosen_options": ["delete"]})}).recipe.review.unattended == "delete"


def test_unknown_conf_keys_are_named_with_what_is_allowed() -> None:
    assert unknown_keys({"recipe": "smoke"}, ["recipe", "seed"]) == ""
    assert unknown_keys(None, ["recipe"]) == ""
    complaint = unknown_keys({"recpie": "smoke", "zzz": 1}, ["recipe", "seed"])
    assert complaint == "unknown conf key 'recpie', did you mean 'recipe'?; unknown conf key 'zzz'; allowed: recipe, seed"


# ---------------------------------------------------------------- a training task


ARGUMENTS: list[str] = []
"""What the stand-in trainer is started with."""


@pytest.fixture
def stand_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage `sft` is the stand-in: the pipeline's table of process stages is the seam."""
    from posttrain import pipeline

    def stage(run: Run, launcher: Any) -> StageResult:
        launcher.run([sys.executable, str(STAND_IN), *ARGUMENTS])
        return run.stage("sft", "posttrain.gate", inputs=[], settings={}, work=lambda out: None)

    monkeypatch.setitem(pipeline.PROCESS_STAGES, "sft", stage)


def operator_with(*arguments: str) -> TrainOperator:
    ARGUMENTS[:] = arguments
    return TrainOperator(task_id="sft", stage="sft", run_id="r")


def wait_for(path: Path, seconds: float = 20.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise TimeoutError(f"{path} did not appear")


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_task_ends_the_whole_group_and_a_retry_resumes(
    stand_in: None, tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:
    operator = operator_with(str(tmp_path), "1000")
    ended: list[BaseException] = []

    def execute() -> None:
        try:
            operator.execute({"ti": Ti()})
        except BaseException as error:
            ended.append(error)

    task = threading.Thread(target=execute)
    task.start()
    pids = [int(pid) for pid in wait_for(tmp_path / "pids").split()]
    wait_for(tmp_path / "checkpoint")
    assert all(is_running(pid) for pid in pids)
    assert os.getpgid(pids[0]) != os.getpgid(0), "a group of its own"
    started = time.monotonic()
    operator.on_kill()
    task.join(timeout=10)
    assert time.monotonic() - started < 5, "Airflow kills after 5 s"
    assert not task.is_alive() and len(ended) == 1
    assert not any(is_running(pid) for pid in pids)

    step = int((tmp_path / "checkpoint").read_text())
    assert step > 0
    result = operator_with(str(tmp_path), str(step + 2)).execute({"ti": Ti()})
    assert result["skipped"] is False
    log = capfd.readouterr().out
    assert log.index("starting at step 0") < log.index(f"starting at step {step}") < log.index(f"step {step + 2}"), "resumed"


def test_a_failure_shows_the_trainer_s_last_words(stand_in: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no disk left"):
        operator_with(str(tmp_path), "1", "OSError: no disk left").execute({"ti": Ti()})


@pytest.mark.parametrize(("last_words", "kind", "action"), [
    ("ValueError: max_length must be positive", WrongInput, "fail"),
    (format_exception_only(RecipeError("small.yaml:8: sources: unknown key"))[0].rstrip(), WrongInput, "fail"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", OutOfMemory, "fail"),
    ("ConnectionError: the Hub does not answer", RuntimeError, "default"),
])
def test_what_a_second_try_cannot_mend_is_not_retried(last_words: str, kind: type[Exception], action: str) -> None:
    error = diagnose(f"python -m x ended with status 1; its last lines:\nTraceback\n{last_words}")
    assert type(error) is kind
    assert RETRY_POLICY.evaluate(error, 1, 3).action.value == action
