"""Which rows of a batch of SFT conversations a rule could speak against, told from the Arrow columns without making examples.

A screen is a rule's cheap superset: it names every row that the rule might complain of, and perhaps some more. Rows that no
screen names and in which no rule's mark stands need not be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain import recipe
from posttrain.columns import alternates, rows_of_turns, text_bytes
from posttrain.filters.length import BYTES_PER_TOKEN
from posttrain.filters.view import fold_bytes
from posttrain.schema import ROLES

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_OTHER = len(ROLES)

_MAY_BE_SPACE = np.isin(np.arange(256), [*range(0x09, 0x0E), *range(0x1C, 0x21), 0xC2, 0xE1, 0xE2, 0xE3])
"""Bytes with which a white-space character of Unicode begins in UTF-8, and other characters too."""

BYTES_AT_ONCE = 1 << 20
"""So much text is searched at once: all places of all marks in it are a list."""


class BatchView:
    """The conversations of a batch as flat arrays. Row n has the turns `rows[n]:rows[n + 1]`, turn k the bytes
    `bounds[k]:bounds[k + 1]` of `data`; no row's conversation is null."""

    def __init__(self, messages: pa.ListArray) -> None:
        self.rows: Ints = messages.offsets.to_numpy().astype(np.int64)
        first, last = int(self.rows[0]), int(self.rows[-1])
        turns = messages.values.slice(first, last - first)
        self.rows -= first
        roles = turns.field("role").dictionary_encode()
        codes = np.array([ROLES.index(name) if name in ROLES else _OTHER for name in roles.dictionary.to_pylist()] or [_OTHER])
        self.roles = codes[roles.indices.fill_null(0).to_numpy()] if len(codes) else codes
        self.roles[roles.indices.is_null().to_numpy(zero_copy_only=False)] = _OTHER
        self.bounds, self.data = text_bytes(turns.field("content"))

    def __len__(self) -> int:
        return len(self.rows) - 1

    @property
    def lengths(self) -> Ints:
        """Bytes of every turn."""
        return np.diff(self.bounds)

    def rows_of(self, turns: Mask) -> Mask:
        """The rows that have one of the turns."""
        return rows_of_turns(self.rows, turns)


Screen = Callable[[BatchView, recipe.Filter], Mask]


def may_be_empty(view: BatchView, settings: recipe.Filter) -> Mask:
    """Rows without a turn, or with one that has no text or begins like white space."""
    if not len(view.data):
        return np.ones(len(view), bool)
    first = view.data[np.minimum(view.bounds[:-1], len(view.data) - 1)]
    return (np.diff(view.rows) == 0) | view.rows_of((view.lengths == 0) | _MAY_BE_SPACE[first])


def has_odd_turns(view: BatchView, settings: recipe.Filter) -> Mask:
    """Rows that are not an optional system turn, then user and assistant in turn, with an answer at the end."""
    return ~alternates(view.rows, view.roles)


def may_be_short(view: BatchView, settings: recipe.Filter) -> Mask:
    """Rows whose last turn is not clearly as long as it must be: too few bytes, or white space may stand around it."""
    found = np.ones(len(view), bool)
    some = np.diff(view.rows) > 0
    last = view.rows[1:][some] - 1
    if settings.tokenizer is not None or not len(last) or not len(view.data):
        return found
    begins, ends = view.bounds[last], view.bounds[last + 1]
    first, final = (view.data[np.clip(places, 0, len(view.data) - 1)] for places in (begins, ends - 1))
    if settings.min_tokens <= 1:
        found[some] = (ends <= begins) | _MAY_BE_SPACE[first]
    else:
        spaced = _MAY_BE_SPACE[first] | _MAY_BE_SPACE[final] | (final >= 0x80)
        found[some] = (ends - begins < BYTES_PER_TOKEN * settings.min_tokens) | spaced
    return found


def may_be_long(view: BatchView, settings: recipe.Filter) -> Mask:
    """Rows with more bytes than the greatest number of tokens; `length.is_too_long` says why that is enough."""
    if settings.max_tokens is None:
        return np.zeros(len(view), bool)
    turns = np.diff(view.rows)
    size = view.bounds[view.rows[1:]] - view.bounds[view.rows[:-1]] + turns
    return (size if settings.tokenizer is None else 3 * (size + turns)) > settings.max_tokens


def never(view: BatchView, settings: recipe.Filter) -> Mask:
    """For a rule that says nothing about SFT conversations."""
    return np.zeros(len(view), bool)


def holds_mark(view: BatchView, search: Callable[[bytes, bool], list[tuple[int, int, int]]], longest: int) -> Mask:
    """Rows in whose text, folded, one of the marks stands that `search` looks for; `longest`: bytes of the longest mark."""
    hit = np.zeros(len(view.lengths), bool)
    for begin, piece in _pieces(view, longest):
        starts = np.array([start for _, start, _ in search(fold_bytes(piece), True)], np.int64)
        hit[np.searchsorted(view.bounds, starts + begin, side="right") - 1] = True
    return view.rows_of(hit)


def _pieces(view: BatchView, longest: int) -> Iterator[tuple[int, bytes]]:
    """(where it begins, text) of pieces that together hold every mark whole."""
    begin, end = int(view.bounds[0]), int(view.bounds[-1])
    for start in range(begin, end, BYTES_AT_ONCE):
        yield start, view.data[start : min(end, start + BYTES_AT_ONCE + longest - 1)].tobytes()
