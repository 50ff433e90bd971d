"""prepare: collect and convert all sources of a recipe, several at a time, each in a process of its own.

What is finished is never done again: a source whose settings, code and files are unchanged is found by its key. Ctrl-C ends
the processes; a half-written artifact has no manifest and is made anew by the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from posttrain.recipe import Recipe
from posttrain.run import Run, start_run
from posttrain.workers import Workers


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
    """All sources of the run's recipe with `jobs` processes; `done` is called with each result, in the recipe's order.

    A source that fails has its `error` set; the others go on.
    """
    results = []
    with Workers(jobs) as workers:
        for result in workers.map(_prepare, [(run, source.name) for source in run.recipe.sources]):
            results.append(result)
            done(result)
    return results


def _prepare(task: tuple[Run, str]) -> Prepared:
    run, source = task
    try:
        return prepare_source(run, source)
    except Exception as error:  # whatever is wrong with one source must not end the others
        return Prepared(source, run.recipe.source(source).family, error=f"{type(error).__name__}: {error}")
