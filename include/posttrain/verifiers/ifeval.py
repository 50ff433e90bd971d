"""IFEval: does a completion follow checkable instructions? Both ground-truth forms of the Tülu 3 data are read.

Form 1 (Tülu 3): {"func_name": "verify_keywords", "keyword_list": […], …}, one of 25 functions; null arguments are
left out. The score is 0 or 1.
Form 2 (IFEval): {"instruction_id": […], "kwargs": […]}, or a list with one such object; `instruction_id_list`, the
name in the published eval file, is read too. As a reward the score is the share of instructions followed, strictly; as
an evaluation it is 1 where every instruction is followed, loosely (the number that Tülu 3 reports), else 0.

A section <think>…</think> at the beginning is removed first. The ground truth is parsed anew each time and never
changed: the checker of open-instruct takes `func_name` out of its caller's dict, and a second call scores 0.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from posttrain.verifiers.ifeval_functions import FUNCTIONS
from posttrain.verifiers.ifeval_instructions import INSTRUCTIONS
from posttrain.verifiers.verdict import GroundTruthError, Verdict

_THINKING = re.compile(r"^\s*<think>.*?</think>\s*", re.DOTALL)


def verify_ifeval(completion: str, ground_truth: str) -> Verdict:
    """1 or 0 for form 1, the share of instructions followed (strict) for form 2. `extracted` is the text that was checked."""
    answer = _THINKING.sub("", completion)
    truth = _read(ground_truth)
    if "func_name" in truth:
        return Verdict(float(_call_function(truth, answer)), answer)
    ids, kwargs = _instructions(truth)
    followed = follow_list(answer, ids, kwargs)
    return Verdict(sum(followed) / len(followed), answer)


def verify_ifeval_prompt_loose(completion: str, ground_truth: str) -> Verdict:
    """1 where every instruction of the prompt is followed, loosely, else 0: prompt-level loose accuracy. Both forms."""
    answer = _THINKING.sub("", completion)
    truth = _read(ground_truth)
    if "func_name" in truth:
        return Verdict(float(any(_call_function(truth, text) for text in _loose_variants(answer))), answer)
    return Verdict(float(all(follow_list(answer, *_instructions(truth), loose=True))), answer)


def follow_list(completion: str, instruction_ids: list[str], kwargs: list[dict[str, Any]], *, loose: bool = False) -> list[bool]:
    """Per instruction, whether the completion follows it. An empty completion follows none.

    Loose: any of eight variants may follow it: as it is, or without the first line, the last line, or both, each with
    and without asterisks.
    """
    variants = _loose_variants(completion) if loose else [completion]
    checks = [(_checker(name), {k: v for k, v in arguments.items() if v is not None})
              for name, arguments in zip(instruction_ids, kwargs, strict=True)]
    return [any(text.strip() and _call(check, text, arguments) for text in variants) for check, arguments in checks]


def _loose_variants(completion: str) -> list[str]:
    lines = completion.split("\n")
    texts = [completion, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return texts + [text.replace("*", "") for text in texts]


def _read(ground_truth: str) -> dict[str, Any]:
    try:
        value = json.loads(ground_truth)
    except json.JSONDecodeError as error:
        raise GroundTruthError(f"not JSON ({error.msg}); an object with func_name, or with instruction_id and kwargs") from error
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise GroundTruthError("an object with func_name, or with instruction_id and kwargs, is expected")
    return value


def _instructions(truth: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    ids = truth.get("instruction_id") or truth.get("instruction_id_list")
    if not isinstance(ids, list) or not ids:
        raise GroundTruthError("neither func_name nor a list instruction_id is there")
    kwargs = truth.get("kwargs") or [{}] * len(ids)
    if not isinstance(kwargs, list) or len(kwargs) != len(ids):
        raise GroundTruthError(f"kwargs must be a list of {len(ids)} objects, one for each instruction_id")
    return [str(name) for name in ids], [dict(arguments or {}) for arguments in kwargs]


def _checker(name: str) -> Any:
    if name not in INSTRUCTIONS:
        raise GroundTruthError(f"unknown instruction_id {name!r}; there are {', '.join(INSTRUCTIONS)}")
    return INSTRUCTIONS[name]


def _call_function(truth: dict[str, Any], answer: str) -> bool:
    name = truth["func_name"]
    if name not in FUNCTIONS:
        raise GroundTruthError(f"unknown func_name {name!r}; there are {', '.join(FUNCTIONS)}")
    arguments = {key: value for key, value in truth.items() if key != "func_name" and value is not None}
    return bool(answer.strip()) and _call(FUNCTIONS[name], answer, arguments)


def _call(check: Any, answer: str, arguments: dict[str, Any]) -> bool:
    """Call a check with the arguments that it has: the data gives every function every argument, mostly null."""
    names = list(inspect.signature(check).parameters)[1:]
    missing = [name for name in names if name not in arguments]
    if missing:
        raise GroundTruthError(f"{check.__name__} needs {', '.join(missing)}")
    try:
        return bool(check(answer, **{name: arguments[name] for name in names}))
    except (TypeError, AttributeError) as error:
        raise GroundTruthError(f"{check.__name__} cannot use {arguments}: {error}") from error
