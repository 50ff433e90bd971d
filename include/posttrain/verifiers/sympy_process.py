"""sympy behind a pipe: one helper process per Python process, killed and started anew when it does not answer in time.

The helper is this module run as a script. It reads one JSON object a line, {"op": "equal", "a", "b"} or
{"op": "value", "a"}, and answers {"result": …}; its memory is limited, so that 9^9^9^9 ends the helper, not the run.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import selectors
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

SECONDS = 5
"""Time that one comparison may take (as in open-instruct)."""
START_SECONDS = 60
"""Time that the helper may take to import sympy on a busy machine."""
MEMORY_BYTES = 4 << 30


def symbolically_equal(a: str, b: str) -> bool:
    """Whether two LaTeX expressions are equal by sympy; False where either cannot be read or the time is up."""
    return bool(_ask(op="equal", a=a, b=b))


def numeric_value(a: str) -> float | None:
    """The real number that a LaTeX expression stands for; None where it is none or the time is up."""
    value = _ask(op="value", a=a)
    return float(value) if value is not None else None


def _ask(**question: str) -> Any:
    if max(len(text) for text in question.values()) > 2000:
        return None  # no answer of a mathematics problem is that long; the parser would take minutes
    return _helper(os.getpid()).ask(question)


@functools.cache
def _helper(pid: int) -> _Helper:
    """The helper of this process: a forked child must not share its parent's pipes."""
    return _Helper()


class _Helper:
    """Holds the process and a lock: questions of several threads are asked one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, str]) -> Any:
        with self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                self._write(question)
                answer = self._read(SECONDS + 2)
            except BrokenPipeError:
                answer = None
            if answer is None:
                logger.warning("sympy gave no answer within %s s; counted as unequal: %s", SECONDS, question)
                self._stop()
                return None
            return answer["result"]

    def _start(self) -> None:
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "posttrain.verifiers.sympy_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        )
        if self._read(START_SECONDS) is None:
            self._stop()
            raise RuntimeError(f"the sympy helper did not start within {START_SECONDS} s: are sympy and math-verify installed?")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    def _write(self, question: dict[str, str]) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.write((json.dumps(question) + "\n").encode())
            self._process.stdin.flush()

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """One answer; None where the process ended or the time is up. The helper writes a line in one go."""
        if self._process is None or self._process.stdout is None:
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else None


# ---------------------------------------------------------------- inside the helper


def _serve() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    import math_verify  # noqa: F401  (imported before "ready", so that the first question has its full time)

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # nothing that a library prints may stand between the answers
    answers.write(b'{"result": "ready"}\n')
    for line in sys.stdin:
        question = json.loads(line)
        try:
            result = _equal(question["a"], question["b"]) if question["op"] == "equal" else _value(question["a"])
        except Exception:  # the parsers raise anything on malformed LaTeX; every one of them means "cannot be read"
            result = None if question["op"] == "value" else False
        answers.write((json.dumps({"result": result}) + "\n").encode())


def _parse(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    return list(parse(f"${text}$", extraction_config=[LatexExtractionConfig()], fallback_mode="no_fallback",
                      parsing_timeout=SECONDS))


def _equal(a: str, b: str) -> bool:
    from math_verify import verify

    return bool(verify(_parse(b), _parse(a), float_rounding=6, strict=True, timeout_seconds=SECONDS))


def _value(a: str) -> float | None:
    parsed = [p for p in _parse(a) if not isinstance(p, str)]
    return float(parsed[0].evalf()) if parsed else None


if __name__ == "__main__":
    _serve()
