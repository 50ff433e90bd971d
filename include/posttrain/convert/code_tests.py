"""Code with tests: {question, test_cases} as AceCode publishes it, {prompt, test_list} as MBPP does → an RLVR row."""

from __future__ import annotations

import json
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import json_value, name_of, object_of, text_of
from posttrain.schema import Message, UnreadableRow


def convert_code_tests(row: Any) -> list[Draft]:
    """The task alone; the ground truth is the JSON list of its assert statements, which the `code` verifier runs."""
    fields = object_of(row)
    name = name_of(fields, "test_cases", "test_list", "tests")
    if name is None:
        raise UnreadableRow("missing_field", "test_cases", "also looked for test_list, tests")
    task = text_of(fields, "question", "prompt", "instruction", "text")
    return [Draft(kind="rlvr", messages=(Message("user", task),), ground_truth=tests_text(fields[name], name), verifier="code",
                  category="code")]


def tests_text(value: Any, field: str) -> str:
    """A list of statements, or such a list as JSON text, as JSON. Raises no_final_answer where it is empty, and wrong_type."""
    if isinstance(value, str):
        try:
            value = json_value(value)
        except ValueError as error:
            raise UnreadableRow("wrong_type", field, f"not a JSON list of statements: {error}") from error
    if not isinstance(value, list) or not all(isinstance(test, str) for test in value):
        raise UnreadableRow("wrong_type", field, "a list of statements is expected")
    tests = [test for test in value if test.strip()]
    if not tests:
        raise UnreadableRow("no_final_answer", field, "no test")
    return json.dumps(tests, ensure_ascii=False)
