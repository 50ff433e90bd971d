"""prepare: collect and convert all sources of a recipe, several at a time, each in a process of its own.

What is finished is never done again: a source whose settings, code and files are unchanged is found by its key. Ctrl-C ends
the processes; a half-written artifact has no manifest and is made anew by the next call.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from posttrain.recipe import Recipe
from posttrain.run import Run, load_run, start_run


@dataclass(frozen=True)
class Prepared:
    """One source after collect and convert. `read` counts raw rows, broken lines included; `error` is empty where all is well."""

    source: str
    family: str
    read: int = 0
    kept: int = 0
    rejected: int = 0
    written: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    unchanged: bool = False
    path: str = ""
    error: str = ""


def prepare_run(recipe: Recipe) -> Run:
    """The run that holds the sources of a recipe outside of a whole run; a later run finds the same artifacts."""
    return start_run(recipe, f"prepare-{recipe.name}", until="convert")


def prepare_source(run: Run, source: str) -> Prepared:
    """Collect and convert one source, unless that is done already."""
    from posttrain import pipeline

    started = time.monotonic()
    collected, converted = pipeline.collect(run, source), pipeline.convert(run, source)
    first, second = collected.manifest, converted.manifest
    reasons = {name: first.reasons.get(name, 0) + second.reasons.get(name, 0) for name in [*first.reasons, *second.reasons]}
    return Prepared(
        source, run.recipe.source(source).family, first.rows["read"], second.rows["kept"],
        first.rows["rejected"] + second.rows["rejected"], second.written, dict(sorted(reasons.items())),
        round(time.monotonic() - started, 2), collected.skipped and converted.skipped, second.path,
    )


def prepare_sources(run: Run, jobs: int, done: Callable[[Prepared], None]) -> list[Prepared]:
    """All sources of the run's recipe with `jobs` processes, in the recipe's order; `done` is called as each one ends.

    A source that fails has its `error` set; the others go on. Raises KeyboardInterrupt after ending the processes.
    """
    found: dict[str, Prepared] = {}

    def note(result: Prepared) -> None:
        found[result.source] = result
        done(result)

    context = multiprocessing.get_context("spawn")  # a forked process could inherit a lock that a thread of pyarrow holds
    with ProcessPoolExecutor(min(jobs, len(run.recipe.sources)), mp_context=context, initializer=_start_worker,
                             initargs=(logging.getLogger().level,)) as pool:
        waiting = {pool.submit(_work, run.run_id, run.workspace, source.name): source for source in run.recipe.sources}
        try:
            for future in as_completed(waiting):
                source = waiting[future]
                try:
                    note(future.result())
                except BrokenProcessPool as error:
                    note(Prepared(source.name, source.family, error=f"its process ended: {error}"))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    return [found[source.name] for source in run.recipe.sources]


def _start_worker(level: int) -> None:
    """Ctrl-C reaches the whole process group: a worker ends at once and without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.basicConfig(level=max(level, logging.WARNING))


def _work(run_id: str, workspace: str, source: str) -> Prepared:
    run = load_run(run_id, workspace)
    try:
        return prepare_source(run, source)
    except Exception as error:  # whatever is wrong with one source must not end the others
        return Prepared(source, run.recipe.source(source).family, error=f"{type(error).__name__}: {error}")


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
