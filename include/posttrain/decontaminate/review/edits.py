"""What a paraphrase changes of a row: the questions that matched, each with the answers that belong to it; the other turns stay.

    row        user A, assistant a, user B, assistant b;  matched: turn 2
    edit       turn 2: question C, answer c
    new row    user A, assistant a, user C, assistant c

Both sides of a preference pair get the question, so that they still answer the same prompt. Where they answer the turn
differently, the edit holds the worse answer as well. Of an RLVR row's last turn the answer is the new ground truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from posttrain.schema import Example, Message, PreferencePair, RLVRExample, conversation
from posttrain.teacher.worked_answers import final_number
from posttrain.verifiers.math import last_boxed


class ParaphraseRefused(ValueError):
    """The questions and answers cannot replace the row's. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Another question in the place of user turn `turn`, and its answer. `worse` is the answer of a pair's rejected side.

    `request_id` is the journal key of the teacher's answer; None where a person wrote it.
    """

    turn: int
    question: str
    answer: str = ""
    worse: str = ""
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one question of a row; None where the row has none that the question decides about."""

    answer: str | None = None
    worse: str | None = None


def questions_of(example: Example, matched: Iterable[int]) -> tuple[int, ...]:
    """The places of the questions that a paraphrase replaces: of each matched turn the user turn that it is or answers."""
    roles = [message.role for message in conversation(example)]
    asked = [[n for n, role in enumerate(roles[: place + 1]) if role == "user"] for place in matched]
    return tuple(sorted({users[-1] for users in asked if users}))


def answers_to(example: Example, turn: int) -> Answers:
    """What the row answers to the question at `turn`, and what is replaced together with it."""
    if isinstance(example, PreferencePair):
        chosen, rejected = (_after(side, turn) for side in (example.chosen, example.rejected))
        if not example.chosen and turn + 2 == len(example.rejected):
            return Answers(None, rejected)  # all that is known of the row is that this answer is a bad one
        if not (example.chosen and example.rejected) or chosen == rejected:
            return Answers(chosen if example.chosen else rejected)
        return Answers(chosen, rejected)
    if isinstance(example, RLVRExample) and turn + 1 == len(example.messages):
        return Answers(example.ground_truth)
    return Answers(_after(example.messages, turn))


def _after(side: Sequence[Message], turn: int) -> str | None:
    return side[turn + 1].content if turn + 1 < len(side) else None


def obstacle(example: Example, turns: Sequence[int]) -> str:
    """Why the questions at these places cannot be replaced, or ""."""
    if not turns:
        return "what matched is a system prompt, and no question"
    if isinstance(example, RLVRExample) and turns[-1] + 1 == len(example.messages) and not _has_new_truth(example):
        return f"the ground truth of verifier {example.verifier} belongs to the old prompt"
    if isinstance(example, PreferencePair) and example.chosen and example.rejected:
        for turn in turns:
            if turn >= len(example.rejected) or example.rejected[turn] != example.chosen[turn]:
                return f"the two sides of the pair ask different questions in turn {turn}"
    return ""


def _has_new_truth(example: RLVRExample) -> bool:
    """Whether the number of a new answer can be the ground truth. Constraints and tests are about the old prompt's wording, and
    of a formula nobody but a person could say whether it is right."""
    number = last_boxed(example.ground_truth) or example.ground_truth
    return example.verifier == "gsm8k" or (example.verifier == "math" and final_number(f"#### {number}") is not None)


def has_number(example: Example, turn: int) -> bool:
    """Whether the answer to a question is a final number, as in GSM8K, so that the new answer can be verified."""
    old = answers_to(example, turn).answer
    is_truth = isinstance(example, RLVRExample) and turn + 1 == len(example.messages)
    return is_truth or (old is not None and final_number(old) is not None)


def by_hand(example: Example, edits: Sequence[Edit]) -> Example:
    """The row with a reviewer's questions and answers. Raises ParaphraseRefused."""
    turns = sorted(edit.turn for edit in edits)
    roles = [message.role for message in conversation(example)]
    if wrong := [turn for turn in turns if turn >= len(roles) or roles[turn] != "user"]:
        raise ParaphraseRefused(f"turn {wrong[0]} of this row is no question")
    if not turns or len(set(turns)) < len(turns):
        raise ParaphraseRefused("write one question for each turn that is to be replaced")
    if complaint := obstacle(example, turns):
        raise ParaphraseRefused(f"this row cannot be paraphrased: {complaint}; keep or delete it")
    for edit in edits:
        where = f" (turn {edit.turn})" if len(edits) > 1 else ""
        if complaint := _complaint(example, edit):
            raise ParaphraseRefused(complaint + where)
    return rewritten(example, edits)


def _complaint(example: Example, edit: Edit) -> str:
    """What is wrong with one edit, or ""."""
    old = answers_to(example, edit.turn)
    if not edit.question or (old.answer is not None and not edit.answer):
        return "write a question and its answer"
    if old.worse is not None and not edit.worse:
        return "write the answer of the rejected side too: the old one belongs to the old question"
    if edit.question == conversation(example)[edit.turn].content.strip():
        return "this is the old question; keep the row, or ask in other words"
    if old.worse is not None and edit.worse == edit.answer:
        return "the two answers of a pair must differ"
    if has_number(example, edit.turn) and final_number(edit.answer) is None:
        return "the answer's last line must be `#### ` and the final number, as in the row that it replaces"
    return ""


def rewritten(example: Example, edits: Sequence[Edit]) -> Example:
    """The row with other questions and answers in place of its own, linked to the original by `parent_id`."""
    values: dict[str, Any] = {
        "id": f"{example.id}_paraphrased", "made_by": "rewritten", "parent_id": example.id, "raw_file": None, "raw_row": None,
        "request_id": next((edit.request_id for edit in edits if edit.request_id), None),
    }
    if isinstance(example, PreferencePair):
        values |= _pair_values(example, edits)
        return replace(example, **values)
    values["messages"] = _with_edits(example.messages, edits, {edit.turn: edit.answer for edit in edits})
    if isinstance(example, RLVRExample):
        for edit in edits:
            if edit.turn + 1 == len(example.messages):
                values["ground_truth"] = final_number(edit.answer) or ""
    return replace(example, **values)


def _pair_values(pair: PreferencePair, edits: Sequence[Edit]) -> dict[str, Any]:
    """Prompt and both sides. An answer that was replaced is no longer that of the model named in the row."""
    values: dict[str, Any] = {}
    first = next((n for n, message in enumerate(conversation(pair)) if message.role == "user"), -1)
    for edit in edits:
        if edit.turn == first:
            values["prompt"] = edit.question
    worse = {edit.turn: edit.worse if answers_to(pair, edit.turn).worse is not None else edit.answer for edit in edits}
    for name, answers in (("chosen", {edit.turn: edit.answer for edit in edits}), ("rejected", worse)):
        side = getattr(pair, name)
        values[name] = _with_edits(side, edits, answers)
        if values[name] and values[name][-1] != side[-1]:
            values[f"{name}_model"] = None
    return values


def _with_edits(side: tuple[Message, ...], edits: Sequence[Edit], answers: dict[int, str]) -> tuple[Message, ...]:
    turns = list(side)
    for edit in edits if side else ():
        turns[edit.turn] = replace(turns[edit.turn], content=edit.question)
        if edit.turn + 1 < len(turns):
            turns[edit.turn + 1] = replace(turns[edit.turn + 1], content=answers[edit.turn])
    return tuple(turns)
