"""The words of all eval texts as numbers, and what an index keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate import korean
from posttrain.decontaminate.arrow_arrays import number_array, numbers_of
from posttrain.decontaminate.korean_filter import KoreanFilter
from posttrain.decontaminate.normalize import is_korean, words
from posttrain.decontaminate.tokens import Codes, Ints, Segments, SharedCode, codes_of, joined, parts, word_code

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


def ask_for_stems(texts: Sequence[str], reader: korean.StemReader) -> dict[int, list[str]]:
    """Hands the Korean words of all texts to the reader. Returns the words of each text that has some, as they are written."""
    as_written = {k: words(text, str) for k, text in enumerate(texts) if is_korean(text)}
    reader.ask(list(dict.fromkeys(word for own in as_written.values() for word in own if is_korean(word))))
    return as_written


def read_words(
    texts: Sequence[str], ngram_size: int, as_written: dict[int, list[str]], reader: korean.StemReader,
) -> EvalWords:
    """`as_written` and `reader` as `ask_for_stems` leaves them. Raises SharedCode where two words have one code: then nothing
    could tell them apart."""
    spelled: dict[int, str] = {}
    of_parts = []
    for part in parts(texts):
        segments = Segments(texts[part])
        of_parts.append(segments.tokens())
        for code, word in segments.spelled().items():
            _spell(spelled, code, word)
    beginnings = joined(of_parts)
    runs = KoreanFilter.of_texts(beginnings, ngram_size)
    stems = reader.stems()
    codes = beginnings.codes.copy()
    for k, own in as_written.items():
        codes[beginnings.bounds[k] : beginnings.bounds[k + 1]] = codes_of([stems.get(word, word) for word in own])
    for word in dict.fromkeys(stems.values()):
        _spell(spelled, word_code(word), word)
    encoded = number_array(codes).dictionary_encode()
    distinct = numbers_of(encoded.dictionary)
    order = np.argsort(distinct)
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return EvalWords(
        flat=number[numbers_of(encoded.indices)] if len(order) else np.zeros(0, np.int32), bounds=beginnings.bounds,
        words=[spelled[code] for code in distinct[order].tolist()], codes=distinct[order],
        stems=stems, korean=runs,
    )


def _spell(spelled: dict[int, str], code: int, word: str) -> None:
    if spelled.setdefault(code, word) != word:
        raise SharedCode(f"{spelled[code]!r} and {word!r} have the code {code:016x}")
