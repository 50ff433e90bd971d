"""A running `airflow standalone` (api-server, scheduler with LocalExecutor, DAG processor, triggerer) and its REST API."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import psutil

PROJECT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 180.0, 60.0


def with_recipe(recipe: Path, folder: Path) -> dict[str, str]:
    """The environment of an Airflow whose form offers this recipe as well: it knows those of the package, which is copied."""
    shutil.copytree(PROJECT / "include", folder / "include", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(recipe, folder / "include" / "recipes")
    return {"PYTHONPATH": os.pathsep.join([str(folder / "include"), str(PROJECT / "plugins")])}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Standalone:
    """Airflow with its home in `home` and the library's workspace in `workspace`; `settings` are further environment variables.

    Two tasks run at a time.
    """

    def __init__(self, home: Path, workspace: Path, settings: dict[str, str]) -> None:
        self.home, self.port, self.token = home, free_port(), ""
        self.log = (home / "standalone.log").open("w+")
        environment = os.environ | {
            "AIRFLOW_HOME": str(home),
            "POSTTRAIN_WORKSPACE": str(workspace),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
        } | settings
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"], env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        return dict(json.loads(self.read(method, path, body, **headers)))

    def read(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> str:
        headers |= {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers,
                          data=json.dumps(body).encode() if body is not None else None)
        with build_opener(ProxyHandler({})).open(request, timeout=30) as response:
            return str(response.read().decode())

    def log_in(self) -> None:
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        answer = self.call("POST", "/auth/token", {"username": "admin", "password": passwords["admin"]})
        self.token = answer["access_token"]

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Until somebody is logged in and the scheduler knows `tulu3`."""
        self.wait("the API answers", seconds, lambda: self.log_in() or self.token)
        self.wait("tulu3 is loaded", seconds, lambda: self.call("GET", "/api/v2/dags/tulu3"))

    def wait(self, what: str, seconds: float, found: Callable[[], Any]) -> Any:
        """Ask once a second until `found` gives something; raises RuntimeError with the end of Airflow's log."""
        deadline, trouble = time.monotonic() + seconds, ""
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if value := found():
                    return value
            except (URLError, OSError, KeyError, ValueError) as error:
                trouble = str(error)
            time.sleep(1.0)
        raise RuntimeError(f"{what}: not within {seconds:.0f} s; {trouble}\n{self.tail()}")

    def run_dag(self, dag_run_id: str, conf: dict[str, Any], seconds: float) -> str:
        """Start `tulu3` and wait for its end; the state it ends in."""
        path = "/api/v2/dags/tulu3/dagRuns"
        self.call("POST", path, {"dag_run_id": dag_run_id, "logical_date": None, "conf": conf})
        states = ("success", "failed")
        return str(self.wait(f"{dag_run_id} ends", seconds, lambda: (
            state if (state := self.call("GET", f"{path}/{dag_run_id}")["state"]) in states else None)))

    def task_log(self, dag_run_id: str, task_id: str) -> str:
        """What the attempts of a task wrote, as Airflow keeps it."""
        found = sorted(self.home.glob(f"logs/dag_id=*/run_id={dag_run_id}/task_id={task_id}/attempt=*.log"))
        return "\n".join(path.read_text(encoding="utf-8") for path in found)

    def tail(self) -> str:
        self.log.seek(0)
        return "\n".join(self.log.read().splitlines()[-40:])

    def stop(self) -> list[psutil.Process]:
        """SIGINT, as Ctrl-C; what is left after a minute is killed and returned."""
        family = [self.process_info(), *self.process_info().children(recursive=True)]
        self.process.send_signal(signal.SIGINT)
        left = psutil.wait_procs(family, timeout=STOP_SECONDS)[1]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(timeout=10)
        self.log.close()
        return left

    def process_info(self) -> psutil.Process:
        return psutil.Process(self.process.pid)
