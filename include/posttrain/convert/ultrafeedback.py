"""UltraFeedback: an instruction with up to four answers, each rated on four aspects → one pair; its binarised forms too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import list_of, object_of, text_of
from posttrain.convert.preference import convert_preference, pair_draft
from posttrain.convert.rated_answers import choose_pair, number_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow
from posttrain.section import Section

ASPECTS = ("helpfulness", "honesty", "instruction_following", "truthfulness")
EVAL_SOURCES = frozenset({"truthfulqa"})
"""Values of `source`, letters and digits only, whose prompts are an eval's: TruthfulQA gave 811 of UltraFeedback's prompts."""


class UltraFeedbackOptions(Section):
    """The pair of a prompt: the best mean over the four aspects against one with a strictly lower mean."""

    rejected: Literal["drawn", "worst"] = Field(
        default="drawn", description="of the answers rated lower: one by the prompt's hash (as Tülu 3 draws), or the lowest")
    margin: float = Field(default=0.0, ge=0, description="least difference of the two means")


def convert_ultrafeedback(row: Any, options: UltraFeedbackOptions = UltraFeedbackOptions()) -> list[Draft]:  # noqa: B008 (frozen)
    """{instruction, completions: [{model, response, annotations}], source}, or a binarised {prompt, chosen, rejected}.

    An answer that lacks one of the four ratings (published as "N/A") is not compared. Prompts of TruthfulQA are refused
    by the row's `source`.
    """
    fields = object_of(row)
    refuse_eval_prompt(fields)
    if fields.get("completions") is None and (fields.get("chosen") is not None or fields.get("rejected") is not None):
        return convert_preference(fields)
    prompt = text_of(fields, "instruction", "prompt")
    rated = []
    for n, answer in enumerate(list_of(fields, "completions")):
        if not isinstance(answer, dict):
            raise UnreadableRow("wrong_type", f"completions[{n}]", f"{type(answer).__name__} instead of an object")
        score = mean_rating(answer, f"completions[{n}]")
        if score is not None:
            rated.append((score, answer, n))
    best, lower = choose_pair([score for score, _, _ in rated], prompt, "completions",
                              worst=options.rejected == "worst", margin=options.margin)
    sides = [question_answer(prompt, text_of(rated[n][1], "response")) for n in (best, lower)]
    models = [name if isinstance(name := rated[n][1].get("model"), str) else None for n in (best, lower)]
    return [pair_draft(sides[0], sides[1], models[0], models[1])]


def mean_rating(answer: dict[str, Any], field: str) -> float | None:
    """The mean of the four aspects, 1 to 5; None where one of them has no rating. Raises missing_field or wrong_type."""
    annotations = answer.get("annotations")
    if not isinstance(annotations, dict):
        raise UnreadableRow("missing_field" if annotations is None else "wrong_type", f"{field}.annotations")
    ratings = []
    for aspect in ASPECTS:
        value = annotations.get(aspect)
        if isinstance(value, dict):
            value = value.get("Rating")
        if value is None or value == "N/A":
            return None
        ratings.append(number_of(value, f"{field}.annotations.{aspect}"))
    return sum(ratings) / len(ratings)


def refuse_eval_prompt(row: dict[str, Any]) -> None:
    """Raises eval_prompt where the row's `source`, a text or a list of texts, names an eval set."""
    sources = row.get("source")
    for source in sources if isinstance(sources, list) else [sources]:
        if isinstance(source, str) and "".join(c for c in source.lower() if c.isalnum()) in EVAL_SOURCES:
            raise UnreadableRow("eval_prompt", "source", source)
