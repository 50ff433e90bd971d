"""The words of all eval texts as numbers, and what an index keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain.decontaminate import korean
from posttrain.decontaminate.hangul import HangulFilter
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.tokens import (
    END_OF_HANGUL,
    Codes,
    Ints,
    Segments,
    SharedCode,
    codes_of,
    parts,
    replaced,
    uncut,
    with_hangul,
    word_code,
)

Words = npt.NDArray[np.int32]


@dataclass(frozen=True)
class EvalWords:
    """Text k is `flat[bounds[k]:bounds[k + 1]]`. A word's number is its row in `words` and `codes`, which is sorted."""

    flat: Words
    bounds: Ints
    words: list[str]
    codes: Codes
    cuts: dict[str, tuple[str, ...]]
    """Every run of Hangul in the texts, with its pieces."""
    hangul: HangulFilter


def read_words(texts: Sequence[str], ngram_size: int) -> EvalWords:
    """Raises SharedCode where two words have one code: then nothing could tell them apart."""
    spelled: dict[int, str] = {}
    for part in parts(texts):
        for code, word in Segments(texts[part]).spelled().items():
            _spell(spelled, code, word)
    cuts: dict[str, tuple[str, ...]] = {}

    def remember(run: str) -> tuple[str, ...]:
        return cuts.setdefault(run, korean.cut(run))

    symbols = uncut(texts)
    of_korean = {k: words(texts[k], remember) for k in with_hangul(symbols).tolist()}
    for token in dict.fromkeys(token for own in of_korean.values() for token in own):
        _spell(spelled, word_code(token), token)
    tokens = replaced(symbols, {k: codes_of(own) for k, own in of_korean.items()})
    encoded = pa.array(tokens.codes).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return EvalWords(
        flat=number[encoded.indices.to_numpy()] if len(order) else np.zeros(0, np.int32), bounds=tokens.bounds,
        words=[spelled[code] for code in distinct[order].tolist()], codes=distinct[order],
        cuts=cuts, hangul=HangulFilter.of_texts(map(symbols.of, of_korean), ngram_size),
    )


def _spell(spelled: dict[int, str], code: int, word: str) -> None:
    if spelled.setdefault(code, word) != word or code < END_OF_HANGUL:
        raise SharedCode(f"{spelled[code]!r} and {word!r} have the code {code:016x}")
