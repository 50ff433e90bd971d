"""Searching: the server nominates eval texts for a batch of turns, the shared code scores them.

The terms of many turns go into one query, sorted and each once; the server answers with every text that has one of them. Which
turn a text belongs to is found here, by the same terms. So 500 turns cost one or two queries and not 500, and what is
scored, with the functions of coverage.py, similarity.py and dense.py, are the pairs that share a term: no more, no less.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from posttrain.decontaminate import dense, numbers, similarity
from posttrain.decontaminate.coverage import Match, score_pairs
from posttrain.decontaminate.elastic.connection import FOR_THE_MOMENT, Cluster, ElasticsearchUnusable, Refused
from posttrain.decontaminate.elastic.index import server_index
from posttrain.decontaminate.elastic.terms import (
    Spelled,
    Terms,
    ngrams_of_texts,
    ngrams_of_turns,
    numbers_of_texts,
    sharing_pairs,
    words_of_texts,
)

if TYPE_CHECKING:
    from posttrain.decontaminate.elastic.aliases import Lease
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.presets import Measure
    from posttrain.decontaminate.vectors import Vectors
    from posttrain.decontaminate.word_codes import Ints

TURNS_AT_ONCE = 500
"""Turns whose terms are asked for, and whose pairs are scored, together."""

TERMS_A_QUERY = 32_768
"""Half of what a server allows in one `terms` query by default."""

HITS_A_PAGE = 10_000
"""The most that a server gives in one page by default; the next page begins behind the last hit."""

QUERIES_AT_ONCE = 16
"""Searches in one `_msearch`."""

KNN_SLACK = 1e-4
"""The server's cosines are float32 sums in another order; what it finds below the floor is left out by the shared code."""

REQUESTS_AT_ONCE = 4
"""Requests that are open at the same time."""


@dataclass(frozen=True, eq=False)
class ElasticSearch:
    """An index on the server, by the lease on it, with the loaded index that it was made from."""

    lease: Lease
    index: EvalIndex

    def score(self, measure: Measure, turns: list[str], floor: float) -> list[Match]:
        """What the embedded index gives: every (turn, item) whose mean or best text scores at least `floor`, in that order."""
        compare_part = COMPARED[measure](self, turns, floor)

        def compare(part: slice) -> list[Match]:
            self.lease.renew()
            return compare_part(part)

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            begins = range(0, len(turns), TURNS_AT_ONCE)
            waiting = [pool.submit(compare, slice(begin, begin + TURNS_AT_ONCE)) for begin in begins]
            try:
                return [replace(match, turn=match.turn + begin)
                        for begin, part in zip(begins, waiting, strict=True) for match in part.result()]
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def open_elastic(cluster: Cluster, index: EvalIndex, content: str, collection: str) -> Iterator[ElasticSearch]:
    """The index of this content on the server, made where it is not there, and kept there until the block ends."""
    with server_index(cluster, index, content, collection) as lease:
        yield ElasticSearch(lease, index)


# ---------------------------------------------------------------- measures

Compare = Callable[[slice], list[Match]]
"""A part of the turns → its matches."""
Nominating = Callable[["EvalIndex", list[str], float], list[list[str]]]
Score = Callable[["EvalIndex", list[str], list[list[int]], float], list[Match]]


def _by_ngrams(search: ElasticSearch, turns: list[str], floor: float) -> Compare:
    """A turn is compared with the items that share an n-gram with it."""
    index, of_texts = search.index, _ngrams(search.index)
    items = len(index.texts_of_item)

    def compare(part: slice) -> list[Match]:
        own = turns[part]
        asked = ngrams_of_turns(index, own)
        found = texts_with(search, "ngrams", np.unique(asked.values).tolist())
        turn, place = sharing_pairs(asked, of_texts.of(found))
        pairs = np.unique(turn * items + index.item_of_text[found[place]])
        return score_pairs(index, own, map(divmod, pairs.tolist(), repeat(items)), floor)

    return compare


@functools.lru_cache(maxsize=1)
def _ngrams(index: EvalIndex) -> Terms:
    return ngrams_of_texts(index)


def _by_words(
    field: str, spelled: Callable[[EvalIndex], Spelled], nominating: Nominating, score: Score, search: ElasticSearch,
    turns: list[str], floor: float,
) -> Compare:
    """A turn is compared with the texts that have one of its nominating words: only they can reach the floor."""
    index = search.index
    _prepare(index, spelled, nominating, score, floor)

    def compare(part: slice) -> list[Match]:
        own = turns[part]
        asked = nominating(index, own, floor)
        found = texts_with(search, field, sorted({word for words in asked for word in words}))
        terms = spelled(index)
        turn, place = sharing_pairs(terms.of_turns(asked), terms.of_texts.of(found))
        ends = np.searchsorted(turn, np.arange(1, len(own)))
        return score(index, own, [texts.tolist() for texts in np.split(found[place], ends)], floor)

    return compare


@functools.lru_cache(maxsize=16)
def _prepare(
    index: EvalIndex, spelled: Callable[[EvalIndex], Spelled], nominating: Nominating, score: Score, floor: float,
) -> None:
    """What the shared code makes of an index once and keeps is made here, not by all threads at the same time."""
    spelled(index)
    nominating(index, ["0"], floor)
    score(index, ["0"], [[]], floor)


def _nominating_numbers(index: EvalIndex, turns: list[str], floor: float) -> list[list[str]]:
    return numbers.nominating_numbers(index, turns)


def _word_measure(measure: similarity.WordMeasure) -> Callable[[ElasticSearch, list[str], float], Compare]:
    def nominating(index: EvalIndex, turns: list[str], floor: float) -> list[list[str]]:
        return similarity.nominating_words(index, measure, turns, floor)

    def score(index: EvalIndex, turns: list[str], nominated: list[list[int]], floor: float) -> list[Match]:
        return similarity.score_nominated(index, measure, turns, nominated, floor)

    return partial(_by_words, "words", words_of_texts, nominating, score)


def _by_vectors(search: ElasticSearch, turns: list[str], floor: float) -> Compare:
    """A turn is compared with the items of which a vector is near enough; the server's own cosine gets some slack.

    All turns are encoded together, as the embedded index does it: in another batch a model gives a text another vector, by some
    1e-7, and the sixth digit of a score can show that.
    """
    index = search.index
    vectors = dense.turn_vectors(index, turns)

    def compare(part: slice) -> list[Match]:
        own = vectors[part]
        near = texts_near(search, own, floor - KNN_SLACK)
        turn = np.repeat(np.arange(len(own)), [len(found) for found in near])
        return dense.matches_of(index, own, turn, np.concatenate([np.zeros(0, np.int64), *near]), floor)

    return compare


COMPARED: dict[Measure, Callable[[ElasticSearch, list[str], float], Compare]] = {
    "ngram_coverage": _by_ngrams,
    "cosine": _word_measure("cosine"),
    "count_cosine": _word_measure("count_cosine"),
    "jaccard": _word_measure("jaccard"),
    "reworded": partial(_by_words, "numbers", numbers_of_texts, _nominating_numbers, numbers.score_nominated),
    "dense": _by_vectors,
}
"""Measure → (search, turns, floor) → the function that compares a part of the turns; parts are compared in several threads."""


# ---------------------------------------------------------------- nominating


def texts_with(search: ElasticSearch, field: str, terms: Sequence[Any]) -> Ints:
    """The numbers of all eval texts that have one of these terms in a field."""
    parts = [terms[begin : begin + TERMS_A_QUERY] for begin in range(0, len(terms), TERMS_A_QUERY)]
    queries = [f'{{"terms":{{"{field}":{json.dumps(part, ensure_ascii=False, separators=(",", ":"))}}}}}' for part in parts]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *all_hits(search.lease.cluster, search.lease.name, queries)]))


def all_hits(cluster: Cluster, name: str, queries: Sequence[str]) -> list[Ints]:
    """For each query (as JSON) the numbers of all whole texts that it finds, page by page to the last."""
    pages: list[list[Ints]] = [[] for _ in queries]
    waiting: list[tuple[int, int | None]] = [(n, None) for n in range(len(queries))]
    while waiting:
        batch, waiting = waiting[:QUERIES_AT_ONCE], waiting[QUERIES_AT_ONCE:]
        bodies = [_page(queries[n], after) for n, after in batch]
        for (n, _), hits in zip(batch, _msearch(cluster, name, bodies), strict=True):
            pages[n].append(np.array([hit["sort"][0] for hit in hits], np.int64))
            if len(hits) == HITS_A_PAGE:
                waiting.append((n, hits[-1]["sort"][0]))
    return [np.concatenate(own) for own in pages]


def texts_near(search: ElasticSearch, vectors: Vectors, cosine: float) -> list[Ints]:
    """For each vector the numbers of all eval texts whose vector has at least this cosine with it.

    A server gives at most HITS_A_PAGE neighbours. Where it gives so many, the texts are asked for in two halves, and so on.
    """
    everything = range(len(search.index.offsets) - 1)
    found: list[list[Ints]] = [[] for _ in vectors]
    # An empty turn has no direction: its cosine is 0 with everything, and a server does not take it.
    empty = [n for n, vector in enumerate(vectors) if not vector.any()]
    for n in empty if cosine <= 0 else ():
        found[n].append(np.array(everything, np.int64))
    waiting = [(n, everything) for n in range(len(vectors)) if n not in empty]
    while waiting:
        batch, waiting = waiting[:QUERIES_AT_ONCE], waiting[QUERIES_AT_ONCE:]
        bodies = [_neighbours(vectors[n].tolist(), part, cosine) for n, part in batch]
        for (n, part), hits in zip(batch, _msearch(search.lease.cluster, search.lease.name, bodies), strict=True):
            if len(hits) < HITS_A_PAGE or len(part) <= HITS_A_PAGE:
                near = [hit["fields"]["number"][0] for hit in hits if cosine_of(hit["_score"]) >= cosine]
                found[n].append(np.array(near, np.int64))
            else:
                middle = (part.start + part.stop) // 2
                waiting += [(n, range(part.start, middle)), (n, range(middle, part.stop))]
    return [np.unique(np.concatenate([np.zeros(0, np.int64), *own])) for own in found]


def cosine_of(score: float) -> float:
    """A server's score of a vector is (1 + cos) / 2."""
    return 2 * score - 1


def _neighbours(vector: list[float], part: range, cosine: float) -> str:
    # Of a `flat` index every vector is compared, so that the neighbours are the nearest ones; num_candidates only has to be k.
    return json.dumps({
        "knn": {"field": "vector", "query_vector": vector, "k": HITS_A_PAGE, "num_candidates": HITS_A_PAGE,
                "similarity": max(cosine, -1.0), "filter": {"range": {"number": {"gte": part.start, "lt": part.stop}}}},
        "size": HITS_A_PAGE, "_source": False, "docvalue_fields": ["number"], "track_total_hits": False,
    }, separators=(",", ":"))


def _page(query: str, after: int | None) -> str:
    behind = "" if after is None else f'"search_after":[{after}],'
    return (f'{{"query":{{"bool":{{"filter":[{query},{{"term":{{"kind":"whole"}}}}]}}}},{behind}"size":{HITS_A_PAGE},'
            '"sort":[{"number":"asc"}],"_source":false,"track_total_hits":false}')


def _msearch(cluster: Cluster, name: str, bodies: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """One page of hits for each search. A search that is refused for the moment, or answered in part, is sent again, alone."""
    pages: dict[int, list[dict[str, Any]]] = {}

    def send() -> None:
        open_ = [n for n in range(len(bodies)) if n not in pages]
        answer = cluster.client.msearch(
            index=name, searches=[line for n in open_ for line in ("{}", bodies[n])],
            filter_path="responses.hits.hits.sort,responses.hits.hits._score,responses.hits.hits.fields,responses.status,responses.error,responses.timed_out,"
                        "responses._shards.failed",
        )
        busy = ""
        for n, response in zip(open_, answer["responses"], strict=True):
            if response["status"] not in (200, *FOR_THE_MOMENT):
                reason = _reason(response["error"])
                raise ElasticsearchUnusable(f"a search in index {name} failed with {response['status']}: {reason}; "
                                            "if the index was removed, start again and it is made anew")
            if "error" in response or response["_shards"]["failed"] or response["timed_out"]:
                busy = str(response.get("error", {}).get("reason", "not all of the index answered"))
            else:
                pages[n] = response.get("hits", {}).get("hits", [])
        if len(pages) < len(bodies):
            raise Refused(f"{len(bodies) - len(pages)} of {len(bodies)} searches refused: {busy}")

    cluster.ask(f"searching index {name}", send)
    return (pages[n] for n in range(len(bodies)))


def _reason(error: dict[str, Any]) -> str:
    """What a server says is wrong: the innermost cause; of several shards that of the first."""
    inner = error.get("caused_by") or next((shard["reason"] for shard in error.get("failed_shards", ())), None)
    return _reason(inner) if inner else str(error.get("reason", error))
