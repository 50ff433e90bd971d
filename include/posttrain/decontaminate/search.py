"""Which index answers: the embedded one, or Elasticsearch. Both give the same matches; only the way to them differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from posttrain.decontaminate.coverage import Match, score_turns
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.recipe import Decontaminate
from posttrain.storage import Manifest


@dataclass(frozen=True)
class EvalSearch:
    """A loaded index with the function that compares tokenised turns with it: (turns, above) → matches."""

    index: EvalIndex
    score: Callable[[list[list[str]], float], list[Match]]


def embedded(index: EvalIndex) -> EvalSearch:
    return EvalSearch(index, partial(score_turns, index))


@contextmanager
def open_search(manifest: Manifest, settings: Decontaminate) -> Iterator[EvalSearch]:
    """The search that the recipe asks for. Raises elastic.ElasticsearchUnusable where there is no usable server."""
    index = load_index(manifest)
    if settings.index == "embedded":
        yield embedded(index)
        return
    from posttrain.decontaminate.elastic import connect, ensure_index, score_turns_there

    with connect() as client:
        name = ensure_index(client, index, manifest.content)
        yield EvalSearch(index, partial(score_turns_there, client, name, index))
