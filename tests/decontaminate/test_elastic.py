"""The Elasticsearch index against a real server: POSTTRAIN_TEST_ELASTICSEARCH is a folder with an `elasticsearch` launcher.

The launcher is called as `elasticsearch start WORK_DIR PORT` and `elasticsearch stop WORK_DIR`.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate import elastic
from posttrain.decontaminate.index import index_eval_sets, load_index
from posttrain.decontaminate.search import embedded, open_search
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_parquet

ELASTIC = Decontaminate(index="elasticsearch", cut_offs={"ngram_coverage": {"review": 0.2}})
EMBEDDED = Decontaminate(cut_offs={"ngram_coverage": {"review": 0.2}})


@pytest.fixture(scope="module")
def url(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = Path(os.environ.get("POSTTRAIN_TEST_ELASTICSEARCH") or project.parent / "shared" / "elasticsearch")
    launcher = folder / "elasticsearch"
    if not launcher.is_file():
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"NO ELASTICSEARCH: {launcher} is not there; set POSTTRAIN_TEST_ELASTICSEARCH to run this test")
    work = str(tmp_path_factory.mktemp("elasticsearch"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = subprocess.run([launcher, "start", work, str(port)], check=True, capture_output=True, text=True)
    yield started.stdout.strip()
    subprocess.run([launcher, "stop", work], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def server_address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "url" in request.fixturenames:
        monkeypatch.setenv("ELASTICSEARCH_URL", request.getfixturevalue("url"))


def numbered(first: int, last: int) -> str:
    return " ".join(f"w{n}" for n in range(first, last + 1))


def decontaminated(bench: Any, rows: Manifest, index: Manifest, settings: Decontaminate) -> Manifest:
    writer = ArtifactWriter(str(bench.folder / settings.index), stage="decontaminate")
    decontaminate_examples([rows], index, settings, writer)
    return writer.finish()


def test_both_indexes_give_the_same_artifact(url: str, bench) -> None:
    bench.add_eval("long", [numbered(1, 40), "refrain " * 9 + numbered(50, 60)])
    bench.add_eval("short", ["What is ice?", "Suggest a vegan dessert recipe."])
    bench.add_eval("fields", [{"passage": numbered(70, 90), "question": "Who won?"}], ("passage", "question"))
    rows = bench.rows([
        bench.sft("clean", "nothing here"), bench.sft("band", numbered(1, 16)), bench.sft("over", numbered(1, 30), "what is ICE"),
        bench.sft("refrain", "refrain " * 8), bench.sft("short", "what is ice"),
        bench.sft("inside", "Suggest a vegan dessert recipe, now"),
        bench.sft("fields", numbered(70, 90) + " who won"), bench.sft("long", numbered(1, 400) + " x " + numbered(50, 400)),
    ])
    index = bench.index()
    here, there = (decontaminated(bench, rows, index, settings) for settings in (EMBEDDED, ELASTIC))
    assert there.content == here.content
    assert [e.id for e in read_examples(there)] == [e.id for e in read_examples(here)] == ["clean"]
    assert list(read_parquet(there.file("matches.parquet"))) == list(read_parquet(here.file("matches.parquet")))
    assert there.reasons == {"contaminated": 3, "short_item_copied": 2}


def test_real_questions_have_the_same_matches(url: str, test_data: Path, tmp_path: Path) -> None:
    paths = {"gsm8k": "eval/openai__grade-school-math/test.jsonl.gz", "math": "eval/agieval/ruixiangcui__AGIEval/math.jsonl.gz"}
    evals = tuple(EvalSet(name=name, load=FileLoad(kind="file", path=path)) for name, path in paths.items())
    writer = ArtifactWriter(str(tmp_path / "index"), stage="index_evals")
    index_eval_sets(evals, test_data, 0, Decontaminate(), writer)
    manifest = writer.finish()
    training = ("openai__grade-school-math/train.jsonl.gz", "GAIR-NLP__LIMR/math.8k.4of5.json.gz")
    values = [value for path in training for _, value in list(read_raw_file(test_data / "train" / path))[:1000]]
    turns = [user_turns(value)[-1][1] for value in values]
    expected = embedded(load_index(manifest)).score("ngram_coverage", turns, 0.0)
    with open_search(manifest, ELASTIC) as search:
        found = search.score("ngram_coverage", turns, 0.0)
    assert found == expected
    assert len(expected) > 400


def test_every_hit_is_paged_to_the_end(url: str, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 items share the turn's words: ten pages of four, and the next query in the batch has its own."""
    bench.add_eval("eval", [numbered(1, 8) + f" tail{n}" for n in range(40)] + ["another question that has eight words in it"])
    monkeypatch.setattr(elastic, "HITS_A_PAGE", 4)
    monkeypatch.setattr(elastic, "QUERIES_AT_ONCE", 1)
    monkeypatch.setattr(elastic, "TERMS_A_QUERY", 3)
    turns = [numbered(1, 8), "Another question that has eight words in it", numbered(1, 30)]
    manifest = bench.index()
    with open_search(manifest, ELASTIC) as search:
        found = search.score("ngram_coverage", turns, 0.0)
    assert found == embedded(load_index(manifest)).score("ngram_coverage", turns, 0.0)
    assert len(found) == 81


def test_a_half_filled_index_is_filled_again_and_a_full_one_is_reused(url: str, bench) -> None:
    bench.add_eval("eval", [numbered(1, 20), numbered(30, 50)])
    manifest = bench.index()
    index = load_index(manifest)
    with elastic.connect() as client:
        name = elastic.ensure_index(client, index, manifest.content)
        first = client.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"]
        assert elastic.ensure_index(client, index, manifest.content) == name
        assert client.indices.get_settings(index=name)[name]["settings"]["index"]["uuid"] == first
        client.delete(index=name, id="0", refresh=True)
        client.indices.put_mapping(index=name, meta={"complete": False})
        elastic.ensure_index(client, index, manifest.content)
        assert client.count(index=name)["count"] == 2


def test_without_an_address_the_error_says_what_to_set(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELASTICSEARCH_URL", raising=False)
    bench.add_eval("eval", [numbered(1, 20)])
    with pytest.raises(elastic.ElasticsearchUnusable, match="elasticsearch_default or set ELASTICSEARCH_URL"), \
            open_search(bench.index(), ELASTIC):
        pass


def test_a_server_that_is_away_is_named(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        bench.add_eval("eval", [numbered(1, 20)])
        manifest = bench.index()
        with pytest.raises(elastic.ElasticsearchUnusable, match="127.0.0.1.*does not answer"), open_search(manifest, ELASTIC):
            pass
