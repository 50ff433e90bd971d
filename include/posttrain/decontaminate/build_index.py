"""index_evals: eval sets → a normalised index that training rows are compared with (index.py loads it).

    items.parquet     eval, item_id (`file:row`), file, row, and the item as it came, as JSON
    fields.parquet    item (row number of items.parquet), field, text: every text that counts
    words.parquet, codes.npy               the distinct words of all texts, sorted by their codes; a word's number is its row
    texts.npy, text_offsets.npy            all texts as word numbers, end to end
    ngrams-<size>-{hashes,offsets,positions}.npy   see ngrams.py; sizes below n hold the texts shorter than n
    korean.parquet, korean-<size>.npy      the stems of the Korean words of the texts; see korean_filter.py
    index.json        n-gram size, normaliser and hash salt: whoever queries reads them from here
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.decontaminate.arrow_arrays import number_array, numbers_of, string_array
from posttrain.decontaminate.eval_sets import (
    NAME_FIELDS,
    EvalFilesChanged,
    NoEvalText,
    any_korean,
    check_usable,
    difference,
    pinned_evals,
    read_items,
)
from posttrain.decontaminate.index import RUN_WORDS
from posttrain.decontaminate.korean_reader import StemReader
from posttrain.decontaminate.ngrams import HashCollision, build_tables, salted
from posttrain.decontaminate.normalize import NORMALISER, has_word, words
from posttrain.decontaminate.texts import eval_texts
from posttrain.decontaminate.vectors import write_vectors
from posttrain.decontaminate.vocabulary import EvalWords, Vocabulary
from posttrain.decontaminate.word_codes import Ints
from posttrain.raw_files import Broken
from posttrain.recipe import Decontaminate, EvalSet
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter


def index_eval_sets(
    evals: tuple[EvalSet, ...], root: Path, seed: int, settings: Decontaminate, out: ArtifactWriter,
) -> None:
    """Write the index artifact. An item without any text that counts goes to `rejected`; it could never be found.

    Raises EvalFilesChanged where an eval file changes while it is read, NoEvalText where an eval set has rows and no item.
    """
    before = pinned_evals(evals, root, seed)
    with StemReader() as reader, ThreadPoolExecutor(1) as writer:
        if any_korean(evals, root):
            reader.start()
        vocabulary, found = Vocabulary(reader), Items()
        for spec in evals:
            begin, before_set = len(found.texts), len(found)
            unusable = [row for item in read_items(spec, root, seed) if (row := found.add(spec, *item, out))]
            check_usable(spec, len(found) - before_set, unusable)
            vocabulary.add(found.texts[begin:])
        if evals and not len(found):
            names = ", ".join(spec.name for spec in evals)
            raise NoEvalText(f"no row of the eval sets {names} has a text to compare; {NAME_FIELDS}")
        items, fields = found.tables()
        written = [writer.submit(out.write_table, name, table)
                   for name, table in (("items.parquet", items), ("fields.parquet", fields))]
        read = vocabulary.words(settings.ngram_size)
        _write_words(read, settings.ngram_size, out)
        for each in written:
            each.result()
    if settings.dense_model:
        write_vectors(settings.dense_model, found.texts, out)
    counts = _counts([spec.name for spec in evals], items, fields, np.diff(read.bounds), settings.ngram_size)
    for name, count in counts.items():
        out.read(name, count["items"])
        out.kept(name, count["items"])
    out.facts = {
        "ngram_size": settings.ngram_size, "normaliser": NORMALISER, "evals": counts, "eval_root": str(root),
        "eval_files": [{"eval": e["name"], "file": file, "sha256": sha} for e in before for file, sha in e.get("files", ())],
    }
    after = pinned_evals(evals, root, seed)
    if after != before:
        raise EvalFilesChanged(difference(before, after))


# ---------------------------------------------------------------- items and their texts


class Items:
    """The rows of items.parquet and fields.parquet."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._item_of_text: list[int] = []
        self._fields = Names()
        self._evals, self._files = Names(), Names()
        self._rows: list[int] = []
        self._ids: list[str] = []
        self._items: list[str] = []

    def __len__(self) -> int:
        return len(self._items)

    def add(self, spec: EvalSet, file: str, row: int, value: Any, out: ArtifactWriter) -> Rejected | None:
        """Take an item with its texts; one without any is rejected, and returned as such."""
        found = {} if isinstance(value, Broken) else eval_texts(value, spec.fields)
        texts = {name: text for name, text in found.items() if has_word(text)}
        if not texts:
            out.read(spec.name)
            rejected = _unusable(spec, file, row, value)
            out.reject(rejected)
            return rejected
        for name, text in _long_enough(texts).items() if len(texts) > 1 else texts.items():
            self.texts.append(text)
            self._fields.add(name)
            self._item_of_text.append(len(self._items))
        self._evals.add(spec.name)
        self._files.add(file)
        self._rows.append(row)
        self._ids.append(f"{file}:{row}")
        self._items.append(_json(value))
        return None

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(items, fields)."""
        items = {"eval": self._evals.column(), "item_id": string_array(self._ids), "file": self._files.column(),
                 "row": number_array(np.array(self._rows, np.int64)), "item": string_array(self._items)}
        fields = {"item": number_array(np.array(self._item_of_text, np.int32)), "field": self._fields.column(),
                  "text": string_array(self.texts)}
        return pa.table(items), pa.table(fields)


class Names:
    """A column in which few names stand often."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._rows: list[int] = []

    def add(self, name: str) -> None:
        self._rows.append(self._number.setdefault(name, len(self._number)))

    def column(self) -> pa.Array:
        return string_array(list(self._number)).take(number_array(np.array(self._rows, np.int64)))


def _long_enough(texts: dict[str, str]) -> dict[str, str]:
    """The several texts of an item; one text where each has too few words to be found, though the item be copied whole."""
    if any(len(text) > 100 or len(words(text, str)) >= RUN_WORDS for text in texts.values()):
        return texts
    return {" + ".join(texts): "\n".join(texts.values())}


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, OverflowError):  # a date of a Parquet file, or a number beyond 64 bits
        return json.dumps(value, ensure_ascii=False, default=str)


def _unusable(spec: EvalSet, file: str, row: int, value: Any) -> Rejected:
    if isinstance(value, Broken):
        return Rejected(reason=value.reason, source=spec.name, raw_file=file, raw_row=row, detail=value.detail, row=value.text)
    has = f"the row has {', '.join(map(str, value))}" if isinstance(value, dict) else f"the row is {type(value).__name__}"
    return Rejected(reason="missing_field", source=spec.name, raw_file=file, raw_row=row, field="|".join(spec.fields) or "prompt",
                    detail=f"no text to compare; {has}", row=value)


def _counts(names: list[str], items: pa.Table, fields: pa.Table, lengths: Ints, ngram_size: int) -> dict[str, dict[str, int]]:
    """Eval → its items, texts, texts shorter than n, words."""
    eval_of_item = numbers_of(pc.index_in(items["eval"], string_array(names)))
    eval_of_text = eval_of_item[numbers_of(fields["item"])]
    return {
        name: {"items": int((eval_of_item == n).sum()), "texts": int((eval_of_text == n).sum()),
               "texts_shorter_than_n": int((lengths[eval_of_text == n] < ngram_size).sum()),
               "words": int(lengths[eval_of_text == n].sum())}
        for n, name in enumerate(names)
    }


# ---------------------------------------------------------------- words and n-grams


def _write_words(texts: EvalWords, ngram_size: int, out: ArtifactWriter) -> None:
    salt = 0
    while True:
        try:
            tables = build_tables(texts.flat, texts.bounds, ngram_size, salted(texts.codes, salt))
            break
        except HashCollision:
            salt += 1
    stems = sorted(texts.stems.items())
    out.write_table("words.parquet", pa.table({"word": string_array(texts.words)}))
    out.write_table("korean.parquet", pa.table({
        "word": string_array([word for word, _ in stems]), "stem": string_array([stem for _, stem in stems])}))
    arrays: dict[str, npt.NDArray[Any]] = {"codes": texts.codes, "texts": texts.flat, "text_offsets": texts.bounds}
    for size, table in tables.items():
        arrays |= {f"ngrams-{size}-hashes": table.hashes, f"ngrams-{size}-offsets": table.offsets,
                   f"ngrams-{size}-positions": table.positions}
    arrays |= {f"korean-{size}": hashes for size, hashes in texts.korean.runs.items()}
    for name, array in arrays.items():
        out.write_bytes(f"{name}.npy", _npy(array))
    value = {"ngram_size": ngram_size, "normaliser": NORMALISER, "salt": salt, "sizes": sorted(tables),
             "korean_sizes": sorted(texts.korean.runs)}
    out.write_bytes("index.json", (json.dumps(value, sort_keys=True) + "\n").encode())


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
