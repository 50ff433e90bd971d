"""WildJailbreak and WildGuardMix: safety prompts, plain and adversarial, with their answers."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, optional_text, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow

DATA_TYPES = ("vanilla_benign", "vanilla_harmful", "adversarial_benign", "adversarial_harmful")


def convert_wildjailbreak(row: Any) -> list[Draft]:
    """{vanilla, adversarial, completion, data_type}: the prompt is the one that `data_type` names, which becomes the skill."""
    fields = object_of(row)
    data_type = text_of(fields, "data_type")
    if data_type not in DATA_TYPES:
        raise UnreadableRow("wrong_type", "data_type", f"{data_type!r}; known: {', '.join(DATA_TYPES)}")
    prompt = text_of(fields, data_type.partition("_")[0])
    return [Draft(messages=question_answer(prompt, text_of(fields, "completion")), skill=data_type)]


def convert_wildguardmix(row: Any) -> list[Draft]:
    """{prompt, response, adversarial, prompt_harm_label, response_refusal_label, response_harm_label, subcategory}.

    About half of the rows are prompts alone. An answer that is labelled harmful is there to train a classifier and is never
    imitated. The subcategory becomes the skill.
    """
    fields = object_of(row)
    prompt = text_of(fields, "prompt")
    response = optional_text(fields, "response")
    if not (response or "").strip():
        raise UnreadableRow("no_assistant_turn", "response", "a prompt without a response")
    if fields.get("response_harm_label") == "harmful":
        raise UnreadableRow("harmful_answer", "response_harm_label", "harmful")
    return [Draft(messages=question_answer(prompt, response or ""), skill=label_of(fields, "subcategory"))]
