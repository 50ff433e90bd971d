"""The eval index on Elasticsearch: the server nominates eval texts that share an n-gram with a training turn.

A document is one eval text with its n-grams as keywords, so the server needs no analyzer and no plug-in. The n-grams
travel as the hashes of `ngrams.py`; a hash that two n-grams share nominates one text too many and loses none. The
score is computed here, word by word, by the definition in `coverage.py`: decisions are those of the embedded index.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from posttrain.decontaminate.coverage import RUN_WORDS, Match, item_score
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.ngrams import UNKNOWN, known_run, window_hashes
from posttrain.decontaminate.normalize import words

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

log = logging.getLogger(__name__)

QUERIES_AT_ONCE = 200
"""Searches in one `_msearch`; the server decides how many of them run at a time."""

HITS_A_PAGE = 1_000

TERMS_A_QUERY = 10_000
"""A longer turn is asked in several queries; a server allows 65,536 terms in one by default."""

TRIES = 6
FIRST_DELAY = 0.5
"""Seconds before an overloaded server is asked again; doubled each time."""


class ElasticsearchUnusable(RuntimeError):
    """No address, no answer, the wrong version, or a refusal. The message says what to do."""


@contextmanager
def connect() -> Iterator[Elasticsearch]:
    """A client of the server at ELASTICSEARCH_URL, with ELASTICSEARCH_API_KEY or ELASTICSEARCH_USER and _PASSWORD if set.

    An Airflow connection `elasticsearch_default` is put into these variables by the caller. Raises ElasticsearchUnusable.
    """
    import elasticsearch

    url = os.environ.get("ELASTICSEARCH_URL")
    if not url:
        raise ElasticsearchUnusable(
            "decontaminate.index is elasticsearch, but there is no server: define the Airflow connection "
            "elasticsearch_default or set ELASTICSEARCH_URL; the embedded index needs none"
        )
    options: dict[str, Any] = {}
    if key := os.environ.get("ELASTICSEARCH_API_KEY"):
        options["api_key"] = key
    elif user := os.environ.get("ELASTICSEARCH_USER"):
        options["basic_auth"] = (user, os.environ.get("ELASTICSEARCH_PASSWORD", ""))
    client = elasticsearch.Elasticsearch(
        url, request_timeout=60, retry_on_timeout=True, max_retries=TRIES, retry_on_status=(429, 502, 503, 504), **options,
    )
    with client:
        try:
            server = client.info()["version"]["number"]
        except elasticsearch.BadRequestError as error:
            own = elasticsearch.__version__[0]
            raise ElasticsearchUnusable(
                f"the server at {url} does not speak to client {elasticsearch.__versionstr__}: it is likely of major version "
                f"{own - 1}; install 'elasticsearch>={own - 1},<{own}'"
            ) from error
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            raise ElasticsearchUnusable(f"the Elasticsearch server at {url} does not answer: {error}") from error
        log.info("Elasticsearch %s at %s", server, url)
        try:
            yield client
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            raise ElasticsearchUnusable(f"the Elasticsearch server at {url} failed: {error}") from error


# ---------------------------------------------------------------- the index


def ensure_index(client: Elasticsearch, index: EvalIndex, content: str) -> str:
    """The name of the server's index for this content; filled where it is not there, or only half there."""
    from elasticsearch import helpers

    name = f"posttrain-evals-{content[:20]}"
    found = client.indices.get_mapping(index=name, ignore_unavailable=True, allow_no_indices=True).get(name)
    if found and found["mappings"].get("_meta", {}).get("complete"):
        return name
    client.indices.delete(index=name, ignore_unavailable=True)
    client.indices.create(
        index=name,
        settings={"number_of_replicas": 0, "refresh_interval": "-1"},
        mappings={"dynamic": "strict", "_meta": {"complete": False},
                  "properties": {"text": {"type": "integer"}, "grams": {"type": "keyword", "norms": False}}},
    )
    actions = ({"_index": name, "_id": str(text), "text": text, "grams": grams} for text, grams in _documents(index))
    helpers.bulk(client, actions, chunk_size=1_000, max_retries=TRIES, initial_backoff=FIRST_DELAY)
    client.indices.refresh(index=name)
    stored, wanted = client.count(index=name)["count"], len(index.item_of_text)
    if stored != wanted:
        raise ElasticsearchUnusable(f"index {name} holds {stored} texts of {wanted}")
    client.indices.put_mapping(index=name, meta={"complete": True})
    return name


def _documents(index: EvalIndex) -> Iterator[tuple[int, list[str]]]:
    grams: list[list[str]] = [[] for _ in index.item_of_text]
    for size, table in index.tables.items():
        texts = np.searchsorted(index.offsets, table.positions, side="right") - 1
        for hash_, begin, end in zip(table.hashes.tolist(), table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True):
            for text in dict.fromkeys(texts[begin:end].tolist()):
                grams[text].append(_term(size, hash_))
    yield from enumerate(grams)


def _term(size: int, hash_: int) -> str:
    return f"{size}:{hash_:016x}"


# ---------------------------------------------------------------- searching


def score_turns_there(client: Elasticsearch, name: str, index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """What `coverage.score_turns` gives, with the candidates from the server."""
    numbers = [index.numbers(words(turn)) for turn in turns]
    asked = []
    for turn, own in enumerate(numbers):
        terms = _terms(index, own)
        asked += [(turn, terms[begin : begin + TERMS_A_QUERY]) for begin in range(0, len(terms), TERMS_A_QUERY)]
    matches = []
    for turn, candidates in _candidates(client, name, asked).items():
        for item in sorted({int(index.item_of_text[text]) for text in candidates}):
            texts = [index.words(text).tolist() for text in index.texts(item)]
            score, covered = item_score(texts, numbers[turn], index.ngram_size)
            scores = tuple(round(len(places) / len(text), 9) for places, text in zip(covered, texts, strict=True))
            if max(scores) > 0 and max(scores) >= floor:
                matches.append(Match(turn, item, score, scores, covered, "ngram_coverage"))
    return sorted(matches, key=lambda match: (match.turn, match.item))


def _terms(index: EvalIndex, words: list[int]) -> list[str]:
    """The distinct n-grams of a turn that an eval text could have, as the server knows them."""
    flat = np.array([*words, UNKNOWN], np.int32)
    run = known_run(flat)
    terms: dict[str, None] = {}
    for size, hashes in window_hashes(flat, index.codes, max(index.tables, default=0)):
        if size in index.tables and (size >= min(RUN_WORDS, index.ngram_size) or len(words) == size):
            terms.update(dict.fromkeys(_term(size, hash_) for hash_ in hashes[run >= size].tolist()))
    return list(terms)


def _candidates(client: Elasticsearch, name: str, asked: list[tuple[int, list[str]]]) -> dict[int, set[int]]:
    """turn → eval texts that share one of its n-grams: all of them, page by page."""
    found: dict[int, set[int]] = {}
    waiting: list[tuple[int, list[str], int | None]] = [(turn, terms, None) for turn, terms in asked]
    while waiting:
        batch, waiting = waiting[:QUERIES_AT_ONCE], waiting[QUERIES_AT_ONCE:]
        for (turn, terms, _), hits in zip(batch, _search(client, name, batch), strict=True):
            found.setdefault(turn, set()).update(hits)
            if len(hits) == HITS_A_PAGE:
                waiting.append((turn, terms, hits[-1]))
    return dict(sorted(found.items()))


def _search(client: Elasticsearch, name: str, batch: list[tuple[int, list[str], int | None]]) -> list[list[int]]:
    """One page of hits for each query. A query that the server is too busy for is sent again."""
    pages: dict[int, list[int]] = {}
    for attempt in range(TRIES):
        open_ = [n for n in range(len(batch)) if n not in pages]
        searches: list[dict[str, Any]] = []
        for n in open_:
            searches += [{}, _query(batch[n][1], batch[n][2])]
        for n, response in zip(open_, client.msearch(index=name, searches=searches)["responses"], strict=True):
            if "error" not in response and not response["_shards"]["failed"]:
                pages[n] = [hit["sort"][0] for hit in response["hits"]["hits"]]
            elif response["status"] not in (200, 429, 503):
                raise ElasticsearchUnusable(f"a search in {name} failed: {response['error'].get('reason', response['error'])}")
        if len(pages) == len(batch):
            return [pages[n] for n in range(len(batch))]
        time.sleep(FIRST_DELAY * 2**attempt)
    refused = len(batch) - len(pages)
    raise ElasticsearchUnusable(f"{refused} searches in {name} were refused {TRIES} times: the server is overloaded")


def _query(terms: list[str], after: int | None) -> dict[str, Any]:
    query: dict[str, Any] = {
        "query": {"constant_score": {"filter": {"terms": {"grams": terms}}}}, "_source": False, "size": HITS_A_PAGE,
        "sort": [{"text": "asc"}], "track_total_hits": False,
    }
    return query if after is None else query | {"search_after": [after]}
