"""`python -m posttrain_airflow.drive RECIPE`: every round of the loop on this machine, with progress and a table at the end.

The rounds run in a process of their own (`posttrain_airflow.rounds`), because Airflow takes over signals and standard
output. This one shows the progress, keeps the log, and ends the whole family of processes on Ctrl-C. The run id follows
from recipe and seed, so that the same command goes on where the last one was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from posttrain.loop import round_id
from posttrain.recipe import STAGES, RecipeError, load_recipe
from posttrain.run import Run, load_run
from posttrain.storage import StorageError, exists, join, load_manifest, read_json, workspace_url

STARTING = re.compile(r"\[DAG TEST\] starting task_id=(\S+) map_index=(-?\d+)")
ENDED = re.compile(r"\[DAG TEST\] end task task_id=(\S+) map_index=(-?\d+)")
TASK_LOG = re.compile(r"\S+Z \[\w+ *\] (?!::)(.+?)(?: {2,}| \[[\w.]+\] \w+=)")
"""Airflow's console line: time, level, message, logger, fields."""
QUIET_SECONDS = 15.0
"""A stage that says nothing to the terminal for so long shows the last line of its log."""


class Progress:
    """One line for each finished stage, and a sign of life from a long one."""

    def __init__(self, root_run_id: str, workspace: str) -> None:
        self.root, self.workspace = root_run_id, workspace
        self.round, self.task, self.last_line = -1, "", ""
        self.started = self.spoke = time.monotonic()
        self.began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        """A run that goes on has records of an earlier start; they are not news."""
        self.shown: set[str] = set()

    def read(self, line: str) -> None:
        """Take one line of the rounds' log."""
        if match := STARTING.search(line):
            self.task = match[1]
            if self.task == "start":
                self.round += 1
                self.say(f"round {self.round + 1}")
        elif match := ENDED.search(line):
            self.show_records()
            self.task = ""
        elif self.task and (match := TASK_LOG.match(line)):
            self.last_line = match[1].strip()

    def show_records(self) -> None:
        """Say what the stages have left in the run folder since the last look."""
        folder = join(self.workspace, "runs", round_id(self.root, self.round))
        if not exists(join(folder, "run.json")):
            return
        for record in load_run(round_id(self.root, self.round), self.workspace).stage_records():
            name = " ".join(filter(None, [record["stage"], record["part"]]))
            if f"{self.round} {name}" in self.shown or record["finished_at"] < self.began:
                continue
            self.shown.add(f"{self.round} {name}")
            rows = load_manifest(record["manifest"]).rows
            counts = f"{rows['read']:,} rows read, {rows['kept']:,} kept" if rows["read"] else ""
            how = "unchanged, skipped" if record["skipped"] else f"{record['seconds']:.1f} s"
            self.say(f"  {name:<32} {how:<20} {counts}".rstrip())

    def beat(self) -> None:
        """Called every second: shows that a long stage is alive."""
        if self.task and time.monotonic() - self.spoke > QUIET_SECONDS:
            self.say(f"    … {self.task.split('.')[-1]}: {self.last_line[:100]}")

    def say(self, text: str) -> None:
        self.spoke = time.monotonic()
        seconds = int(self.spoke - self.started)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


def drive(conf: dict[str, Any], log_path: Path) -> int:
    """Run the rounds with `conf`; their exit status, or 130 after Ctrl-C."""
    progress = Progress(conf["root_run_id"], workspace_url())
    process = subprocess.Popen(
        [sys.executable, "-m", "posttrain_airflow.rounds", json.dumps(conf)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    alive = threading.Event()
    beats = threading.Thread(target=lambda: [progress.beat() for _ in iter(lambda: alive.wait(1.0), True)], daemon=True)
    beats.start()
    try:
        with log_path.open("w", encoding="utf-8") as log:
            for line in process.stdout or ():
                log.write(line)
                progress.read(line)
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        alive.set()
        end_family(process.pid)


def end_family(pid: int) -> None:
    """End a process and everything that descends from it: SIGTERM for the trainers, 4 s, then SIGKILL."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in family[:-1]:  # Airflow's task runner would take SIGTERM for a failed task and try again
        _send(member, signal.SIGTERM)
    _send(family[-1], signal.SIGKILL)
    for member in psutil.wait_procs(family, timeout=4)[1]:
        _send(member, signal.SIGKILL)


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def rounds_so_far(root_run_id: str) -> list[Run]:
    """The rounds of the loop that have a run folder and at least one finished stage."""
    found: list[Run] = []
    while True:
        try:
            run = load_run(round_id(root_run_id, len(found)))
        except StorageError:
            return found
        if not run.stage_records():
            return found
        found.append(run)


def main() -> int:
    parser = argparse.ArgumentParser("python -m posttrain_airflow.drive", description="Run all rounds of a recipe here.")
    parser.add_argument("recipe")
    parser.add_argument("--max-rounds", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1])
    parser.add_argument("--workspace", help="folder or URL; POSTTRAIN_WORKSPACE, else ./workspace")
    arguments = parser.parse_args()
    if arguments.workspace:
        os.environ["POSTTRAIN_WORKSPACE"] = arguments.workspace
    os.environ["POSTTRAIN_WORKSPACE"] = workspace_url()
    try:
        recipe = load_recipe(arguments.recipe)
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2
    seed = recipe.seed if arguments.seed is None else arguments.seed
    root = f"{recipe.name}-seed{seed}"
    conf = {"recipe": arguments.recipe, "seed": seed, "until": arguments.until, "max_rounds": arguments.max_rounds,
            "root_run_id": root}
    log_path = Path(os.environ.get("AIRFLOW_HOME", ".")) / "logs" / f"{root}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    print(f"run {root}; the log of every task goes to {log_path}", flush=True)
    started = time.monotonic()
    status = drive(conf, log_path)
    if status == 130:
        print("\nstopped; the same command goes on from here", flush=True)
        return 130
    runs = rounds_so_far(root)
    if runs:
        from posttrain.report.summary import print_summary

        print(flush=True)
        print_summary(runs)
    print(f"{time.monotonic() - started:.0f} s. {outcome(status, runs, log_path)}")
    return status


def outcome(status: int, runs: list[Run], log_path: Path) -> str:
    """One sentence on how it ended, and why."""
    if status != 0:
        return f"A stage failed; the end of {log_path}:\n{_tail(log_path)}"
    last = runs[-1]
    if last.until != STAGES[-1]:
        return f"Finished until {last.until}."
    if last.has("release"):
        return f"Released: {last.manifest('release').path}"
    return f"Not released: {read_json(join(last.folder, 'stop.json'))['why']}."


def _tail(log_path: Path) -> str:
    """The last traceback of the task that failed first; the report's own only where nothing else failed."""
    lines, task, failures = log_path.read_text(encoding="utf-8", errors="replace").splitlines(), "", {}
    for n, line in enumerate(lines):
        if match := STARTING.search(line):
            task = match[1]
        elif "Task failed with exception" in line:
            failures[task] = n
    if not failures:
        return "\n".join(lines[-40:])
    first = min(failures, key=lambda name: (name == "report", failures[name]))
    trace = lines[failures[first] + 1:]
    end = next((n for n, line in enumerate(trace) if STARTING.search(line) or "::endgroup::" in line or "::group::" in line), 40)
    return f"task {first}\n" + "\n".join(trace[:end][-30:])


if __name__ == "__main__":
    sys.exit(main())
