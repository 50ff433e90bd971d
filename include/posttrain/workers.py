"""Worker processes for library stages: `Workers.map` is `map` over several Python processes, results in order.

A worker is `python -m posttrain.workers`: it reads pickled (function, item) pairs from its standard input and writes the
pickled results to its standard output. Not multiprocessing: that refuses to start children where the caller is a daemon
process (a worker of Airflow's LocalExecutor), and imports the caller's main module again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from posttrain.child_process import die_with_parent, python_path

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_TO_END = 5.0

_LENGTH = struct.Struct("<Q")


class WorkerDied(RuntimeError):
    """A worker process ended in the middle of its work: killed, or out of memory."""


def worker_count() -> int:
    """POSTTRAIN_WORKERS, else the cores that this process may use. It decides how long a stage takes, and never its result."""
    given = os.environ.get("POSTTRAIN_WORKERS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"POSTTRAIN_WORKERS is a number of processes, at least 1, not {given!r}")
    return int(given)


class Workers:
    """Up to `count` processes, started when they are first needed and ended with the block; 1 works in this process."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    @property
    def started(self) -> int:
        """How many processes there are so far; 0 where all was done in this one."""
        return len(self._processes)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()  # an idle worker ends by itself
        if kind is not None:
            self._end()
        for process in self._processes:
            process.wait()
            if process.stdout:
                process.stdout.close()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of `items`. `function` is one of a module; an exception in a worker is raised here."""
        items = list(items)
        if self.count == 1 or len(items) < 2:
            yield from map(function, items)
            return
        # Started here and not in the pool's threads: a child dies with the *thread* that started it (PR_SET_PDEATHSIG).
        while len(self._processes) < min(self.count, len(items)):
            self._start()
        with ThreadPoolExecutor(len(self._processes)) as threads:
            try:
                yield from threads.map(lambda item: self._call(function, item), items)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                self._end()
                raise

    def stream(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`map` over items that are made as they are needed: at most two a process are held at a time."""
        if self.count == 1:
            yield from map(function, items)
            return
        while len(self._processes) < self.count:
            self._start()
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self.count) as threads:
            try:
                for item in items:
                    waiting.append(threads.submit(self._call, function, item))
                    if len(waiting) >= 2 * self.count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                self._end()
                raise

    def _end(self) -> None:
        """End all processes; what they were writing they take away again, if that takes no longer than SECONDS_TO_END."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + SECONDS_TO_END
        for process in self._processes:
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "posttrain.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": python_path()}, preexec_fn=die_with_parent,
        )
        self._processes.append(process)
        self._idle.put(process)

    def _call(self, function: Callable[[Item], Result], item: Item) -> Result:
        process = self._idle.get()
        try:
            _send(process.stdin, (function, item))
            done, value = _receive(process.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise WorkerDied(f"a worker process ended with status {process.wait()} in {function.__module__}."
                             f"{function.__qualname__}; -9 is what a machine out of memory does") from error
        finally:
            self._idle.put(process)
        if done:
            return value
        raise value


def _send(pipe: Any, value: Any) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    data = pipe.read(_LENGTH.unpack(head)[0])
    return pickle.loads(data)


def serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Do tasks until there are no more. An exception is a result; its traceback in this process is a note on it."""
    while True:
        try:
            function, item = _receive(tasks)
        except EOFError:
            return
        try:
            reply = (True, function(item))
        except Exception as error:
            error.add_note("in a worker process:\n" + traceback.format_exc())
            reply = (False, error)
        _send(results, reply)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # half-written files are removed on the way out
    _results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the results
    serve(sys.stdin.buffer, _results)
