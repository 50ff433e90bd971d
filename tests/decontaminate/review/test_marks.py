from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.decontaminate.normalize import spans
from posttrain.decontaminate.review.marks import AROUND, LONGEST, pieces


def test_the_words_of_a_span_are_marked_with_what_is_between_them() -> None:
    assert pieces("The cat  sat,\ndown!", [(1, 3)]) == [("text", "The "), ("mark", "cat  sat"), ("text", ",\ndown!")]
    assert pieces("one two three", [(0, 2), (1, 3)]) == [("mark", "one two three")], "spans that overlap are one"
    assert pieces("one two", []) == [("text", "one two")] and pieces("", [(0, 3)]) == []


def test_a_span_beyond_the_text_is_left_out() -> None:
    """An artifact may come from another normaliser than this program's."""
    assert pieces("one two", [(1, 9), (5, 6)]) == [("text", "one "), ("mark", "two")]


def test_korean_and_chinese_are_marked() -> None:
    korean, chinese = "두 수의 합이 10이다.", "今天 AI 很好"
    assert ("mark", chinese) in pieces(chinese, [(0, len(spans(chinese)))])
    assert pieces(korean, [(0, 1)])[0] == ("mark", korean[slice(*spans(korean)[0][1:])])


def test_invisible_characters_are_shown() -> None:
    assert pieces("a\u202eb\u200bc\x07", []) == [
        ("text", "a"), ("hidden", "U+202E"), ("text", "b"), ("hidden", "U+200B"), ("text", "c"), ("hidden", "U+0007")]
    assert pieces("tab\tand\nline", []) == [("text", "tab\tand\nline")]


def test_a_long_text_is_shortened_around_the_marks() -> None:
    text = "filler " * 5_000 + "the shared words " + "filler " * 5_000
    start = 5_000
    shown = pieces(text, [(start, start + 3)])
    assert [kind for kind, _ in shown] == ["text", "gap", "text", "mark", "text", "gap"]
    assert shown[3][1] == "the shared words" and len(shown[0][1]) == AROUND
    assert sum(int(value) if kind == "gap" else len(value) for kind, value in shown) == len(text)
    assert "".join(value for _, value in pieces(text, [(start, start + 3)], full=True)) == text


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5), st.integers(1, 80))
def test_nothing_of_a_text_is_lost_or_added(text: str, marked: list[tuple[int, int]], times: int) -> None:
    text *= times
    shown = pieces(text, marked)
    assert sum(int(value) if kind == "gap" else 1 if kind == "hidden" else len(value) for kind, value in shown) == len(text)
    assert sum(len(value) for kind, value in shown if kind in ("text", "mark")) <= LONGEST
    whole = pieces(text, marked, full=True)
    assert "".join(chr(int(value[2:], 16)) if kind == "hidden" else value for kind, value in whole) == text
