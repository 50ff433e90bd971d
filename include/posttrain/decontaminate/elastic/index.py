"""The eval texts on the server: a new index for each content behind an alias, switched when the index is complete.

    posttrain-evals-<collection>              the alias: one for each collection of eval names, n-gram size and dense model
    posttrain-evals-<collection>-<content>    an index; the alias is on the one that is in force

A document is an eval text as a whole, or one of its sentences (of a text of one sentence, both at once):

    kind      whole, sentence, or both             eval, item_id, field    where the text is from
    number    the text's number in the index artifact (what a search gives back)
    sentence  the sentence's place in the text     text                    as published, analysed by the server
    ngrams    the n-grams as 64-bit hashes         words                   the distinct words (of whole texts)
    numbers   the numbers in a whole text, as numbers.py writes them
    vector    the dense vector of a whole text, where the recipe names a model; `flat`: every vector is compared

An index that is only half there is filled up: documents have ids of their own, and what is there already is left alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from posttrain.decontaminate.elastic.connection import FOR_THE_MOMENT, Cluster, ElasticsearchUnusable, Refused
from posttrain.decontaminate.elastic.documents import documents

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex

log = logging.getLogger(__name__)

PREFIX = "posttrain-evals"
LAYOUT = 1
"""Raise it whenever a document has other fields or other values: an index of another layout is not used."""

DOCUMENTS_A_BULK = 1_000
BYTES_A_BULK = 8_000_000
"""A server takes 100 MB in one request by default."""

LEFT_OVER_SECONDS = 3_600
"""An index of this alias that is still incomplete so long after it was made is what a dead run left behind."""


def ensure_index(cluster: Cluster, index: EvalIndex, content: str) -> str:
    """The name of the server's index for this content, complete and behind its alias. Raises ElasticsearchUnusable."""
    model = index.dense.model if index.dense is not None else ""
    alias = f"{PREFIX}-{_digest('collection', sorted(index.eval_names), index.ngram_size, model)[:12]}"
    name = f"{alias}-{_digest('content', content, LAYOUT)[:20]}"
    about = _about(cluster, name)
    if about is None or not about.get("complete"):
        if about is None:
            cluster.ask(f"making index {name}", lambda: _create(cluster, name, content, index))
        _fill(cluster, name, index)
    _switch(cluster, alias, name)
    return name


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()


def _about(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """The `_meta` of an index, or None where there is no index of that name."""
    found = cluster.ask(f"looking for index {name}", lambda: cluster.client.indices.get_mapping(
        index=name, ignore_unavailable=True, allow_no_indices=True).body)
    return dict(found[name]["mappings"].get("_meta", {})) if name in found else None


def _create(cluster: Cluster, name: str, content: str, index: EvalIndex) -> None:
    import elasticsearch

    properties: dict[str, Any] = {
        "kind": {"type": "keyword"}, "eval": {"type": "keyword"}, "item_id": {"type": "keyword"}, "field": {"type": "keyword"},
        "number": {"type": "integer"}, "sentence": {"type": "integer"}, "text": {"type": "text"},
        "ngrams": {"type": "long", "doc_values": False},
        **dict.fromkeys(("words", "numbers"), {"type": "keyword", "doc_values": False, "norms": False}),
    }
    if index.dense is not None:
        properties["vector"] = {"type": "dense_vector", "dims": index.dense.vectors.shape[1], "similarity": "cosine",
                                "index_options": {"type": "flat"}}
    try:
        cluster.client.indices.create(
            index=name,
            settings={"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1"},
            mappings={"dynamic": "strict", "properties": properties,
                      "_source": {"excludes": ["ngrams", "words", "numbers", "vector"]},
                      "_meta": {"made_by": "posttrain", "content": content, "complete": False}},
        )
    except elasticsearch.BadRequestError as error:  # sent twice because the first answer was lost, or made by another run
        if error.error != "resource_already_exists_exception":
            raise


# ---------------------------------------------------------------- filling


def _fill(cluster: Cluster, name: str, index: EvalIndex) -> None:
    started, sent = time.monotonic(), 0
    for chunk in _chunks(documents(index)):
        _bulk(cluster, name, chunk)
        sent += len(chunk)
    client = cluster.client
    cluster.ask(f"refreshing index {name}", lambda: client.indices.refresh(index=name))
    stored = cluster.ask(f"counting index {name}", lambda: client.count(index=name)["count"])
    about = _about(cluster, name)
    if stored != sent or about is None or "made_by" not in about:
        raise ElasticsearchUnusable(
            f"index {name} holds {stored} documents of {sent}, or was removed while it was filled; start again")
    cluster.ask(f"completing index {name}",
                lambda: client.indices.put_mapping(index=name, meta={**about, "complete": True}))
    log.info("index %s: %d documents of %d eval texts in %.1f s", name, sent, len(index.offsets) - 1, time.monotonic() - started)


def _chunks(lines: Iterable[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """Documents by id, as many as one request takes."""
    stream = iter(lines)
    while chunk := dict(islice(stream, 1)):
        size = 0
        for id_, document in stream:
            chunk[id_] = document
            size += len(document)
            if len(chunk) >= DOCUMENTS_A_BULK or size >= BYTES_A_BULK:
                break
        yield chunk


def _bulk(cluster: Cluster, name: str, chunk: dict[str, str]) -> None:
    """Send documents. Those that are refused for the moment are sent again, alone; one that is there already counts as done."""
    waiting = dict(chunk)

    def send() -> None:
        lines = [line for id_, document in waiting.items() for line in (f'{{"create":{{"_id":"{id_}"}}}}', document)]
        answer = cluster.client.bulk(index=name, operations=lines, filter_path="items.*._id,items.*.status,items.*.error")
        busy = ""
        for item in answer["items"]:
            result = item["create"]
            if result["status"] in (200, 201, 409):
                del waiting[result["_id"]]
            elif result["status"] in FOR_THE_MOMENT:
                busy = str(result.get("error", {}).get("reason", result["status"]))
            else:
                raise ElasticsearchUnusable(f"index {name} refuses document {result['_id']}: {result.get('error')}")
        if waiting:
            raise Refused(f"{len(waiting)} of {len(chunk)} documents refused: {busy}")

    cluster.ask(f"filling index {name}", send)


# ---------------------------------------------------------------- the alias


def _switch(cluster: Cluster, alias: str, name: str) -> None:
    """Put the alias on `name` alone and remove what it was on, in one step; also what dead runs left under this alias."""
    client = cluster.client
    found = cluster.ask("looking at the indexes of this alias", lambda: client.indices.get(
        index=f"{alias}-*", expand_wildcards="all", features=["aliases", "mappings", "settings"]).body)
    if alias in found.get(name, {}).get("aliases", {}) and len(found) == 1:
        return
    now = time.time()
    age = {other: now - int(value["settings"]["index"]["creation_date"]) / 1000 for other, value in found.items()}
    old = [other for other, value in found.items()
           if other != name and (alias in value.get("aliases", {}) or age[other] > LEFT_OVER_SECONDS)]
    actions: list[dict[str, Any]] = [{"add": {"index": name, "alias": alias}}]
    actions += [{"remove_index": {"index": other}} for other in old]
    cluster.ask(f"switching alias {alias}", lambda: client.indices.update_aliases(actions=actions))
    log.info("alias %s is on %s; removed: %s", alias, name, ", ".join(old) or "none")
