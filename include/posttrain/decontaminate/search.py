"""Which index answers: the embedded one, or Elasticsearch. Both give the same matches; only the way to them differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
    from posttrain.decontaminate.elastic import ElasticSearch, connect, ensure_index

    with connect() as cluster:
        there = ElasticSearch(cluster, ensure_index(cluster, index, content), index)
        yield EvalSearch(index, there.score)
