"""Starting a stage's process: an argument list, its own process group, its log line by line, and a clean kill.

Training, generation and evaluation never run in the caller's interpreter. The child dies with its parent
(PR_SET_PDEATHSIG on Linux), so that a worker killed by SIGKILL leaves no trainer behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from posttrain.child_process import die_with_parent, python_path
from posttrain.recipe import Launch

KILL_GRACE_SECONDS = 4.0
"""Airflow itself allows a task 5 s between SIGTERM and SIGKILL."""

DEFAULT_ENVIRONMENT = {
    "TQDM_DELAY": "5", "TQDM_MININTERVAL": "5",  # a bar that is over within 5 s says nothing, a longer one speaks every 5 s
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore::FutureWarning",  # what TRL and transformers will rename is not the user's to mend
    # OpenMP threads that spin for long starve each other where cores are shared. On 2 cores two trainings at once ran at
    # 0.3 steps/s with the default and at 2.9 with this; one alone at 10.5 and 10.6.
    "GOMP_SPINCOUNT": "10000",
}
"""What a stage's process gets where the caller's environment says nothing else."""


class ProcessFailed(RuntimeError):
    """A stage's process ended with another status than 0."""


def accelerate_arguments(launch: Launch, module: str, arguments: list[str]) -> list[str]:
    """The command line of `accelerate launch` for a module of this library, as a list: nothing passes a shell."""
    if launch.config_file:
        options = ["--config_file", launch.config_file]
    else:
        threads = max(1, (os.cpu_count() or 1) // launch.processes)
        options = ["--num_processes", str(launch.processes), "--num_machines", "1", "--dynamo_backend", "no",
                   "--num_cpu_threads_per_process", str(threads),
                   "--mixed_precision", launch.mixed_precision, *(["--cpu"] if launch.cpu else []),
                   *(["--multi_gpu"] if launch.processes > 1 and not launch.cpu else [])]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, "--module", module, *arguments]


def python_arguments(module: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


class Launcher:
    """Runs one process at a time for the caller and can kill its whole group from another thread or a signal handler."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.log = log
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.RLock()  # a signal handler may call kill() in the thread that runs

    def run(self, arguments: list[str]) -> None:
        """Start the process, pass every line that it prints to `log`, and wait.

        Raises ProcessFailed with the last lines of its output where it does not end with 0. Whatever ends the
        wait (Ctrl-C, a task's time-out) ends the process group as well.
        """
        env = {**DEFAULT_ENVIRONMENT, **os.environ, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=env, start_new_session=True, preexec_fn=die_with_parent,
        )
        with self._lock:
            self._process = process
        tail: list[str] = []
        try:
            for line in process.stdout or ():
                text = line.rstrip().rsplit("\r", 1)[-1]
                if text:
                    tail = [*tail[-29:], text]
                    self.log(text)
            status = process.wait()
        finally:
            self.kill()
        if status != 0:
            raise ProcessFailed(f"{' '.join(arguments)} ended with status {status}; its last lines:\n" + "\n".join(tail))

    def kill(self) -> None:
        """End the process group: SIGTERM, a grace of 4 s, SIGKILL. Does nothing where no process runs."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_GRACE_SECONDS)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
