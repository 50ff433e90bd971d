"""PandaLM: an instruction with two models' responses and a judgement of them → a pair.

The labelled set has the votes of three people (0 tie, 1, 2), the set that the judge was trained on the verdict of one model.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from posttrain.convert.alpaca import instruction_of
from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow

VOTES = (("annotator1", "annotator2", "annotator3"), ("label_0", "label_1", "label_2"))
"""Columns of the votes: in the published file, and on the publisher's page, where they are texts."""
_BETTER = {0: 0, 1: 1, 2: 2, "0": 0, "1": 1, "2": 2, "tie": 0}

_RENDERED = re.compile(
    r"### Instruction:\n(?P<instruction>.*?)(?:\n\n### Input:\n(?P<input>.*?))?\n\n### Response 1:\n(?P<response1>.*?)"
    r"\n\n### Response 2:\n(?P<response2>.*?)\n\n### Evaluation:\s*\Z", re.DOTALL)


def convert_pandalm(row: Any) -> list[Draft]:
    """The better response is chosen; a tie gives no pair, nor do three votes that differ.

    - {instruction, input, response1, response2} with three votes, `cmp_key` naming the models;
    - {inputs: the same four, outputs: {evaluation_result: "1", "2" or "Tie", …}}, or `output`, a text that begins with it;
    - {input_sequence, output_sequence}: the same two rendered as the judge reads and writes them.
    """
    fields = object_of(row)
    if "input_sequence" in fields:
        compared, better = _rendered(text_of(fields, "input_sequence")), _verdict(fields, "output_sequence")
    elif "inputs" in fields:
        if not isinstance(compared := fields["inputs"], dict):
            raise UnreadableRow("wrong_type", "inputs", f"{type(compared).__name__} instead of an object")
        better = _verdict(fields, "outputs", "output")
    else:
        compared, better = fields, _majority(fields)
    prompt = instruction_of(compared)
    sides = [question_answer(prompt, text_of(compared, name)) for name in ("response1", "response2")]
    models = str(fields.get("cmp_key") or "").split("_")
    models = models if len(models) == 2 else [None, None]
    chosen, rejected = (0, 1) if better == 1 else (1, 0)
    return [pair_draft(sides[chosen], sides[rejected], models[chosen], models[rejected])]


def _rendered(text: str) -> dict[str, Any]:
    found = _RENDERED.search(text)
    if not found:
        raise UnreadableRow("wrong_type", "input_sequence", "a text without the marks of the judge's template")
    return found.groupdict()


def _verdict(row: dict[str, Any], *names: str) -> int:
    """1 or 2, from {evaluation_result} or from the first line of a text. Raises tied_pair."""
    field = next((name for name in names if row.get(name) is not None), names[0])
    value = row.get(field)
    if isinstance(value, dict):
        field, value = f"{field}.evaluation_result", value.get("evaluation_result")
    if value is None:
        raise UnreadableRow("missing_field", field)
    first = value.strip().partition("\n")[0].strip().lower() if isinstance(value, str) else value
    better = _vote(first, field, "1, 2 or Tie")
    if better == 0:
        raise UnreadableRow("tied_pair", field, str(first))
    return better


def _majority(row: dict[str, Any]) -> int:
    names = next((names for names in VOTES if any(name in row for name in names)), VOTES[0])
    votes = []
    for name in names:
        if row.get(name) is None:
            raise UnreadableRow("missing_field", name)
        votes.append(_vote(row[name], name, "0, 1 or 2"))
    vote, count = Counter(votes).most_common(1)[0]
    if count < 2:
        raise UnreadableRow("no_agreed_label", names[0], f"votes {votes}")
    if vote == 0:
        raise UnreadableRow("tied_pair", names[0], f"votes {votes}")
    return vote


def _vote(value: Any, field: str, allowed: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in _BETTER:
        raise UnreadableRow("wrong_type", field, f"{str(value)[:80]!r} instead of {allowed}")
    return _BETTER[value]
