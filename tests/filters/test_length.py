"""Bounds on length, by the cheap count and by a real tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.filters import check_example, stage_settings
from posttrain.filters.length import count_tokens, estimate_tokens
from posttrain.recipe import Filter
from posttrain.schema import Message, SFTExample

TOKENIZER = "tokenizer/allenai__dolma/gpt-neo-test-tokenizer.json.gz"


def row(prompt: str, answer: str) -> SFTExample:
    return SFTExample(id="a", source="s", category="general", skill="general", language="en", license="MIT",
                      messages=(Message("user", prompt), Message("assistant", answer)))


def reason(example: SFTExample, **changes: object) -> str | None:
    drop = check_example(example, Filter(too_simple=False, **changes))
    return drop.reason if drop else None


@given(st.text(max_size=40), st.text(min_size=1, max_size=40), st.integers(0, 12), st.integers(1, 20))
def test_the_bounds_are_those_of_the_count(prompt: str, answer: str, fewest: int, most: int) -> None:
    """Short cuts before the count change nothing."""
    found = reason(row(prompt, answer), min_tokens=fewest, max_tokens=most, empty=False, special_tokens=False, keywords=False)
    short = estimate_tokens(answer.strip()) < fewest
    long = estimate_tokens(prompt) + estimate_tokens(answer) > most
    assert found == ("too_short" if short else "too_long" if long else None)


def test_tokens_of_a_tokenizer_file(test_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ " little star" are two words and two tokens of GPT-NeoX; the cheap count says three for its twelve bytes."""
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(test_data))
    assert count_tokens(" little star", TOKENIZER) == 2 and count_tokens(" little star", None) == 3
    assert reason(row("Twinkle", " little star"), min_tokens=3) is None
    assert reason(row("Twinkle", " little star"), min_tokens=3, tokenizer=TOKENIZER) == "too_short"
    korean = row("질문", "태양은 별입니다. " * 10)
    tokens = sum(count_tokens(m.content, TOKENIZER) for m in korean.messages)
    assert reason(korean, max_tokens=tokens, tokenizer=TOKENIZER) is None
    assert reason(korean, max_tokens=tokens - 1, tokenizer=TOKENIZER) == "too_long"


def test_the_tokenizers_content_is_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    first = stage_settings(Filter(tokenizer="tokenizer.json"))
    (tmp_path / "tokenizer.json").write_text("{ }")
    assert stage_settings(Filter(tokenizer="tokenizer.json")) != first
    with pytest.raises(FileNotFoundError, match="none.json"):
        stage_settings(Filter(tokenizer="none.json"))
