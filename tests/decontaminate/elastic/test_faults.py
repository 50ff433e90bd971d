"""The server away, stopped in the middle, slow, busy, or answering in part: waited for within a limit, and the same result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from threading import Timer
from typing import Any

import pytest
from tests.decontaminate.test_command import posttrain, write_jsonl

from posttrain.decontaminate.elastic import (
    ElasticSearch,
    ElasticsearchUnusable,
    Server,
    aliases,
    connect,
    index,
    open_elastic,
    search,
)
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.search import embedded
from posttrain.recipe import Decontaminate
from posttrain.storage import Manifest, load_manifest, read_parquet

TURNS = [" ".join(f"w{n}" for n in range(k, k + 30)) for k in range(0, 400, 2)]
FIRST = "/_bulk", "/_msearch", "/_refresh", "/_mapping", "/_aliases"


@pytest.fixture
def made(bench: Any) -> Manifest:
    bench.add_eval("eval", [" ".join(f"w{n}" for n in range(k, k + 40)) for k in range(0, 400, 20)])
    return bench.index()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many requests where one would do."""
    for name, value in {"TURNS_AT_ONCE": 10, "TERMS_A_QUERY": 16, "QUERIES_AT_ONCE": 4}.items():
        monkeypatch.setattr(search, name, value)
    monkeypatch.setattr(index, "DOCUMENTS_A_BULK", 5)


def found_through(url: str, manifest: Manifest, loaded: EvalIndex, **patience: float) -> list[Any]:
    with connect(Server(url, **patience)) as cluster, open_elastic(cluster, loaded, manifest.content, "evals") as there:
        return there.score("ngram_coverage", TURNS, 0.5)


def changed(answer: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    value = json.loads(answer.body)
    change(value)
    answer.body = json.dumps(value).encode()
    return answer


class Faults:
    """Spoils the first requests of each kind, and counts them."""

    def __init__(self, times: int, spoil: Callable[[Any, Callable[[], Any]], Any], kinds: tuple[str, ...] = FIRST) -> None:
        self.left = dict.fromkeys(kinds, times)
        self.spoil = spoil

    def __call__(self, request: Any, forward: Callable[[], Any]) -> Any:
        kind = next((kind for kind in self.left if request.path.partition("?")[0].endswith(kind)), None)
        if kind is None or not self.left[kind] or request.method == "GET":
            return forward()
        self.left[kind] -= 1
        return self.spoil(request, forward)


def busy(request: Any, forward: Callable[[], Any]) -> Any:
    answer = forward()
    answer.status, answer.body = 429, b'{"error":{"type":"circuit_breaking_exception","reason":"busy"},"status":429}'
    return answer


def hung_up_before(request: Any, forward: Callable[[], Any]) -> Any:
    return None


def hung_up_behind(request: Any, forward: Callable[[], Any]) -> Any:
    forward()
    return None


def refused_in_part(request: Any, forward: Callable[[], Any]) -> Any:
    """Every second document or search is answered with 429; the server has done it all the same."""
    full = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}}

    def refuse(value: dict[str, Any]) -> None:
        for item in value.get("items", [])[::2]:
            item["create"] |= full
        for n in range(0, len(value.get("responses", [])), 2):
            value["responses"][n] = full

    answer = forward()
    return changed(answer, refuse) if request.path.partition("?")[0].endswith(("_bulk", "_msearch")) else answer


def half_a_shard(request: Any, forward: Callable[[], Any]) -> Any:
    """A search that says 200 and has lost its hits: a shard failed, or the time was over."""
    def lose(value: dict[str, Any]) -> None:
        for n, response in enumerate(value.get("responses", [])):
            response["hits"] = {"hits": []}
            response |= {"_shards": {"failed": 1}} if n % 2 else {"timed_out": True}

    return changed(forward(), lose)


@pytest.mark.parametrize(("spoil", "kinds"), [
    (busy, FIRST), (hung_up_before, FIRST), (hung_up_behind, FIRST), (refused_in_part, ("/_bulk", "/_msearch")),
    (half_a_shard, ("/_msearch",)),
])
def test_what_fails_for_the_moment_is_asked_again(
    server, proxy, made: Manifest, small_parts: None, monkeypatch: pytest.MonkeyPatch, spoil: Any, kinds: tuple[str, ...],
) -> None:
    monkeypatch.setattr("posttrain.decontaminate.elastic.connection.FIRST_DELAY", 0.02)
    loaded = load_index(made)
    faults = Faults(2, spoil, kinds)
    with proxy(server, faults) as there:
        found = found_through(there.url, made, loaded)
    assert faults.left == dict.fromkeys(kinds, 0)
    assert found == embedded(loaded).score("ngram_coverage", TURNS, 0.5)
    assert len(found) > 100


def test_an_index_that_was_made_although_the_answer_was_lost_is_taken(server, proxy, made: Manifest) -> None:
    lost: list[str] = []

    def lose_the_answer(request: Any, forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request.method == "PUT" and "/_" not in request.path and not lost:
            lost.append(request.path)
            return None
        return answer

    loaded = load_index(made)
    with proxy(server, lose_the_answer) as there:
        assert found_through(there.url, made, loaded) == embedded(loaded).score("ngram_coverage", TURNS, 0.5)
    with connect(Server(server.url)) as cluster:
        assert aliases.indexes(cluster.client) == {lost[0].strip("/"): {"posttrain-evals-evals"}}


def test_a_server_that_goes_away_at_the_end_spoils_nothing(server, proxy, made: Manifest, caplog) -> None:
    """The rows are compared; only the lease cannot be given back, and runs out by itself."""
    ended = []

    def away_at_the_end(request: Any, forward: Callable[[], Any]) -> Any:
        return None if ended else forward()

    loaded = load_index(made)
    with proxy(server, away_at_the_end) as there, connect(Server(there.url)) as cluster, \
            open_elastic(cluster, loaded, made.content, "evals") as search:
        found = search.score("ngram_coverage", TURNS, 0.5)
        ended.append(True)
    assert found == embedded(loaded).score("ngram_coverage", TURNS, 0.5)
    assert "was not given back, it runs out in 3600 s" in caplog.text


def test_a_slow_server_is_asked_again_after_the_timeout(server, proxy, made: Manifest) -> None:
    def slow(request: Any, forward: Callable[[], Any]) -> Any:
        time.sleep(1.5)
        return forward()

    loaded = load_index(made)
    faults = Faults(1, slow, ("/_bulk", "/_msearch"))
    with proxy(server, faults) as there:
        found = found_through(there.url, made, loaded, timeout_seconds=0.75)
        assert len(there.paths("_msearch")) > 1
    assert found == embedded(loaded).score("ngram_coverage", TURNS, 0.5)


def test_a_server_that_stays_busy_is_given_up_and_named(server, proxy, made: Manifest) -> None:
    loaded = load_index(made)
    with proxy(server, Faults(10**6, refused_in_part, ("/_msearch",))) as there, \
            pytest.raises(ElasticsearchUnusable, match=rf"searching index .*{there.url}.*tried for 1 s.*queue is full"):
        found_through(there.url, made, loaded, patience_seconds=1)


def test_a_document_or_search_that_is_wrong_fails_at_once(server, proxy, made: Manifest) -> None:
    def wrong(request: Any, forward: Callable[[], Any]) -> Any:
        def refuse(value: dict[str, Any]) -> None:
            for item in value.get("items", [])[1:2]:
                item["create"] |= {"status": 400, "error": {"type": "document_parsing_exception", "reason": "no such field"}}
            for response in value.get("responses", []):
                response |= {"status": 400, "error": {"type": "parsing_exception", "reason": "too many terms"}}

        return changed(forward(), refuse)

    loaded = load_index(made)
    for kind, message in (("/_bulk", "refuses document 1: .*no such field"), ("/_msearch", "failed with 400: too many terms")):
        with proxy(server, Faults(1, wrong, (kind,))) as there, pytest.raises(ElasticsearchUnusable, match=message):
            found_through(there.url, made, loaded)
        assert len(there.paths(kind)) == 1 or kind == "/_msearch"


# ---------------------------------------------------------------- a server that ends and comes back


@pytest.fixture(scope="module")
def own_node(launcher: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server that a test may kill: small queues, so that it is soon too busy."""
    from subprocess import CalledProcessError

    kind = type(request.getfixturevalue("node"))
    node = kind(launcher, str(tmp_path_factory.mktemp("killed")), request.getfixturevalue("node").port + 1)
    node.start(*SMALL_QUEUES)
    yield node
    try:
        node.stop()
    except CalledProcessError:
        return


SMALL_QUEUES = ("thread_pool.search.size=1", "thread_pool.search.queue_size=1", "thread_pool.write.queue_size=1")


def test_a_server_with_small_queues_gives_the_same(own_node, made: Manifest, small_parts: None) -> None:
    loaded = load_index(made)
    assert found_through(own_node.url, made, loaded) == embedded(loaded).score("ngram_coverage", TURNS, 0.5)


def test_killed_in_the_middle_and_started_again(own_node, bench, decontaminate, tmp_path, monkeypatch, made: Manifest) -> None:
    """Killed while the shards are compared: the first run gives up, the second goes on with the shards that are missing."""
    rows = [bench.rows([bench.sft(f"{part}-{n}", f"{turn} part{part}") for n, turn in enumerate(TURNS)], f"rows{part}")
            for part in range(3)]
    monkeypatch.setenv("ELASTICSEARCH_URL", own_node.url)
    monkeypatch.setenv("ELASTICSEARCH_PATIENCE_SECONDS", "0.5")
    asked: list[str] = []
    score = ElasticSearch.score

    def kill_in_the_second_part(self: ElasticSearch, measure: Any, turns: list[str], floor: float) -> Any:
        asked.append(turns[0][-5:])
        if asked.count("part1") == 1 and asked[-1] == "part1":
            own_node.kill()
        return score(self, measure, turns, floor)

    monkeypatch.setattr(ElasticSearch, "score", kill_in_the_second_part)
    settings = Decontaminate(preset="tulu3", index="elasticsearch")
    with pytest.raises(ElasticsearchUnusable, match=r"tried for 0.5 s.*what is done is kept"):
        decontaminate(tmp_path / "there", rows, made, settings)
    assert set(asked) == {"part0", "part1"}
    monkeypatch.setenv("ELASTICSEARCH_PATIENCE_SECONDS", "60")
    own_node.start()
    asked.append("again")
    there = decontaminate(tmp_path / "there", rows, made, settings)
    here = decontaminate(tmp_path / "here", rows, made, Decontaminate(preset="tulu3"))
    assert set(asked[asked.index("again") + 1 :]) == {"part1", "part2"}, "what is done is not asked for again"
    assert there.rows == here.rows and there.reasons == here.reasons
    assert list(read_parquet(there.file("matches.parquet"))) == list(read_parquet(here.file("matches.parquet")))


def test_the_command_goes_on_when_the_server_is_there_again(own_node, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Killed while the third of five files is compared: the same command, given again, asks for three files, and the result is
    that of the embedded index byte by byte."""
    items = [" ".join(f"w{n}" for n in range(k, k + 40)) for k in range(0, 400, 20)]
    write_jsonl(tmp_path / "evals" / "eval.jsonl", [{"question": item} for item in items])
    for part in range(5):
        turns = [f"{turn} part{part}" for turn in TURNS] + ["nothing"]
        write_jsonl(tmp_path / "train" / f"{part}.jsonl", [{"prompt": turn} for turn in turns])
    monkeypatch.setenv("ELASTICSEARCH_URL", own_node.url)
    monkeypatch.setenv("ELASTICSEARCH_PATIENCE_SECONDS", "0.5")
    asked: list[str] = []
    score = ElasticSearch.score

    def kill_in_the_third_file(self: ElasticSearch, measure: Any, turns: list[str], floor: float) -> Any:
        asked.append(turns[0][-5:])
        if asked == ["part0", "part1", "part2"]:
            own_node.kill()
        return score(self, measure, turns, floor)

    monkeypatch.setattr(ElasticSearch, "score", kill_in_the_third_file)
    given = ("decontaminate", "--train", "train", "--evals", "evals", "--preset", "tulu3")
    code, _, said = posttrain(tmp_path, *given, "--index", "elasticsearch", "--out", "there")
    assert code == 1 and "does not answer, tried for 0.5 s" in said and "what is done is kept in" in said, said
    assert not (tmp_path / "there").exists()
    own_node.start()
    monkeypatch.setenv("ELASTICSEARCH_PATIENCE_SECONDS", "60")
    asked[:] = ["again"]
    code, _, said = posttrain(tmp_path, *given, "--index", "elasticsearch", "--out", "there")
    assert code == 0 and "going on where it was stopped: 2 blocks" in said, said
    assert asked == ["again", "part2", "part3", "part4"], "what is done is not asked for again"
    assert posttrain(tmp_path, *given, "--index", "embedded", "--out", "here")[0] == 0
    here, there = ({entry.name: entry.sha256 for entry in load_manifest(str(tmp_path / name)).files}
                   for name in ("here", "there"))
    assert here == there and {name.partition("-")[0] for name in here} >= {"clean", "removed", "matches.parquet"}
    assert not list(tmp_path.glob(".*.unfinished"))


def test_a_server_that_comes_back_in_time_is_not_noticed(own_node, made: Manifest, small_parts: None) -> None:
    """Killed while the index is filled, started again two seconds later: the run waits, and nothing is there twice."""
    loaded = load_index(made)
    expected = embedded(loaded).score("ngram_coverage", TURNS, 0.5)
    with connect(Server(own_node.url)) as cluster:
        for name in cluster.client.indices.get(index="posttrain-evals-content-*", expand_wildcards="all"):
            cluster.client.indices.delete(index=name)
        own_node.kill()
        Timer(1.0, own_node.start).start()
        with open_elastic(cluster, loaded, made.content, "evals") as there:
            assert there.score("ngram_coverage", TURNS, 0.5) == expected
            assert cluster.client.count(index=there.lease.name, query={"term": {"kind": "whole"}})["count"] == 20


def test_a_server_that_is_away_at_the_start_is_waited_for_and_named(made: Manifest) -> None:
    started = time.monotonic()
    with pytest.raises(ElasticsearchUnusable, match=r"connecting: .*http://127.0.0.1:9 does not answer, tried for 1 s"):
        found_through("http://127.0.0.1:9", made, load_index(made), patience_seconds=1)
    assert 0.7 < time.monotonic() - started < 10
