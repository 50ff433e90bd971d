"""Checking a worked answer before it counts: its arithmetic, its form, and an independent solution of the question."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from posttrain.teacher import prompts
from posttrain.teacher.client import Teacher
from posttrain.verifiers import verify

_NUMBER = r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?"
_FINAL = re.compile(rf"#### ?({_NUMBER})")

_EXPRESSION_CHARACTERS = "0123456789+-*/().,×÷− "
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}


def final_number(answer: str) -> str | None:
    """The number of the last line `#### number`, without commas; None where the last line is another."""
    found = _FINAL.fullmatch(answer.strip().rsplit("\n", 1)[-1].strip())
    return found[1].replace(",", "").replace("−", "-") if found else None


def arithmetic_holds(answer: str) -> bool:
    """Whether every equation of the answer is right, there is one, and the last one gives the final number.

    `2 + 2 = 4\\n#### 4` holds; `2 + 2 = 5\\n#### 5`, `2 + 2 = 4\\n#### 5` and a bare `#### 4` do not.
    """
    final, result = final_number(answer), None
    if final is None:
        return False
    for left, right in _equations(answer):
        if left != right:
            return False
        result = right
    return result is not None and result == Fraction(final)


def _equations(answer: str) -> Iterator[tuple[Fraction, Fraction]]:
    """Both sides of every `expression = number` of the answer, in order. `x = 5` states nothing that could be checked."""
    for line in answer.replace("$", "").splitlines():
        for left, right in pairwise(_BULLET.sub("", line, count=1).split("=")):
            expression = left[len(left.rstrip(_EXPRESSION_CHARACTERS)):].lstrip(" .,)")
            number = right[: len(right) - len(right.lstrip(_EXPRESSION_CHARACTERS))].rstrip(" .,(")
            values = _value(expression), _value(number)
            if values[0] is not None and values[1] is not None and not _is_number(expression):
                yield values


def _is_number(text: str) -> bool:
    return re.fullmatch(_NUMBER, text.strip()) is not None


def _value(expression: str) -> Fraction | None:
    """The exact value of an expression of numbers, + - * / and parentheses; None where it is no such thing."""
    text = expression.replace(",", "").replace("×", "*").replace("÷", "/").replace("−", "-").strip()
    if len(text) > 200:
        return None
    try:
        return _node_value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _node_value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_node_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_node_value(node.left), _node_value(node.right))
    raise ValueError(f"not arithmetic: {ast.dump(node)}")


def check_answers(teacher: Teacher, worked: Sequence[tuple[str, str]]) -> list[str | None]:
    """The final number of every (question, worked answer) that passes both checks, else None.

    1. The arithmetic of the worked answer holds. 2. The teacher, who sees the question alone, comes to the same
    number by the gsm8k verifier. An answer that fails the first check is not solved again.
    """
    truths = [final_number(answer) if arithmetic_holds(answer) else None for _, answer in worked]
    asked = [n for n, truth in enumerate(truths) if truth is not None]
    solved = teacher.ask_many([prompts.solve(worked[n][0]) for n in asked])
    for n, solution in zip(asked, solved, strict=True):
        if solution is None or verify("gsm8k", solution.data["answer"], truths[n] or "").score != 1:
            truths[n] = None
    return truths
