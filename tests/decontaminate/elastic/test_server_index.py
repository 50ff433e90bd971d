"""What is made on the server: documents, alias, the switch, an index that is only half there."""

from __future__ import annotations

from typing import Any

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.elastic import Cluster, ensure_index, index
from posttrain.decontaminate.index import load_index
from posttrain.recipe import Decontaminate
from posttrain.storage import ArtifactWriter, Manifest


def numbered(first: int, last: int) -> str:
    return " ".join(f"w{n}" for n in range(first, last + 1))


def ensured(cluster: Cluster, manifest: Manifest) -> str:
    return ensure_index(cluster, load_index(manifest), manifest.content)


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
    alias = first.rpartition("-")[0]
    assert list(cluster.client.indices.get_alias(name=alias)) == [first]
    path.write_text(path.read_text() + path.read_text().replace("w1", "v1"), encoding="utf-8")
    second = ensured(cluster, made(bench, "second"))
    assert second != first and second.rpartition("-")[0] == alias
    assert list(cluster.client.indices.get_alias(name=alias)) == [second]
    assert not cluster.client.indices.exists(index=first)
    bench.add_eval("another", [numbered(1, 20)])
    third = ensured(cluster, made(bench, "third"))
    assert third.rpartition("-")[0] != alias and cluster.client.indices.exists(index=second), "other eval sets: another alias"


def test_a_full_index_is_used_and_a_half_full_one_filled_up(cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "DOCUMENTS_A_BULK", 2)
    bench.add_eval("eval", [numbered(k, k + 20) for k in range(9)])
    manifest = bench.index()
    sent: list[int] = []
    bulk = index._bulk

    def three_only(cluster: Cluster, name: str, chunk: dict[str, str]) -> None:
        if len(sent) == 3:
            raise KeyboardInterrupt
        sent.append(len(chunk))
        bulk(cluster, name, chunk)

    monkeypatch.setattr(index, "_bulk", three_only)
    with pytest.raises(KeyboardInterrupt):
        ensured(cluster, manifest)
    name = next(iter(cluster.client.indices.get(index="posttrain-evals-*")))
    assert not cluster.client.indices.get_alias(index=name)[name]["aliases"], "no alias before it is complete"
    half = uuid(cluster, name)
    monkeypatch.setattr(index, "_bulk", bulk)
    assert ensured(cluster, manifest) == name
    assert uuid(cluster, name) == half and cluster.client.count(index=name)["count"] == 9
    version = cluster.client.get(index=name, id="0")["_version"]
    assert version == 1, "what is there already is left alone"
    assert ensured(cluster, manifest) == name and uuid(cluster, name) == half


def test_what_a_dead_run_left_is_removed_after_a_while(cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.add_eval("eval", [numbered(1, 20)])
    first = made(bench, "first")
    alias = ensured(cluster, first).rpartition("-")[0]
    left = f"{alias}-left"
    cluster.client.indices.create(index=left)
    ensured(cluster, first)
    assert cluster.client.indices.exists(index=left), "another run may just be filling it"
    monkeypatch.setattr(index, "LEFT_OVER_SECONDS", 0)
    path.write_text(path.read_text() * 2, encoding="utf-8")
    ensured(cluster, made(bench, "second"))
    assert not cluster.client.indices.exists(index=left)
