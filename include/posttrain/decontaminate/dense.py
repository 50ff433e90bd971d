"""Dense similarity: the cosine of the sentence vectors of a training turn and an eval text, by any sentence-transformers model.

    dense(x, y) = v(x) · v(y)        v of length 1, as the model's own `encode` gives it with its default prompt

It is the cosine, from -1 to 1, and not the (1 + cos) / 2 that Elasticsearch returns. Cut-offs depend on the model: with
all-MiniLM-L6-v2 paraphrases of GSM8K questions begin near .8. What a model reads is cut at its own longest input. An item of
several texts scores the mean over its texts. No words are covered: `covered` is empty.

The recipe names the model, `decontaminate.dense_model`: a folder, or a name of the Hugging Face Hub, `name@revision` to pin it.
None is used by default. The vectors of the eval texts are in the index (vectors.py).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.vectors import PROBE, DenseIndex, encode
from posttrain.sentence_vectors import DenseModelUnusable, Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.sparse_join import Ints

SAME_MODEL = 0.999
"""Cosine of two vectors of PROBE: one model on two devices gives over .9999."""

SCORES_AT_ONCE = 16_000_000
"""Bounds the memory: scores of turns against eval texts that are held at once (4 bytes each)."""

DIGITS = 6
"""Scores are rounded to so many: what float32 sums differ by from batch to batch lies behind them."""


def dense_part(index: EvalIndex) -> DenseIndex:
    """The index's vectors. Raises DenseModelUnusable where it has none."""
    if index.dense is None:
        raise DenseModelUnusable("the eval index was made without decontaminate.dense_model: make it again with this recipe")
    return index.dense


@functools.lru_cache(maxsize=1)
def _check_model(index: EvalIndex) -> None:
    """Raises DenseModelUnusable where the model of this name is not the one that made the index."""
    own = dense_part(index)
    probe = encode(own.model, [PROBE])[0]
    if probe.shape != own.probe.shape or float(probe @ own.probe) < SAME_MODEL:
        raise DenseModelUnusable(
            f"{own.model} is not the model that made the eval index: it gives another vector for the same text. Make the index "
            "again, or pin the model (name@revision)")


def turn_vectors(index: EvalIndex, turns: Sequence[str]) -> Vectors:
    """A row of length 1 for each turn, by the index's model. Raises DenseModelUnusable where that is not the same model."""
    _check_model(index)
    return encode(dense_part(index).model, turns)


def score_turns(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """All (turn, item) pairs whose mean or best text reaches `floor`, in that order: every turn against every text."""
    texts = dense_part(index).vectors
    if not turns or not len(texts):
        return []
    own, step = turn_vectors(index, turns), max(1, SCORES_AT_ONCE // len(texts))
    found = [np.zeros((0, 2), np.int64)]
    for begin in range(0, len(turns), step):
        near = np.argwhere(own[begin : begin + step] @ texts.T >= floor - 10.0**-DIGITS)
        found.append(near + [begin, 0])
    turn, text = np.concatenate(found).T
    return matches_of(index, own, turn, text, floor)


def matches_of(index: EvalIndex, own: Vectors, turn: Ints, text: Ints, floor: float) -> list[Match]:
    """The items of these pairs, each with the scores of all its texts; no words are covered."""
    texts, items = dense_part(index).vectors, len(index.texts_of_item)
    pairs = np.unique(turn * items + index.item_of_text[text])
    matches = []
    for t, item in zip(*(column.tolist() for column in np.divmod(pairs, items)), strict=True):
        numbers = index.texts(item)
        scores = tuple(_cosine(own[t], texts[number]) for number in numbers)
        if max(scores) >= floor:
            mean = round(sum(scores) / len(scores), DIGITS)
            matches.append(Match(t, item, mean, scores, ((),) * len(numbers), "dense"))
    return matches


def _cosine(x: Vectors, y: Vectors) -> float:
    return round(float(x.astype(np.float64) @ y.astype(np.float64)), DIGITS)
