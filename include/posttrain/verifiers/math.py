r"""MATH: the final answer of the completion must equal the ground truth, as text after normalisation or by sympy.

Where the answer is read:

1. the last `\boxed{…}` and the last Minerva sentence ("Final Answer: The final answer is … . I hope it is correct.");
   where both stand, *both* must be right: open-instruct takes either, which rewards hedging;
2. else the text between the last two "$" (or in the last `\( \)`, `\[ \]`);
3. else the end of the last line: after "answer is", "정답:", the last "=", "is" or "은/는"; or the whole line.

When two answers are equal:

- Percent and degree signs, currency, `\text{ units}`, cm, km, kg …, 개, 원, 명 do not count: 10\% = 10, and 10\% ≠ 0.1,
  the policy of Hendrycks' `strip_string` (Math-Verify has the opposite one).
- "25π ≈ 78.5 cm²" is 25π (or 78.5), provided that both sides agree within 1 %.
- Order counts in lists and tuples and not in sets: "10, 4, -2" ≠ "4, 10, -2", {1,2} = {2,1}, and where the ground
  truth is a set, a plain list is accepted in any order. (1,2) is a point and "1,2" a list: not equal.
- Decimals are exact: 1/3 ≠ 0.333. A constant that was computed is compared to six digits: 3π = 9.42477796.
- `x = 5` is 5; \text{east} is east; (C) is C. "1,000" is a number, "1, 000" a list.

sympy runs in a process of its own with a time limit: SIGALRM, which the usual libraries rely on, needs a main thread.
"""

from __future__ import annotations

import re
from fractions import Fraction

from posttrain.verifiers.sympy_process import numeric_value, symbolically_equal
from posttrain.verifiers.verdict import GroundTruthError, Verdict

CLOSE = 0.01
"""How far apart, relatively, the two sides of an "A ≈ B" may be."""


def verify_math(completion: str, ground_truth: str) -> Verdict:
    r"""1 where the final answer equals `ground_truth`, a LaTeX or plain answer such as `\frac{1}{2}` (or a `\boxed` one)."""
    truth = last_boxed(ground_truth) or ground_truth.strip().strip("$").strip()
    if not truth:
        raise GroundTruthError("the ground truth of math is empty")
    explicit, fallback = read_answers(completion)
    if explicit:
        return Verdict(float(all(is_equal(answer, truth) for answer in explicit)), explicit[0])
    right = next((answer for answer in fallback if is_equal(answer, truth)), None)
    return Verdict(float(right is not None), right or next(iter(fallback), None))


# ---------------------------------------------------------------- reading the answer

_MINERVA = re.compile(r"final answer is:?\s*(.+?)\.?\s*I hope it is correct", re.IGNORECASE | re.DOTALL)
_INLINE = re.compile(r"\$\$?([^$]+)\$?\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SAID = re.compile(r"(?:answer\s+is:?|answer\s*:|정답은|정답\s*:|답은|답\s*:)\s*(.+)$", re.IGNORECASE)
_COPULA = re.compile(r".*(?:\b(?:is|are)|[가-힣][은는])\s+(.+)", re.IGNORECASE)
_KOREAN_END = re.compile(r"\s*(?:입니다|이다|이에요|예요|임|이 됩니다|가 됩니다)\s*$")


LONGEST_GUESS = 200
"""Characters: a longer last line is prose, and nothing marks an answer in it."""


def read_answers(completion: str) -> tuple[list[str], list[str]]:
    """The answers that are marked as final, and, only where there is none, the guesses in order of trust."""
    marked = [last_boxed(completion)] + [m[1] for m in list(_MINERVA.finditer(completion))[-1:]]
    explicit = [unwrap(answer) for answer in marked if answer is not None]
    if explicit:
        return explicit, []
    inline = [a or b or c for a, b, c in _INLINE.findall(completion)]
    if inline:
        return [], [inline[-1].strip()] + ([inline[-1].rsplit("=", 1)[1].strip()] if "=" in inline[-1] else [])
    last_line = next((line.strip() for line in reversed(completion.splitlines()) if line.strip()), "")
    last_line = last_line.rsplit("####", 1)[-1].strip()
    said = _SAID.search(last_line)
    line = _KOREAN_END.sub("", (said[1] if said else last_line).rstrip(".。 "))
    tails = [line.rsplit("=", 1)[1].strip()] if "=" in line else []
    tails += [found[1] for found in [_COPULA.fullmatch(line)] if found]
    return [], [guess for guess in [*tails, line] if 0 < len(guess) <= LONGEST_GUESS]


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}`, `\fbox{…}` or `\boxed 7`; None where there is none or it does not close."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    rest = text[start:].split("boxed" if text.startswith("\\boxed", start) else "fbox", 1)[1]
    if not rest.startswith("{"):
        found = re.match(r"\s+([^\s$]+)", rest)
        return found[1] if found else None
    depth = 0
    for n, char in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            return rest[1:n]
    return None


def unwrap(answer: str) -> str:
    """Without the dollar signs around the whole answer."""
    answer = answer.strip()
    return answer.strip("$").strip() if answer.startswith("$") and answer.endswith("$") else answer


# ---------------------------------------------------------------- equality

_APPROXIMATELY = re.compile(r"\\approx|≈|≒|\\simeq")
_OR = re.compile(r"\\text\{\s*(?:or|and)\s*\}|\s+(?:or|and)\s+|\s*(?:또는|혹은|그리고)\s*")


def is_equal(answer: str, truth: str) -> bool:
    """Whether two answers are the same by the policy of this module. Never raises."""
    sides = _APPROXIMATELY.split(answer)
    if len(sides) == 2 and not _APPROXIMATELY.search(truth):
        exact, rounded = (normalise(side) for side in sides)
        return (_same(exact, normalise(truth)) or _same(rounded, normalise(truth))) and _close(exact, rounded)
    return _same(normalise(_OR.sub(",", answer)), normalise(_OR.sub(",", truth)))


def _same(answer: str, truth: str) -> bool:
    if answer == truth:
        return bool(answer)
    if not answer or not truth:
        return False
    (left_a, items_a, right_a), (left_t, items_t, right_t) = _items(answer), _items(truth)
    is_set = left_t == "{"
    if (left_a, right_a) != (left_t, right_t) and not (is_set and left_a == ""):
        return False
    if len(items_a) != len(items_t):
        return False
    if is_set:
        return _same_items_in_any_order(items_a, items_t)
    return all(_same_scalar(a, t) for a, t in zip(items_a, items_t, strict=True))


def _same_items_in_any_order(answers: list[str], truths: list[str]) -> bool:
    left = list(answers)
    for truth in truths:
        match = next((answer for answer in left if _same_scalar(answer, truth)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _items(text: str) -> tuple[str, list[str], str]:
    """Opening bracket, items and closing bracket of a list: `(1,2]` → "(", ["1", "2"], "]"; `5` → "", ["5"], ""."""
    inner, left, right = text.replace("\\{", "⦃").replace("\\}", "⦄"), "", ""
    if inner[0] in "([⦃" and inner[-1] in ")]⦄" and _closes_at_end(inner):
        left, inner, right = {"⦃": "{"}.get(inner[0], inner[0]), inner[1:-1], {"⦄": "}"}.get(inner[-1], inner[-1])
    items, depth, start = [], 0, 0
    for n, char in enumerate(inner):
        depth += (char in "([{⦃") - (char in ")]}⦄")
        if char == "," and depth == 0:
            items.append(inner[start:n])
            start = n + 1
    items.append(inner[start:])
    if len(items) == 1 and left in ("(", "["):  # brackets around one expression are grouping, not a list
        return "", [text], ""
    restore = [item.replace("⦃", "\\{").replace("⦄", "\\}") for item in items]
    return left, [_drop_variable(item) for item in restore], right


def _closes_at_end(text: str) -> bool:
    depth = 0
    for n, char in enumerate(text):
        depth += (char in "([⦃") - (char in ")]⦄")
        if depth == 0:
            return n == len(text) - 1
    return False


def _same_scalar(answer: str, truth: str) -> bool:
    if answer == truth:
        return True
    number_a, number_t = _rational(answer), _rational(truth)
    if number_a is not None and number_t is not None:
        return number_a == number_t
    if any("_" in side for side in (answer, truth)):  # 1110_4 is in base 4; the parser would drop the base
        return False
    if any(_WORD.fullmatch(side) for side in (answer, truth)):  # to the parser, east = e·a·s·t = seat
        return answer.casefold() == truth.casefold()
    return symbolically_equal(answer, truth)


_WORD = re.compile(r"[^\W\d_]{3,}")


def _close(exact: str, rounded: str) -> bool:
    a, b = (float(n) if (n := _rational(side)) is not None else numeric_value(side) for side in (exact, rounded))
    return a is not None and b is not None and abs(a - b) <= CLOSE * max(abs(a), abs(b))


_RATIONAL = re.compile(r"(-?)(?:\\frac\{(-?\d+)\}\{(-?\d+)\}|(\d+)/(\d+)|(\d+(?:\.\d*)?|\.\d+))")


def _rational(text: str) -> Fraction | None:
    found = _RATIONAL.fullmatch(text)
    if not found:
        return None
    sign, top, bottom, a, b, plain = found.groups()
    try:
        value = Fraction(plain) if plain else Fraction(int(top or a), int(bottom or b))
    except (ValueError, ZeroDivisionError):
        return None
    return -value if sign else value


# ---------------------------------------------------------------- normalisation (after Hendrycks' strip_string)

_UNITS = re.compile(
    r"(?<=[\d}πi)])\s*(?:\\?(?:cm|mm|km|kg|units?|dollars?|cents|degrees|inches|meters|hours|minutes)|원|개|명|도|살|권|점)"
    r"(?:\^?\{?[23]\}?|[²³])?$"
)
_PLAIN = (
    ("\n", ""), ("\\!", ""), ("\\,", ""), ("\\;", ""), ("\\ ", " "), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"),
    ("cfrac", "frac"), ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("°", ""), ("\\$", ""), ("$", ""),
    ("\\%", ""), ("%", ""), ("−", "-"), ("–", "-"), ("π", "\\pi "), ("×", "\\times "), ("·", "\\cdot "), ("√", "\\sqrt"),
    ("²", "^2"), ("³", "^3"), ("\\mathrm", "\\text"), ("\\textbf", "\\text"), ("\\mbox", "\\text"),
)


def normalise(text: str) -> str:
    r"""One spelling of an answer: `\tfrac12`, `1/2` and `0.5` become `\frac{1}{2}`; units, signs of unit and spaces go."""
    text = _UNITS.sub("", text.strip().rstrip("."))
    for old, new in _PLAIN:
        text = text.replace(old, new)
    text = re.sub(r"\\text\{\s+[^{}]*\}(?:\^?\{?[23]\}?)?", "", text)  # \text{ units}: the space marks a unit
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip()
    text = re.sub(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda m: m[0].replace(",", ""), text)
    text = re.sub(r"(?<![\d])\.(?=\d)", "0.", text)
    text = _drop_variable(text).replace(" ", "")
    text = re.sub(r"\\sqrt([^{\[])", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac([^{\s])", r"\\frac{\1}", text)
    text = re.sub(r"\\frac(\{[^{}]*\})([^{])", r"\\frac\1{\2}", text)
    text = re.sub(r"^(-?\d+)/(\d+)$", r"\\frac{\1}{\2}", text)
    text = re.sub(r"^\(([A-Za-z])\)$", r"\1", text)
    return "\\frac{1}{2}" if text == "0.5" else text


def _drop_variable(text: str) -> str:
    """`x = 5` → `5`: a name of at most two characters before the only equals sign."""
    found = re.fullmatch(r"\s*[A-Za-z]{1,2}\s*=([^=]*\S[^=]*)", text)
    return found[1].strip() if found else text
