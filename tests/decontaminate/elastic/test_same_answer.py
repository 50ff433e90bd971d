"""Both indexes give the same matches and the same artifacts: made-up edge cases, and real rows against real eval sets."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.decontaminate.test_dense import WORDS, save_model

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.elastic import Cluster, open_elastic, search
from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.search import embedded, open_search
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.storage import ArtifactWriter, read_examples, read_parquet

KOREAN = "두 정수의 합이 10이고 곱이 24라면, 두 정수를 구하시오."
LEXICAL = ("ngram_coverage", "cosine", "count_cosine", "jaccard", "reworded")


def numbered(first: int, last: int) -> str:
    return " ".join(f"w{n}" for n in range(first, last + 1))


@pytest.mark.parametrize("settings", [
    {"preset": "tulu3", "cut_offs": {"ngram_coverage": {"review": 0.2}}}, {"preset": "seed"}, {"preset": "balanced"},
], ids=["tulu3", "seed", "balanced"])
def test_both_indexes_give_the_same_artifact(server, bench, decontaminate, settings: dict[str, Any]) -> None:
    bench.add_eval("long", [numbered(1, 40), "refrain " * 9 + numbered(50, 60)])
    bench.add_eval("short", ["What is ice?", "Suggest a vegan dessert recipe.", KOREAN])
    bench.add_eval("fields", [{"passage": numbered(70, 90), "question": "Who won?"}], ("passage", "question"))
    rows = bench.rows([
        bench.sft("clean", "nothing here"), bench.sft("band", numbered(1, 16)), bench.sft("over", numbered(1, 30), "what is ICE"),
        bench.sft("refrain", "refrain " * 8), bench.sft("short", "what is ice"),
        bench.sft("inside", "Suggest a vegan dessert recipe, now"), bench.sft("wrapped", numbered(1, 30).replace(" ", "\n")),
        bench.sft("fields", numbered(70, 90) + " who won"), bench.sft("long", numbered(1, 400) + " x " + numbered(50, 400)),
        bench.sft("korean", KOREAN), bench.sft("nothing", "?!"),
    ])
    index = bench.index(Decontaminate(**settings))
    here, there = (decontaminate(bench.folder / name, rows, index, Decontaminate(index=name, **settings))
                   for name in ("embedded", "elasticsearch"))
    assert there.rows == here.rows
    assert there.reasons == here.reasons
    assert list(read_parquet(there.file("matches.parquet"))) == list(read_parquet(here.file("matches.parquet")))
    kept = {"tulu3": ["clean", "nothing"]}
    ids = [example.id for example in read_examples(there)]
    assert ids == [example.id for example in read_examples(here)]
    assert ids == kept.get(settings["preset"], ids) and "clean" in ids and "over" not in ids


REAL_EVALS = {
    "gsm8k": "eval/openai__grade-school-math/test.jsonl.gz", "math": "eval/agieval/ruixiangcui__AGIEval/math.jsonl.gz",
    "alpaca_eval": "eval/tatsu-lab__alpaca_eval", "ifeval": "eval/ShotaSato0916__google-research-IFEval",
}
REAL_ROWS = ("openai__grade-school-math/train.jsonl.gz", "GAIR-NLP__LIMR/math.8k.4of5.json.gz")


def real_files(folder: Path) -> dict[str, str]:
    """Eval set → its file; of a folder the first file."""
    found = {}
    for name, path in REAL_EVALS.items():
        place = folder / path
        file = place if place.is_file() else next(iter(sorted(f for f in place.rglob("*") if f.is_file())), None)
        if file is not None:
            found[name] = str(file.relative_to(folder))
    return found


@pytest.fixture(scope="module")
def real(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[str]]:
    """(index artifact of real eval sets, real training turns: English, Korean, short and long ones)."""
    evals = tuple(EvalSet(name=name, load=FileLoad(kind="file", path=path)) for name, path in real_files(test_data).items())
    writer = ArtifactWriter(str(tmp_path_factory.mktemp("real") / "index"), stage="index_evals")
    index_eval_sets(evals, test_data, 0, Decontaminate(), writer)
    values = [value for path in REAL_ROWS for _, value in islice(read_raw_file(test_data / "train" / path), 700)]
    return writer.finish(), [user_turns(value)[-1][1] for value in values]


@pytest.mark.parametrize(("measure", "floor"), [
    ("ngram_coverage", 0.5), ("ngram_coverage", 0.0), ("cosine", 0.6), ("count_cosine", 0.6), ("jaccard", 0.6),
    ("reworded", 0.51),
])
def test_real_questions_have_the_same_matches(server, real, measure: Any, floor: float) -> None:
    manifest, turns = real
    expected = embedded(load_index(manifest)).score(measure, turns, floor)
    with open_search(manifest, Decontaminate(index="elasticsearch")) as there:
        found = there.score(measure, turns, floor)
    assert found == expected
    assert len(expected) > 5


def test_every_hit_is_paged_to_the_end(cluster: Cluster, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 items share the turn's words: ten pages of four for one query of three terms, and more turns behind it."""
    bench.add_eval("eval", [numbered(1, 8) + f" tail{n}" for n in range(40)] + ["another question that has eight words in it"])
    for name, value in {"HITS_A_PAGE": 4, "QUERIES_AT_ONCE": 2, "TERMS_A_QUERY": 3, "TURNS_AT_ONCE": 2}.items():
        monkeypatch.setattr(search, name, value)
    turns = [numbered(1, 8), "Another question that has eight words in it", numbered(1, 30), "nothing shared", ""]
    manifest = bench.index()
    index = load_index(manifest)
    with open_elastic(cluster, index, manifest.content, "evals") as there:
        found = there.score("ngram_coverage", turns, 0.0)
        assert [match.turn for match in found] == [0] * 40 + [1] + [2] * 40
        assert found == embedded(index).score("ngram_coverage", turns, 0.0)
        for measure in LEXICAL:
            assert there.score(measure, turns, 0.6) == embedded(index).score(measure, turns, 0.6)


def test_what_the_server_does_not_hold_is_not_found(cluster: Cluster, bench) -> None:
    """The server nominates: without its document an item is not found, although the loaded index has it."""
    bench.add_eval("eval", [numbered(1, 20), numbered(30, 50)])
    manifest = bench.index()
    index = load_index(manifest)
    with open_elastic(cluster, index, manifest.content, "evals") as there:
        cluster.client.delete(index=there.lease.name, id="0", refresh=True)
        for measure in LEXICAL[:-1]:
            assert [match.item for match in there.score(measure, [numbered(1, 20), numbered(30, 50)], 0.6)] == [1]


def test_sentence_vectors_have_the_same_matches(server, bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every (turn, item) pair, also where a page of neighbours is full and the texts are asked for in halves."""
    model = str(save_model(tmp_path, seed=0))
    items = [f"{first} {second} sat on the {third}" for first in WORDS[:6] for second in WORDS[2:6] for third in WORDS[8:14]]
    bench.add_eval("eval", items)
    settings = Decontaminate(dense_model=model, index="elasticsearch")
    manifest = bench.index(settings)
    turns = ["the red cat sat on the mat", "how many dogs are there", "", "blue moon home"]
    expected = embedded(load_index(manifest)).score("dense", turns, 0.8)
    assert 20 < len(expected) < len(turns) * len(items)
    with open_search(manifest, settings) as there:
        assert there.score("dense", turns, 0.8) == expected
        monkeypatch.setattr(search, "HITS_A_PAGE", 10)
        assert there.score("dense", turns, 0.8) == expected


def test_vectors_do_not_depend_on_the_parts_in_which_turns_are_asked_for(
    server, bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model gives a text another vector in another batch, by some 1e-7, which a rounded score may show."""
    draw = random.Random(0)
    sentences = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(400)]
    bench.add_eval("eval", sentences[:100])
    settings = Decontaminate(dense_model=str(save_model(tmp_path, seed=0)), index="elasticsearch")
    manifest = bench.index(settings)
    monkeypatch.setattr(search, "TURNS_AT_ONCE", 7)
    expected = embedded(load_index(manifest)).score("dense", sentences[100:], 0.9)
    with open_search(manifest, settings) as there:
        assert there.score("dense", sentences[100:], 0.9) == expected
    assert len(expected) > 5_000
