"""What a paraphrase changes of a row of each kind, on rows of a few words."""

from __future__ import annotations

from typing import Any

import pytest

from posttrain.decontaminate.review.edits import (
    Answers,
    Edit,
    ParaphraseRefused,
    answers_to,
    by_hand,
    has_number,
    obstacle,
    questions_of,
    rewritten,
)
from posttrain.schema import Example, Message, PreferencePair, RLVRExample, SFTExample, check_turns
from posttrain.verifiers import verify

SHARED = {"id": "row", "source": "train", "category": "general", "skill": "general", "language": "en", "license": "MIT"}


def turns(*texts: str) -> tuple[Message, ...]:
    """Texts by turns of user and assistant; one that begins with `system:` is the system prompt."""
    roles = ["user", "assistant"] * len(texts)
    return tuple(Message("system", text) if text.startswith("system:") else Message(roles.pop(0), text) for text in texts)


def texts_of(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages]


def sft(*texts: str) -> SFTExample:
    return SFTExample(messages=turns(*texts), **SHARED)


def rlvr(*texts: str, truth: str = "11", verifier: str = "gsm8k") -> RLVRExample:
    return RLVRExample(messages=turns(*texts), ground_truth=truth, verifier=verifier, **SHARED)


def pair(chosen: tuple[str, ...], rejected: tuple[str, ...], **more: Any) -> PreferencePair:
    return PreferencePair(prompt=(chosen or rejected)[0], chosen=turns(*chosen), rejected=turns(*rejected), **SHARED | more)


LONG = sft("system: be kind", "A", "a", "B", "b")


@pytest.mark.parametrize(("matched", "found"), [
    ([1], (1,)), ([3], (3,)), ([3, 1, 3], (1, 3)),
    ([2], (1,)),  # an answer that matched is replaced with its question
    ([4, 3], (3,)), ([0], ()), ([0, 3], (3,)),
])
def test_the_questions_that_matched(matched: list[int], found: tuple[int, ...]) -> None:
    assert questions_of(LONG, matched) == found


@pytest.mark.parametrize(("example", "turn", "answers"), [
    (sft("A", "a"), 0, Answers("a")),
    (LONG, 3, Answers("b")),
    (rlvr("A"), 0, Answers("11")),
    (rlvr("A", "a", "B"), 0, Answers("a")),
    (pair(("A", "a"), ("A", "z")), 0, Answers("a", "z")),
    (pair(("A", "a", "B", "b"), ("A", "a", "B", "z")), 0, Answers("a")),
    (pair(("A", "a", "B", "b"), ("A", "a", "B", "z")), 2, Answers("b", "z")),
    (pair(("A", "a"), ()), 0, Answers("a")),
    (pair((), ("A", "z")), 0, Answers(None, "z")),
    (pair((), ("A", "a", "B", "z")), 0, Answers("a")),
])
def test_the_answers_that_belong_to_a_question(example: Example, turn: int, answers: Answers) -> None:
    assert answers_to(example, turn) == answers


def test_the_other_turns_of_a_conversation_stay() -> None:
    new = rewritten(LONG, [Edit(3, "C", "c", request_id="journal")])
    assert texts_of(new.messages) == ["system: be kind", "A", "a", "C", "c"]
    assert (new.id, new.parent_id, new.made_by, new.request_id) == ("row_paraphrased", "row", "rewritten", "journal")
    both = rewritten(LONG, [Edit(1, "C", "c"), Edit(3, "D", "d")])
    assert texts_of(both.messages) == ["system: be kind", "C", "c", "D", "d"]
    check_turns(both.messages)


def test_the_last_question_of_an_rlvr_row_brings_its_ground_truth() -> None:
    new = rewritten(rlvr("A", "a", "B"), [Edit(2, "C", "5 + 3 = 8\n#### 8")])
    assert (texts_of(new.messages), new.ground_truth) == (["A", "a", "C"], "8")
    example = rewritten(rlvr("A", "a", "B", verifier="ifeval", truth="{}"), [Edit(0, "C", "c")])
    assert (texts_of(example.messages), example.ground_truth) == (["C", "c", "B"], "{}"), "a worked example before the question"


@pytest.mark.parametrize("truth", ["11", "1,100", "-3", "2.5", r"\boxed{11}"])
def test_a_math_row_whose_answer_is_a_number_is_one_like_those_of_gsm8k(truth: str) -> None:
    old = rlvr("A", verifier="math", truth=truth)
    assert obstacle(old, (0,)) == "" and has_number(old, 0)
    new = by_hand(old, [Edit(0, "C", "5 + 3 = 8\n#### 8")])
    assert (texts_of(new.messages), new.ground_truth, new.verifier) == (["C"], "8", "math")
    assert verify("math", r"It is \boxed{8}.", new.ground_truth).score == 1
    with pytest.raises(ParaphraseRefused, match="final number"):
        by_hand(old, [Edit(0, "C", r"\boxed{8}")])


def test_both_sides_of_a_pair_answer_the_new_prompt() -> None:
    old = pair(("A", "a"), ("A", "z"), chosen_model="m", rejected_model="n")
    new = rewritten(old, [Edit(0, "C", "c", "y")])
    assert (new.prompt, texts_of(new.chosen), texts_of(new.rejected)) == ("C", ["C", "c"], ["C", "y"])
    assert (new.chosen_model, new.rejected_model) == (None, None)


def test_an_earlier_turn_of_a_pair_is_the_same_on_both_sides_and_the_last_answers_stay() -> None:
    old = pair(("A", "a", "B", "b"), ("A", "a", "B", "z"), chosen_model="m", rejected_model="n")
    new = rewritten(old, [Edit(0, "C", "c")])
    assert (new.prompt, texts_of(new.chosen), texts_of(new.rejected)) == ("C", ["C", "c", "B", "b"], ["C", "c", "B", "z"])
    assert (new.chosen_model, new.rejected_model) == ("m", "n")
    later = rewritten(old, [Edit(2, "C", "c", "y")])
    assert (later.prompt, texts_of(later.chosen), texts_of(later.rejected)) == ("A", ["A", "a", "C", "c"], ["A", "a", "C", "y"])


def test_one_side_alone() -> None:
    new = rewritten(pair((), ("A", "z")), [Edit(0, "C", "", "y")])
    assert (new.prompt, new.chosen, texts_of(new.rejected)) == ("C", (), ["C", "y"])
    new = rewritten(pair(("A", "a"), ()), [Edit(0, "C", "c")])
    assert (texts_of(new.chosen), new.rejected) == (["C", "c"], ())


@pytest.mark.parametrize(("example", "places", "why"), [
    (LONG, (), "system prompt"),
    (rlvr("A", verifier="ifeval"), (0,), "ground truth of verifier ifeval"),
    (rlvr("A", verifier="code", truth="[]"), (0,), "ground truth of verifier code"),
    (rlvr("A", verifier="math", truth=r"\frac{1}{2}"), (0,), "ground truth of verifier math"),
    (pair(("A", "a", "B", "b"), ("A", "z")), (2,), "different questions in turn 2"),
    (pair(("A", "a", "B", "b"), ("A", "z", "D", "d")), (0, 2), "different questions in turn 2"),
])
def test_what_cannot_be_paraphrased(example: Example, places: tuple[int, ...], why: str) -> None:
    assert why in obstacle(example, places)


@pytest.mark.parametrize(("example", "places"), [
    (LONG, (1, 3)), (rlvr("A", "a", "B", verifier="ifeval"), (0,)), (pair(("A", "a", "B", "b"), ("A", "z")), (0,)),
    (pair((), ("A", "z")), (0,)),
])
def test_what_can(example: Example, places: tuple[int, ...]) -> None:
    assert obstacle(example, places) == ""


def test_where_the_new_answer_must_be_a_number() -> None:
    row = sft("A", "5 + 6 = 11\n#### 11", "B", "a poem")
    assert (has_number(row, 0), has_number(row, 2)) == (True, False)
    assert has_number(rlvr("A"), 0) and not has_number(rlvr("A", "a", "B"), 0)


@pytest.mark.parametrize(("example", "edits", "why"), [
    (LONG, [Edit(3, "B", "c")], "the old question"),
    (LONG, [Edit(1, "C", "c"), Edit(3, "D", "")], r"write a question and its answer \(turn 3\)"),
    (LONG, [Edit(3, "C", "c"), Edit(3, "D", "d")], "one question for each turn"),
    (LONG, [Edit(2, "C", "c")], "turn 2 of this row is no question"),
    (pair(("A", "a"), ("A", "z")), [Edit(0, "C", "c")], "answer of the rejected side"),
    (pair(("A", "a"), ("A", "z")), [Edit(0, "C", "c", "c")], "must differ"),
    (pair(("A", "#### 1"), ("A", "z")), [Edit(0, "C", "c", "y")], "last line must be"),
    (rlvr("A", verifier="ifeval"), [Edit(0, "C", "#### 1")], "keep or delete it"),
])
def test_what_a_reviewer_may_not_write(example: Example, edits: list[Edit], why: str) -> None:
    with pytest.raises(ParaphraseRefused, match=why):
        by_hand(example, edits)
