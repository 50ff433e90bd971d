"""Examples of what was found, for people to judge the rule by: a few of every eval, source and decision, with marked texts."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.matches import Finding
from posttrain.decontaminate.normalize import each_span
from posttrain.decontaminate.spans import runs, turn_places
from posttrain.decontaminate.tokens import CHARACTERS_AT_ONCE, piece_with
from posttrain.decontaminate.turns import TrainingRow

A_CELL = 2
"""Examples of one eval, source and decision."""
SHOWN = 1_200
BEFORE = 200
"""Characters of a text that are shown, and how many of them stand before the first mark."""

Pieces = list[tuple[str, bool]]
"""A text cut where its marks begin and end: (text, whether it is marked)."""


class Examples:
    """Those whose hashed names are least: the same rows give the same examples, in whatever order they come."""

    def __init__(self, index: EvalIndex) -> None:
        self._index = index
        self._cells: dict[tuple[str, str, str], list[tuple[str, dict[str, Any]]]] = {}

    def add(self, row: TrainingRow, findings: Iterable[Finding]) -> None:
        for finding in findings:
            name = f"{row.source}\0{row.id}\0{finding.item_id}\0{finding.turn}\0{finding.measure}"
            rank = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
            cell = self._cells.setdefault((finding.decision, finding.eval, row.source), [])
            if len(cell) < A_CELL or rank < cell[-1][0]:
                cell.append((rank, self._example(row, finding)))
                cell.sort(key=lambda example: example[0])
                del cell[A_CELL:]

    def state(self) -> list[dict[str, Any]]:
        """All of them as JSON."""
        return [example | {"rank": rank} for _, cell in sorted(self._cells.items()) for rank, example in cell]

    def _example(self, row: TrainingRow, finding: Finding) -> dict[str, Any]:
        match, numbers = finding.match, self._index.texts(finding.match.item)
        texts = [self._index.text[text].as_py() for text in numbers]
        turn = next(text for place, text in row.turns if place == finding.turn)
        places = turn_places(match, self._index, turn)
        return {
            "row_id": row.id, "source": row.source, "turn": finding.turn, "eval": finding.eval, "item_id": finding.item_id,
            "measure": finding.measure, "score": match.score, "decision": finding.decision, "rule": finding.rule,
            "signals": list(finding.signals), "train": shown(marked(turn, places)),
            "fields": [{"field": self._index.field[number].as_py(), "score": score, "pieces": shown(marked(text, covered))}
                       for number, text, score, covered in zip(numbers, texts, match.scores, match.covered, strict=True)],
        }


def merge_examples(states: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The examples of several parts of the rows as those of all of them."""
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for state in states:
        for example in state:
            cells.setdefault((example["decision"], example["eval"], example["source"]), []).append(example)
    return [example for _, cell in sorted(cells.items()) for example in sorted(cell, key=lambda e: e["rank"])[:A_CELL]]


def marked(text: str, places: Sequence[int]) -> Pieces:
    """The text in pieces, its words at `places` marked; what stands between two marked neighbours is marked with them.

    Of a long text only the piece with the first mark is read and marked.
    """
    if len(text) > CHARACTERS_AT_ONCE and places:
        piece, words, begin, word = piece_with(text, places[0])
        inside = [place - word for place in places[: bisect_left(places, word + words)]]
        around = [(text[:begin], False), *_marked(piece, inside), (text[begin + len(piece) :], False)]
        return [piece for piece in around if piece[0]]
    return _marked(text, places)


def _marked(text: str, places: Sequence[int]) -> Pieces:
    edges = {place for first, behind in runs(places) for place in (first, behind - 1)}
    words = islice(each_span(text), max(edges, default=-1) + 1)
    tokens = {place: word for place, word in enumerate(words) if place in edges}
    pieces: Pieces = []
    end = 0
    for first, behind in runs(places):
        start, stop = tokens[first][1], tokens[behind - 1][2]
        if start > end:
            pieces.append((text[end:start], False))
        pieces.append((text[max(start, end):stop], True))
        end = max(stop, end)
    return [*pieces, (text[end:], False)] if end < len(text) else pieces


def shown(pieces: Pieces) -> Pieces:
    """The part of a long text around its first mark."""
    before = next((sum(len(text) for text, _ in pieces[:n]) for n, (_, mark) in enumerate(pieces) if mark), 0)
    skip = max(0, before - BEFORE)
    found: Pieces = [("… ", False)] if skip else []
    room = SHOWN
    for text, mark in pieces:
        own = text[skip:]
        skip = max(0, skip - len(text))
        if own and room > 0:
            found.append((own[:room], mark))
            room -= len(own)
    return [*found, (" …", False)] if room < 0 else found
