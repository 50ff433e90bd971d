"""What is made on the server: documents, alias, the switch, an index that is only half there."""

from __future__ import annotations

import time
from typing import Any

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.elastic import Cluster, ElasticsearchUnusable, aliases, index, open_elastic
from posttrain.decontaminate.index import load_index
from posttrain.recipe import Decontaminate
from posttrain.storage import ArtifactWriter, Manifest


def numbered(first: int, last: int) -> str:
    return " ".join(f"w{n}" for n in range(first, last + 1))


def used(cluster: Cluster, manifest: Manifest, collection: str = "evals") -> Any:
    """`with used(...) as search:` a run at work with the index of an artifact."""
    return open_elastic(cluster, load_index(manifest), manifest.content, collection)


def ensured(cluster: Cluster, manifest: Manifest, collection: str = "evals") -> str:
    """The name of the index, after a run that used it has ended."""
    with used(cluster, manifest, collection) as search:
        return search.lease.name


def on_the_server(cluster: Cluster) -> dict[str, list[str]]:
    """Index → its collections."""
    found = aliases.indexes(cluster.client)
    return {name: sorted(alias for alias in own if aliases.is_collection(alias)) for name, own in found.items()}


def made(bench: Any, name: str) -> Manifest:
    """An index artifact of the eval files as they are now."""
    writer = ArtifactWriter(str(bench.folder / name), stage="index_evals")
    index_eval_sets(tuple(bench.evals), bench.folder / "evals", 0, Decontaminate(), writer)
    return writer.finish()


def uuid(cluster: Cluster, name: str) -> str:
    return str(cluster.client.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"])


def test_texts_are_there_sentence_by_sentence_and_whole(cluster: Cluster, bench) -> None:
    bench.add_eval("facts", ["Dr. Lee has 5 cats. She buys three more. How many cats does she have?", "What is ice?"])
    name = ensured(cluster, bench.index())
    def documents(**term: Any) -> list[dict[str, Any]]:
        found = cluster.client.search(index=name, query={"term": term}, sort=[{"number": "asc"}, {"sentence": "asc"}], size=100)
        return [hit["_source"] for hit in found["hits"]["hits"]]

    assert [d["text"] for d in documents(kind="whole")] == [
        "Dr. Lee has 5 cats. She buys three more. How many cats does she have?", "What is ice?"]
    assert [(d["number"], d["sentence"], d["text"]) for d in documents(kind="sentence")] == [
        (0, 0, "Dr. Lee has 5 cats."), (0, 1, "She buys three more."), (0, 2, "How many cats does she have?"),
        (1, 0, "What is ice?")]
    assert documents(kind="whole")[1] | {"item_id": ""} == {
        "kind": ["whole", "sentence"], "number": 1, "sentence": 0, "eval": "facts", "field": "question", "item_id": "",
        "text": "What is ice?"}
    assert {d["text"] for d in documents(words="cats")} == {documents(kind="whole")[0]["text"]}
    phrase = cluster.client.search(index=name, query={"match_phrase": {"text": "three more"}})
    assert phrase["hits"]["total"]["value"] == 2


def test_the_alias_moves_when_a_new_content_is_complete_and_the_old_index_goes(cluster: Cluster, bench) -> None:
    path = bench.add_eval("eval", [numbered(1, 20)])
    first = ensured(cluster, made(bench, "first"))
    assert on_the_server(cluster) == {first: ["posttrain-evals-evals"]}
    path.write_text(path.read_text() + path.read_text().replace("w1", "v1"), encoding="utf-8")
    second = ensured(cluster, made(bench, "second"))
    assert second != first and on_the_server(cluster) == {second: ["posttrain-evals-evals"]}, "an item more"
    bench.add_eval("another", [numbered(1, 20)])
    third = ensured(cluster, made(bench, "third"))
    assert third != second and on_the_server(cluster) == {third: ["posttrain-evals-evals"]}, "an eval set more"
    assert aliases.indexes(cluster.client)[third] == {"posttrain-evals-evals"}, "no lease is left"


def test_collections_leave_each_other_alone_and_share_an_index_of_the_same_texts(cluster: Cluster, bench) -> None:
    path = bench.add_eval("eval", [numbered(1, 20)])
    first, text = made(bench, "first"), path.read_text()
    path.write_text(text * 2, encoding="utf-8")
    second = made(bench, "second")
    one = ensured(cluster, first, "tulu3")
    two = ensured(cluster, second, "seed")
    assert on_the_server(cluster) == {one: ["posttrain-evals-tulu3"], two: ["posttrain-evals-seed"]}
    made_at = uuid(cluster, one)
    assert ensured(cluster, first, "seed") == one and uuid(cluster, one) == made_at
    assert on_the_server(cluster) == {one: ["posttrain-evals-seed", "posttrain-evals-tulu3"]}, "two belongs to nobody now"
    ensured(cluster, second, "seed")
    assert on_the_server(cluster) == {one: ["posttrain-evals-tulu3"], two: ["posttrain-evals-seed"]}


def test_an_index_that_a_run_still_searches_goes_when_that_run_ends(cluster: Cluster, bench) -> None:
    path = bench.add_eval("eval", [numbered(1, 20)])
    turns = [numbered(1, 20)]
    before = made(bench, "before")
    with used(cluster, before) as running, used(cluster, before) as another:
        path.write_text(path.read_text() * 2, encoding="utf-8")
        after = ensured(cluster, made(bench, "after"))
        assert on_the_server(cluster) == {running.lease.name: [], after: ["posttrain-evals-evals"]}
        assert len(running.score("ngram_coverage", turns, 0.5)) == len(another.score("ngram_coverage", turns, 0.5)) == 1
    assert on_the_server(cluster) == {after: ["posttrain-evals-evals"]}


def test_a_run_that_fails_leaves_its_index_until_its_lease_is_over(
    cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = bench.add_eval("eval", [numbered(1, 20)])
    before = made(bench, "before")
    with pytest.raises(ZeroDivisionError), used(cluster, before) as failed:
        raise ZeroDivisionError
    path.write_text(path.read_text() * 2, encoding="utf-8")
    after = made(bench, "after")
    name = ensured(cluster, after)
    assert set(on_the_server(cluster)) == {failed.lease.name, name}, "it may be started again"
    hours_later = time.time() + aliases.LEASE_SECONDS + 60
    monkeypatch.setattr(aliases.time, "time", lambda: hours_later)
    ensured(cluster, after)
    assert on_the_server(cluster) == {name: ["posttrain-evals-evals"]}


def test_a_lease_is_renewed_while_a_run_searches(cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add_eval("eval", [numbered(1, 20)])
    with used(cluster, bench.index()) as search:
        first = search.lease.alias
        search.score("ngram_coverage", [numbered(1, 20)], 0.5)
        assert search.lease.alias == first, "a young lease is left alone"
        now = time.time() + 1_000
        monkeypatch.setattr(aliases.time, "time", lambda: now)
        search.lease._renew = 0.0
        assert len(search.score("ngram_coverage", [numbered(1, 20)] * 2_000, 0.5)) == 2_000
        (lease,) = aliases.indexes(cluster.client)[search.lease.name] - {"posttrain-evals-evals"}
        assert lease == search.lease.alias and lease != first
        end = now + aliases.LEASE_SECONDS
        assert aliases.in_force(lease, end - 2) and not aliases.in_force(lease, end)
        found = cluster.client.search(index="posttrain-evals-*", query={"term": {"kind": "whole"}})
        assert found["hits"]["total"]["value"] == 1, "the alias, the index and the lease are one index"


def test_an_index_that_is_removed_while_it_is_filled_is_not_made_again_by_a_document(
    cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index, "DOCUMENTS_A_BULK", 2)
    bench.add_eval("eval", [numbered(k, k + 20) for k in range(9)])
    bulk = index._bulk

    def removed_first(lease: aliases.Lease, chunk: dict[str, str]) -> None:
        if "4" in chunk:
            cluster.client.indices.delete(index=lease.name)
        bulk(lease, chunk)

    monkeypatch.setattr(index, "_bulk", removed_first)
    with pytest.raises(ElasticsearchUnusable, match="refuses document 4.*no such index"):
        ensured(cluster, bench.index())
    assert on_the_server(cluster) == {}


@pytest.mark.parametrize(("collection", "alias"), [
    ("tulu3-8b", "posttrain-evals-tulu3-8b"), ("/home/me/My evals", "posttrain-evals-of-home-me-my-evals-50ea5981"),
    ("in-use-1", "posttrain-evals-of-in-use-1-"), ("평가", "posttrain-evals-of--"),
])
def test_a_collection_has_an_alias_that_a_server_takes(cluster: Cluster, collection: str, alias: str) -> None:
    found = aliases.alias_of(collection)
    assert found.startswith(alias) and aliases.is_collection(found)
    cluster.client.indices.create(index="posttrain-evals-content-test", aliases={found: {}})
    cluster.client.indices.delete(index="posttrain-evals-content-test")


def test_a_full_index_is_used_and_a_half_full_one_filled_up(cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "DOCUMENTS_A_BULK", 2)
    bench.add_eval("eval", [numbered(k, k + 20) for k in range(9)])
    manifest = bench.index()
    sent: list[int] = []
    bulk = index._bulk

    def three_only(lease: aliases.Lease, chunk: dict[str, str]) -> None:
        if len(sent) == 3:
            raise KeyboardInterrupt
        sent.append(len(chunk))
        bulk(lease, chunk)

    monkeypatch.setattr(index, "_bulk", three_only)
    with pytest.raises(KeyboardInterrupt):
        ensured(cluster, manifest)
    ((name, collections),) = on_the_server(cluster).items()
    assert collections == [], "no alias before it is complete"
    half = uuid(cluster, name)
    monkeypatch.setattr(index, "_bulk", bulk)
    assert ensured(cluster, manifest) == name
    assert uuid(cluster, name) == half and cluster.client.count(index=name)["count"] == 9
    version = cluster.client.get(index=name, id="0")["_version"]
    assert version == 1, "what is there already is left alone"
    assert ensured(cluster, manifest) == name and uuid(cluster, name) == half
