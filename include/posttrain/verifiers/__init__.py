"""Verifiers: plain functions that score one completion against one ground truth, and the table that names them.

They serve the rewards of RLVR, the checks of synthesized answers and the command line alike.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from posttrain.schema import UnreadableRow
from posttrain.storage import write_atomic
from posttrain.verifiers.code import verify_code
from posttrain.verifiers.gsm8k import verify_gsm8k
from posttrain.verifiers.ifeval import verify_ifeval, verify_ifeval_prompt_loose
from posttrain.verifiers.math import verify_math
from posttrain.verifiers.verdict import GroundTruthError, Verdict, Verifier

__all__ = ["VERIFIERS", "GroundTruthError", "Verdict", "Verifier", "verify", "verify_file"]

VERIFIERS: dict[str, Verifier] = {
    "gsm8k": verify_gsm8k,
    "math": verify_math,
    "ifeval": verify_ifeval,
    "ifeval_prompt_loose": verify_ifeval_prompt_loose,
    "code": verify_code,
}


def verify(name: str, completion: str, ground_truth: str) -> Verdict:
    """Score a completion with the verifier of that name.

    Raises KeyError for an unknown name, GroundTruthError for a ground truth in another form than the verifier's,
    and (code only) SandboxUnavailable where model output must not be run.
    """
    if name not in VERIFIERS:
        raise KeyError(f"no verifier {name!r}; there are {', '.join(VERIFIERS)}")
    return VERIFIERS[name](completion, ground_truth)


def verify_file(name: str, in_path: str, out_path: str) -> dict[str, Any]:
    """Score a JSONL file of rows with `completion` and `ground_truth`; write the same rows with `score` and `extracted`.

    A row that cannot be scored keeps its place with `score` null and an `error` that names file, line and field.
    A ground truth that is a number, list or object is used as its JSON text. Blank lines are no rows.
    Returns {"rows": {"read", "kept", "rejected"}, "reasons": {…}, "mean_score": float or None}.
    """
    if name not in VERIFIERS:
        raise KeyError(f"no verifier {name!r}; there are {', '.join(VERIFIERS)}")
    reasons: Counter[str] = Counter()
    scores: list[float] = []
    with Path(in_path).open(encoding="utf-8", errors="replace") as lines, write_atomic(out_path) as out:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row: dict[str, Any] = {}
            try:
                row = _read_row(line)
                verdict = verify(name, _text(row, "completion"), _text(row, "ground_truth"))
                row |= {"score": verdict.score, "extracted": verdict.extracted}
                scores.append(verdict.score)
            except UnreadableRow as error:
                reasons[error.reason] += 1
                row |= {"score": None, "extracted": None, "error": f"{in_path}:{number}: field {error.field!r}: {error.reason}: "
                                                                   f"{error.detail}"}
            except GroundTruthError as error:
                reasons["wrong_type"] += 1
                row |= {"score": None, "extracted": None, "error": f"{in_path}:{number}: field 'ground_truth': {error}"}
            out.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    read = len(scores) + reasons.total()
    return {
        "rows": {"read": read, "kept": len(scores), "rejected": reasons.total()},
        "reasons": dict(sorted(reasons.items())),
        "mean_score": sum(scores) / len(scores) if scores else None,
    }


def _read_row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UnreadableRow("invalid_json", "(line)", f"{error.msg} at character {error.pos + 1}") from error
    if not isinstance(row, dict):
        raise UnreadableRow("wrong_type", "(line)", f"a row is an object, not {type(row).__name__}")
    return row


def _text(row: dict[str, Any], field: str) -> str:
    value = row.get(field)
    if value is None:
        raise UnreadableRow("missing_field", field, "absent or null")
    if isinstance(value, str):
        return value
    if field == "ground_truth" and isinstance(value, int | float | list | dict) and not isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    raise UnreadableRow("wrong_type", field, f"text expected, found {type(value).__name__}")
