"""Long texts piece by piece give what the whole text gives at once."""

from __future__ import annotations

import re
import sys
import unicodedata

import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain import text_pieces
from posttrain.duplicates.texts import normalise, spaced
from posttrain.filters import length, personal, prepare_rules, rules
from posttrain.filters.encoding import _GARBLED, mojibake
from posttrain.filters.length import at_most_one_word, count_words
from posttrain.recipe import Filter
from posttrain.schema import Message, SFTExample
from posttrain.text_pieces import pieces, squeezed

HAN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([
        "ab", " ", "  ", "\n", "\u3000", "\x1c", "\u2028", "大", "模型", "한국", "Σ", "\u0308", "ไทย", "gpt-4", "a@b.io",
        "010-1234-5678", "+82 10 1234 5678", "900101-1234568", "Ã©", "Â°", "\ud800", "<|im_end|>", "As an AI, ", "OpenAI",
        "{{name}}",
    ]), max_size=40).map("".join),
)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "PIECE", 3)
    monkeypatch.setattr(length, "PIECE", 3)


def test_white_space_is_the_same_to_split_and_to_the_pattern() -> None:
    assert [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace() != bool(re.fullmatch(r"\s", c))] == []


@settings(deadline=None)
@given(TEXTS)
def test_the_words_of_the_pieces_are_those_of_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert [word for piece in pieces(text) for word in piece.split()] == text.split()
    assert squeezed(text) == " ".join(text.split())


@settings(deadline=None)
@given(TEXTS)
def test_words_are_counted_as_before(text: str) -> None:
    assert count_words(text) == sum(len(HAN.findall(word)) or 1 for word in text.split())
    assert at_most_one_word(text) == (count_words(text) <= 1)


@settings(deadline=None)
@given(TEXTS)
def test_a_normalised_text_with_spaces_around_characters(text: str) -> None:
    whole = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    assert normalise(text) == whole
    unspaced = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    if re.fullmatch(f"[\u0000-\u0eff{unspaced}\uac00-\ud7a3 ]*", whole):
        assert spaced(whole) == " ".join(re.findall(f"[{unspaced}]|[^ {unspaced}]+", whole))


@settings(deadline=None)
@given(TEXTS)
def test_personal_data_is_found_and_masked_as_in_a_sorted_list(text: str) -> None:
    kinds = ("email", "phone", "resident_number")
    found = sorted((item for kind in kinds for item in personal._FINDERS[kind](text)), key=lambda item: (item[1], -item[2]))
    kept: list[tuple[str, int, int]] = []
    for item in found:
        if not kept or item[1] >= kept[-1][2]:
            kept.append(item)
    assert list(personal.find(text, kinds)) == kept
    masked = text
    for kind, start, end in reversed(kept):
        masked = f"{masked[:start]}{personal.MASKS[kind]}{masked[end:]}"
    assert personal.mask_text(text, kinds) == masked


@settings(deadline=None)
@given(TEXTS)
def test_mojibake_is_that_of_the_first_bad_line(text: str) -> None:
    lines = [(line, found) for line in text.split("\n") if (found := _GARBLED.search(line))]
    bad = [(line, found) for line, found in lines if ftfy.is_bad(line) and ftfy.fix_encoding(line) != line]
    assert mojibake(text) == (bad[0][0][max(bad[0][1].start() - 20, 0):][:60] if bad else None)


def example(asked: str, answered: str) -> SFTExample:
    return SFTExample(id="a", source="s", category="general", skill="general", language="en", license="MIT",
                      messages=(Message("user", asked), Message("assistant", answered)))


@settings(deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 40))
def test_a_row_searched_for_marks_in_pieces_gets_the_same_verdict(asked: str, answered: str, longest: int) -> None:
    row = example(asked, answered)
    for dropping in (Filter(), Filter(personal_data="drop", model_phrases="drop", truncated="drop")):
        judge = prepare_rules(dropping)
        whole = judge(row)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rules, "LONGEST_SEARCHED", longest)
            assert judge(row) == whole
