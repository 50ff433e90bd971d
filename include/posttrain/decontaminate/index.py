"""index_evals: eval sets → a normalised index that training rows are compared with. Eval files are read, never written.

    items.parquet     eval, item_id (`file:row`), file, row, and the item as it came, as JSON
    fields.parquet    item (row number of items.parquet), field, text: every text that counts
    words.parquet     the distinct words of all texts, sorted; a word's number is its row
    texts.npy, text_offsets.npy            all texts as word numbers, end to end
    ngrams-<size>-{hashes,offsets,positions}.npy   see ngrams.py; sizes below n hold the texts shorter than n
    index.json        n-gram size, normaliser and hash salt: whoever queries reads them from here
"""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.collect import SourceError, pinned, raw_name, source_files
from posttrain.decontaminate.ngrams import (
    UNKNOWN,
    HashCollision,
    Hashes,
    Ints,
    NgramTable,
    Words,
    build_table,
    known_run,
    window_hashes,
    with_filter,
    word_codes,
)
from posttrain.decontaminate.normalize import NORMALISER, words
from posttrain.decontaminate.texts import eval_texts
from posttrain.problems import eval_items
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, EvalSet
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, Manifest, file_system, open_parquet, read_json, sha256_file

ITEMS_SCHEMA = pa.schema([
    ("eval", pa.string()), ("item_id", pa.string()), ("file", pa.string()), ("row", pa.int64()), ("item", pa.string()),
])
FIELDS_SCHEMA = pa.schema([("item", pa.int32()), ("field", pa.string()), ("text", pa.string())])


class EvalFilesChanged(RuntimeError):
    """An eval file is not what it was when it was indexed. The message names the file and both hashes."""


class IndexMismatch(RuntimeError):
    """The index was made by another normaliser than this program has."""


# ---------------------------------------------------------------- reading eval sets


def pinned_evals(evals: tuple[EvalSet, ...], root: Path, seed: int) -> list[dict[str, Any]]:
    """What the index is made from, exactly: per eval its fields, the sha256 of its files, and the normaliser.

    Raises collect.SourceError where a file is missing.
    """
    return [
        {"name": spec.name, "fields": list(spec.fields), "normaliser": NORMALISER, **_pinned(spec, root, seed)}
        for spec in evals
    ]


def _pinned(spec: EvalSet, root: Path, seed: int) -> dict[str, Any]:
    # Procedural eval items follow from the offset alone: as with a published eval, every seed of a recipe is scored on the same.
    return pinned(spec.load, root, spec.load.seed_offset if spec.load.kind == "procedural" else seed)


def read_items(spec: EvalSet, root: Path, seed: int) -> Iterator[tuple[str, int, Any]]:
    """(file, row, item) of an eval set in file order; an item that cannot be read is a `raw_files.Broken`.

    Raises collect.SourceError for a file without any row.
    """
    load = spec.load
    if load.kind == "file":
        for path in source_files(load, root):
            name = raw_name(path, root)
            row = -1
            for row, value in read_raw_file(path):
                yield name, row, value
            if row < 0:
                raise SourceError(f"{name} of eval {spec.name} has no row: nothing could be found by it")
    elif load.kind == "hub":
        from datasets import load_dataset

        commit = pinned(load, root, seed)["commit"]
        rows = load_dataset(load.id, load.config, split=load.split, revision=commit)
        name = f"{load.id}@{commit}/{load.config or 'default'}/{load.split}"
        yield from ((name, row, value) for row, value in enumerate(rows))
    else:
        share, rest = divmod(load.rows, len(load.skills))
        for n, skill in enumerate(load.skills):
            items = eval_items(skill, share + (n < rest), seed=load.seed_offset)
            yield from ((f"procedural/{skill}", row, value) for row, value in enumerate(items))


def index_eval_sets(
    evals: tuple[EvalSet, ...], root: Path, seed: int, settings: Decontaminate, out: ArtifactWriter,
) -> None:
    """Write the index artifact. An item without any text that counts goes to `rejected`; it could never be found.

    Raises EvalFilesChanged where an eval file changes while it is read.
    """
    before = pinned_evals(evals, root, seed)
    items: list[dict[str, Any]] = []
    fields: list[dict[str, Any]] = []
    texts = _Texts()
    counts: dict[str, dict[str, int]] = {}
    for spec in evals:
        count = counts.setdefault(spec.name, {"items": 0, "texts": 0, "texts_shorter_than_n": 0, "words": 0})
        for file, row, value in read_items(spec, root, seed):
            out.read(spec.name)
            found = {} if isinstance(value, Broken) else eval_texts(value, spec.fields)
            tokens = {name: tokenised for name, text in found.items() if (tokenised := words(text))}
            if not tokens:
                out.reject(_unusable(spec, file, row, value))
                continue
            out.kept(spec.name)
            for name, tokenised in tokens.items():
                fields.append({"item": len(items), "field": name, "text": found[name]})
                texts.add(tokenised)
                count["texts"] += 1
                count["texts_shorter_than_n"] += len(tokenised) < settings.ngram_size
                count["words"] += len(tokenised)
            items.append({"eval": spec.name, "item_id": f"{file}:{row}", "file": file, "row": row,
                          "item": json.dumps(value, ensure_ascii=False, default=str)})
            count["items"] += 1
    out.write_table("items.parquet", pa.Table.from_pylist(items, schema=ITEMS_SCHEMA))
    out.write_table("fields.parquet", pa.Table.from_pylist(fields, schema=FIELDS_SCHEMA))
    _write_ngrams(texts, settings.ngram_size, out)
    if pinned_evals(evals, root, seed) != before:
        raise EvalFilesChanged(_difference(before, pinned_evals(evals, root, seed)))
    out.facts = {
        "ngram_size": settings.ngram_size, "normaliser": NORMALISER, "evals": counts, "eval_root": str(root),
        "eval_files": [{"eval": e["name"], "file": file, "sha256": sha} for e in before for file, sha in e.get("files", ())],
    }


def _unusable(spec: EvalSet, file: str, row: int, value: Any) -> Rejected:
    if isinstance(value, Broken):
        return Rejected(reason=value.reason, source=spec.name, raw_file=file, raw_row=row, detail=value.detail, row=value.text)
    has = f"the row has {', '.join(map(str, value))}" if isinstance(value, dict) else f"the row is {type(value).__name__}"
    return Rejected(reason="missing_field", source=spec.name, raw_file=file, raw_row=row, field="|".join(spec.fields) or "prompt",
                    detail=f"no text to compare; {has}", row=value)


class _Texts:
    """Tokenised texts end to end, a number for each word in order of appearance: the strings would take ten times the memory."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._flat = array("i")
        self._lengths: list[int] = []

    def add(self, tokens: list[str]) -> None:
        numbers = self._numbers
        self._flat.extend([numbers.setdefault(word, len(numbers)) for word in tokens])
        self._lengths.append(len(tokens))

    def arrays(self) -> tuple[list[str], Words, Ints]:
        """(words in sorted order, texts as ranks in that order, offsets of the texts)."""
        vocabulary = sorted(self._numbers)
        rank = np.empty(len(vocabulary), np.int32)
        rank[np.array([self._numbers[word] for word in vocabulary], np.int64)] = np.arange(len(vocabulary), dtype=np.int32)
        flat = rank[np.frombuffer(self._flat, np.int32)] if self._flat else np.zeros(0, np.int32)
        return vocabulary, flat, np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)


def _write_ngrams(texts: _Texts, ngram_size: int, out: ArtifactWriter) -> None:
    vocabulary, flat, offsets = texts.arrays()
    salt = 0
    while True:
        try:
            tables = build_tables(flat, offsets, ngram_size, word_codes(len(vocabulary), salt))
            break
        except HashCollision:
            salt += 1
    out.write_table("words.parquet", pa.table({"word": pa.array(vocabulary, pa.string())}))
    out.write_bytes("texts.npy", _npy(flat))
    out.write_bytes("text_offsets.npy", _npy(offsets))
    for size, table in tables.items():
        out.write_bytes(f"ngrams-{size}-hashes.npy", _npy(table.hashes))
        out.write_bytes(f"ngrams-{size}-offsets.npy", _npy(table.offsets))
        out.write_bytes(f"ngrams-{size}-positions.npy", _npy(table.positions))
    value = {"ngram_size": ngram_size, "normaliser": NORMALISER, "salt": salt, "sizes": sorted(tables)}
    out.write_bytes("index.json", (json.dumps(value, sort_keys=True) + "\n").encode())


def build_tables(flat: Words, offsets: Ints, ngram_size: int, codes: Hashes) -> dict[int, NgramTable]:
    """Size → table: all n-grams of the texts with at least n words, and each shorter text as a whole under its own length."""
    lengths = np.diff(offsets)
    # The window hashes need an end mark after each text; positions are then moved back to the texts without marks.
    marked = np.insert(flat, offsets[1:], UNKNOWN).astype(np.int32)
    begins = offsets[:-1] + np.arange(len(lengths))
    run = known_run(marked)
    text_of_position = np.repeat(np.arange(len(lengths)), lengths + 1)
    tables: dict[int, NgramTable] = {}
    for size, hashes in window_hashes(marked, codes, ngram_size):
        starts = begins[lengths == size] if size < ngram_size else np.flatnonzero(run >= size)
        if len(starts):
            moved = starts - text_of_position[starts]
            own = np.zeros(len(flat), np.uint64)
            own[moved] = hashes[starts]
            tables[size] = build_table(size, moved, own, flat)
    return tables


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


# ---------------------------------------------------------------- using the index


@dataclass(frozen=True, eq=False)
class EvalIndex:
    """A loaded index. Text k belongs to item `item_of_text[k]` and is `flat[offsets[k]:offsets[k + 1]]`."""

    ngram_size: int
    number: dict[str, int]
    codes: Hashes
    flat: Words
    offsets: Ints
    tables: dict[int, NgramTable]
    item_of_text: Ints
    texts_of_item: Ints
    """How many texts an item has: what the mean of its scores divides by."""
    field: pa.Array
    text: pa.Array
    eval_names: tuple[str, ...]
    eval_of_item: Ints
    item_id: pa.Array

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


def load_index(manifest: Manifest) -> EvalIndex:
    """Load an index artifact. Raises IndexMismatch where its normaliser is not this program's."""
    about = read_json(manifest.file("index.json"))
    if about["normaliser"] != NORMALISER:
        raise IndexMismatch(f"{manifest.path} was made by normaliser {about['normaliser']}, this is {NORMALISER}; index again")
    vocabulary = _table(manifest, "words.parquet")["word"].to_pylist()
    items = _table(manifest, "items.parquet", ["eval", "item_id"])
    fields = _table(manifest, "fields.parquet")
    names = tuple(manifest.facts["evals"])
    item_of_text = fields["item"].to_numpy().astype(np.int64)
    tables = {
        size: with_filter(size, *(_load(manifest, f"ngrams-{size}-{part}.npy") for part in ("hashes", "offsets", "positions")))
        for size in about["sizes"]
    }
    return EvalIndex(
        ngram_size=about["ngram_size"],
        number={word: n for n, word in enumerate(vocabulary)},
        codes=word_codes(len(vocabulary), about["salt"]),
        flat=_load(manifest, "texts.npy"),
        offsets=_load(manifest, "text_offsets.npy"),
        tables=tables,
        item_of_text=item_of_text,
        texts_of_item=np.bincount(item_of_text, minlength=items.num_rows),
        field=fields["field"],
        text=fields["text"],
        eval_names=names,
        eval_of_item=np.array([names.index(name) for name in items["eval"].to_pylist()], np.int64),
        item_id=items["item_id"],
    )


def _load(manifest: Manifest, name: str) -> Any:
    fs, path = file_system(manifest.file(name))
    with fs.open(path, "rb") as f:
        return np.load(io.BytesIO(f.read()), allow_pickle=False)


def _table(manifest: Manifest, name: str, columns: list[str] | None = None, filters: Any = None) -> pa.Table:
    with open_parquet(manifest.file(name)) as f:
        return pq.read_table(f, columns=columns, filters=filters)


def eval_names(manifest: Manifest) -> list[str]:
    """The evals of an index, in recipe order."""
    return list(manifest.facts["evals"])


def read_eval_items(manifest: Manifest, eval_name: str) -> list[dict[str, Any]]:
    """The items of one eval as they were published, in file order; a bare text is {"text": …}. Raises KeyError."""
    if eval_name not in manifest.facts["evals"]:
        raise KeyError(f"no eval {eval_name!r} in {manifest.path}; there are: {', '.join(eval_names(manifest))}")
    found = _table(manifest, "items.parquet", ["eval", "item"], [("eval", "=", eval_name)])
    values = [json.loads(item) for item in found["item"].to_pylist()]
    return [value if isinstance(value, dict) else {"text": value} for value in values]


def check_eval_files(manifest: Manifest) -> None:
    """Compare every eval file with the index. Raises EvalFilesChanged, naming each file with its two hashes."""
    root = Path(manifest.facts["eval_root"])
    changed = []
    for entry in manifest.facts["eval_files"]:
        path = root / entry["file"]
        now = sha256_file(str(path)) if path.is_file() else "no such file"
        if now != entry["sha256"]:
            changed.append(f"{path} (eval {entry['eval']}): sha256 {entry['sha256']} when indexed, now {now}")
    if changed:
        raise EvalFilesChanged("eval files changed since they were indexed; the stage stops.\n" + "\n".join(changed))


def _difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    lines = [
        f"eval {old['name']}: {old.get('files')} before, {new.get('files')} after"
        for old, new in zip(before, after, strict=True) if old != new
    ]
    return "eval files changed while they were indexed.\n" + "\n".join(lines)
