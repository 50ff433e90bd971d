"""RLVR rows as Tülu 3 publishes them: {messages, ground_truth, dataset}; `dataset` names the verifier."""

from __future__ import annotations

import ast
import json
from typing import Any

from posttrain.convert.code_tests import tests_text
from posttrain.convert.draft import Draft
from posttrain.convert.fields import json_value, name_of, number_text, object_of, text_of
from posttrain.convert.math_labels import level_tags, subject_of
from posttrain.convert.turns import turns_of, with_system
from posttrain.schema import Message, UnreadableRow, check_turns

VERIFIER_OF = {
    "gsm8k": ("gsm8k", "math"), "math": ("math", "math"), "ifeval": ("ifeval", "precise_if"), "code": ("code", "code"),
}
"""Published `dataset` in lower case → verifier and category."""


def convert_rlvr(row: Any) -> list[Draft]:
    """The prompt as published (worked examples included), ending with the user's turn.

    A MATH row keeps its subject as skill and its level as tag, an IFEval row the kind of its constraint as tag.
    """
    fields = object_of(row)
    messages = with_system(turns_of(fields.get("messages"), "messages"), fields)
    check_turns(messages, answered=False)
    dataset = text_of(fields, "dataset", "verifier")
    if dataset.lower() not in VERIFIER_OF:
        raise UnreadableRow("unknown_verifier", "dataset", f"{dataset!r}; known: {', '.join(VERIFIER_OF)}")
    verifier, category = VERIFIER_OF[dataset.lower()]
    return [Draft(kind="rlvr", messages=messages, ground_truth=_ground_truth(fields, verifier), verifier=verifier,
                  category=category, skill=subject_of(fields) if verifier == "math" else None,
                  tags=level_tags(fields) + constraint_tags(fields))]


def convert_ifeval_rows(row: Any) -> list[Draft]:
    """{prompt, instruction_id_list, kwargs}, the layout of IFEval's own file, for constraint rows that are not its test set.

    The ground truth is {"instruction_id", "kwargs"} without the null arguments that a table forces on every row; the ids
    are kept as tags.
    """
    fields = object_of(row)
    prompt = text_of(fields, "prompt", "question", "instruction")
    name = name_of(fields, "instruction_id_list", "instruction_id")
    if name is None:
        raise UnreadableRow("missing_field", "instruction_id_list")
    ids = fields[name]
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
        raise UnreadableRow("wrong_type", name, "a non-empty list of texts is expected")
    arguments = fields.get("kwargs")
    arguments = [{}] * len(ids) if arguments is None else arguments
    if not isinstance(arguments, list) or len(arguments) != len(ids) or not all(isinstance(a, dict | None) for a in arguments):
        raise UnreadableRow("wrong_type", "kwargs", f"a list of {len(ids)} objects is expected")
    given = [{key: value for key, value in (one or {}).items() if value is not None} for one in arguments]
    truth = json.dumps({"instruction_id": ids, "kwargs": given}, ensure_ascii=False, sort_keys=True)
    return [Draft(kind="rlvr", messages=(Message("user", prompt),), ground_truth=truth, verifier="ifeval",
                  category="precise_if", tags=tuple(ids))]


def constraint_tags(row: dict[str, Any]) -> tuple[str, ...]:
    kind = row.get("constraint_type")
    return (kind,) if isinstance(kind, str) and kind else ()


def _ground_truth(row: dict[str, Any], verifier: str) -> str:
    if name_of(row, "ground_truth") is None:
        raise UnreadableRow("missing_field", "ground_truth")
    value = row["ground_truth"]
    if verifier == "code":
        return tests_text(value, "ground_truth")
    if isinstance(value, list) and len(value) == 1:  # later releases publish a list of one
        value = value[0]
    if verifier == "ifeval":
        return _constraints(value)
    truth = number_text(value, "ground_truth").strip()
    if not truth:
        raise UnreadableRow("no_final_answer", "ground_truth", "an empty ground truth")
    return truth


def _constraints(value: Any) -> str:
    """The constraints as the `ifeval` verifier takes them: JSON. Later releases print Python's form of the list instead."""
    published = None
    if isinstance(value, str):
        if not value.strip():
            raise UnreadableRow("no_final_answer", "ground_truth", "an empty ground truth")
        try:
            value, published = json_value(value), value.strip()
        except ValueError:
            value = _python_value(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or not {"func_name", "instruction_id", "instruction_id_list"} & value.keys():
        raise UnreadableRow("wrong_type", "ground_truth", "an object with func_name, or with instruction_id, is expected")
    return published or json.dumps(value, ensure_ascii=False, sort_keys=True)


def _python_value(text: str) -> Any:
    try:
        return json_value(json.dumps(ast.literal_eval(text)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:  # TypeError: bytes or a set
        raise UnreadableRow("wrong_type", "ground_truth", f"neither JSON nor a Python value: {text[:80]}") from error
