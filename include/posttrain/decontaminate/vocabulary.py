"""The words of all eval texts as numbers, and what an index keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.arrow_arrays import number_array, numbers_of
from posttrain.decontaminate.korean_filter import KoreanFilter
from posttrain.decontaminate.korean_reader import WORDS_FOR_A_PROCESS, StemReader
from posttrain.decontaminate.segments import Segments, add_word
from posttrain.decontaminate.tokens import Tokens, joined, parts
from posttrain.decontaminate.word_codes import Codes, Ints, codes_of, word_code

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


class Vocabulary:
    """Reads eval texts, some at a time. Korean words are handed to `reader` as they come."""

    def __init__(self, reader: StemReader) -> None:
        self._reader = reader
        self._tokens: list[Tokens] = []
        self._spelled: dict[int, str] = {}
        self._korean: dict[str, int] = {}
        self._unread: list[Ints] = []

    def add(self, texts: Sequence[str]) -> None:
        """Raises SharedCode where two words have one code: then nothing could tell them apart."""
        for part in parts(texts):
            segments = Segments(texts[part])
            self._tokens.append(Tokens(*segments.words()))
            segments.spell(self._spelled)
            own, number = segments.korean_words()
            self._unread.append(np.array([self._korean.setdefault(word, len(self._korean)) for word in own], np.int64)[number])
            self._reader.ask(own)
            if len(self._korean) >= WORDS_FOR_A_PROCESS:
                self._reader.start()

    def words(self, ngram_size: int) -> EvalWords:
        """All that was read. Raises SharedCode."""
        beginnings = joined(self._tokens)
        runs = KoreanFilter.of_texts(beginnings, ngram_size)
        stems = self._reader.stems()
        for stem in set(stems.values()):
            add_word(self._spelled, word_code(stem), stem)
        codes = beginnings.codes.copy()
        if stems:
            codes[beginnings.unread] = codes_of([stems[word] for word in self._korean])[np.concatenate(self._unread)]
        encoded = number_array(codes).dictionary_encode()
        distinct = numbers_of(encoded.dictionary)
        order = np.argsort(distinct)
        number = np.empty(len(order), np.int32)
        number[order] = np.arange(len(order), dtype=np.int32)
        return EvalWords(
            flat=number[numbers_of(encoded.indices)], bounds=beginnings.bounds,
            words=[self._spelled[code] for code in distinct[order].tolist()], codes=distinct[order], stems=stems, korean=runs,
        )
