from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.decontaminate.normalize import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel\nTower: isn't it 3.5 km?", "the eiffel tower isn t it 3 5 km"),
        ("short-line\r\n  wrapping\tdoes not\n\n\ncount", "short line wrapping does not count"),
        ("Ｆｕｌｌ－ｗｉｄｔｈ　ＡＢＣ", "full width abc"),  # NFKC
        ("don’t “quote” me…", "don t quote me"),  # typographic marks are punctuation as the ASCII ones are
        ("snake_case, x² and ½", "snake case x2 and 1 2"),
        ("Cafe\u0301 CAFÉ", "café café"),  # composed and decomposed
        ("hy\u00adphen and zero\u200bwidth", "hyphen and zerowidth"),
        ("두 정수의 합이 10이고, 곱이 24라면?", "두 정수의 합이 10이고 곱이 24라면"),  # Korean words as they are written
        ("今天 AI 很好。", "今 天 ai 很 好"),
        ("東京タワーはどこ？", "東 京 タ ワ ー は ど こ"),
        ("తెలుగు భాష", "తెలుగు భాష"),  # vowel signs belong to the word
        ("مُحَمَّد هنا", "مُحَمَّد هنا"),
        ("ABC ΑΒΓ АБВ", "abc αβγ абв"),
        ("?!… — ___", ""),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_a_decomposed_korean_syllable_is_the_same_word() -> None:
    assert words(unicodedata.normalize("NFD", "한국어 문제")) == words("한국어 문제")


@given(st.text())
def test_words_of_the_words_are_the_words(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x7E)), st.sampled_from(["\n", "  ", "\t", " \r\n ", " ... ", " ; "]))
def test_what_stands_between_words_does_not_count(text: str, gap: str) -> None:
    assert words(gap.join(text.split())) == words(" ".join(text.split()))
