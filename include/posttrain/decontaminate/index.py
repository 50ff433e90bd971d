"""The eval index in memory: what build_index.py has made, and how it reads the words of training turns."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from posttrain.decontaminate import korean
from posttrain.decontaminate.arrow_arrays import numbers_of, string_array
from posttrain.decontaminate.korean_filter import KoreanFilter
from posttrain.decontaminate.korean_windows import words_to_analyse
from posttrain.decontaminate.ngrams import UNKNOWN, Filter, NgramTable, Words, hashes_of, salted
from posttrain.decontaminate.normalize import NORMALISER, words
from posttrain.decontaminate.tokens import Tokens, korean_words, pieces_of, unread
from posttrain.decontaminate.vectors import DenseIndex, load_vectors
from posttrain.decontaminate.word_codes import Codes, Ints, codes_of, word_code
from posttrain.storage import Manifest, file_system, open_parquet, read_json


class IndexMismatch(RuntimeError):
    """The index was made by another normaliser than this program has."""


NO_WORD = 0
"""The code of a word that was not read. No word of an index has it: only the empty word is mixed to 0."""

RUN_WORDS = 5
"""An eval text of fewer words inside of a longer turn is chance: "what is it", "yes or no"."""


@dataclass(frozen=True, eq=False)
class EvalIndex:
    """A loaded index. Text k belongs to item `item_of_text[k]` and is `flat[offsets[k]:offsets[k + 1]]`, in word numbers."""

    ngram_size: int
    vocabulary: pa.Array
    codes: Codes
    """The code of each word number, as `tokens` gives it for a training text."""
    salt: int
    flat: Words
    offsets: Ints
    tables: dict[int, NgramTable]
    stems: dict[str, str]
    """The Korean words of the eval texts with their stems."""
    korean: KoreanFilter
    item_of_text: Ints
    texts_of_item: Ints
    """How many texts an item has: what the mean of its scores divides by."""
    field: pa.Array
    text: pa.Array
    eval_names: tuple[str, ...]
    eval_of_item: Ints
    item_id: pa.Array
    dense: DenseIndex | None
    """Sentence vectors of the texts; None where the recipe names no model."""

    def make_filters(self) -> None:
        """Make what the first search would make, so that processes forked from this one share it."""
        for table in self.tables.values():
            _ = table.filter
        _ = self.beginning, self.korean.filters

    @functools.cached_property
    def beginning(self) -> Filter:
        """What an n-gram of RUN_WORDS words and more can begin with: so many words in a row of an eval text."""
        return Filter(hashes_of(self.codes[self.flat], min(RUN_WORDS, self.ngram_size)))

    @functools.cached_property
    def number(self) -> dict[str, int]:
        """Word → number."""
        return {word: n for n, word in enumerate(self.vocabulary.to_pylist())}

    @functools.cached_property
    def has_few_words(self) -> npt.NDArray[np.bool_]:
        """Item → whether one of its texts has less than RUN_WORDS words."""
        few = self.item_of_text[np.diff(self.offsets) < RUN_WORDS]
        return np.bincount(few, minlength=len(self.texts_of_item)) > 0

    def items_of(self, eval_name: str) -> int:
        return int((self.eval_of_item == self.eval_names.index(eval_name)).sum())

    def texts(self, item: int) -> range:
        """The numbers of an item's texts."""
        return range(int(np.searchsorted(self.item_of_text, item)), int(np.searchsorted(self.item_of_text, item, side="right")))

    def words(self, text: int) -> Words:
        return self.flat[self.offsets[text] : self.offsets[text + 1]]

    def numbers(self, tokens: list[str]) -> list[int]:
        """Word numbers of a text; UNKNOWN for a word that stands in no eval text."""
        return list(map(self.number.get, tokens, repeat(UNKNOWN)))

    def tokens(self, turns: Sequence[str]) -> Tokens:
        """The words of training turns. A Korean word that can belong to no shared n-gram stays unread, with the code NO_WORD."""
        found = unread(turns)
        codes, left = found.codes, found.unread
        asked = self.korean.shared(found, min(RUN_WORDS, self.ngram_size)) if self.korean.runs and left.any() else None
        codes[found.unread] = NO_WORD
        if asked is not None:
            chosen = np.unique(found.text_of(np.flatnonzero(asked))).tolist()
            for k, own in zip(chosen, korean_words([turns[k] for k in chosen]), strict=True):
                begin, end = found.bounds[k], found.bounds[k + 1]
                places = np.flatnonzero(asked[begin:end])
                rank = np.cumsum(found.unread[begin:end])[places] - 1
                spelled = {place: own[n] for place, n in zip(places.tolist(), rank.tolist(), strict=True)}
                codes[begin + places] = codes_of(self._stems_in_windows(spelled, codes[begin:end]))
            left = left & ~asked
        return Tokens(salted(codes, self.salt), found.bounds, left)

    def all_words(self, turn: str) -> Codes:
        """The words of one turn, all of them read."""
        return salted(np.concatenate([codes_of(words(piece, self._stem)) for piece in pieces_of(turn)]), self.salt)

    def _stem(self, word: str) -> str:
        """The stem of a Korean word; the word itself where no beginning of it is a stem of the index: it matches nothing."""
        if word in self.stems:
            return self.stems[word]
        return korean.stem(word) if self._possible_stems(word) else word

    def _possible_stems(self, word: str) -> list[str]:
        """What the stem of a Korean word can be if it is to match a word of the index."""
        before = korean.before_hangul(word)
        stems = [word[:end] for end in range(1, len(word) + 1) if word[:end] in self._known_stems]
        return [before, *stems] if before and before not in stems else stems

    def _stems_in_windows(self, asked: dict[int, str], codes: Codes) -> list[str]:
        """The stems of the words of a turn that are asked for; a word that can belong to no window of the index stays as it is.

        `asked`: place → word. `codes`: those of all the turn's words, NO_WORD where a word was not read.
        """
        def choices(place: int) -> list[int]:
            word = asked.get(place)
            if word is None:
                return [int(codes[place])] if codes[place] != NO_WORD else []
            return [word_code(stem) for stem in ([self.stems[word]] if word in self.stems else self._possible_stems(word))]

        unknown = [place for place, word in asked.items() if word not in self.stems]
        few = min(RUN_WORDS, self.ngram_size)
        needed = words_to_analyse(choices, len(codes), unknown, self.tables, few, self._salted) if unknown else set()
        return [self._stem(word) if word in self.stems or place in needed else word for place, word in asked.items()]

    def _salted(self, codes: Codes) -> Codes:
        return salted(codes, self.salt)

    @functools.cached_property
    def _known_stems(self) -> frozenset[str]:
        return frozenset(self.stems.values())


def load_index(manifest: Manifest) -> EvalIndex:
    """Load an index artifact. Raises IndexMismatch where its normaliser is not this program's."""
    about = read_json(manifest.file("index.json"))
    if about["normaliser"] != NORMALISER:
        raise IndexMismatch(f"{manifest.path} was made by normaliser {about['normaliser']}, this is {NORMALISER}; index again")
    items = _table(manifest, "items.parquet", ["eval", "item_id"])
    fields = _table(manifest, "fields.parquet")
    stems = _table(manifest, "korean.parquet").to_pydict()
    names = tuple(manifest.facts["evals"])
    item_of_text = numbers_of(fields["item"]).astype(np.int64)
    index = EvalIndex(
        ngram_size=about["ngram_size"],
        vocabulary=_table(manifest, "words.parquet")["word"],
        codes=salted(_load(manifest, "codes.npy"), about["salt"]),
        salt=about["salt"],
        flat=_load(manifest, "texts.npy"),
        offsets=_load(manifest, "text_offsets.npy"),
        tables={size: _load_ngrams(manifest, size) for size in about["sizes"]},
        stems=dict(zip(stems["word"], stems["stem"], strict=True)),
        korean=KoreanFilter({size: _load(manifest, f"korean-{size}.npy") for size in about["korean_sizes"]}),
        item_of_text=item_of_text,
        texts_of_item=np.bincount(item_of_text, minlength=items.num_rows),
        field=fields["field"],
        text=fields["text"],
        eval_names=names,
        eval_of_item=numbers_of(pc.index_in(items["eval"], string_array(names))).astype(np.int64),
        item_id=items["item_id"],
        dense=load_vectors(manifest),
    )
    index.make_filters()
    return index


def _load_ngrams(manifest: Manifest, size: int) -> NgramTable:
    hashes, offsets, positions = (_load(manifest, f"ngrams-{size}-{part}.npy") for part in ("hashes", "offsets", "positions"))
    return NgramTable(size, hashes, offsets, positions)


def _load(manifest: Manifest, name: str) -> npt.NDArray[Any]:
    """An array of the artifact: mapped where the file is local, so that workers share one copy of it."""
    fs, path = file_system(manifest.file(name))
    if isinstance(fs, LocalFileSystem):
        # A plain view: every slice of a memmap object costs microseconds.
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    with fs.open(path, "rb") as f:
        return np.load(io.BytesIO(f.read()), allow_pickle=False)


def _table(manifest: Manifest, name: str, columns: list[str] | None = None) -> pa.Table:
    with open_parquet(manifest.file(name)) as f:
        return pq.ParquetFile(f).read(columns)  # pq.read_table imports pyarrow.dataset and, with it, pandas


def eval_names(manifest: Manifest) -> list[str]:
    """The evals of an index, in recipe order."""
    return list(manifest.facts["evals"])


def read_eval_items(manifest: Manifest, eval_name: str) -> list[dict[str, Any]]:
    """The items of one eval as they were published, in file order; a bare text is {"text": …}. Raises KeyError."""
    if eval_name not in manifest.facts["evals"]:
        raise KeyError(f"no eval {eval_name!r} in {manifest.path}; there are: {', '.join(eval_names(manifest))}")
    items = _table(manifest, "items.parquet", ["eval", "item"])
    values = [json.loads(item) for item in items["item"].filter(pc.equal(items["eval"], eval_name)).to_pylist()]
    return [value if isinstance(value, dict) else {"text": value} for value in values]


