"""Cosine and Jaccard: numbers that can be redone by hand, and the fast search against the definition on every pair."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import similarity
from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.similarity import WordMeasure, nominating_words, score_nominated

MEASURES: dict[WordMeasure, Callable[[EvalIndex, list[str], float], list[Match]]] = {
    "cosine": similarity.cosine, "count_cosine": similarity.count_cosine, "jaccard": similarity.jaccard,
}
EIFFEL = "Where is the Eiffel Tower?"


@pytest.fixture
def index_of(bench) -> Callable[..., EvalIndex]:
    """The index of one eval set; an item is a text, or a row whose fields are its texts."""
    def make(*items, fields: tuple[str, ...] = ()) -> EvalIndex:
        bench.add_eval("eval", list(items), fields)
        return load_index(bench.index())

    return make


def score(found: list[Match]) -> float:
    return found[0].score if found else 0.0


# ---------------------------------------------------------------- the definitions


def by_definition(measure: WordMeasure, text: str, turn: str, texts: list[str]) -> float:
    """The formula of similarity.py, for one pair, with dictionaries."""
    x, y = Counter(words(turn)), Counter(words(text))
    if measure == "jaccard":
        return round(len(x.keys() & y.keys()) / len(x.keys() | y.keys()), 9)
    df = Counter(word for other in texts for word in set(words(other)))
    idf = {word: math.log((1 + len(texts)) / (1 + df[word])) + 1 if measure == "cosine" else 1.0 for word in x | y}
    a, b = ({word: (1 + math.log(n)) * idf[word] for word, n in counts.items()} for counts in (x, y))
    length = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return round(sum(a[word] * b[word] for word in a.keys() & b.keys()) / length, 9) if length else 0.0


def test_the_seed_examples_by_count_cosine_and_jaccard(index_of) -> None:
    index = index_of(EIFFEL)
    answer = "The Eiffel Tower is located in Paris."
    landmark = "The Eiffel Tower is a famous landmark in France, known for its structure."
    assert score(similarity.count_cosine(index, [answer], 0.1)) == round(4 / math.sqrt(5 * 7), 9)
    assert score(similarity.count_cosine(index, [landmark], 0.1)) == round(4 / math.sqrt(5 * 13), 9)
    assert score(similarity.jaccard(index, [answer], 0.1)) == 0.5
    assert score(similarity.jaccard(index, [landmark], 0.1)) == round(4 / 14, 9)


def test_exactly_on_the_cut_off_counts(index_of) -> None:
    index = index_of("one two three four five", "a b c d e f g h i j")
    assert score(similarity.count_cosine(index, ["one two three six seven"], 0.6)) == 0.6
    assert score(similarity.count_cosine(index, ["a b c d e f g h i z"], 0.9)) == 0.9
    assert score(similarity.jaccard(index, ["one two three"], 0.6)) == 0.6


def test_repeated_words_count_by_their_logarithm(index_of) -> None:
    index = index_of("the cat")
    found = similarity.count_cosine(index, ["the the the dog"], 0.1)
    tf = 1 + math.log(3)
    assert found[0].score == round(tf / (math.sqrt(2) * math.sqrt(tf * tf + 1)), 9)


def test_idf_is_that_of_the_index_and_not_of_the_batch(index_of) -> None:
    index = index_of("the red fox", "the blue whale", "the green frog")
    alone = similarity.cosine(index, ["the red fox runs"], 0.1)
    among = similarity.cosine(index, ["the red fox runs"] + ["the red whale"] * 50, 0.1)
    assert alone == [match for match in among if match.turn == 0]
    assert alone[0].score == by_definition("cosine", "the red fox", "the red fox runs",
                                           ["the red fox", "the blue whale", "the green frog"])


def test_an_item_of_two_texts_scores_their_mean_and_is_given_for_its_best(index_of) -> None:
    passage, question = "red green blue grey pink gold black white", "which colour is missing here among all those named"
    index = index_of({"passage": passage, "question": question}, fields=("passage", "question"))
    found = similarity.jaccard(index, [question], 0.9)
    assert [(match.scores, match.score, match.best) for match in found] == [((0.0, 1.0), 0.5, 1.0)]
    assert found[0].covered == ((), tuple(range(9)))


def test_covered_places_are_those_of_shared_words(index_of) -> None:
    found = similarity.jaccard(index_of("to be or not to be"), ["be quick or be dead"], 0.1)
    assert found[0].covered == ((1, 2, 5),)


def test_turns_without_words_or_without_a_shared_word_have_no_match(index_of) -> None:
    index = index_of("to be or not to be")
    for measure in MEASURES.values():
        assert measure(index, ["", "?!", "hello world"], 0.1) == []
        assert measure(index, [], 0.1) == []


# ---------------------------------------------------------------- complete: the fast way against every pair

WORDS = ("the", "a", "of", "cat", "dog", "sun", "moon", "red", "two", "7", "x")
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
ITEMS = st.lists(TEXT, min_size=1, max_size=20, unique=True)
TURNS = st.lists(TEXT | st.just("unknown cat"), min_size=1, max_size=12)
FLOORS = st.sampled_from([0.05, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0])


@settings(max_examples=25, deadline=None)
@given(items=ITEMS, turns=TURNS, floor=FLOORS, measure=st.sampled_from(sorted(MEASURES)))
def test_no_pair_is_missed_and_none_is_too_many(tmp_path_factory, items, turns, floor, measure) -> None:
    index = _index(tmp_path_factory, items)
    expected = {(t, i): s for t, turn in enumerate(turns) for i, item in enumerate(items)
                if (s := by_definition(measure, item, turn, items)) >= floor}
    found = {(match.turn, match.item): match.score for match in MEASURES[measure](index, turns, floor)}
    assert found.keys() == expected.keys()
    assert all(abs(found[pair] - expected[pair]) < 2e-9 for pair in found)


@settings(max_examples=25, deadline=None)
@given(items=ITEMS, turns=TURNS, floor=FLOORS, measure=st.sampled_from(sorted(MEASURES)))
def test_a_text_without_a_nominating_word_never_reaches_the_floor(tmp_path_factory, items, turns, floor, measure) -> None:
    index = _index(tmp_path_factory, items)
    nominated = [
        [text for text, item in enumerate(items) if set(chosen) & set(words(item))]
        for chosen in nominating_words(index, measure, turns, floor)
    ]
    assert score_nominated(index, measure, turns, nominated, floor) == MEASURES[measure](index, turns, floor)


def _index(tmp_path_factory: pytest.TempPathFactory, items: list[str]) -> EvalIndex:
    from tests.decontaminate.conftest import Bench

    own = Bench(tmp_path_factory.mktemp("similarity"))
    own.add_eval("eval", list(items))
    return load_index(own.index())


def test_real_rows_against_real_items_as_by_the_definition(test_data, bench) -> None:
    """200 GSM8K train questions against 100 test questions: 20,000 pairs each."""
    import gzip
    import json

    def questions(path: str) -> list[str]:
        with gzip.open(test_data / path, "rt", encoding="utf-8") as f:
            return [json.loads(line)["question"].strip() for line in f]

    items = questions("eval/openai__grade-school-math/test.jsonl.gz")[:100]
    turns = random.Random(0).sample(questions("train/openai__grade-school-math/train.jsonl.gz"), 200)
    bench.add_eval("gsm8k", items)
    index = load_index(bench.index())
    df = Counter(word for item in items for word in set(words(item)))
    texts = [Counter(words(item)) for item in items]
    for measure, floor in (("cosine", 0.35), ("count_cosine", 0.45), ("jaccard", 0.2)):
        expected = {}
        for t, turn in enumerate(turns):
            x = Counter(words(turn))
            for i, y in enumerate(texts):
                if measure == "jaccard":
                    value = len(x.keys() & y.keys()) / len(x.keys() | y.keys())
                else:
                    a, b = ({w: (1 + math.log(n)) * (math.log(101 / (1 + df[w])) + 1 if measure == "cosine" else 1)
                             for w, n in counts.items()} for counts in (x, y))
                    value = sum(a[w] * b[w] for w in a.keys() & b.keys()) / math.sqrt(
                        sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
                if value >= floor:
                    expected[t, i] = value
        found = {(match.turn, match.item): match.score for match in MEASURES[measure](index, turns, floor)}
        assert found.keys() == expected.keys()
        assert len(found) > 5
        assert all(abs(found[pair] - expected[pair]) < 2e-9 for pair in found)
