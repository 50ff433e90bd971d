"""The stems of Korean words, looked up in a process of its own: the analyser starts and works beside what the caller does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO

from posttrain.child_process import die_with_parent, python_path
from posttrain.decontaminate import korean

WORDS_FOR_A_PROCESS = 500
"""Below this the start of a process takes longer than to read the words here."""


class StemReader:
    """Words go in as they are found, their stems come out at the end. Without `start`, they are looked up here, at the end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # One thread for what goes in, since the pipe is full before the analyser has started, and one for what comes out.
        self._sender, self._receiver = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._asked: dict[str, None] = {}
        self._answer: Future[bytes] | None = None

    def start(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "posttrain.decontaminate.korean_reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": python_path()}, preexec_fn=die_with_parent,
            )
            self._answer = self._receiver.submit(_pipe(self._process.stdout).read)
            self._send(list(self._asked))

    def ask(self, words: Iterable[str]) -> None:
        """Hand words over."""
        new = [word for word in dict.fromkeys(words) if word not in self._asked]
        self._asked.update(dict.fromkeys(new))
        if self._process is not None and new:
            self._send(new)

    def stems(self) -> dict[str, str]:
        """Word → stem of all words that were asked for. Nothing can be asked for afterwards."""
        if self._process is None or self._answer is None:
            return {word: korean.stem(word) for word in self._asked}
        self._sender.submit(_close, _pipe(self._process.stdin)).result()
        answer = self._answer.result()
        if self._process.wait():
            raise RuntimeError(f"the process that reads Korean words ended with status {self._process.returncode}")
        return dict(zip(self._asked, json.loads(answer), strict=True))

    def _send(self, words: list[str]) -> None:
        if self._process is not None:
            self._sender.submit(_write, _pipe(self._process.stdin), json.dumps(words).encode() + b"\n")

    def __enter__(self) -> StemReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # nothing where it has ended
            self._process.wait()
        self._sender.shutdown()
        self._receiver.shutdown()
        if self._process is not None:
            _close(_pipe(self._process.stdin))
            _close(_pipe(self._process.stdout))


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise RuntimeError("the process that reads Korean words was started without pipes")
    return end


def _write(pipe: IO[bytes], line: bytes) -> None:
    with suppress(BrokenPipeError):  # the process has ended; `stems` says with which status
        pipe.write(line)
        pipe.flush()


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def _serve() -> None:
    korean.stem("안녕하세요")  # starts the analyser before the words have come
    stems = [korean.stem(word) for line in sys.stdin.buffer for word in json.loads(line)]
    sys.stdout.buffer.write(json.dumps(stems).encode())


if __name__ == "__main__":
    _serve()
