"""The eval texts on the server: a new index for each content behind an alias, switched when the index is complete (aliases.py).

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
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from posttrain.decontaminate.elastic.aliases import INDEXES, Lease, alias_of, hidden, switch
from posttrain.decontaminate.elastic.connection import FOR_THE_MOMENT, Cluster, ElasticsearchUnusable, Refused
from posttrain.decontaminate.elastic.documents import documents

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex

log = logging.getLogger(__name__)

LAYOUT = 1
"""Raise it whenever a document has other fields or other values: an index of another layout is not used."""

DOCUMENTS_A_BULK = 1_000
BYTES_A_BULK = 8_000_000
"""A server takes 100 MB in one request by default."""


@contextmanager
def server_index(cluster: Cluster, index: EvalIndex, content: str, collection: str) -> Iterator[Lease]:
    """The server's index for this content, complete, behind the collection's alias, and in use until the block ends.

    Raises ElasticsearchUnusable.
    """
    model = index.dense.model if index.dense is not None else ""
    lease = Lease(cluster, INDEXES + _digest(content, index.eval_names, index.ngram_size, model, LAYOUT)[:20])
    _take(lease, index, content)
    about = _about(cluster, lease.name)
    if about is None or not about.get("complete"):
        _fill(cluster, lease, index)
    switch(cluster, alias_of(collection), lease.name)
    yield lease
    lease.give_back()  # not where the block failed: started again, it finds everything as it was


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()


def _about(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """The `_meta` of an index, or None where there is no index of that name."""
    found = cluster.ask(f"looking for index {name}", lambda: cluster.client.indices.get_mapping(
        index=name, ignore_unavailable=True, allow_no_indices=True).body)
    return dict(found[name]["mappings"].get("_meta", {})) if name in found else None


def _take(lease: Lease, index: EvalIndex, content: str) -> None:
    """A lease on the index, which is made where it is not there: no moment in which another run could take it for left behind."""
    import elasticsearch

    cluster, alias = lease.cluster, lease.new()

    def send() -> None:
        try:
            cluster.client.indices.update_aliases(actions=[hidden(lease.name, alias)])
        except elasticsearch.NotFoundError:
            try:
                _create(cluster, lease.name, alias, content, index)
            except elasticsearch.BadRequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
                raise Refused("another run made it at the same time") from error

    cluster.ask(f"making index {lease.name}", send)
    lease.taken(alias)


def _create(cluster: Cluster, name: str, lease: str, content: str, index: EvalIndex) -> None:
    properties: dict[str, Any] = {
        "kind": {"type": "keyword"}, "eval": {"type": "keyword"}, "item_id": {"type": "keyword"}, "field": {"type": "keyword"},
        "number": {"type": "integer"}, "sentence": {"type": "integer"}, "text": {"type": "text"},
        "ngrams": {"type": "long", "doc_values": False},
        **dict.fromkeys(("words", "numbers"), {"type": "keyword", "doc_values": False, "norms": False}),
    }
    if index.dense is not None:
        properties["vector"] = {"type": "dense_vector", "dims": index.dense.vectors.shape[1], "similarity": "cosine",
                                "index_options": {"type": "flat"}}
    cluster.client.indices.create(
        index=name,
        aliases={lease: {"is_hidden": True}},
        settings={"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1"},
        mappings={"dynamic": "strict", "properties": properties,
                  "_source": {"excludes": ["ngrams", "words", "numbers", "vector"]},
                  "_meta": {"made_by": "posttrain", "content": content, "complete": False}},
    )


# ---------------------------------------------------------------- filling


def _fill(cluster: Cluster, lease: Lease, index: EvalIndex) -> None:
    name, started, sent = lease.name, time.monotonic(), 0
    for chunk in _chunks(documents(index)):
        lease.renew()
        _bulk(lease, chunk)
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


def _bulk(lease: Lease, chunk: dict[str, str]) -> None:
    """Send documents. Those that are refused for the moment are sent again, alone; one that is there already counts as done.

    They go to the lease and not to the index: an index that somebody has removed is not made again by its first document.
    """
    waiting, client, name = dict(chunk), lease.cluster.client, lease.name

    def send() -> None:
        lines = [line for id_, document in waiting.items() for line in (f'{{"create":{{"_id":"{id_}"}}}}', document)]
        answer = client.bulk(index=lease.alias, require_alias=True, operations=lines,
                             filter_path="items.*._id,items.*.status,items.*.error")
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

    lease.cluster.ask(f"filling index {name}", send)
