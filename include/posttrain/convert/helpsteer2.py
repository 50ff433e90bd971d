"""HelpSteer2: one answer a row with five ratings of 0 to 4; the answers to one prompt become a pair.

Its preference file has two answers a row and how much better the second one is, from -3 to 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.convert.rated_answers import choose_pair, number_of
from posttrain.raw_rows import RawRow
from posttrain.schema import Message, UnreadableRow
from posttrain.section import Section

WEIGHTS: dict[str, dict[str, float]] = {
    "mean": {"helpfulness": 0.2, "correctness": 0.2, "coherence": 0.2, "complexity": 0.2, "verbosity": 0.2},
    "70b": {"helpfulness": 0.65, "correctness": 0.8, "coherence": 0.45, "complexity": 0.55, "verbosity": -0.4},
    "340b": {"helpfulness": 0.3, "correctness": 0.74, "coherence": 0.46, "complexity": 0.47, "verbosity": -0.33},
}
"""Score = Σ weight × rating. The weights of 70b and 340b: open-instruct's helpsteer2_nvidia, after NVIDIA's reward models."""

_TURN = re.compile(r"\n?<extra_id_1>(?P<speaker>User|Assistant)\n")
_SPEAKERS = {"User": "user", "Assistant": "assistant"}


class HelpSteer2Options(Section):
    """Chosen: the answer with the highest score; rejected: the one with the lowest; equal scores give no pair."""

    score: Literal["mean", "70b", "340b"] = Field(default="mean", description="mean of the ratings, or NVIDIA's weighted sums")
    ignore_aspects: tuple[Literal["helpfulness", "correctness", "coherence", "complexity", "verbosity"], ...] = Field(
        default=(), max_length=4, description="ratings that do not count; the mean is over the others")
    min_score: float | None = Field(default=None, description="least score of the chosen answer")
    margin: float = Field(default=0.0, ge=0, description="least difference of the two scores")


def join_answers(rows: Iterable[RawRow]) -> Iterator[tuple[Any, list[RawRow]]]:
    """All rows of a prompt as one value {prompt, answers: [row, …]}, in the order of the prompts' first rows.

    A row of the preference file is a pair by itself.
    """
    prompts: dict[str, list[RawRow]] = {}
    for raw in rows:
        row = raw[2]
        if isinstance(row, dict) and isinstance(row.get("prompt"), str) and "preference_strength" not in row:
            prompts.setdefault(row["prompt"], []).append(raw)
        else:
            yield row, [raw]
    for prompt, members in prompts.items():
        yield {"prompt": prompt, "answers": [member[2] for member in members]}, members


def convert_helpsteer2(row: Any, options: HelpSteer2Options = HelpSteer2Options()) -> list[Draft]:  # noqa: B008 (frozen)
    """The answers to one prompt, as `join_answers` gives them, or {prompt, response_1, response_2, preference_strength}, where
    only the option `margin` counts. A prompt of several turns carries `<extra_id_1>` marks.
    """
    fields = object_of(row)
    prompt = text_of(fields, "prompt")
    if "preference_strength" in fields:
        strength = number_of(fields["preference_strength"], "preference_strength")
        texts = [text_of(fields, name) for name in ("response_1", "response_2")]
        chosen, rejected = choose_pair([0.0, strength], prompt, "preference_strength", margin=options.margin)
        return [_pair(prompt, texts[chosen], texts[rejected])]
    answers = fields["answers"] if isinstance(fields.get("answers"), list) else [fields]
    texts = [text_of(object_of(answer), "response") for answer in answers]
    scores = [score_of(answer, options) for answer in answers]
    chosen, rejected = choose_pair(scores, prompt, "response", worst=True, margin=options.margin)
    if options.min_score is not None and scores[chosen] < options.min_score:
        raise UnreadableRow("rated_too_low", "response", f"{scores[chosen]:g}, {options.min_score:g} wanted")
    return [_pair(prompt, texts[chosen], texts[rejected])]


def _pair(prompt: str, chosen: str, rejected: str) -> Draft:
    turns = prompt_turns(prompt)
    return pair_draft((*turns, Message("assistant", chosen)), (*turns, Message("assistant", rejected)))


def score_of(answer: dict[str, Any], options: HelpSteer2Options) -> float:
    """The score of one answer. Ratings are whole numbers, so sums are rounded: .1 + .2 and .3 are a tie."""
    weights = {aspect: weight for aspect, weight in WEIGHTS[options.score].items() if aspect not in options.ignore_aspects}
    if options.score == "mean":
        weights = dict.fromkeys(weights, 1 / len(weights))
    return round(sum(weight * number_of(answer.get(aspect), aspect) for aspect, weight in weights.items()), 9)


def prompt_turns(prompt: str) -> tuple[Message, ...]:
    """`a\\n<extra_id_1>Assistant\\nb\\n<extra_id_1>User\\nc` → user a, assistant b, user c."""
    parts = _TURN.split(prompt)
    first = [Message("user", parts[0])] if parts[0] or len(parts) == 1 else []
    return (*first, *(Message(_SPEAKERS[speaker], text) for speaker, text in zip(parts[1::2], parts[2::2], strict=True)))
