"""Code: the last fenced block of the completion is run against assert statements, in the sandbox; the score is the pass rate."""

from __future__ import annotations

import json
import re

from posttrain.verifiers.sandbox import run_tests
from posttrain.verifiers.verdict import GroundTruthError, Verdict

_FENCE = re.compile(r"```[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)


def verify_code(completion: str, ground_truth: str) -> Verdict:
    """Share of the tests that pass. `ground_truth` is a JSON list of Python statements, `["assert f(2) == 4", …]`.

    Without a fenced block the whole completion is the program. Only the standard library is there to import.
    Raises SandboxUnavailable where the text cannot be run in isolation.
    """
    tests = _read_tests(ground_truth)
    blocks = _FENCE.findall(completion)
    program = (blocks[-1] if blocks else completion).strip()
    if not program:
        return Verdict(0.0, None)
    passed = run_tests(program, tests)
    return Verdict(sum(passed) / len(tests), program)


def _read_tests(ground_truth: str) -> list[str]:
    try:
        tests = json.loads(ground_truth)
    except json.JSONDecodeError as error:
        raise GroundTruthError(f"not JSON ({error.msg}); a list of assert statements is expected") from error
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise GroundTruthError("a non-empty JSON list of assert statements is expected")
    return tests
