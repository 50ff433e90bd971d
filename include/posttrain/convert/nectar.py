"""Nectar: a prompt with about seven answers ranked by GPT-4 → one pair.

The rule: the chosen answer is drawn among the `top` best-ranked ones, the rejected one among those ranked strictly below
it. open-instruct's nectar.py draws the rejected answer among all others, so that it may be ranked above the chosen one.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import list_of, object_of, text_of
from posttrain.convert.hh_rlhf import read_transcript
from posttrain.convert.preference import pair_draft
from posttrain.convert.rated_answers import draw, number_of
from posttrain.convert.ultrafeedback import refuse_eval_prompt
from posttrain.schema import Message, UnreadableRow
from posttrain.section import Section


class NectarOptions(Section):
    """Which answers can be chosen, and which part of the set is read."""

    top: int = Field(default=3, gt=0, description="the chosen answer is one of so many best-ranked; 1 = always the best")
    subset: str | None = Field(default=None, description="only prompts whose `source` is exactly this, such as lmsys-chat-1m")


def convert_nectar(row: Any, options: NectarOptions = NectarOptions()) -> list[Draft]:  # noqa: B008 (frozen)
    """{prompt: a transcript that ends with "Assistant:", answers: [{answer, model, rank}], source}; rank 1 is best.

    Answers that go on with a speaker's turn ("Human:", "Assistant:") are left out, as in open-instruct. An answer that fills a
    second place, as the card says some do, counts once, at its best. Prompts of TruthfulQA, which came with UltraFeedback's,
    are refused by the row's `source`.
    """
    fields = object_of(row)
    refuse_eval_prompt(fields)
    sources = fields.get("source")
    if options.subset is not None and sources not in (options.subset, [options.subset]):
        raise UnreadableRow("not_selected", "source", repr(sources)[:80])
    prompt = text_of(fields, "prompt")
    turns = read_transcript(prompt, "prompt") if "Human:" in prompt else (Message("user", prompt.strip()),)
    if turns[-1].role == "assistant" and not turns[-1].content:
        turns = turns[:-1]
    ranked = _ranked(fields)
    if len(ranked) < 2:
        raise UnreadableRow("too_few_answers", "answers", f"{len(ranked)} without a further turn in it")
    candidates = [answer for answer in ranked[:options.top] if answer[0] < ranked[-1][0]]
    if not candidates:
        raise UnreadableRow("tied_pair", "answers", f"all ranked {ranked[0][0]:g}")
    rank, answer, model = candidates[draw(prompt, len(candidates))]
    lower = [other for other in ranked if other[0] > rank]
    _, worse, worse_model = lower[draw(prompt + "\x00rejected", len(lower))]
    draft = pair_draft((*turns, Message("assistant", answer)), (*turns, Message("assistant", worse)), model, worse_model)
    return [draft]


def _ranked(row: dict[str, Any]) -> list[tuple[float, str, str | None]]:
    """(rank, answer, model) of the usable answers, the best first; of equal texts the best one."""
    found = []
    for n, answer in enumerate(list_of(row, "answers")):
        if not isinstance(answer, dict):
            raise UnreadableRow("wrong_type", f"answers[{n}]", f"{type(answer).__name__} instead of an object")
        text = text_of(answer, "answer")
        if "Human:" not in text and "Assistant:" not in text:
            model = answer.get("model")
            rank = number_of(answer.get("rank"), f"answers[{n}].rank")
            found.append((rank, text, model if isinstance(model, str) else None))
    best: dict[str, tuple[float, str, str | None]] = {}
    for answer in sorted(found, key=lambda answer: answer[0]):
        best.setdefault(answer[1].strip(), answer)
    return list(best.values())
