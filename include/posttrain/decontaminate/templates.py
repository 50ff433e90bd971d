"""Template wording: what stands around the item, and not the item.

Two kinds are recognised by counting, without a list of known templates:

- **of the eval sets**: an n-gram that stands in at least TEMPLATE_ITEMS items of the index ("The following paragraphs each
  describe a set of three objects arranged in a fixed order" stands in 750 items of Big-Bench-Hard). `template_places` says
  which places of an item are covered by nothing else. Preset `balanced` gives them no weight, so a training row that
  shares the instruction and not the item is kept, whatever its coverage is. Where an item has no
  wording of its own, all of it counts.
- **of the training data**: one wording of one item that at least TEMPLATE_ROWS training rows match while the item is no more
  than half of what they say ("Answer the question based on the passage" around twenty thousand passages).
  `repeated_wordings` finds them in a finished list of matches; the report shows each as one line with its count, so
  thousands of rows take one line, and matches.parquet still holds every one of them.

A third is the code of a drawing, `[asy] … [/asy]` in MATH and what is made of it: axes and ticks are drawn in the same words
around every graph, and an item has a hundred of them and ten of its own.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from posttrain.decontaminate.normalize import spans

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.ngrams import Ints

TEMPLATE_ITEMS = 20
"""An n-gram of so many items is template wording. The same item in three eval sets stays far below."""

_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)

TEMPLATE_ROWS = 20
"""So many training rows with one matched wording are shown as one."""


@functools.lru_cache(maxsize=2)
def _own(index: EvalIndex) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For every place of the eval texts: whether it is the item's own wording."""
    own = np.ones(len(index.flat), np.bool_)
    table = index.tables.get(index.ngram_size)
    if table is None:
        return own
    own_window = np.zeros(len(index.flat), np.bool_)
    own_window[_starts_of(index, ~_is_template(index, table.offsets, table.positions), table)] = True
    window = np.zeros(len(index.flat), np.bool_)
    window[table.positions] = True
    reach = np.arange(index.ngram_size)
    covered_by_own = np.zeros(len(index.flat), np.bool_)
    covered_by_own[(np.flatnonzero(own_window)[:, None] + reach).ravel()] = True
    covered = np.zeros(len(index.flat), np.bool_)
    covered[(np.flatnonzero(window)[:, None] + reach).ravel()] = True
    return covered_by_own | ~covered


def _is_template(index: EvalIndex, offsets: Ints, positions: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For every n-gram: whether it stands in at least TEMPLATE_ITEMS items."""
    many = np.flatnonzero(np.diff(offsets) >= TEMPLATE_ITEMS)
    result = np.zeros(len(offsets) - 1, np.bool_)
    for number in many.tolist():
        texts = np.searchsorted(index.offsets, positions[offsets[number] : offsets[number + 1]], side="right") - 1
        result[number] = len(np.unique(index.item_of_text[texts])) >= TEMPLATE_ITEMS
    return result


def _starts_of(index: EvalIndex, chosen: np.ndarray[Any, Any], table: Any) -> Ints:
    """The places at which the chosen n-grams begin."""
    return table.positions[np.repeat(chosen, np.diff(table.offsets))]


def template_places(index: EvalIndex, text: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For every word of an eval text: whether it is template wording only; nothing is where the whole text is template."""
    template = ~_own(index)[index.offsets[text] : index.offsets[text + 1]] | _drawing_places(index.text[text].as_py())
    return np.zeros_like(template) if template.all() else template


def _drawing_places(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    drawings = [match.span() for match in _DRAWING.finditer(text)]
    if not drawings:
        return np.zeros(1, np.bool_)
    return np.array([any(begin <= start < end for begin, end in drawings) for _, start, _ in spans(text)], np.bool_)


# ---------------------------------------------------------------- of the training data


@dataclass(frozen=True)
class RepeatedWording:
    """One wording of an eval item that many rows match: what a report shows in one line."""

    eval: str
    item_id: str
    matched_text: str
    rows: int
    sources: tuple[tuple[str, int], ...]
    """(source, rows), the most rows first."""
    decisions: tuple[tuple[str, int], ...]


def repeated_wordings(matches: Iterable[Mapping[str, Any]], at_least: int = TEMPLATE_ROWS) -> list[RepeatedWording]:
    """The wordings that at least so many rows match, the most rows first. `matches` are lines of matches.parquet."""
    rows: dict[tuple[str, str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    for line in matches:
        rows[line["eval"], line["item_id"], line["matched_text"]][line["source"], line["row_id"]] = line["decision"]
    found = [
        RepeatedWording(*key, rows=len(own), sources=tuple(Counter(source for source, _ in own).most_common()),
                        decisions=tuple(Counter(own.values()).most_common()))
        for key, own in rows.items() if len(own) >= at_least
    ]
    return sorted(found, key=lambda wording: (-wording.rows, wording.eval, wording.item_id, wording.matched_text))
