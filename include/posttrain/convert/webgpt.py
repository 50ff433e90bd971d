"""WebGPT comparisons: a question with two answers from the web and a score for each → a pair."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.convert.rated_answers import choose_pair, number_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow
from posttrain.section import Section

_CITATION = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")


class WebGptOptions(Section):
    """The quotes of an answer are not shown: every answer has its own, and the two sides of a pair answer one prompt."""

    margin: float = Field(default=0.0, ge=0, description="least difference of the two scores, which lie between -1 and 1")
    citations: Literal["keep", "remove"] = Field(default="keep", description="marks such as [1, 3], which refer to the quotes")


def convert_webgpt(row: Any, options: WebGptOptions = WebGptOptions()) -> list[Draft]:  # noqa: B008 (frozen)
    """{question: {full_text}, answer_0, answer_1, score_0, score_1}: the higher score is chosen, equal ones are a tie.

    A line of OpenAI's own file is a list of two: [{question, answer, score}, {question, answer, score}].
    """
    fields = _as_columns(row) if isinstance(row, list) else object_of(row)
    question = fields.get("question")
    if question is None:
        raise UnreadableRow("missing_field", "question")
    prompt = text_of(question, "full_text") if isinstance(question, dict) else text_of(fields, "question")
    answers = [text_of(fields, name) for name in ("answer_0", "answer_1")]
    scores = [number_of(fields.get(name), name) for name in ("score_0", "score_1")]
    if options.citations == "remove":
        answers = [_CITATION.sub("", answer) for answer in answers]
    chosen, rejected = choose_pair(scores, prompt, "score_0", margin=options.margin)
    return [pair_draft(question_answer(prompt, answers[chosen]), question_answer(prompt, answers[rejected]))]


def _as_columns(answers: list[Any]) -> dict[str, Any]:
    if len(answers) != 2:
        raise UnreadableRow("too_few_answers", "row", f"{len(answers)} instead of two")
    if not all(isinstance(answer, dict) for answer in answers):
        raise UnreadableRow("wrong_type", "row", "a list of two objects is expected")
    first, second = answers
    if first.get("question") != second.get("question"):
        raise UnreadableRow("prompts_differ", "question", "the two answers belong to different questions")
    return {"question": first.get("question"), "answer_0": first.get("answer"), "answer_1": second.get("answer"),
            "score_0": first.get("score"), "score_1": second.get("score")}
