"""The published statistic and its boundary cases, with words that one can count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import examples, spans, tokens
from posttrain.decontaminate.coverage import covered_places, item_score, score_pairs, score_turns
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.normalize import words

Score = Callable[..., float]


def numbered(first: int, last: int, letter: str = "w") -> str:
    """`w1 w2 w3 …`: distinct words."""
    return " ".join(f"{letter}{n}" for n in range(first, last + 1))


# ---------------------------------------------------------------- shares


def test_the_example_of_the_docstring() -> None:
    text, turn = list("abcdefgh"), list("xabcdyfgh")
    assert [text[place] for place in covered_places(text, turn, 3)] == list("abcdfgh")


def test_a_verbatim_copy_scores_1(score_of: Score) -> None:
    assert score_of(numbered(1, 40), "Please solve: " + numbered(1, 40) + " Thank you.") == 1.0


def test_20_of_40_words_is_exactly_one_half(score_of: Score) -> None:
    assert score_of(numbered(1, 40), numbered(1, 20)) == 0.5


def test_22_of_40_words(score_of: Score) -> None:
    assert score_of(numbered(1, 40), numbered(1, 22)) == 0.55


def test_seven_shared_words_in_a_row_are_no_8_gram(score_of: Score) -> None:
    assert score_of(numbered(1, 40), numbered(1, 7) + " x " + numbered(9, 15)) == 0.0


def test_two_runs_in_one_turn_add_up(score_of: Score) -> None:
    assert score_of(numbered(1, 40), numbered(1, 10) + " x " + numbered(21, 30)) == 0.5


def test_an_ngram_that_occurs_twice_covers_all_its_places(score_of: Score) -> None:
    refrain = numbered(1, 8, "r")
    assert score_of(f"{refrain} a b c d {refrain}", refrain) == 16 / 20  # keyed by its text alone it would be 8/20


def test_overlapping_ngrams_cover_a_place_once(score_of: Score) -> None:
    assert score_of("a a a a a a a a a a b c", "a a a a a a a a") == round(10 / 12, 9)


def test_case_punctuation_and_wrapped_lines_do_not_count(score_of: Score) -> None:
    item = "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May."
    turn = "natalia SOLD\nclips to\n48 of her\nfriends - in april\n\nand then she\nsold half as many\nin may"
    assert score_of(item, turn) == 1.0


def test_korean_counts_words_without_their_particles(score_of: Score) -> None:
    item = "철수는 사과 5개를 가지고 있었고 영희에게 2개를 주었습니다 남은 사과는 몇 개입니까?"  # 12 words
    turn = "문제: 철수가 사과 5개를 가지고 있었고, 영희에게 2개를 주었습니다. 남은 귤은 몇 개입니까?"
    assert score_of(item, turn) == round(9 / 12, 9)


def test_chinese_counts_characters(score_of: Score) -> None:
    assert score_of("小明有五个苹果他给了小红两个", "小明有五个苹果他吃了一个") == round(8 / 14, 9)


# ---------------------------------------------------------------- short items


@pytest.mark.parametrize(
    ("item", "turn", "expected"),
    [
        ("What is ice?", "What is ice?", 1.0),
        ("What is ice?", "what  is\nICE", 1.0),
        ("What is ice?", "What is ice made of?", 0.0),
        ("What is ice?", "Tell me: what is ice?", 0.0),  # three words inside a longer turn are chance
        ("Answer the following question.", "Answer the following question. Who was Napoleon?", 0.0),
        ("Suggest a vegan dessert recipe.", "Suggest a vegan dessert recipe.\nOutput:", 1.0),  # five words are not
        ("Suggest a vegan dessert recipe.", "Suggest a dessert recipe that is vegan.", 0.0),
        ("What is the meaning of life?", "Hi! What is the meaning of life? Thanks.", 1.0),
        ("one two three four five six seven", "one two three four five six", 0.0),
        ("one two three four five six seven eight", "one two three four five six seven eight nine", 1.0),  # n words: an 8-gram
        ("Yes", "Yes", 1.0),
        ("안녕하세요", "안녕하세요", 1.0),
    ],
)
def test_short_items_must_stand_word_for_word(score_of: Score, item: str, turn: str, expected: float) -> None:
    assert score_of(item, turn) == expected


# ---------------------------------------------------------------- several fields


def test_a_question_copied_without_its_passage_scores_one_half(score_of: Score) -> None:
    item = {"passage": numbered(1, 40, "p"), "question": numbered(1, 20, "q")}
    assert score_of(item, numbered(1, 20, "q"), fields=("passage", "question")) == 0.5


def test_the_same_item_without_a_passage_scores_1(score_of: Score) -> None:
    item = {"passage": None, "question": numbered(1, 20, "q")}
    assert score_of(item, numbered(1, 20, "q"), fields=("passage", "question")) == 1.0


def test_passage_and_a_short_question_copied_together_score_1(score_of: Score) -> None:
    item = {"passage": numbered(1, 40, "p"), "question": "Who won?"}
    assert score_of(item, numbered(1, 40, "p") + "\nWho won?", fields=("passage", "question")) == 1.0


@pytest.mark.parametrize(("turn", "expected"), [("Read: Ann met Bob. Who spoke first? Answer.", 1.0), ("Who spoke first?", 0.0)])
def test_two_short_fields_are_one_text(score_of: Score, turn: str, expected: float) -> None:
    item = {"passage": "Ann met Bob.", "question": "Who spoke first?"}
    assert score_of(item, turn, fields=("passage", "question")) == expected


def test_a_short_question_alone_does_not_count_inside_another_text(score_of: Score) -> None:
    item = {"passage": numbered(1, 40, "p"), "question": "Who won?"}
    assert score_of(item, numbered(1, 12, "p") + "\nWho won?", fields=("passage", "question")) == 0.15


def test_three_thirds_of_one_half_are_one_half(score_of: Score) -> None:
    item = {"a": numbered(1, 10, "a"), "b": numbered(1, 20, "b"), "c": numbered(1, 10, "c")}
    turn = numbered(1, 10, "a") + " | " + numbered(1, 10, "b")
    assert score_of(item, turn, fields=("a", "b", "c")) == 0.5  # (1 + 0.5 + 0) / 3


# ---------------------------------------------------------------- the batch is the definition

WORDS = ("a", "b", "c", "d", "Dog's", "10x", "정수의", "합이", "中文")
text_of_words = st.lists(st.sampled_from(WORDS[:4]) | st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)
texts_of_items = st.lists(st.lists(text_of_words, min_size=1, max_size=3), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=texts_of_items, turns=st.lists(text_of_words | st.just(""), min_size=1, max_size=5),
       n=st.integers(2, 8), floor=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_a_batch_on_the_index_gives_what_the_definition_says(
    make_index: Callable[[list[list[str]], int], EvalIndex], items: list[list[str]], turns: list[str], n: int, floor: float,
) -> None:
    """Few words make repeated n-grams, shared n-grams and short items the rule; some give several tokens."""
    index = make_index(items, n)
    found = {(m.turn, m.item): m for m in score_turns(index, turns, floor)}
    for t, turn in enumerate(turns):
        for i in range(len(items)):
            tokens = [words(index.text[k].as_py()) for k in index.texts(i)]
            score, covered = item_score(tokens, words(turn), n)
            best = max(len(c) / len(text) for c, text in zip(covered, tokens, strict=True))
            if best > 0 and round(best, 9) >= floor:
                assert (found[t, i].score, found[t, i].covered) == (score, covered)
            else:
                assert (t, i) not in found
    pairs = [(t, i) for t in range(len(turns)) for i in range(len(items))]
    assert score_pairs(index, turns, pairs, floor) == list(found.values())


def test_a_batch_is_cut_between_turns_and_gives_the_same(
    make_index: Callable[[list[list[str]], int], EvalIndex], monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index([["a b c d a b c d", "b c d a"], ["a b c a b c a b c"], ["d c b a"]], 3)
    turns = [" ".join(turn) for turn in ("abcdabcdabc", "dcbabcda", "", "abcabc", "ddd")]
    whole = score_turns(index, turns, 0.0)
    monkeypatch.setattr("posttrain.decontaminate.coverage.POSTINGS_AT_ONCE", 1)
    assert score_turns(index, turns, 0.0) == whole
    assert {match.turn for match in whole} == {0, 1, 3}


def test_the_places_in_a_long_turn_are_those_in_a_short_one(
    make_index: Callable[[list[list[str]], int], EvalIndex], monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index([["one two three four five six", "대한민국의 수도는 어디이며"], ["two three four"]], 3)
    turn = "zero one two three. Four five\nx six two three four 대한민국의 수도는 어디이며 그곳에 "
    turn += "y " * 30 + "one two three four"
    matches = score_turns(index, [turn], 0.1)
    short = [(spans.turn_places(match, index, turn), examples.marked(turn, spans.turn_places(match, index, turn)))
             for match in matches]
    assert short[0][0] == [1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 45, 46, 47, 48]
    for module in (tokens, spans, examples):
        monkeypatch.setattr(module, "CHARACTERS_AT_ONCE", 40)
    for match, (places, pieces) in zip(matches, short, strict=True):
        assert spans.turn_places(match, index, turn) == places
        first = next(text for text, is_marked in pieces if is_marked)
        found = examples.marked(turn, places)
        assert "".join(text for text, _ in found) == turn
        assert next(text for text, is_marked in found if is_marked).startswith(first[:20])
