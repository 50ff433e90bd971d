"""What speaks for and against a training turn giving away an eval item: the signals that preset `balanced` decides by.

A turn and an item, w(x) the weight of a word (rarity.py), I the item's words, and the *passage*: the stretch of the turn, at
most half as long again as the item, that has most of the item's weight, cut to its first and last word of the item.

    coverage   share of the item's places that n-grams of the turn cover (coverage.py), over all its texts
    worth      Σ w over the item's places: how much there is to recognise. "What is the meaning of life?" has 1
    covered    Σ w over the covered places: "a step by step guide on how to" has .9, though it is 9 words
    wording    Σ w(x in I and in the passage) / Σ w(x in I), over distinct words, numbers apart
    shared     Σ w(x in I and in the passage), the weight of these words: "Simplify" alone has 1, whatever its wording
    focus      Σ w(x in the passage and in I) / Σ w(x in the passage): 1 where the passage says nothing else
    share      the same for the whole turn: near 0 where the item is a remark in a long text
    at_edge    the turn begins or ends with the passage, as a prompt does that wraps an item
    own_line   the item is a line of the turn, or the whole turn
    numbers    same: every number of the item is in the turn; other: one is not; none: the item has none
    quantities Σ of the weights of the item's numbers: those of a sequence have none
    names      the same of capitalised words inside of a sentence
    reworded   the mean of word similarity and agreement of numbers of the best text (numbers.py); 0 where too low to count
    context_only of passage and question the passage alone is there: the question's own words are not in the turn
    dense      cosine of sentence vectors of the best text; 0 without a model
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.rarity import has_digit, number_weights, word_weights
from posttrain.decontaminate.templates import template_places

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.presets import Measure

Agreement = Literal["same", "other", "none"]

CONTEXT_FIELD_NAMES = frozenset({"passage", "context", "article", "document", "background", "input", "inputs", "story", "text"})
"""Fields that a question is asked about. One alone is a shared source, not the item."""

EDGE = 12
"""A passage that begins or ends within so many words of the turn's begin or end is at its edge."""

SLACK = 10
"""A passage may be half as long again as the item, and at least so many words longer."""

MARKED = 0.25
"""Words of at least this weight mark where the passage begins and ends."""

_NAME = re.compile(r"(?<![.!?:\"“(\n]\s)(?<=[\w,;'’)]\s)[A-Z](?:[a-z]\w+|\w+[a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Signals:
    """See above. `fields` are (field, coverage) of the item's texts."""

    whole_turn: bool
    own_line: bool
    at_edge: bool
    coverage: float
    worth: float
    covered: float
    covered_share: float
    wording: float
    shared: float
    focus: float
    share: float
    numbers: Agreement
    quantities: float
    names: Agreement
    fields: tuple[tuple[str, float], ...]
    context_only: bool
    template_share: float
    words: int
    reworded: float
    dense: float


@dataclass(frozen=True, slots=True)
class _Item:
    """An eval item, its texts end to end, weighed once."""

    tokens: tuple[str, ...]
    text_of: tuple[int, ...]
    weight: tuple[float, ...]
    """Of each place: of its word, or of its number."""
    word_weight: dict[str, float]
    """Of each distinct word, numbers apart: its heaviest place."""
    numbers: frozenset[str]
    quantities: float
    names: frozenset[str]
    fields: tuple[str, ...]
    template: int


@functools.lru_cache(maxsize=20_000)
def _item(index: EvalIndex, item: int) -> _Item:
    tokens: list[str] = []
    text_of, weight, fields, names, template, quantities = [], [], [], set(), 0, 0.0
    word_weight: dict[str, float] = {}
    for k, number in enumerate(index.texts(item)):
        text = index.text[number].as_py()
        own, is_template = words(text), template_places(index, number)
        weights = [0.0 if t else w for w, t in zip(word_weights(index, own), is_template, strict=True)]
        for word, w in zip(own, weights, strict=True):
            if not has_digit(word):
                word_weight[word] = max(w, word_weight.get(word, 0.0))
        counted = [0.0 if t else n for n, t in zip(number_weights(own), is_template, strict=True)]
        weight += [w + n for w, n in zip(weights, counted, strict=True)]
        quantities += sum(counted)
        tokens += own
        text_of += [k] * len(own)
        fields.append(index.field[number].as_py())
        names |= _names(text)
        template += int(is_template.sum())
    return _Item(tuple(tokens), tuple(text_of), tuple(weight), word_weight, frozenset(t for t in tokens if has_digit(t)),
                 quantities, frozenset(names), tuple(fields), template)


def _names(text: str) -> set[str]:
    return {word for name in _NAME.findall(text) for word in words(name)}


def signals(index: EvalIndex, turn: str, item: int, matches: Mapping[Measure, Match]) -> Signals:
    """The signals of one pair, given its matches by measure; where no n-gram is shared there is none of coverage."""
    match = matches.get("ngram_coverage")
    known, tokens = _item(index, item), words(turn)
    covered = _covered(known, match)
    worth = sum(known.weight)
    inside = sum(known.weight[k] for k in covered)
    begin, end = _passage(known, tokens)
    passage, turn_words = set(tokens[begin:end]), set(tokens)
    of_turn = dict(zip(turn_words, word_weights(index, list(turn_words)), strict=True))
    total = sum(known.word_weight.values())
    shared = sum(weight for word, weight in known.word_weight.items() if word in passage)
    whole = tuple(tokens) == known.tokens
    return Signals(
        whole_turn=whole,
        own_line=whole or any(tuple(words(line)) == known.tokens for line in turn.split("\n") if line.strip()),
        at_edge=begin < end and (begin <= EDGE or len(tokens) - end <= EDGE),
        coverage=round(len(covered) / len(known.tokens), 9),
        worth=worth, covered=inside, covered_share=inside / worth if worth else 0.0,
        wording=shared / total if total else 0.0, shared=shared,
        focus=_focus(passage, known, of_turn), share=_focus(turn_words, known, of_turn),
        numbers=_agreement(known.numbers, turn_words), quantities=known.quantities, names=_agreement(known.names, turn_words),
        fields=tuple(zip(known.fields, match.scores if match else (0.0,) * len(known.fields), strict=True)),
        context_only=_is_context_only(known, match, turn_words),
        template_share=known.template / len(known.tokens), words=len(known.tokens),
        reworded=matches["reworded"].best if "reworded" in matches else 0.0,
        dense=matches["dense"].best if "dense" in matches else 0.0,
    )


def weight_found(index: EvalIndex, item: int, match: Match) -> tuple[float, float, float]:
    """(coverage, covered weight, worth): the signals that need no look at the turn's words."""
    known = _item(index, item)
    covered = _covered(known, match)
    return len(covered) / len(known.tokens), sum(known.weight[k] for k in covered), sum(known.weight)


def _covered(item: _Item, match: Match | None) -> list[int]:
    """The covered places of an item, its texts end to end."""
    if match is None:
        return []
    begins = [item.text_of.index(k) for k in range(len(match.covered))]
    return [begin + place for begin, places in zip(begins, match.covered, strict=True) for place in places]


def _is_context_only(item: _Item, match: Match | None, turn: set[str]) -> bool:
    """Whether only context fields are covered and less than half of the words that the other fields add are in the turn."""
    if match is None or len(item.fields) < 2:
        return False
    context = {k for k, name in enumerate(item.fields) if name in CONTEXT_FIELD_NAMES}
    hit = {k for k, score in enumerate(match.scores) if score >= 0.5}
    if not hit or not hit <= context:
        return False
    there = {token for token, k in zip(item.tokens, item.text_of, strict=True) if k in context}
    added = {token for token, k in zip(item.tokens, item.text_of, strict=True) if k not in context} - there
    weight = {token: item.word_weight.get(token, 0.0) for token in added}
    return sum(weight[token] for token in added & turn) <= 0.5 * sum(weight.values())


def _focus(said: set[str], item: _Item, weight: dict[str, float]) -> float:
    total = sum(weight[word] for word in said)
    return sum(weight[word] for word in said if word in item.word_weight) / total if total else 0.0


def _agreement(wanted: frozenset[str], there: set[str]) -> Agreement:
    return "none" if not wanted else "same" if wanted <= there else "other"


def _passage(item: _Item, tokens: Sequence[str]) -> tuple[int, int]:
    """[begin, end) of the passage; empty where the turn has no marked word of the item."""
    gain = [item.word_weight.get(token, 0.0) for token in tokens]
    length = min(len(tokens), len(item.tokens) + max(SLACK, len(item.tokens) // 2))
    here = best = sum(gain[:length])
    begin = 0
    for k in range(1, len(tokens) - length + 1):
        here += gain[k + length - 1] - gain[k - 1]
        if here > best + 1e-9:
            best, begin = here, k
    marked = [k for k in range(begin, begin + length) if gain[k] >= MARKED]
    return (marked[0], marked[-1] + 1) if marked else (begin, begin)
