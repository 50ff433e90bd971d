"""Texts as 64-bit codes: what the normaliser says, for many texts at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import segments, word_codes
from posttrain.decontaminate import tokens as tokens_module
from posttrain.decontaminate.korean_reader import StemReader
from posttrain.decontaminate.normalize import is_korean, words
from posttrain.decontaminate.tokens import Tokens, korean_words, tokenise, unread
from posttrain.decontaminate.vocabulary import EvalWords, Vocabulary
from posttrain.decontaminate.word_codes import SharedCode, word_code

PARTS = (
    "\\left(", "\\dfrac", "left", "to", "\\to", "don't", "x'y", "'quoted'", "don’t", "정수의", "합이", "10이고", "AI가", "中文",
    "カﾞ", "2x",
    "\\frac12", "\\dfrac34x", "\\frac 1a2", "\\frac1{2}", "\\frac12é", "x2y", "2é", "２ｘ", "x１", "x1가", "٢٥", "العـربية",
    "1\u0302", "\\pi", "\\alpha2", "\\times",
    "b2b's", "\\x1b", "½", "x²", "aΣ", "Café", "Cafe\u0301", "hy\u00ad\n phen", "5\u00ad\n6", "snake_case", "a" * 8,
    "b" * 9, "c" * 64, "d" * 65, "\ud800", "ﬁ", "తెలుగు", "مُحَمَّد", "\U0001F600", "\n", "", "_", "\\",
)
texts = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PARTS), max_size=8).map(" ".join),
                  st.lists(st.sampled_from(PARTS), max_size=8).map("".join))


def of_text(tokens: Tokens, k: int) -> list[int]:
    return tokens.codes[tokens.bounds[k] : tokens.bounds[k + 1]].tolist()


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=6))
def test_the_codes_are_those_of_the_words(batch: list[str]) -> None:
    found = tokenise(batch)
    assert [of_text(found, k) for k in range(len(batch))] == [[word_code(word) for word in words(text)] for text in batch]


def test_a_batch_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = ["one two", "", "three’s 넷", "four\\left five"]
    whole = tokenise(batch)
    monkeypatch.setattr(tokens_module, "CHARACTERS_AT_ONCE", 1)
    assert np.array_equal(tokenise(batch).codes, whole.codes)
    assert np.array_equal(tokenise(batch).bounds, whole.bounds)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=3), st.integers(1, 40))
def test_a_long_text_has_the_words_of_its_pieces(batch: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole, spelled = unread(batch), korean_words(batch)
        patch.setattr(tokens_module, "CHARACTERS_AT_ONCE", size)
        assert ["".join(tokens_module.pieces_of(text)) for text in batch] == batch
        cut = unread(batch)
        assert [array.tolist() for array in (cut.codes, cut.bounds, cut.unread)] == [
            array.tolist() for array in (whole.codes, whole.bounds, whole.unread)]
        assert korean_words(batch) == spelled
    assert spelled == [[word for word in words(text, str) if is_korean(word)] for text in batch]


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=20), unique=True))
def test_other_words_have_other_codes(distinct: list[str]) -> None:
    assert len({word_code(word) for word in distinct}) == len(distinct)


def test_an_unread_korean_word_is_known_by_how_it_begins() -> None:
    found = unread(["so AI가 좋다"])
    assert of_text(found, 0) == [word_code("so"), word_code("ai"), word_code("좋")]
    assert found.unread.tolist() == [False, True, True]


def read(texts: list[str]) -> EvalWords:
    with StemReader() as reader:
        vocabulary = Vocabulary(reader)
        vocabulary.add(texts)
        return vocabulary.words(8)


@pytest.mark.parametrize("pair", [["abcdefghi", "abcdefghj"], ["word", "naïve"], ["정수", "words"]])
def test_two_words_with_one_code_are_refused(pair: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot happen by chance: the mixing step forgets everything but where it ends."""
    assert len(read(pair).words) == 2
    monkeypatch.setattr(segments, "mixed", lambda codes: codes * np.uint64(0) + np.uint64(1 << 20))
    monkeypatch.setattr(word_codes, "_mixed_number", lambda code: 1 << 20)
    word_code.cache_clear()
    segments._read_chunk.cache_clear()
    try:
        with pytest.raises(SharedCode):
            read(pair)
    finally:
        monkeypatch.undo()
        word_code.cache_clear()
        segments._read_chunk.cache_clear()
