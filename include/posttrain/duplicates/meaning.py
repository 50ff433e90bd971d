"""What of an example is compared in meaning: the texts that a sentence model reads, and the numbers in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.exact import Rows
from posttrain.duplicates.settings import SemanticDuplicates
from posttrain.duplicates.texts import group_of, sides_of
from posttrain.schema import Example, Message, PreferencePair
from posttrain.sentence_vectors import Vectors
from posttrain.text_numbers import numbers
from posttrain.text_pieces import squeezed


@dataclass(frozen=True, slots=True)
class ReadTexts:
    """One example as the search for semantic duplicates sees it.

    sides: what the model reads: one text; of a pair, where conversations are compared, one for each side. A label on one
    answer alone has that one twice.
    group: rows of one group only are compared: see `texts.group_of`; a label has the group of labels on that side.
    numbers: 8 bytes over the set of numbers in the user turns that are compared.
    """

    sides: tuple[str, ...]
    group: bytes
    numbers: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Meanings:
    """m rows by number, with (m, sides, d) vectors of length 1, and groups and numbers as in ReadTexts."""

    rows: Rows
    vectors: Vectors
    group: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: Rows) -> Meanings:
        """A copy of some of the rows."""
        return Meanings(self.rows[places], self.vectors[places], self.group[places], self.numbers[places])


def read_texts(example: Example, settings: SemanticDuplicates) -> ReadTexts | None:
    """None where there is no text to compare."""
    sides = [side for side in sides_of(example) if side]
    group, paired = group_of(example), isinstance(example, PreferencePair)
    asked = [m.content or "" for m in (sides[0] if sides else ()) if m.role == "user"]
    if settings.what == "prompt":
        asked = asked[:1]
        texts = tuple(squeezed(text) for text in asked)
    else:
        texts = tuple(_text_of(side) for side in sides)
        if paired and len(texts) == 1:
            group, texts = f"{group}\x00{'chosen' if example.chosen else 'rejected'}", texts * 2
    if not any(texts):
        return None
    values = sorted({value for text in asked for value in numbers(text)})
    return ReadTexts(texts, _digest(group), _digest(repr(values)))


def _text_of(side: tuple[Message, ...]) -> str:
    return "\n".join(text for m in side if (text := squeezed(m.content or "")))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
