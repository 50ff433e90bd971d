"""Which index answers: the embedded one, or Elasticsearch. Both give the same matches; only the way to them differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from posttrain.decontaminate import coverage, dense
from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.numbers import reworded
from posttrain.decontaminate.presets import Measure
from posttrain.decontaminate.similarity import cosine, count_cosine, jaccard
from posttrain.recipe import Decontaminate
from posttrain.storage import Manifest

MEASURES: dict[Measure, Callable[[EvalIndex, list[str], float], list[Match]]] = {
    "ngram_coverage": coverage.score_turns, "cosine": cosine, "count_cosine": count_cosine, "jaccard": jaccard,
    "reworded": reworded, "dense": dense.score_turns,
}
"""Measure → (index, turns, floor) → the matches of which the mean or the best text scores at least `floor`."""


@dataclass(frozen=True)
class EvalSearch:
    """A loaded index with the function that compares turns with it.

    `score(measure, turns, floor)`: every (turn, item) whose mean or best text scores at least `floor`, in that order.
    """

    index: EvalIndex
    score: Callable[[Measure, list[str], float], list[Match]]


def embedded(index: EvalIndex) -> EvalSearch:
    return EvalSearch(index, lambda measure, turns, floor: MEASURES[measure](index, turns, floor))


@contextmanager
def open_search(manifest: Manifest, settings: Decontaminate) -> Iterator[EvalSearch]:
    """The search that the recipe asks for, in an index artifact. Raises elastic.ElasticsearchUnusable."""
    with search_of(load_index(manifest), manifest.content, settings) as search:
        yield search


@contextmanager
def search_of(index: EvalIndex, content: str, settings: Decontaminate) -> Iterator[EvalSearch]:
    """The same in a loaded index of this content. Raises elastic.ElasticsearchUnusable where there is no usable server."""
    if settings.index == "embedded":
        yield embedded(index)
        return
    stage, key = _STAGE.get(), (content, settings.collection)
    if stage is None:
        with _on_a_server(index, content, settings.collection) as search:
            yield search
        return
    if key not in stage.searches:
        stage.searches[key] = stage.opened.enter_context(_on_a_server(index, content, settings.collection))
    yield stage.searches[key]


@contextmanager
def _on_a_server(index: EvalIndex, content: str, collection: str) -> Iterator[EvalSearch]:
    from posttrain.decontaminate.elastic import connect, open_elastic

    with connect() as cluster, open_elastic(cluster, index, content, collection) as there:
        yield EvalSearch(index, there.score)


@dataclass
class _Stage:
    opened: ExitStack
    searches: dict[tuple[str, str], EvalSearch] = field(default_factory=dict)


_STAGE: ContextVar[_Stage | None] = ContextVar("stage", default=None)


@contextmanager
def one_search() -> Iterator[None]:
    """Within the block a server is connected to once, when it is first asked, and its index stays in use to the end: between two
    parts of the rows nobody removes it."""
    with ExitStack() as opened:
        token = _STAGE.set(_Stage(opened))
        try:
            yield
        finally:
            _STAGE.reset(token)
