"""Preference pairs {prompt, chosen, rejected}: texts, message lists, or a conversation with two last turns."""

from __future__ import annotations

from typing import Any

from posttrain.convert.alpaca import earlier_turns, instruction_of
from posttrain.convert.draft import Draft
from posttrain.convert.fields import as_text, object_of, optional_text, text_of
from posttrain.convert.turns import turns_of, with_system
from posttrain.schema import Message, UnreadableRow, check_turns

RATINGS = (
    ("chosen_rating", "rejected_rating"), ("chosen-rating", "rejected-rating"), ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
)
MODELS = tuple((f"{side}_model", f"{side}-model") for side in ("chosen", "rejected"))


def convert_preference(row: Any) -> list[Draft]:
    """Every published form of a pair.

    - `prompt` a text or a list of turns, `chosen` and `rejected` texts, turns {role, content} or {from, value}, or
      lists of turns that continue the prompt;
    - `conversations` in place of `prompt` (LLaMA-Factory), `question`, or Alpaca's `instruction`, `input` and `history`;
    - `chosen` and `rejected` whole conversations, with or without `prompt` beside them (Tülu 3, UltraFeedback).
    """
    fields = object_of(row)
    _check_ratings(fields)
    prompt = _prompt_turns(fields)
    chosen, rejected = (with_system(_side(fields, name, prompt), fields) for name in ("chosen", "rejected"))
    return [pair_draft(chosen, rejected, *(optional_text(fields, *names) for names in MODELS))]


def pair_draft(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...],
    chosen_model: str | None = None, rejected_model: str | None = None,
) -> Draft:
    """A checked pair: both sides answer the same turns, and not with the same text."""
    check_turns(chosen)
    check_turns(rejected)
    if chosen[:-1] != rejected[:-1]:
        raise UnreadableRow("prompts_differ", "rejected", "the turns before the two answers are not the same")
    if chosen[-1].content.strip() == rejected[-1].content.strip():
        raise UnreadableRow("tied_pair", "rejected", "the same text on both sides")
    prompt = next(m.content for m in chosen if m.role == "user")
    return Draft(kind="preference", prompt=prompt, chosen=chosen, rejected=rejected,
                 chosen_model=chosen_model, rejected_model=rejected_model)


def _check_ratings(row: dict[str, Any]) -> None:
    """Refuse a pair whose own ratings are equal, or say that the rejected answer is the better one."""
    for chosen, rejected in RATINGS:
        better, worse = row.get(chosen), row.get(rejected)
        if better is not None and better == worse:
            raise UnreadableRow("tied_pair", rejected, f"both rated {better}")
        numbers = isinstance(better, int | float) and isinstance(worse, int | float)
        if numbers and worse > better:
            raise UnreadableRow("rating_contradicts_order", rejected, f"{worse} above {better}")


def _prompt_turns(row: dict[str, Any]) -> tuple[Message, ...]:
    for name in ("conversations", "prompt"):
        value = row.get(name)
        if isinstance(value, str):
            return (Message("user", value),)
        if value is not None:
            return turns_of(value, name)
    if row.get("question") is not None:
        return (Message("user", text_of(row, "question")),)
    if row.get("instruction") is not None:
        return (*earlier_turns(row), Message("user", instruction_of(row)))
    return ()


def _side(row: dict[str, Any], name: str, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """The whole conversation of one side: a list that begins with a question is whole, anything else an answer."""
    value = row.get(name)
    if value is None:
        raise UnreadableRow("missing_field", name, "absent" if name not in row else "null")
    if isinstance(value, list):
        turns = turns_of(value, name)
        if turns and turns[0].role != "assistant":
            return turns
    else:
        turns = turns_of([value], name) if isinstance(value, dict) else (Message("assistant", as_text(value, name)),)
    if not prompt:
        raise UnreadableRow("missing_field", "prompt")
    return prompt + turns
