"""What each preset does at its cut-offs, with words that one can count, and with the three pairs of the requirements."""

from __future__ import annotations

from typing import Any

import pytest

from posttrain.decontaminate.presets import PRESETS
from posttrain.storage import Manifest, read_examples, read_parquet, read_rejected, read_rows

NEVER = {"remove": None, "review": None}
COVERAGE_ALONE = {"count_cosine": NEVER, "jaccard": NEVER, "reworded": NEVER}
JACCARD_ALONE = {"count_cosine": NEVER, "ngram_coverage": NEVER, "reworded": NEVER}


def distinct(number: int, first: int = 0) -> str:
    """So many distinct words of three letters."""
    letters = "bcdfghjklmnpqrstvwxz"
    return " ".join(letters[n // 400] + letters[n // 20 % 20] + letters[n % 20] for n in range(first, first + number))


def outcome(manifest: Manifest) -> dict[str, str]:
    """Row id → clean, review or removed."""
    found = {example.id: "clean" for example in read_examples(manifest)}
    found |= {row["id"]: "review" for row in read_rows(manifest, "review_sft")}
    return found | {row["id"]: "removed" for row in read_rejected(manifest)}


def matches(manifest: Manifest) -> list[dict[str, Any]]:
    return list(read_parquet(manifest.file("matches.parquet")))


@pytest.mark.parametrize(
    ("words", "tulu3", "seed"),
    [(40, "removed", "removed"), (36, "removed", "removed"), (35, "removed", "review"), (24, "removed", "review"),
     (22, "removed", "clean"), (21, "removed", "clean"), (20, "clean", "clean")],
)
def test_tulu3_is_strictly_above_one_half_and_seed_from_60_and_90_percent(bench, words: int, tulu3: str, seed: str) -> None:
    """Of 40 words: .9 exactly goes, .6 exactly is reviewed, .5 exactly is not contaminated."""
    bench.add_eval("eval", [distinct(40)])
    row = bench.sft("row", distinct(words))
    assert outcome(bench.decontaminate([row])) == {"row": tulu3}
    for name in ("rows", "index", "clean"):
        (bench.folder / name).rename(bench.folder / f"tulu3-{name}")
    assert outcome(bench.decontaminate([row], preset="seed", cut_offs=COVERAGE_ALONE)) == {"row": seed}


@pytest.mark.parametrize(("shared", "decision"), [(18, "removed"), (17, "review"), (12, "review"), (11, "clean")])
def test_jaccard_of_exactly_60_and_90_percent(bench, shared: int, decision: str) -> None:
    """`shared` of 20 words together: the item has 20, the turn `shared` of them, in another order."""
    bench.add_eval("eval", [distinct(20)])
    turn = " ".join(reversed(distinct(20).split()[:shared]))
    done = bench.decontaminate([bench.sft("row", turn)], preset="seed", cut_offs=JACCARD_ALONE)
    assert outcome(done) == {"row": decision}
    assert [(m["measure"], m["score"], m["rule"]) for m in matches(done)] == (
        [] if decision == "clean" else [("jaccard", shared / 20, f"seed: jaccard ≥ {'0.9' if decision == 'removed' else '0.6'}")])


# ---------------------------------------------------------------- the data-set rule


@pytest.mark.parametrize(("copied", "tulu3", "seed"), [(4, False, True), (5, True, True), (3, False, False)])
def test_2_percent_exactly_is_over_the_line_of_seed_and_not_of_tulu3(copied: int, tulu3: bool, seed: bool) -> None:
    assert PRESETS["tulu3"].reaches(copied / 200, 0.02) is tulu3
    assert PRESETS["seed"].reaches(copied / 200, 0.02) is seed


def test_seed_drops_a_source_with_2_percent_where_the_recipe_drops_sources(bench) -> None:
    items = [distinct(9, 9 * n) for n in range(50)]
    bench.add_eval("eval", items)
    rows = [bench.sft("leak", items[0], source="leaky"), bench.sft("honest", "Nothing of the kind.", source="leaky"),
            bench.sft("clean", "Nor here.", source="other")]
    done = bench.decontaminate(rows, preset="seed", drop_overlapping_sources=True)
    assert outcome(done) == {"clean": "clean", "leak": "removed", "honest": "removed"}
    assert done.reasons == {"contaminated": 1, "eval_set_overlap": 1}
    cells = {cell["source"]: (cell["share"], cell["over_limit"]) for cell in done.facts["contamination"]}
    assert cells == {"leaky": (0.02, True), "other": (0.0, False)}


# ---------------------------------------------------------------- what a recipe changes


def test_cut_offs_of_one_eval_set_count_for_its_items_alone(bench) -> None:
    bench.add_eval("strict", [distinct(40)])
    bench.add_eval("loose", [distinct(40, 100)])
    rows = [bench.sft("strict", distinct(12)), bench.sft("loose", distinct(12, 100)), bench.sft("half", distinct(24, 100))]
    done = bench.decontaminate(rows, evals={"strict": {"ngram_coverage": {"remove": 0.25, "review": 0.1}},
                                            "loose": {"ngram_coverage": {"remove": 0.9}}})
    assert outcome(done) == {"strict": "removed", "loose": "clean", "half": "clean"}
    assert [(m["row_id"], m["rule"]) for m in matches(done)] == [
        ("strict", "recipe: 8-gram coverage > 0.25 (not part of tulu3)")]


def test_every_turn_is_compared_where_the_recipe_says_so(bench) -> None:
    bench.add_eval("eval", [distinct(20)])
    rows = [bench.sft("answer", "Hello!", answer=distinct(20)), bench.sft("question", distinct(20))]
    done = bench.decontaminate(rows, turns="all")
    assert [(m["row_id"], m["turn"]) for m in matches(done)] == [("answer", 1), ("question", 0)]
    assert {m["rule"] for m in matches(done)} == {"recipe: 8-gram coverage > 0.5 (not part of tulu3)"}


def test_a_measure_more_has_its_own_line_and_its_own_rule(bench) -> None:
    bench.add_eval("eval", [distinct(20)])
    turn = " ".join(reversed(distinct(20).split()))
    done = bench.decontaminate([bench.sft("row", turn), bench.sft("copy", distinct(20))],
                               cut_offs={"jaccard": {"remove": 0.95, "review": 0.8}})
    assert outcome(done) == {"row": "removed", "copy": "removed"}
    assert [(m["row_id"], m["measure"], m["score"], m["rule"]) for m in matches(done)] == [
        ("row", "jaccard", 1.0, "recipe: jaccard > 0.95 (not part of tulu3)"),
        ("copy", "ngram_coverage", 1.0, "tulu3: 8-gram coverage > 0.5"),
        ("copy", "jaccard", 1.0, "recipe: jaccard > 0.95 (not part of tulu3)")]
    assert [(s["start"], s["end"]) for s in matches(done)[0]["train_spans"]] == [(0, 20)]


def test_no_result_is_cut(bench) -> None:
    """Three hundred rows copy one item, and one row copies three hundred items."""
    items = [distinct(9, 9 * n) for n in range(300)]
    bench.add_eval("eval", items)
    rows = [bench.sft(f"row{n}", items[0]) for n in range(300)] + [bench.sft("all", " . ".join(items))]
    found = matches(bench.decontaminate(rows))
    assert len(found) == 600
    assert len({m["item_id"] for m in found if m["row_id"] == "all"}) == 300


# ---------------------------------------------------------------- the pairs of the requirements

EIFFEL = "Where is the Eiffel Tower?"
ANSWER = "The Eiffel Tower is located in Paris."
TOPIC = "The Eiffel Tower is a famous landmark in France, known for its structure."
KOREAN = "두 정수의 합이 10이고 곱이 24라면, 이 두 정수를 구하시오."
REWORDED = "두 수의 합이 10이고 두 수를 곱하면 24일 때, 두 수를 찾아라."


def test_the_three_pairs_under_seed(bench) -> None:
    """The answer leaks and is reviewed, the topic passes, the Korean exercise in other words is flagged."""
    path = bench.add_eval("eval", [EIFFEL, KOREAN])
    before = path.read_bytes()
    done = bench.decontaminate([bench.sft("answer", ANSWER), bench.sft("topic", TOPIC), bench.sft("korean", REWORDED)],
                               preset="seed")
    assert outcome(done) == {"answer": "review", "topic": "clean", "korean": "review"}
    rules = {m["row_id"]: (m["rule"], m["item_id"]) for m in matches(done)}
    assert rules == {"answer": ("seed: count_cosine ≥ 0.6", "eval.jsonl:0"), "korean": ("seed: reworded ≥ 0.5", "eval.jsonl:1")}
    assert path.read_bytes() == before


def test_the_korean_pair_under_balanced(bench) -> None:
    bench.add_eval("eval", [EIFFEL, KOREAN])
    done = bench.decontaminate([bench.sft("topic", TOPIC), bench.sft("korean", REWORDED)], preset="balanced")
    assert outcome(done)["topic"] == "clean" and outcome(done)["korean"] != "clean"
    (match,) = [m for m in matches(done) if m["row_id"] == "korean"]
    assert match["signals"] and match["rule"].startswith("balanced")
