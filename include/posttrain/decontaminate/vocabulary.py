"""The words of all eval texts as numbers, and what an index keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain.decontaminate import korean
from posttrain.decontaminate.korean_filter import KoreanFilter
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.tokens import Codes, Ints, Segments, SharedCode, codes_of, parts, unread, word_code

Words = npt.NDArray[np.int32]


@dataclass(frozen=True)
class EvalWords:
    """Text k is `flat[bounds[k]:bounds[k + 1]]`. A word's number is its row in `words` and `codes`, which is sorted."""

    flat: Words
    bounds: Ints
    words: list[str]
    codes: Codes
    stems: dict[str, str]
    """Every Korean word in the texts, with its stem."""
    korean: KoreanFilter


def read_words(texts: Sequence[str], ngram_size: int) -> EvalWords:
    """Raises SharedCode where two words have one code: then nothing could tell them apart."""
    spelled: dict[int, str] = {}
    for part in parts(texts):
        for code, word in Segments(texts[part]).spelled().items():
            _spell(spelled, code, word)
    stems: dict[str, str] = {}

    def remember(word: str) -> str:
        return stems.setdefault(word, korean.stem(word))

    beginnings = unread(texts)
    codes = beginnings.codes.copy()
    for k in beginnings.with_unread():
        codes[beginnings.bounds[k] : beginnings.bounds[k + 1]] = codes_of(words(texts[k], remember))
    for word in dict.fromkeys(stems.values()):
        _spell(spelled, word_code(word), word)
    encoded = pa.array(codes).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return EvalWords(
        flat=number[encoded.indices.to_numpy()] if len(order) else np.zeros(0, np.int32), bounds=beginnings.bounds,
        words=[spelled[code] for code in distinct[order].tolist()], codes=distinct[order],
        stems=stems, korean=KoreanFilter.of_texts(beginnings, ngram_size),
    )


def _spell(spelled: dict[int, str], code: int, word: str) -> None:
    if spelled.setdefault(code, word) != word:
        raise SharedCode(f"{spelled[code]!r} and {word!r} have the code {code:016x}")
