"""The command line of a trainer, and a process that fails or is killed."""

import sys
import threading
import time

import psutil
import pytest

from posttrain.pipeline import check_inputs
from posttrain.recipe import Launch, RecipeError, load_recipe
from posttrain.train.launch import Launcher, ProcessFailed, accelerate_arguments


def test_arguments_are_a_list_and_name_the_module():
    arguments = accelerate_arguments(Launch(processes=1), "posttrain.train.sft", ["job; rm -rf x"])
    assert arguments[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert arguments[-3:] == ["--module", "posttrain.train.sft", "job; rm -rf x"] and "--cpu" in arguments


def test_a_configuration_file_replaces_the_options():
    arguments = accelerate_arguments(Launch(config_file="fsdp.yaml"), "m", [])
    assert arguments[3:] == ["--config_file", "fsdp.yaml", "--module", "m"]


def test_several_gpus_ask_for_them():
    assert "--multi_gpu" in accelerate_arguments(Launch(processes=4, cpu=False, mixed_precision="bf16"), "m", [])


def test_every_line_is_passed_on_and_a_failure_shows_the_last_ones():
    lines: list[str] = []
    program = "import sys; print('one'); print('두 번째', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ProcessFailed, match="status 3(.|\n)*두 번째"):
        Launcher(lines.append).run([sys.executable, "-c", program])
    assert lines == ["one", "두 번째"]


def test_kill_ends_the_whole_group_also_where_sigterm_is_ignored():
    """The parent ignores SIGTERM and has a child of its own; both are gone after the grace."""
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    pids: list[int] = []
    launcher = Launcher(lambda line: pids.append(int(line)))
    failed: list[Exception] = []

    def run() -> None:
        try:
            launcher.run([sys.executable, "-c", program])
        except ProcessFailed as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not pids:
        time.sleep(0.05)
    launcher.kill()
    thread.join(20)
    assert not thread.is_alive() and failed
    deadline = time.monotonic() + 20  # the signal is sent; a busy machine takes its time to end the process
    while runs(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(pids[0])


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_configuration_file_that_is_not_there_is_refused_before_the_first_task(tmp_path):
    missing = tmp_path / "fsdp.yaml"
    recipe = load_recipe("smoke", {"launch": {"config_file": str(missing)}})
    with pytest.raises(RecipeError, match="fsdp.yaml; `accelerate config` writes one"):
        check_inputs(recipe)
    missing.write_text("distributed_type: FSDP")
    check_inputs(recipe)
