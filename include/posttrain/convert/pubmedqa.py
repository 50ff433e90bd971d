"""PubMedQA: abstracts, a question, a decision (yes, no, maybe) and the conclusion it rests on."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import as_text, list_of, object_of, optional_text, text_of
from posttrain.convert.turns import question_answer


def convert_pubmedqa(row: Any) -> list[Draft]:
    """The contexts and the question, answered `Yes. <long answer>`; column names in either case, as both are published."""
    fields = {str(name).lower(): value for name, value in object_of(row).items()}
    if isinstance(fields.get("context"), dict):  # the Hub's layout: {context: {contexts: […]}}
        fields["contexts"] = fields["context"].get("contexts")
    contexts = [as_text(text, f"contexts[{n}]") for n, text in enumerate(list_of(fields, "contexts"))]
    prompt = "\n\n".join([*contexts, text_of(fields, "question")])
    decision, long_answer = optional_text(fields, "final_decision"), text_of(fields, "long_answer")
    return [Draft(messages=question_answer(prompt, f"{decision.capitalize()}. {long_answer}" if decision else long_answer))]
