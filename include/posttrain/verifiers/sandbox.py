"""Runs Python text of unknown intent: own process, own namespaces, own root folder, no network, hard limits.

What holds it (Linux, `sandbox_child.py` has the steps): new user, mount, PID, network and IPC namespaces; a root
that holds only the Python installation and the system libraries, all read-only, and an empty work folder in memory;
no capability after exec; limits on CPU time, wall time, memory, file size and processes; an empty environment.
What it does not cover: faults of the kernel, and a program that searches the test runner's memory for the pass token.

Where the namespaces cannot be had (another system, a container without user namespaces) nothing is run:
`SandboxUnavailable` says why.
"""

from __future__ import annotations

import functools
import json
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("sandbox_child.py")


class SandboxUnavailable(RuntimeError):
    """This machine cannot isolate a process, so model output is not run on it."""


@dataclass(frozen=True)
class Limits:
    """Limits of one test, except `total_seconds`: wall time for all tests of a program together."""

    seconds: float = 5.0
    total_seconds: float = 60.0
    memory_mib: int = 512
    file_mib: int = 8
    processes: int = 32


def run_tests(program: str, tests: list[str], limits: Limits = Limits()) -> list[bool]:  # noqa: B008 (frozen)
    """Run the program once per test, followed by the test; True where both end without an exception.

    A test that is not reached because the time is up has failed. Raises SandboxUnavailable.
    """
    reason = unavailable_reason()
    if reason:
        raise SandboxUnavailable(f"the code verifier needs a sandbox and there is none here: {reason}")
    return _run(program, tests, limits)[0]


@functools.cache
def unavailable_reason() -> str | None:
    """Why the sandbox does not work here, or None. Found out by running a test in it, once per process."""
    if not sys.platform.startswith("linux"):
        return f"namespaces are a Linux feature, this is {sys.platform}"
    passed, message = _run("x = 1", ["assert x == 1"], Limits())
    return None if passed == [True] else message or "the probe did not pass"


def _run(program: str, tests: list[str], limits: Limits) -> tuple[list[bool], str]:
    token = secrets.token_hex(16)
    job = {"program": program, "tests": tests, "token": token, "limits": asdict(limits)}
    command = [sys.executable, "-I", "-S", str(CHILD)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
                          start_new_session=True) as process:
        try:
            output, errors = process.communicate(json.dumps(job).encode(), timeout=limits.total_seconds + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
    lines = output.decode(errors="replace").split()
    passed = [line == f"{token}:{n}" for n, line in enumerate(lines[: len(tests)])]
    return passed + [False] * (len(tests) - len(passed)), errors.decode(errors="replace").strip()[-300:]
