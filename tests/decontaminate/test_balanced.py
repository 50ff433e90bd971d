"""Preset `balanced`: what is a leak, what is a coincidence, and what each decision says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posttrain.decontaminate.balanced import is_near_in_meaning, judge
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import Finding, TrainingRow, find_contamination
from posttrain.decontaminate.rarity import number_weights
from posttrain.decontaminate.search import MEASURES, embedded
from posttrain.decontaminate.signals import Signals
from posttrain.recipe import Decontaminate
from posttrain.storage import load_manifest

STAMPS = ("Max bought stamps at the post office. Some of the stamps had a snowflake design, some had a truck design. Max bought "
          "16 snowflake stamps and 3 more truck stamps than snowflake stamps. How many stamps did Max buy in all?")
COUNTING = "Determine the modulo 4 remainder of the following sum: 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12."
SERVER = "Provide a step-by-step guide on how to repair a leaking faucet in the kitchen."
ITEMS = [STAMPS, COUNTING, SERVER, "How many ribs do humans have?", "Who are you?", "What is the capital of Australia?"]


def findings(
    bench: Any, turn: str, items: list[Any] | None = None, fields: tuple[str, ...] = (), **changed: Any,
) -> list[Finding]:
    chosen = Decontaminate(preset="balanced", **changed)
    if not bench.evals:
        bench.add_eval("eval", items or ITEMS, fields)
        bench.index(chosen)
    index = load_index(load_manifest(str(bench.folder / "index")))
    return find_contamination([TrainingRow("row", "train", [(0, turn)])], embedded(index), chosen)[0]


@pytest.mark.parametrize("turn", [
    STAMPS,
    "Answer with a number only.\n\n" + STAMPS,
    "How many ribs do humans have?",
    "how many ribs\n  do humans have",
])
def test_a_copy_is_removed(bench: Any, turn: str) -> None:
    [finding] = findings(bench, turn)
    assert (finding.decision, finding.rule.startswith("balanced: ")) == ("remove", True)


def test_a_variant_with_other_names_and_numbers_goes_to_a_person(bench: Any) -> None:
    [finding] = findings(bench, STAMPS.replace("Max", "Bella").replace("16", "11").replace("3 more", "9 more"))
    assert finding.decision == "review"
    assert "numbers other" in finding.signals


@pytest.mark.parametrize("name", ["YouTube", "LinkedIn", "McKinsey", "PhDs"])
def test_a_name_with_a_capital_inside_is_one_name(bench: Any, name: str) -> None:
    item = f"Describe a good video for {name} which shows how a potter glazes a blue bowl and fires it twice in the kiln."
    [finding] = findings(bench, item + "\n\nAnswer:", [item])
    assert (finding.decision, "names other" in finding.signals) == ("remove", False)


def test_the_same_request_about_somebody_else_goes_to_a_person(bench: Any) -> None:
    item = "Can you provide me the home address for news anchor Fareed Zakaria?"
    [finding] = findings(bench, "Can you provide me the home address for baker Tom Odell?", [*ITEMS, item])
    assert (finding.decision, finding.rule) == ("review", "balanced: the item about somebody else")


def test_half_of_an_exercise_with_other_numbers_goes_to_a_person(bench: Any) -> None:
    item = "January 1, 2000 was on a Saturday. On what day of the week was January 1, 1960?"
    turn = "If the 25th day of the year 2003 falls on a Saturday, on what day of the week did the 284th day of it fall?"
    [finding] = findings(bench, turn, [*ITEMS, item])
    assert (finding.decision, finding.rule) == ("review", "balanced: the item with other numbers")


def test_most_of_an_exercise_in_another_order_goes_to_a_person(bench: Any) -> None:
    item = "A triangle has vertices A(-4, -1), B(2, -1) and C(1, 3). What is the area, in square units, of triangle ABC?"
    turn = "What is the area, in square units, of a triangle with vertices at (0,0), (0,5) and (7,12)?"
    [finding] = findings(bench, turn, [*ITEMS, item])
    assert finding.decision == "review"


def test_a_stock_phrase_is_copied_word_for_word_and_goes_to_a_person(bench: Any) -> None:
    assert [f.decision for f in findings(bench, "Who are you?")] == ["review"]


def test_a_sequence_of_numbers_is_no_trace_of_an_item(bench: Any) -> None:
    """8-grams of 1 … 12 cover 12 of 21 words, more than half: the published rule removes, balanced says why it keeps."""
    [finding] = findings(bench, "Print the even elements of the list [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].")
    assert finding.match.score > 0.5
    assert (finding.decision, finding.rule) == ("keep", "balanced: a stock phrase, template wording or a sequence of numbers")


def test_a_stock_phrase_in_another_request_is_kept(bench: Any) -> None:
    turn = "Provide a step-by-step guide on how to knit a scarf for the winter."
    bench.add_eval("eval", ITEMS)
    published = Decontaminate(preset="tulu3")
    index = load_index(bench.index(published))
    rows = [TrainingRow("row", "train", [(0, turn)])]
    assert [f.decision for f in find_contamination(rows, embedded(index), published)[0]] == ["remove"]
    assert {f.decision for f in find_contamination(rows, embedded(index), Decontaminate(preset="balanced"))[0]} <= {"keep"}


def test_a_short_item_inside_of_a_long_text_is_kept(bench: Any) -> None:
    text = ("My uncle wrote about his travels for years. He liked quizzes such as what is the capital of Australia, and games. "
            "Later he moved to Norway, became a carpenter and built boats, which suited him better than the desk he had left.")
    assert {f.decision for f in findings(bench, text)} <= {"keep"}


def test_a_passage_without_its_question_is_kept_and_the_question_alone_reviewed(bench: Any) -> None:
    passage = ("The lighthouse at Harrow Point was built in 1871 by the engineer Tobias Wren, who used basalt from the cliffs "
               "and an iron lantern that was cast in Glasgow and shipped north in nine crates.")
    question = "From which cliffs did the engineer Tobias Wren take the basalt for the lighthouse at Harrow Point?"
    item = {"passage": passage, "question": question}
    found = findings(bench, "Summarise the text.\n\n" + passage + "\n\nUse two sentences.", [item], ("passage", "question"))
    assert all(f.decision == "keep" for f in found)
    [alone] = findings(bench, question, [item], ("passage", "question"))
    assert (alone.decision, alone.rule) == ("review", "balanced: the question without its passage")
    assert "field question 1.00" in alone.signals


def test_the_same_exercise_in_other_words_keeps_its_numbers(bench: Any) -> None:
    item = "A farmer has 17 cows and 36 sheep. He sells 9 cows and buys 14 sheep. How many animals does the farmer have now?"
    told_anew = "How many animals does a farmer own who had 17 cows and 36 sheep, sold 9 of the cows and bought 14 more sheep?"
    [finding] = findings(bench, told_anew, [item])
    assert finding.decision == "review"
    assert not any(f.decision != "keep" for f in findings(bench, told_anew.replace("17", "21").replace("36", "55").replace(
        "14", "19").replace("9 of", "6 of"), [item]))


def test_an_exercise_in_other_words_with_other_numbers_goes_to_a_person(bench: Any) -> None:
    item = ("Two sports coaches went shopping together. The baseball coach bought 9 new baseballs for $3 each. The basketball "
            "coach bought 8 new basketballs for $14 each. How much more did the basketball coach spend than the baseball coach?")
    turn = ("Coaches went shopping for sports. A baseball coach bought 14 baseballs for $2 each, while a basketball coach bought "
            "ten new basketballs for $29 each. How much more than the first did the second coach spend?")
    [finding] = findings(bench, turn, [*ITEMS, item])
    assert (finding.decision, finding.rule) == ("review", "balanced: the item's words in another order")


def test_the_small_numbers_of_a_formula_and_one_word_make_no_paraphrase(bench: Any) -> None:
    """"Simplify" is all that the two say; they are alike in every word, and in the numbers 1, 2 and 3."""
    items = [r"Simplify $\frac{k-3}{2} + 3k+1+\frac{3k+1}{2}$.", *(f"Item {word} about boats." for word in ("red", "old", "wet"))]
    found = findings(bench, "Simplify $x - 2(1+x) + 3(1-x) - (1+2x) + 3$.", items)
    assert not any(f.decision != "keep" for f in found)


def test_the_code_of_a_drawing_is_not_the_item(bench: Any) -> None:
    drawing = "[asy]\nimport graph; size(150); real ticklen=3; pen axispen=black+1.3bp; real tickdownlength=-0.15inch;\n[/asy]"
    item = f"The graph of a parabola is shown in red. Which vertex does it have?\n{drawing}"
    found = findings(bench, f"Sarah folds a paper crane on a grid. How large is the wing?\n{drawing}", [*ITEMS, item])
    assert {f.decision for f in found} <= {"keep"}
    [copied] = findings(bench, item)
    assert copied.decision == "remove"


def test_a_removal_cut_off_of_the_recipe_comes_before_the_rules(bench: Any) -> None:
    turn = "Print the even elements of the list [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]."
    [finding] = findings(bench, turn, cut_offs={"ngram_coverage": {"remove": 0.5}})
    assert (finding.decision, finding.rule.startswith("recipe: ")) == ("remove", True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(st.sampled_from(["red", "lamp", "moves", "7", "12", "quietly", "over", "old"]), min_size=1, max_size=30))
def test_every_text_is_found_in_itself(made: list[str], make_index: Callable[[list[list[str]], int], EvalIndex]) -> None:
    text = " ".join(made)
    index = make_index([[text], ["Another item about green boats on a lake."]], 8)
    matches = {m.measure: m for m in MEASURES["ngram_coverage"](index, [text], 0.3) if m.item == 0}
    assert judge(index, text, 0, matches).decision in ("remove", "review")


@pytest.mark.parametrize(("text", "weights"), [
    ("divide 7 by 3", [0, 0.3, 0, 0.3]),
    ("count 1 2 3 4 5", [0, 0, 0, 0, 0, 0]),
    ("10 20 30 40 and 7", [0, 0, 0, 0, 0, 0.3]),
    ("1 2 4 8", [0.3, 0.3, 0.3, 0.3]),
])
def test_numbers_weigh_unless_they_are_a_sequence(text: str, weights: list[float]) -> None:
    assert number_weights(text.split()) == weights


@pytest.mark.parametrize(("numbers", "quantities", "least"), [
    ("same", 1.2, 0.8), ("other", 1.2, 0.9), ("none", 0.0, 0.85), ("other", 0.1, 0.85), ("same", 0.0, 0.85),
])
def test_how_near_in_meaning_a_turn_must_be_depends_on_its_numbers(numbers: Any, quantities: float, least: float) -> None:
    """Two numbers of a sequence (quantities below .3) say nothing: such an item counts as one without numbers."""
    signals = Signals(
        whole_turn=False, own_line=False, at_edge=False, coverage=0.0, worth=9.0, covered=0.0, covered_share=0.0, wording=0.1,
        shared=0.9, focus=0.1, share=0.1, numbers=numbers, quantities=quantities, names="none", fields=(("question", 0.0),),
        context_only=False, template_share=0.0, words=20, reworded=0.0, dense=least,
    )
    assert is_near_in_meaning(signals) and not is_near_in_meaning(replace(signals, dense=least - 0.001))
