"""Texts → words as 64-bit codes, many texts at once: `normalize.words`, hashed, in a few passes over their bytes.

ASCII words never become Python strings: a table maps bytes to letters, digits and rest, words are where that changes, and
a word is read as numbers of eight bytes. A word of at most eight bytes has a code of its own, since every step
can be undone; longer ones are compared byte by byte when an index is built (`Segments.spelled`), so that no two words of an index
share a code. What is not ASCII goes through the normaliser, each distinct chunk once.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate import korean
from posttrain.decontaminate.arrow_arrays import number_array, numbers_of
from posttrain.decontaminate.normalize import ONE_COMMAND, SOFT_BREAK, TYPESETTING, Stem, is_korean, pieces, words

Codes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

MIXER = np.uint64(0x9E3779B97F4A7C15)
CHARACTERS_AT_ONCE = 1_000_000
"""Texts are read in parts of about this size: what is made of a part stays in the processor's cache."""

_HALF = np.uint64(32)
_LANE = 8
_BYTES_OF_SYLLABLE = 3
_LONGEST = 64
"""Bytes of a word that are read as numbers; a longer one is hashed by BLAKE2."""


class SharedCode(RuntimeError):
    """Two different words have the same code."""


@dataclass(frozen=True)
class Tokens:
    """The words of text k are `codes[bounds[k]:bounds[k + 1]]`."""

    codes: Codes
    bounds: Ints
    unread: npt.NDArray[np.bool_]
    """Korean words whose stem was not looked up: their code is that of how they begin (`beginning`)."""

    def of(self, text: int) -> Codes:
        """The words of one text."""
        return self.codes[self.bounds[text] : self.bounds[text + 1]]

    def text_of(self, places: Ints) -> Ints:
        """Which text each word belongs to."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def with_unread(self) -> list[int]:
        """The texts that have an unread word."""
        return np.unique(self.text_of(np.flatnonzero(self.unread))).tolist()


def tokenise(texts: Sequence[str], stem: Stem = korean.stem) -> Tokens:
    """The words of all texts."""
    tokens = unread(texts)
    for k in tokens.with_unread():
        tokens.of(k)[:] = codes_of(words(texts[k], stem))
    return Tokens(tokens.codes, tokens.bounds, np.zeros(len(tokens.codes), np.bool_))


def unread(texts: Sequence[str]) -> Tokens:
    """The words of all texts, without looking up the stems of Korean words."""
    return joined(Segments(texts[part]).tokens() for part in parts(texts))


def joined(of_parts: Iterable[Tokens]) -> Tokens:
    """The tokens of all texts from those of some."""
    found = [Tokens(np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.bool_))]
    end = 0
    for own in of_parts:
        found.append(Tokens(own.codes, own.bounds[1:] + end, own.unread))
        end += len(own.codes)
    return Tokens(*(np.concatenate(arrays) for arrays in zip(*((t.codes, t.bounds, t.unread) for t in found), strict=True)))


def parts(texts: Sequence[str]) -> Iterator[slice]:
    """Runs of texts of about CHARACTERS_AT_ONCE."""
    begin = characters = 0
    for end, text in enumerate(texts, start=1):
        characters += len(text)
        if characters >= CHARACTERS_AT_ONCE or end == len(texts):
            yield slice(begin, end)
            begin, characters = end, 0


def beginning(word: str) -> int:
    """What all words with one stem have in common, as a code: what stands before the Hangul, else the first syllable."""
    return word_code(korean.before_hangul(word) or word[0])


def codes_of(tokens: Sequence[str]) -> Codes:
    """The codes of words as strings."""
    return np.array([word_code(token) for token in tokens], np.uint64)


@functools.lru_cache(maxsize=1 << 17)
def word_code(word: str) -> int:
    """The code of one word: its bytes as little-endian numbers of 64 bits, each mixed into the next."""
    data = word.encode("utf-8", "surrogatepass")
    if len(data) > _LONGEST:
        return _long_code(data)
    code = 0
    for begin in range(0, len(data), _LANE):
        code = (_mixed_number(code) + int.from_bytes(data[begin : begin + _LANE], "little")) % (1 << 64)
    return _mixed_number(code)


def _mixed_number(code: int) -> int:
    code = code * int(MIXER) % (1 << 64)
    return (code ^ code >> 32) * int(MIXER) % (1 << 64)


def mixed(codes: Codes) -> Codes:
    """Multiply, fold the upper half into the lower, multiply: each step can be undone, and 0 stays 0."""
    codes = codes * MIXER
    codes ^= codes >> _HALF
    codes *= MIXER
    return codes


def _long_code(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


# ---------------------------------------------------------------- bytes


def _table(kind: dict[str, int], beyond: int, rest: int) -> bytes:
    return bytes(beyond if byte >= 0x80 else kind.get(chr(byte), rest) for byte in range(256))


_LOWER = bytes(byte + 32 if 0x41 <= byte <= 0x5A else byte for byte in range(256))
_REST, _LETTER, _DIGIT = 0, 1, 2
_CLASS = _table({chr(c): _DIGIT if chr(c).isdigit() else _LETTER for c in range(128) if chr(c).isalnum()}, _LETTER, _REST)
_KEPT = np.array([(1 << 8 * n) - 1 for n in range(_LANE)] + [(1 << 64) - 1], np.uint64)
"""The bytes of a number that belong to a word of n bytes."""


class Segments:
    """The chunks of texts (see `normalize.CHUNK`): `lower[starts[k]:starts[k] + lengths[k]]`, in order."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [SOFT_BREAK.sub("\u00ad", text).encode("utf-8", "surrogatepass") if "\u00ad" in text
                   else text.encode("utf-8", "surrogatepass") for text in texts]
        self.ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1)
        """Where each text ends, its mark included."""
        self.data = b"\n".join([*encoded, bytes(_LONGEST)])
        self._drop_apostrophes()
        kind = np.frombuffer(self.data.translate(_CLASS), np.uint8)
        edges = np.flatnonzero(kind[1:] != kind[:-1]) + 1
        edges = np.concatenate([[0], edges])
        right = kind[edges]
        left = np.concatenate([[_REST], right[:-1]])
        inner = np.flatnonzero((left != _REST) & (right != _REST))
        # Letters and digits are one word, but the name of a command ends before a digit.
        data, begin = np.frombuffer(self.data, np.uint8), edges[inner - 1]
        is_name = (left[inner] == _LETTER) & (data[begin - 1] == ord("\\")) & (begin > 0)
        joined = np.zeros(len(edges), np.bool_)
        joined[inner[~is_name]] = True
        edges, right = edges[~joined], right[~joined]
        of_words = np.flatnonzero(right)
        self.starts = edges[of_words]
        # The bytes after the last text are no letters, so every chunk has an edge at its end.
        self.lengths = edges[of_words + 1] - self.starts
        self.lower = self.data.translate(_LOWER)

    def _drop_apostrophes(self) -> None:
        """isn't → isnt: apostrophes between letters are taken out of the bytes."""
        found = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("'"))
        if not len(found):
            return
        kind, data = np.frombuffer(_CLASS, np.uint8), np.frombuffer(self.data, np.uint8)
        inside = (kind[data[found - 1]] == _LETTER) & (kind[data[found + 1]] == _LETTER) & (found > 0)
        found = found[inside]
        self.ends -= np.searchsorted(found, self.ends)
        self.data = np.delete(data, found).tobytes()

    @functools.cached_property
    def numbers(self) -> Codes:
        """The eight bytes from each place on, as a number."""
        return np.ndarray((len(self.lower) - _LANE + 1,), "<u8", self.lower, strides=(1,))

    @functools.cached_property
    def codes(self) -> Codes:
        """The code of each chunk by its bytes; meaningless for one that is not ASCII."""
        numbers = self.numbers
        codes = mixed(numbers.take(self.starts) & _KEPT.take(np.minimum(self.lengths, _LANE)))
        longer = np.flatnonzero(self.lengths > _LANE)
        at = _LANE
        while len(longer) and at < _LONGEST:
            lane = numbers.take(self.starts[longer] + at) & _KEPT.take(np.minimum(self.lengths[longer] - at, _LANE))
            codes[longer] = mixed(codes[longer] + lane)
            at += _LANE
            longer = longer[self.lengths[longer] > at]
        for k in longer.tolist():
            codes[k] = _long_code(self.bytes_of(k))
        return codes

    def bytes_of(self, k: int) -> bytes:
        return self.lower[self.starts[k] : self.starts[k] + self.lengths[k]]

    @functools.cached_property
    def not_ascii(self) -> Ints:
        """The chunks that hold another character."""
        if self.lower.isascii():
            return np.zeros(0, np.int64)
        high = np.flatnonzero(np.frombuffer(self.lower, np.int8) < 0)
        # Only the first byte of each run: the rest of it lies in the same chunk.
        high = high[np.concatenate([[True], np.diff(high) > 1])]
        chunks = np.searchsorted(self.starts, high, side="right") - 1
        return chunks[np.concatenate([[True], np.diff(chunks) > 0])]

    def commands(self) -> Ints:
        """The chunks after a backslash."""
        found = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\\")) + 1
        place = np.searchsorted(self.starts, found)
        place, found = place[place < len(self.starts)], found[place < len(self.starts)]
        return place[self.starts[place] == found]

    def tokens(self) -> Tokens:
        codes, bounds = self.codes.copy(), np.concatenate([[0], np.searchsorted(self.starts, self.ends)])
        counts, korean_words = np.ones(len(codes), np.int64), np.zeros(len(codes), np.bool_)
        for k in self.commands().tolist():
            command = _command(self.bytes_of(k)) if self.lengths[k] <= _LONGEST else None
            if command is not None:
                codes[k], counts[k] = command[0] if command else 0, len(command)
        others = self.not_ascii
        if len(others):
            syllables = self._are_syllables(others)
            korean_words[others[syllables]] = True
            codes[others[syllables]] = mixed(self.numbers.take(self.starts[others[syllables]]) & _KEPT[_BYTES_OF_SYLLABLE])
            others = others[~syllables]
        begins, ends = self.starts[others].tolist(), (self.starts[others] + self.lengths[others]).tolist()
        # The bytes as they came: lower case is the normaliser's work here.
        read = [_chunk_codes(self.data[begin:end]) for begin, end in zip(begins, ends, strict=True)]
        counts[others] = np.fromiter((len(own) for own, _ in read), np.int64, len(read))
        if not len(others) and counts.all():
            return Tokens(codes, bounds, korean_words)
        at = np.concatenate([[0], np.cumsum(counts)])
        chunk_read = np.zeros(len(codes), np.bool_)
        chunk_read[others] = True
        several = np.repeat(chunk_read, counts)
        result, unread = np.repeat(codes, counts), np.repeat(korean_words, counts)
        result[several] = np.fromiter(chain.from_iterable(own for own, _ in read), np.uint64)
        unread[several] = np.fromiter(chain.from_iterable(flags for _, flags in read), np.bool_)
        return Tokens(result, at[bounds], unread)

    def _are_syllables(self, chunks: Ints) -> npt.NDArray[np.bool_]:
        """Which chunks are Hangul syllables and nothing else: in UTF-8 three bytes each, from EA B0 80 to ED 9D BF (the few
        beyond that are read one by one)."""
        data = np.frombuffer(self.data, np.uint8)
        lead = np.flatnonzero(data - np.uint8(0xEA) <= 3)
        first, second = data[lead], data[lead + 1]
        lead = lead[((first != 0xEA) | (second >= 0xB0)) & ((first != 0xED) | (second <= 0x9D))]
        number = np.bincount(np.searchsorted(self.starts, lead, side="right") - 1, minlength=len(self.starts))
        return number[chunks] * _BYTES_OF_SYLLABLE == self.lengths[chunks]

    def spelled(self) -> dict[int, str]:
        """Code → word, of all words but Korean ones. Raises SharedCode where two words have one code."""
        not_ascii = self.not_ascii
        plain = np.ones(len(self.starts), np.bool_)
        plain[not_ascii] = False
        found = {int(code): self.bytes_of(k).decode() for code, k in self._distinct(np.flatnonzero(plain))}
        commands = {self.bytes_of(k).decode() for k in self.commands().tolist() if plain[k]} & ONE_COMMAND.keys()
        chunks = {self.data[self.starts[k] : self.starts[k] + self.lengths[k]] for k in not_ascii.tolist()}
        others = {token for chunk in chunks for token in pieces(chunk.decode("utf-8", "surrogatepass")) if not is_korean(token)}
        for token in others | {ONE_COMMAND[name] for name in commands}:
            if found.setdefault(word_code(token), token) != token:
                raise SharedCode(f"{found[word_code(token)]!r} and {token!r} have one code")
        return found

    def _distinct(self, chunks: Ints) -> list[tuple[int, int]]:
        """(code, the first chunk with it). Every chunk is compared with the first of its code, byte by byte."""
        encoded = number_array(self.codes[chunks]).dictionary_encode()
        number = numbers_of(encoded.indices)
        first = np.zeros(len(encoded.dictionary), np.int64)
        first[number[::-1]] = chunks[::-1]
        other = first[number]
        numbers = self.numbers
        differs = self.lengths[chunks] != self.lengths[other]
        at, left = 0, np.flatnonzero(chunks != other)
        while len(left):
            kept = _KEPT.take(np.minimum(self.lengths[chunks[left]] - at, _LANE))
            place = np.minimum(np.stack([self.starts[chunks[left]], self.starts[other[left]]]) + at, len(numbers) - 1)
            differs[left] |= (numbers[place[0]] & kept) != (numbers[place[1]] & kept)
            at += _LANE
            left = left[self.lengths[chunks[left]] > at]
        if differs.any():
            k = int(np.flatnonzero(differs)[0])
            raise SharedCode(f"{self.bytes_of(int(chunks[k]))!r} and {self.bytes_of(int(other[k]))!r} have one code")
        return list(zip(encoded.dictionary.to_pylist(), first.tolist(), strict=True))


@functools.lru_cache(maxsize=1 << 16)
def _chunk_codes(chunk: bytes) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The codes of a chunk's words, and which of them are Korean and unread."""
    tokens = pieces(chunk.decode("utf-8", "surrogatepass"))
    unread = tuple(map(is_korean, tokens))
    return tuple(beginning(token) if flag else word_code(token) for token, flag in zip(tokens, unread, strict=True)), unread


@functools.lru_cache(maxsize=1 << 12)
def _command(chunk: bytes) -> tuple[int, ...] | None:
    """The codes that stand for a chunk after a backslash; None where it is a word like any other."""
    name = chunk.decode("utf-8", "surrogatepass")
    return tuple(map(word_code, pieces(name, is_command=True))) if name in TYPESETTING or name in ONE_COMMAND else None
