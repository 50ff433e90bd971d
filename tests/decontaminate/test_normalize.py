from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.decontaminate import korean
from posttrain.decontaminate.normalize import has_word, spans, words

_HANGUL = re.compile(f"[{korean.HANGUL}]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel\nTower: isn't it 3.5 km?", "the eiffel tower isnt it 3 5 km"),
        ("short-line\r\n  wrapping\tdoes not\n\n\ncount", "short line wrapping does not count"),
        ("Ｆｕｌｌ－ｗｉｄｔｈ　ＡＢＣ", "full width abc"),  # NFKC
        ("don’t “quote” me…", "dont quote me"),  # typographic marks are punctuation as the ASCII ones are
        ("snake_case, x² and ½", "snake case x 2 and 1 2"),
        ("Cafe\u0301 CAFÉ", "café café"),  # composed and decomposed
        ("hy\u00adphen and zero\u200bwidth", "hyphen and zerowidth"),
        ("'one' dogs' rock'n'roll 5'10", "one dogs rocknroll 5 10"),
        ("a well-\nknown man", "a well known man"),  # a hyphen at the end of a line may belong to the word
        ("hy\u00ad\n  phenated", "hyphenated"),  # a soft one does not
        ("두 정수의 합이 10이고, 곱이 24라면?", "두 정수 합 10 곱 24"),  # Korean stems
        ("AI가 GPT-4를", "ai gpt 4"),
        ("\tif x_1 <= max_len:\n\t\treturn f(x1)", "if x 1 max len return f x1"),
        ("今天 AI 很好。", "今 天 ai 很 好"),
        ("東京タワーはどこ？", "東 京 タ ワ ー は ど こ"),
        ("తెలుగు భాష", "తెలుగు భాష"),  # vowel signs belong to the word
        ("مُحَمَّد هنا", "محمد هنا"),  # vowel points do not
        ("ABC ΑΒΓ АБВ", "abc αβγ абв"),
        ("?!… — ___", ""),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_a_decomposed_korean_syllable_is_the_same_word() -> None:
    assert words(unicodedata.normalize("NFD", "한국어 문제")) == words("한국어 문제")


@pytest.mark.parametrize(
    "spaced",
    [r"$\frac{1}{2}\left(2x+3\right)$", r"$ \frac {1} {2} \left( 2x + 3 \right) $", r"\(\frac{1}{2}\,(2x\;+\;3)\)",
     r"$\dfrac{1}{2}~(2x+3)$", r"$\displaystyle\tfrac{1}{2}\big(2x\ +\ 3\big)\quad$", r"$\frac{1}{2}(2x + \text{ }3)$"],
)
def test_one_formula_in_other_spacing_is_the_same(spaced: str) -> None:
    assert words(spaced) == ["1", "2", "2", "x", "3"]


def test_commands_are_only_such_after_a_backslash() -> None:
    assert words(r"\frac12 frac12 \log2x") == ["1", "2", "frac12", "log", "2", "x"]
    assert words(r"turn left, \left the text \text{big} \le le") == ["turn", "left", "the", "text", "big", "le"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("What is the sum of 25 and 17?", "Ｗｈａｔ ｉｓ ｔｈｅ ｓｕｍ ｏｆ ２５ ａｎｄ １７？"),  # full width
        ("international cooperation", "inter\u00adnational coop\u00aderation"),  # soft hyphens
        ("international cooperation", "\ufeffinter\u200bnational coop\u200deration\u2060"),  # zero width
        ("a heart ❤ beats", "a heart ❤\ufe0f beats"),  # which look a character has
        ("葛飾区はどこ", "葛\U000e0100飾区はどこ"),
        ("رسول محمد العربية", "رَسُولُ مُحَمَّدٌ العـــربية"),  # vowel points and stretching
        ("السلام 25", "\ufe8d\ufedf\ufeb4\ufefc\ufee1 ٢٥"),  # the shapes of letters; Arabic digits
        ("שלום עליכם", "שָׁלוֹם עֲלֵיכֶם"),
        ("กรุงเทพมหานคร น้ำ", "กรุงเทพ มหานคร น\u0e49\u0e4d\u0e32"),  # Thai: spaces, a vowel in two characters
        ("\u0915\u093cलम १२", "\u0958लम 12"),  # Devanagari: a letter with its dot, digits
        ("두 정수의 합이 10이고", unicodedata.normalize("NFD", "두 정수의 합이 10이고")),
        ("カタカナ ガギグ パピプ", "ｶﾀｶﾅ ｶﾞｷﾞｸﾞ ﾊﾟﾋﾟﾌﾟ"),  # half width
        ("がぎぐ", unicodedata.normalize("NFD", "がぎぐ")),
        ("I like pizza", "I 👨\u200d👩\u200d👧 like 👋🏽 pizza 😀"),
        (r"\frac{1}{2} + \frac{3}{x}", r"\frac12 + \dfrac3x"),
        (r"\frac{3}{4}x", r"\tfrac 34x"),
        ("1/2 of 3", r"½ of $3$"),
        ("Let x be real", r"Let $x$ be \(real\)"),
        ("2x+3y = x^2", "2 x + 3 y = x²"),
        (r"\int_0^1 x^2\,dx", r"\int_{0}^{1} x^{2} \; dx"),
        (r"3 \times 4 \leq 2 \pi \ne 90^\circ", "3 × 4 ≤ 2 π ≠ 90°"),
        (r"\left\{ x\in\mathbb{R} \right\}", "{x ∈ ℝ}"),
        (r"x_{12} \quad H_2O", "x₁₂ H₂O"),
        ("def f(x):\n    if x > 1:\n        return x + 1", "def f(x):\r\n\tif x>1: \r\n\t\treturn x+1"),
        ("one two three", "one\u00a0two\u2028three"),
        ("a well-known man", "a well-\n  known man"),
    ],
)
def test_the_same_text_in_another_form_has_the_same_words(text: str, other: str) -> None:
    assert words(other) == words(text)


@given(st.text().filter(lambda text: not _HANGUL.search(unicodedata.normalize("NFKC", text))))
def test_words_of_the_words_are_the_words(text: str) -> None:
    """Korean ones are left out: a piece alone may be cut once more."""
    assert words(" ".join(words(text))) == words(text)


@given(st.text())
def test_spans_say_where_the_words_stand(text: str) -> None:
    found = spans(text)
    assert [token for token, _, _ in found] == words(text)
    assert all(0 <= start < end <= len(text) for _, start, end in found)
    assert sorted(start for _, start, _ in found) == [start for _, start, _ in found]


def test_spans_in_characters() -> None:
    text = "Isn’t the Ｃａｆｅ\u0301 “정수의” ½?"
    assert [text[start:end] for _, start, end in spans(text)] == ["Isn’t", "the", "Ｃａｆｅ\u0301", "정수의", "½", "½"]


@given(st.text(alphabet="a'\\1é정 ", max_size=8))
def test_a_text_has_a_word_where_it_has_words(text: str) -> None:
    assert has_word(text) == bool(words(text))


@given(st.text(alphabet=st.characters(max_codepoint=0x7E)), st.sampled_from(["\n", "  ", "\t", " \r\n ", " ... ", " ; "]))
def test_what_stands_between_words_does_not_count(text: str, gap: str) -> None:
    assert words(gap.join(text.split())) == words(" ".join(text.split()))
