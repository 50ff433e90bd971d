"""The stage as a whole: which rows go, with which evidence, and what the table of evals and sources says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.eval_sets import EvalFilesChanged
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.recipe import Decontaminate
from posttrain.schema import Message, PreferencePair, RLVRExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_parquet, read_rejected, read_rows

QUESTION = "Natalia sold clips to 48 of her friends in April and half as many in May how many clips"  # 19 words


def numbered(first: int, last: int, letter: str = "w") -> str:
    return " ".join(f"{letter}{n}" for n in range(first, last + 1))


def kept(manifest: Manifest) -> list[str]:
    return [example.id for example in read_examples(manifest)]


def reasons(manifest: Manifest) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in read_rejected(manifest)}


def matches(manifest: Manifest) -> list[dict[str, Any]]:
    return list(read_parquet(manifest.file("matches.parquet")))


def test_a_copied_question_goes_and_names_row_eval_item_score_and_text(bench) -> None:
    bench.add_eval("gsm8k", ["Something else that nobody ever asks in any training set", QUESTION])
    copied = "Solve this.\n" + QUESTION.replace("half as many in May", "twice as many in May")
    done = bench.decontaminate([bench.sft("clean", "What is the capital of France, and why?"), bench.sft("leak", copied)])
    assert done.rows == {"read": 2, "kept": 1, "rejected": 1}
    assert kept(done) == ["clean"]
    assert reasons(done) == {"leak": "contaminated"}
    (match,) = matches(done)
    assert (match["row_id"], match["source"], match["turn"]) == ("leak", "train", 0)
    assert (match["eval"], match["item_id"]) == ("gsm8k", "gsm8k.jsonl:1")
    assert (match["decision"], match["measure"], match["rule"]) == ("remove", "ngram_coverage", "tulu3: 8-gram coverage > 0.5")
    assert match["score"] == round(11 / 19, 9)  # the seven words after the changed one are no 8-gram
    assert match["matched_text"] == "natalia sold clips to 48 of her friends in april and"
    assert match["eval_text"] == QUESTION


def test_matched_text_marks_what_was_left_out(bench) -> None:
    bench.add_eval("eval", [numbered(1, 24)])
    done = bench.decontaminate([bench.sft("leak", numbered(1, 8) + " x " + numbered(13, 24))])
    assert matches(done)[0]["matched_text"] == numbered(1, 8) + " … " + numbered(13, 24)


@pytest.mark.parametrize(("words", "is_removed"), [(20, False), (22, True)])
def test_the_rule_is_strict(bench, words: int, is_removed: bool) -> None:
    bench.add_eval("eval", [numbered(1, 40)])
    done = bench.decontaminate([bench.sft("row", numbered(1, words))])
    assert bool(done.rows["rejected"]) is is_removed
    assert bool(matches(done)) is is_removed


def test_two_rows_of_30_percent_each_are_clean(bench) -> None:
    bench.add_eval("eval", [numbered(1, 40)])
    done = bench.decontaminate([bench.sft("a", numbered(1, 12)), bench.sft("b", numbered(13, 24))])
    assert kept(done) == ["a", "b"]


def test_two_turns_of_30_percent_each_are_clean(bench) -> None:
    bench.add_eval("eval", [numbered(1, 40)])
    assert kept(bench.decontaminate([bench.sft("a", numbered(1, 12), numbered(13, 24))])) == ["a"]


def test_the_second_user_turn_counts_and_the_answers_do_not(bench) -> None:
    bench.add_eval("eval", [numbered(1, 10)])
    done = bench.decontaminate([bench.sft("answer", "hi", answer=numbered(1, 10)), bench.sft("turn", "hi", numbered(1, 10))])
    assert (kept(done), [m["turn"] for m in matches(done)]) == (["answer"], [2])


def test_pairs_and_rlvr_rows_are_compared_by_their_user_turns(bench) -> None:
    bench.add_eval("eval", [numbered(1, 10)])
    shared = {"source": "pairs", "category": "general", "skill": "general", "language": "en", "license": "MIT"}
    ask, answer = Message("user", numbered(1, 10)), Message("assistant", "yes")
    other = Message("user", "something else")
    done = bench.decontaminate([
        PreferencePair(id="chosen", prompt="", chosen=(ask, answer), rejected=(ask, answer), **shared),
        PreferencePair(id="kto", prompt="", chosen=(), rejected=(ask, answer), **shared),
        PreferencePair(id="clean", prompt="", chosen=(other, answer), rejected=(), **shared),
        RLVRExample(id="rlvr", messages=(ask,), ground_truth="1", verifier="gsm8k", **shared),
    ])
    assert kept(done) == ["clean"]
    assert set(reasons(done)) == {"chosen", "kto", "rlvr"}
    assert done.written == {"preference": 1}


def test_a_short_item_has_a_reason_of_its_own(bench) -> None:
    bench.add_eval("eval", ["What is ice?"])
    done = bench.decontaminate([bench.sft("same", "what is ICE"), bench.sft("longer", "What is ice made of?")])
    assert (kept(done), reasons(done)) == (["longer"], {"same": "short_item_copied"})
    assert matches(done)[0]["rule"] == "tulu3: short item verbatim"


def test_a_question_without_its_passage_is_kept_and_reported(bench) -> None:
    bench.add_eval("drop", [{"passage": numbered(1, 40, "p"), "question": numbered(1, 20, "q")}], ("passage", "question"))
    done = bench.decontaminate([bench.sft("row", numbered(1, 20, "q"))])
    assert kept(done) == ["row"]
    (match,) = matches(done)
    assert (match["decision"], match["score"], match["best_field"], match["best_field_score"]) == ("keep", 0.5, "question", 1.0)
    assert done.facts["contamination"][0]["contaminated"] == 0


def test_an_item_without_its_passage_is_found(bench) -> None:
    """AGIEval's rows without a passage are skipped by the original, so they were never tested."""
    bench.add_eval("agieval", [{"passage": None, "question": numbered(1, 20, "q")}], ("passage", "question"))
    assert bench.decontaminate([bench.sft("row", numbered(1, 20, "q"))]).rows["rejected"] == 1


# ---------------------------------------------------------------- the data-set rule


def overlap(bench, items: int, copied: int, **settings: Any) -> Manifest:
    """An eval of `items` items, of which source `leaky` holds `copied`; source `other` holds one clean row."""
    questions = [numbered(1, 9, f"q{n}x") for n in range(items)]
    bench.add_eval("eval", questions)
    rows = [bench.sft(f"leak{n}", questions[n], source="leaky") for n in range(copied)]
    rows += [bench.sft("honest", "Nothing of the kind.", source="leaky"), bench.sft("clean", "Nor here.", source="other")]
    return bench.decontaminate(rows, **settings)


@pytest.mark.parametrize(("copied", "is_over"), [(4, False), (5, True)])
def test_exactly_2_percent_is_not_over_the_limit(bench, copied: int, is_over: bool) -> None:
    cells = {cell["source"]: cell for cell in overlap(bench, 200, copied).facts["contamination"]}
    assert cells["leaky"] == {"eval": "eval", "source": "leaky", "items": 200, "contaminated": copied, "share": copied / 200,
                              "removed_rows": copied, "over_limit": is_over}
    assert cells["other"]["contaminated"] == 0


def test_the_table_is_written_as_tsv(bench) -> None:
    done = overlap(bench, 200, 5)
    assert Path(done.file("contamination.tsv")).read_text().splitlines() == [
        "eval\tsource\titems\tcontaminated\tshare\tremoved_rows\tover_limit",
        "eval\tleaky\t200\t5\t0.025\t5\ttrue",
        "eval\tother\t200\t0\t0.0\t0\tfalse",
    ]


def test_an_item_counts_once_however_many_rows_copy_it(bench) -> None:
    bench.add_eval("eval", [numbered(1, 9), numbered(1, 9, "x")])
    done = bench.decontaminate([bench.sft(f"row{n}", numbered(1, 9)) for n in range(3)])
    cell = done.facts["contamination"][0]
    assert (cell["contaminated"], cell["share"], cell["removed_rows"]) == (1, 0.5, 3)


def test_an_sft_row_and_its_rlvr_twin_are_one_row_of_the_table(bench) -> None:
    """GSM8K train against its test set: three questions, so three rows, though six examples go."""
    bench.add_eval("gsm8k", [QUESTION])
    origin = {"raw_file": "train.jsonl", "raw_row": 7}
    sft = replace(bench.sft("q7", QUESTION), **origin)
    twin = RLVRExample(
        id="q7-rlvr", source="train", category="math", skill="math", language="en", license="MIT", **origin,
        messages=(Message("user", QUESTION),), ground_truth="72", verifier="gsm8k",
    )
    done = bench.decontaminate([sft, twin])
    assert done.rows["rejected"] == 2
    assert done.facts["contamination"][0]["removed_rows"] == 1


def test_an_overlapping_source_is_dropped_only_where_the_recipe_says_so(bench) -> None:
    done = overlap(bench, 200, 5, drop_overlapping_sources=True)
    assert kept(done) == ["clean"]
    assert reasons(done)["honest"] == "eval_set_overlap"
    assert done.reasons == {"contaminated": 5, "eval_set_overlap": 1}


def test_a_source_at_the_limit_is_not_dropped(bench) -> None:
    assert kept(overlap(bench, 200, 4, drop_overlapping_sources=True)) == ["honest", "clean"]


# ---------------------------------------------------------------- the review band


def test_rows_in_the_band_wait_apart_from_the_clean_ones(bench) -> None:
    bench.add_eval("eval", [numbered(1, 40)])
    rows = [bench.sft("clean", numbered(1, 12)), bench.sft("band", numbered(1, 16)), bench.sft("half", numbered(1, 20)),
            bench.sft("over", numbered(1, 21))]
    done = bench.decontaminate(rows, cut_offs={"ngram_coverage": {"review": 0.3}})
    assert kept(done) == ["clean"]  # .30 exactly is below the band
    assert [row["id"] for row in read_rows(done, "review_sft")] == ["band", "half"]
    assert done.rows == {"read": 4, "kept": 3, "rejected": 1}  # a row of the band is kept until it is decided
    rules = {m["row_id"]: (m["decision"], m["rule"]) for m in matches(done)}
    assert rules["band"] == ("review", "recipe: 8-gram coverage > 0.3 (not part of tulu3)")
    assert rules["over"] == ("remove", "tulu3: 8-gram coverage > 0.5")


# ---------------------------------------------------------------- the seed's example, and eval files


def test_the_eiffel_rows_do_not_exceed_the_published_rule(bench) -> None:
    """AX14: five words have no 8-gram; the leaked *answer* is outside what question overlap can report."""
    path = bench.add_eval("eval", ["Where is the Eiffel Tower?"])
    before = path.read_bytes()
    done = bench.decontaminate([
        bench.sft("before", "The Eiffel Tower is located in Paris."),
        bench.sft("after", "The Eiffel Tower is a famous landmark in France, known for its structure."),
        bench.sft("korean", "두 수의 합이 10이고 두 수를 곱하면 24일 때, 두 수를 찾아라."),
    ])
    assert kept(done) == ["before", "after", "korean"]
    assert path.read_bytes() == before


def test_an_eval_file_that_changed_since_it_was_indexed_stops_the_stage(bench) -> None:
    path = bench.add_eval("eval", ["Where is the Eiffel Tower?"])
    index, rows = bench.index(), bench.rows([bench.sft("a", "hi")])
    path.write_text('{"question": "Where is it?"}\n')
    writer = ArtifactWriter(str(bench.folder / "clean"), stage="decontaminate")
    with pytest.raises(EvalFilesChanged, match="eval.jsonl"):
        decontaminate_examples([rows], index, Decontaminate(), writer)
    assert not Path(bench.folder / "clean" / "manifest.json").exists()


def test_the_same_rows_give_the_same_bytes(bench) -> None:
    bench.add_eval("eval", [numbered(1, 40), "Who?"])
    rows = bench.rows([bench.sft("a", numbered(1, 30)), bench.sft("b", "who"), bench.sft("c", numbered(1, 17))])
    index = bench.index()
    contents = []
    for name in ("one", "two"):
        writer = ArtifactWriter(str(bench.folder / name), stage="decontaminate")
        decontaminate_examples([rows], index, Decontaminate(preset="tulu3", cut_offs={"ngram_coverage": {"review": 0.2}}), writer)
        contents.append(writer.finish().content)
    assert contents[0] == contents[1]
