"""Korean: the stems of words, and the filter that finds the few rows that need them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import korean
from posttrain.decontaminate.coverage import item_score, score_turns
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.normalize import words


@pytest.mark.parametrize(
    ("word", "stem"),
    [("정수의", "정수"), ("합이", "합"), ("했다", "했"), ("사람들은", "사람"), ("물", "물"), ("있었습니다", "있"),
     ("10이고", "10"),
     ("15개를", "15개"), ("AI가", "AI"), ("프로그래밍을", "프로그래밍"), ("ㅋㅋㅋ", "ㅋㅋㅋ")],
)
def test_a_stem_is_the_word_without_particles_and_endings(word: str, stem: str) -> None:
    assert korean.stem(word) == stem


def test_a_word_that_is_only_an_ending_stays_whole() -> None:
    assert korean.stem("의") == "의"


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="가나다의를은했습니다ㅋ정수합이고\u1100\u1161a1", min_size=1, max_size=80))
def test_a_word_begins_with_its_stem_and_the_stem_with_what_stands_before_the_hangul(word: str) -> None:
    stem = korean.stem(word)
    assert stem
    assert word.startswith(stem)
    assert stem.startswith(korean.before_hangul(word))


SYLLABLES = "가나의를은합이"
korean_words = st.text(alphabet=SYLLABLES, min_size=1, max_size=4)
phrases = st.lists(korean_words | st.sampled_from(["ai", "10", "x가", "中"]), min_size=1, max_size=10).map(" ".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.lists(phrases, min_size=1, max_size=2), min_size=1, max_size=4),
       turns=st.lists(phrases, min_size=1, max_size=4), n=st.integers(2, 8), copied=st.booleans())
def test_the_filter_loses_no_match(
    make_index: Callable[[list[list[str]], int], EvalIndex], items: list[list[str]], turns: list[str], n: int, copied: bool,
) -> None:
    """Against the definition, for which every Korean word of every turn is analysed."""
    turns = turns + ([items[0][0] + " 그리고 " + turns[0]] if copied else [])
    index = make_index(items, n)
    found = {(match.turn, match.item): match for match in score_turns(index, turns, 0.0)}
    for t, turn in enumerate(turns):
        for i in range(len(items)):
            score, covered = item_score([words(index.text[k].as_py()) for k in index.texts(i)], words(turn), n)
            if any(covered):
                assert (found[t, i].score, found[t, i].covered) == (score, covered)
            else:
                assert (t, i) not in found


def test_words_outside_of_shared_runs_are_not_analysed(
    make_index: Callable[[list[list[str]], int], EvalIndex], monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index([["대한민국의 수도는 어디이며 그 도시에 사는 사람은 몇 명입니까"]], 8)

    def never(word: str) -> str:
        raise AssertionError(f"{word} was analysed")

    monkeypatch.setattr(korean, "stem", never)
    assert index.tokens(["프로그래밍을 공부했다 대한민국의 수도는 어디인가요"]).unread.all()
    copy = "질문이야: 대한민국의 수도는 어디이며 그 도시에 사는 사람은 몇 명입니까?"  # all but the first word stand in the index
    assert [match.score for match in score_turns(index, [copy], 0.5)] == [1.0]


def test_other_particles_are_the_same_words(make_index: Callable[[list[list[str]], int], EvalIndex]) -> None:
    index = make_index([["두 정수의 합이 10이고 곱이 24라면 두 정수를 구하시오"]], 8)
    found = score_turns(index, ["두 정수를 합은 10인데 곱은 24이며 두 정수가 구하시오"], 0.5)
    assert [match.score for match in found] == [1.0]
