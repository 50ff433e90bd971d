"""The words of many texts, read from their bytes in a few passes.

ASCII words never become Python strings: a table maps bytes to letters, digits and rest, words are where that changes, and
a word is read as numbers of eight bytes. What is not ASCII goes through the normaliser, each distinct chunk once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.arrow_arrays import number_array, numbers_of
from posttrain.decontaminate.normalize import FRACTIONS, GREEK, NO_WORD_COMMANDS, SOFT_BREAK, is_korean, pieces
from posttrain.decontaminate.word_codes import (
    LANE,
    LONGEST,
    Codes,
    Ints,
    SharedCode,
    beginning,
    long_code,
    mixed,
    ranges,
    word_code,
)

Flags = npt.NDArray[np.bool_]

_BYTES_OF_SYLLABLE = 3


def _table(kind: dict[str, int], beyond: int, rest: int) -> bytes:
    return bytes(beyond if byte >= 0x80 else kind.get(chr(byte), rest) for byte in range(256))


_LOWER = bytes(byte + 32 if 0x41 <= byte <= 0x5A else byte for byte in range(256))
_REST, _LETTER, _DIGIT, _BEYOND = range(4)
_KIND = bytes(
    _BEYOND if byte >= 0x80 else _LETTER if chr(byte).isalpha() else _DIGIT if chr(byte).isdigit() else _REST
    for byte in range(256))
_KEPT = np.array([(1 << 8 * n) - 1 for n in range(LANE)] + [(1 << 64) - 1], np.uint64)
"""The bytes of a number that belong to a word of n bytes."""
_FRACTION_NAMES = np.array([int.from_bytes(name.encode(), "little") for name in FRACTIONS], np.uint64)


class Segments:
    """The chunks of texts (see `normalize.CHUNK`): `lower[starts[k]:starts[k] + lengths[k]]`, in order."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [SOFT_BREAK.sub("\u00ad", text).encode("utf-8", "surrogatepass") if "\u00ad" in text
                   else text.encode("utf-8", "surrogatepass") for text in texts]
        self.ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1)
        """Where each text ends, its mark included."""
        self.data = b"\n".join([*encoded, bytes(LONGEST)])
        self._drop_apostrophes()
        kind = np.frombuffer(self.data.translate(_KIND), np.uint8)
        edges = np.concatenate([[0], np.flatnonzero(kind[1:] != kind[:-1]) + 1])
        right = kind[edges]
        left = np.concatenate([[_REST], right[:-1]])
        joined = (left == _LETTER) & (right == _DIGIT)
        inner = np.flatnonzero(joined)
        # The name of a command ends before a digit.
        before = edges[inner - 1] - 1
        joined[inner[(np.frombuffer(self.data, np.uint8)[before] == ord("\\")) & (before >= 0)]] = False
        if not self.data.isascii():  # what is beyond ASCII is one with the letters and digits beside it
            joined |= (left != _REST) & (right != _REST) & ((left == _BEYOND) | (right == _BEYOND))
        edges, right = edges[~joined], right[~joined]
        of_words = np.flatnonzero(right)
        self.starts = edges[of_words]
        # The bytes after the last text are no letters, so every chunk has an edge at its end.
        self.lengths = edges[of_words + 1] - self.starts
        self._cut_fractions(kind)
        self.lower = self.data.translate(_LOWER)

    def _drop_apostrophes(self) -> None:
        """isn't → isnt: apostrophes between letters are taken out of the bytes."""
        data = np.frombuffer(self.data, np.uint8)
        found = np.flatnonzero(data == ord("'"))
        if not len(found):
            return
        is_letter = np.frombuffer(_KIND, np.uint8) % 2 == 1
        found = found[is_letter[data[found - 1]] & is_letter[data[found + 1]] & (found > 0)]
        self.ends -= np.searchsorted(found, self.ends)
        self.data = np.delete(data, found).tobytes()

    def _cut_fractions(self, kind: npt.NDArray[np.uint8]) -> None:
        """\\frac12 has two arguments of one character: the first a digit, the second a digit or an ASCII letter."""
        names = self.commands()
        data = np.ndarray((len(self.data) - LANE + 1,), "<u8", self.data, strides=(1,))
        names = names[self.lengths[names] <= LANE]
        is_fraction = np.isin(data[self.starts[names]] & _KEPT[self.lengths[names]], _FRACTION_NAMES)
        ends = (self.starts + self.lengths)[names[is_fraction]]
        first = ends + (np.frombuffer(self.data, np.uint8)[ends] == ord(" "))
        first = first[kind[first] == _DIGIT]
        second = first[(kind[first + 1] == _DIGIT) | (kind[first + 1] == _LETTER)] + 1
        # A cut is where a chunk goes on behind its one character.
        cuts = np.sort(np.concatenate([place[kind[place] != _REST] for place in (first + 1, second + 1)]))
        chunk = np.searchsorted(self.starts, cuts, side="right") - 1
        cuts, chunk = cuts[self.starts[chunk] != cuts], chunk[self.starts[chunk] != cuts]
        if len(cuts):
            ends = np.insert(self.starts + self.lengths, chunk, cuts)
            self.starts = np.insert(self.starts, chunk + 1, cuts)
            self.lengths = ends - self.starts

    @functools.cached_property
    def numbers(self) -> Codes:
        """The eight bytes from each place on, as a number."""
        return np.ndarray((len(self.lower) - LANE + 1,), "<u8", self.lower, strides=(1,))

    @functools.cached_property
    def codes(self) -> Codes:
        """The code of each chunk by its bytes; meaningless for one that is not ASCII."""
        numbers = self.numbers
        codes = mixed(numbers.take(self.starts) & _KEPT.take(self.lengths, mode="clip"))
        longer = np.flatnonzero(self.lengths > LANE)
        at = LANE
        while len(longer) and at < LONGEST:
            lane = numbers.take(self.starts[longer] + at) & _KEPT.take(self.lengths[longer] - at, mode="clip")
            codes[longer] = mixed(codes[longer] + lane)
            at += LANE
            longer = longer[self.lengths[longer] > at]
        for k in longer.tolist():
            codes[k] = long_code(self.bytes_of(k))
        return codes

    def bytes_of(self, k: int) -> bytes:
        return self.lower[self.starts[k] : self.starts[k] + self.lengths[k]]

    @functools.cached_property
    def not_ascii(self) -> Ints:
        """The chunks that hold another character."""
        if self.data.isascii():
            return np.zeros(0, np.int64)
        high = np.flatnonzero(np.frombuffer(self.data, np.int8) < 0)
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

    # ------------------------------------------------------------ the words

    def words(self) -> tuple[Codes, Ints, Flags]:
        """What `tokens.Tokens` is made of: the codes of all words, where each text ends among them, which are unread."""
        codes, bounds = self.codes.copy(), np.concatenate([[0], np.searchsorted(self.starts, self.ends)])
        counts, korean_words = np.ones(len(codes), np.int64), np.zeros(len(codes), np.bool_)
        for k in self._known_commands().tolist():
            command = _command(self.bytes_of(k))
            if command is not None:
                codes[k], counts[k] = command[0] if command else 0, len(command)
        syllables = self.not_ascii[self._are_syllables]
        korean_words[syllables] = True
        codes[syllables] = mixed(self.numbers.take(self.starts[syllables]) & _KEPT[_BYTES_OF_SYLLABLE])
        others, number, distinct = self._others
        read = list(map(_read_chunk, distinct))
        own_counts = np.fromiter((len(own) for own, _ in read), np.int64, len(read))
        counts[others] = own_counts[number]
        if not len(others) and counts.all():
            return codes, bounds, korean_words
        at = np.concatenate([[0], np.cumsum(counts)])
        # The words of each distinct chunk stand end to end; every chunk takes its own from there.
        begins = np.cumsum(own_counts) - own_counts
        taken = ranges(begins[number], own_counts[number])
        places = ranges(at[others], own_counts[number])
        result, unread = np.repeat(codes, counts), np.repeat(korean_words, counts)
        result[places] = np.fromiter(chain.from_iterable(own for own, _ in read), np.uint64)[taken]
        unread[places] = np.fromiter(chain.from_iterable(flags for _, flags in read), np.bool_)[taken]
        return result, at[bounds], unread

    def _known_commands(self) -> Ints:
        """The commands that may be no word or another one."""
        commands = self.commands()
        if not len(commands):
            return commands
        codes, known = self.codes[commands], _command_codes()
        return commands[known[np.minimum(np.searchsorted(known, codes), len(known) - 1)] == codes]

    @functools.cached_property
    def _are_syllables(self) -> Flags:
        """Which of `not_ascii` are Hangul syllables and nothing else: in UTF-8 three bytes each, from EA B0 80 to ED 9D BF (the
        few beyond that are read one by one)."""
        if not len(self.not_ascii):
            return np.zeros(0, np.bool_)
        data = np.frombuffer(self.data, np.uint8)
        lead = np.flatnonzero(data - np.uint8(0xEA) <= 3)
        first, second = data[lead], data[lead + 1]
        lead = lead[((first != 0xEA) | (second >= 0xB0)) & ((first != 0xED) | (second <= 0x9D))]
        number = np.bincount(np.searchsorted(self.starts, lead, side="right") - 1, minlength=len(self.starts))
        return number[self.not_ascii] * _BYTES_OF_SYLLABLE == self.lengths[self.not_ascii]

    @functools.cached_property
    def _others(self) -> tuple[Ints, Ints, list[bytes]]:
        """The other chunks that are not ASCII. The n-th of them is `distinct[number[n]]`, but for capitals."""
        others = self.not_ascii[~self._are_syllables]
        number, distinct = self._distinct(others)
        return others, number, distinct

    def _distinct(self, chunks: Ints) -> tuple[Ints, list[bytes]]:
        """(number of each chunk, the bytes of the first of each number as they came)."""
        number, first = _grouped(self.codes[chunks])
        if self._differing(chunks, chunks[first][number]) is not None:  # a hash is no proof
            number, first = np.arange(len(chunks)), np.arange(len(chunks))
        begins, lengths = self.starts[chunks[first]], self.lengths[chunks[first]]
        return number, [self.data[begin:end] for begin, end in zip(begins.tolist(), (begins + lengths).tolist(), strict=True)]

    # ------------------------------------------------------------ the words of eval texts, spelled

    def korean_words(self) -> tuple[list[str], Ints]:
        """(words as they are written, for each word that `words` leaves unread which of these it is)."""
        one = self._are_syllables
        of_syllables, syllables = self._distinct(self.not_ascii[one])
        _, number, distinct = self._others
        mixed_ones = [[token for token in _pieces_of(chunk) if is_korean(token)] for chunk in distinct]
        own_counts = np.fromiter(map(len, mixed_ones), np.int64, len(mixed_ones))
        counts = np.ones(len(one), np.int64)
        counts[~one] = own_counts[number]
        at = np.cumsum(counts) - counts
        found = np.empty(int(counts.sum()), np.int64)
        found[at[one]] = of_syllables
        begins = len(syllables) + np.cumsum(own_counts) - own_counts
        found[ranges(at[~one], own_counts[number])] = ranges(begins[number], own_counts[number])
        return [chunk.decode() for chunk in syllables] + list(chain.from_iterable(mixed_ones)), found

    def spell(self, spelled: dict[int, str]) -> None:
        """Add code → word, of all words but Korean ones. Raises SharedCode where two words have one code."""
        is_plain = np.ones(len(self.starts), np.bool_)
        is_plain[self.not_ascii] = False
        plain = np.flatnonzero(is_plain)
        number, first = _grouped(self.codes[plain])
        differing = self._differing(plain, plain[first][number])
        if differing is not None:
            raise SharedCode(" and ".join(repr(self.bytes_of(k)) for k in differing) + " have one code")
        begins, lengths = self.starts[plain[first]].tolist(), self.lengths[plain[first]].tolist()
        for begin, length, code in zip(begins, lengths, self.codes[plain[first]].tolist(), strict=True):
            # The code of a word of up to eight bytes is no other such word's.
            if length > LANE or code not in spelled:
                add_word(spelled, code, self.lower[begin : begin + length].decode())
        commands = {self.bytes_of(k).decode() for k in self._known_commands().tolist() if is_plain[k]} & GREEK.keys()
        others = {token for chunk in self._others[2] for token in _pieces_of(chunk) if not is_korean(token)}
        for token in others | {GREEK[name] for name in commands}:
            add_word(spelled, word_code(token), token)

    def _differing(self, left: Ints, right: Ints) -> tuple[int, int] | None:
        """The first two chunks of one code, left and right of each other, that have other bytes; None where there are none."""
        # A word of at most eight bytes is its code.
        asked = np.flatnonzero((left != right) & ((self.lengths[left] > LANE) | (self.lengths[right] > LANE)))
        left, right = left[asked], right[asked]
        differs = self.lengths[left] != self.lengths[right]
        numbers, at = self.numbers, 0
        open_ = np.flatnonzero(~differs)
        while len(open_):
            kept = _KEPT.take(self.lengths[left[open_]] - at, mode="clip")
            differs[open_] = (numbers[self.starts[left[open_]] + at] & kept) != (numbers[self.starts[right[open_]] + at] & kept)
            at += LANE
            open_ = open_[~differs[open_] & (self.lengths[left[open_]] > at)]
        found = np.flatnonzero(differs)
        return (int(left[found[0]]), int(right[found[0]])) if len(found) else None


def add_word(spelled: dict[int, str], code: int, word: str) -> None:
    """Raises SharedCode where another word has the code."""
    if spelled.setdefault(code, word) != word:
        raise SharedCode(f"{spelled[code]!r} and {word!r} have the code {code:016x}")


def _grouped(codes: Codes) -> tuple[Ints, Ints]:
    """(number of each one's group, the first of each group): those of one code are a group."""
    encoded = number_array(codes).dictionary_encode()
    number = numbers_of(encoded.indices).astype(np.int64)
    first = np.zeros(len(encoded.dictionary), np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return number, first


# ---------------------------------------------------------------- one chunk

ReadChunk = tuple[tuple[int, ...], tuple[bool, ...]]


@functools.lru_cache(maxsize=1 << 16)
def _read_chunk(chunk: bytes) -> ReadChunk:
    """The codes of a chunk's words, and which of them are Korean and unread."""
    tokens = _pieces_of(chunk)
    unread = tuple(map(is_korean, tokens))
    return tuple(beginning(token) if flag else word_code(token) for token, flag in zip(tokens, unread, strict=True)), unread


def _pieces_of(chunk: bytes) -> tuple[str, ...]:
    return pieces(chunk.decode("utf-8", "surrogatepass"))


@functools.lru_cache(maxsize=1 << 12)
def _command(chunk: bytes) -> tuple[int, ...] | None:
    """The codes that stand for a chunk after a backslash; None where it is a word like any other."""
    name = chunk.decode("utf-8", "surrogatepass")
    return tuple(map(word_code, pieces(name, is_command=True))) if name in NO_WORD_COMMANDS or name in GREEK else None


@functools.cache
def _command_codes() -> Codes:
    return np.sort(np.array([word_code(name) for name in {*NO_WORD_COMMANDS, *GREEK}], np.uint64))
