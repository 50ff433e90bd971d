"""Korean: words in morphemes, and the filter that finds the few rows that need them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import korean
from posttrain.decontaminate.coverage import item_score, score_turns
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.normalize import content_words, words
from posttrain.decontaminate.tokens import is_uncut


@pytest.mark.parametrize(
    ("run", "pieces"),
    [("정수의", "정수 의"), ("합이", "합 이"), ("했다", "했 다"), ("가지고", "가지 고"), ("사과를", "사과 를"), ("물", "물"),
     ("있었습니다", "있 었 습니다")],
)
def test_a_word_is_cut_into_its_morphemes(run: str, pieces: str) -> None:
    assert korean.cut(run) == tuple(pieces.split())


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="가나다의를은했습니다ㅋ정수합이고\u1100\u1161", min_size=1, max_size=150))
def test_the_pieces_together_are_the_word(run: str) -> None:
    assert "".join(korean.cut(run)) == run


def test_content_words_have_no_particles_and_endings() -> None:
    assert content_words("두 정수의 합이 10이고 곱이 24라면") == ["정수", "합", "10", "곱", "24"]
    assert content_words("두 수를 곱하면") == ["수", "곱"]
    assert content_words("The AI가 아름다운") == ["the", "ai", "아름답"]


SYLLABLES = "가나의를은합이"
korean_words = st.text(alphabet=SYLLABLES, min_size=1, max_size=4)
phrases = st.lists(korean_words | st.sampled_from(["ai", "10", "x가", "中"]), min_size=1, max_size=10).map(" ".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.lists(phrases, min_size=1, max_size=2), min_size=1, max_size=4),
       turns=st.lists(phrases, min_size=1, max_size=4), n=st.integers(2, 8), copied=st.booleans())
def test_the_filter_loses_no_match(
    make_index: Callable[[list[list[str]], int], EvalIndex], items: list[list[str]], turns: list[str], n: int, copied: bool,
) -> None:
    """Against the definition, for which every Korean word of every turn is cut."""
    turns = turns + ([items[0][0] + " 그리고 " + turns[0]] if copied else [])
    found = {(match.turn, match.item): match for match in score_turns(make_index(items, n), turns, 0.0)}
    for t, turn in enumerate(turns):
        for i, texts in enumerate(items):
            score, covered = item_score([words(text) for text in texts], words(turn), n)
            if any(covered):
                assert (found[t, i].score, found[t, i].covered) == (score, covered)
            else:
                assert (t, i) not in found


def test_words_outside_of_shared_runs_are_not_analysed(make_index: Callable[[list[list[str]], int], EvalIndex],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index([["대한민국의 수도는 어디입니까 말해 주세요"]], 8)

    def never(run: str) -> tuple[str, ...]:
        raise AssertionError(f"{run} was analysed")

    monkeypatch.setattr(korean, "cut", never)
    assert is_uncut(index.tokens(["프로그래밍을 공부했다 아름다운 수도는 어디인가요"]).codes).all()
    copy = "질문이야 대한민국의 수도는 어디입니까 말해 주세요"  # all but the first word stand in the index, cut
    found = score_turns(index, [copy], 0.5)
    assert [match.score for match in found] == [1.0]
