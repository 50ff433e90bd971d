"""index_evals: eval sets → a normalised index that training rows are compared with. Eval files are read, never written.

    items.parquet     eval, item_id (`file:row`), file, row, and the item as it came, as JSON
    fields.parquet    item (row number of items.parquet), field, text: every text that counts
    words.parquet, codes.npy               the distinct words of all texts, sorted by their codes; a word's number is its row
    texts.npy, text_offsets.npy            all texts as word numbers, end to end
    ngrams-<size>-{hashes,offsets,positions}.npy   see ngrams.py; sizes below n hold the texts shorter than n
    korean.parquet, korean-<size>.npy      the stems of the Korean words of the texts; see korean_filter.py
    index.json        n-gram size, normaliser and hash salt: whoever queries reads them from here
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from posttrain.collect import SourceError, pinned, raw_name, source_files
from posttrain.decontaminate import korean
from posttrain.decontaminate.arrow_arrays import number_array, numbers_of, string_array
from posttrain.decontaminate.korean_filter import KoreanFilter
from posttrain.decontaminate.korean_windows import words_to_analyse
from posttrain.decontaminate.ngrams import UNKNOWN, HashCollision, NgramTable, Words, build_table, hashes_of, salted
from posttrain.decontaminate.normalize import NORMALISER, has_word, is_korean, words
from posttrain.decontaminate.texts import eval_texts
from posttrain.decontaminate.tokens import Codes, Ints, Tokens, codes_of, unread, word_code
from posttrain.decontaminate.vectors import DenseIndex, load_vectors, write_vectors
from posttrain.decontaminate.vocabulary import EvalWords, ask_for_stems, read_words
from posttrain.problems import eval_items
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, EvalSet
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, Manifest, file_system, open_parquet, read_json, sha256_file

ITEMS_SCHEMA = pa.schema([
    ("eval", pa.string()), ("item_id", pa.string()), ("file", pa.string()), ("row", pa.int64()), ("item", pa.string()),
])
STEMS_SCHEMA = pa.schema([("word", pa.string()), ("stem", pa.string())])
FIELDS_SCHEMA = pa.schema([("item", pa.int32()), ("field", pa.string()), ("text", pa.string())])


KOREAN_TEXTS_FOR_A_PROCESS = 100
"""Below this the start of a process takes longer than to read the words here."""


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
    with korean.StemReader() as reader:
        _index(evals, before, root, seed, settings, out, reader)
    if pinned_evals(evals, root, seed) != before:
        raise EvalFilesChanged(_difference(before, pinned_evals(evals, root, seed)))


def _index(
    evals: tuple[EvalSet, ...], pinned_before: list[dict[str, Any]], root: Path, seed: int, settings: Decontaminate,
    out: ArtifactWriter, reader: korean.StemReader,
) -> None:
    items: list[tuple[Any, ...]] = []
    fields: list[tuple[Any, ...]] = []
    korean_texts = 0
    for spec in evals:
        for file, row, value in read_items(spec, root, seed):
            found = {} if isinstance(value, Broken) else eval_texts(value, spec.fields)
            found = _long_enough({name: text for name, text in found.items() if has_word(text)})
            texts = [(len(items), name, text) for name, text in found.items()]
            if texts:
                fields += texts
                korean_texts += any(is_korean(text) for _, _, text in texts)
                if korean_texts == KOREAN_TEXTS_FOR_A_PROCESS:
                    reader.start()
                items.append((spec.name, f"{file}:{row}", file, row, _json(value)))
            else:
                out.read(spec.name)
                out.reject(_unusable(spec, file, row, value))
    read_texts = [text for _, _, text in fields]
    as_written = ask_for_stems(read_texts, reader)
    item_table, field_table = _columns(items, ITEMS_SCHEMA), _columns(fields, FIELDS_SCHEMA)
    out.write_table("items.parquet", item_table)
    out.write_table("fields.parquet", field_table)
    read = read_words(read_texts, settings.ngram_size, as_written, reader)
    _write_words(read, settings.ngram_size, out)
    if settings.dense_model:
        write_vectors(settings.dense_model, read_texts, out)
    counts = _counts([spec.name for spec in evals], item_table, field_table, np.diff(read.bounds), settings.ngram_size)
    for name, count in counts.items():
        out.read(name, count["items"])
        out.kept(name, count["items"])
    out.facts = {
        "ngram_size": settings.ngram_size, "normaliser": NORMALISER, "evals": counts, "eval_root": str(root),
        "eval_files": [
            {"eval": e["name"], "file": file, "sha256": sha} for e in pinned_before for file, sha in e.get("files", ())
        ],
    }


def _long_enough(texts: dict[str, str]) -> dict[str, str]:
    """The texts of an item; one text where each has too few words to be found by itself, though the item be copied whole."""
    if len(texts) < 2 or any(len(text) > 100 or len(words(text, str)) >= RUN_WORDS for text in texts.values()):
        return texts
    return {" + ".join(texts): "\n".join(texts.values())}


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, OverflowError):  # a date of a Parquet file, or a number beyond 64 bits
        return json.dumps(value, ensure_ascii=False, default=str)


def _columns(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [string_array(column) if pa.types.is_string(kind) else number_array(np.array(column, kind.to_pandas_dtype()))
              for column, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)


def _counts(names: list[str], items: pa.Table, fields: pa.Table, lengths: Ints, ngram_size: int) -> dict[str, dict[str, int]]:
    """Eval → its items, texts, texts shorter than n, words."""
    eval_of_item = numbers_of(pc.index_in(items["eval"], string_array(names)))
    eval_of_text = eval_of_item[numbers_of(fields["item"])] if len(fields) else np.zeros(0, np.int64)
    return {
        name: {"items": int((eval_of_item == n).sum()), "texts": int((eval_of_text == n).sum()),
               "texts_shorter_than_n": int((lengths[eval_of_text == n] < ngram_size).sum()),
               "words": int(lengths[eval_of_text == n].sum())}
        for n, name in enumerate(names)
    }


def _unusable(spec: EvalSet, file: str, row: int, value: Any) -> Rejected:
    if isinstance(value, Broken):
        return Rejected(reason=value.reason, source=spec.name, raw_file=file, raw_row=row, detail=value.detail, row=value.text)
    has = f"the row has {', '.join(map(str, value))}" if isinstance(value, dict) else f"the row is {type(value).__name__}"
    return Rejected(reason="missing_field", source=spec.name, raw_file=file, raw_row=row, field="|".join(spec.fields) or "prompt",
                    detail=f"no text to compare; {has}", row=value)


def _write_words(texts: EvalWords, ngram_size: int, out: ArtifactWriter) -> None:
    salt = 0
    while True:
        try:
            tables = build_tables(texts.flat, texts.bounds, ngram_size, salted(texts.codes, salt))
            break
        except HashCollision:
            salt += 1
    out.write_table("words.parquet", pa.table({"word": string_array(texts.words)}))
    out.write_table("korean.parquet", _columns(sorted(texts.stems.items()), STEMS_SCHEMA))
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


def build_tables(flat: Words, offsets: Ints, ngram_size: int, codes: Codes) -> dict[int, NgramTable]:
    """Size → table: all n-grams of the texts with at least n words, and each shorter text as a whole under its own length."""
    lengths = np.diff(offsets)
    own = codes[flat]
    tables: dict[int, NgramTable] = {}
    for size in range(1, ngram_size + 1):
        if size == ngram_size:
            last = np.zeros(len(flat) + 1, np.int64)  # a window may begin where it ends within its text
            long = lengths >= size
            np.add.at(last, offsets[:-1][long], 1)
            np.add.at(last, offsets[1:][long] - size + 1, -1)
            starts = np.flatnonzero(np.cumsum(last[:-1]))
            hashes = hashes_of(own, size)[starts]
        else:
            starts = offsets[:-1][lengths == size]
            hashes = hashes_of(own[starts[:, None] + np.arange(size)].ravel(), size)[::size]
        if len(starts):
            tables[size] = build_table(size, starts, hashes, flat)
    return tables


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


# ---------------------------------------------------------------- using the index

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
        for owner in (*self.tables.values(), self.korean):
            _ = owner.filter if isinstance(owner, NgramTable) else owner.filters

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
        codes = found.codes.copy()
        codes[found.unread] = NO_WORD
        left = found.unread
        if self.korean.runs and found.unread.any():
            asked = self.korean.shared(found, min(RUN_WORDS, self.ngram_size))
            for k in np.unique(found.text_of(np.flatnonzero(asked))).tolist():
                begin, end = found.bounds[k], found.bounds[k + 1]
                places = np.flatnonzero(asked[begin:end])
                codes[begin + places] = codes_of(self._stems_in_windows(_spelled(turns[k], places), codes[begin:end]))
            left = left & ~asked
        return Tokens(salted(codes, self.salt), found.bounds, left)

    def all_words(self, turn: str) -> Codes:
        """The words of one turn, all of them read."""
        return salted(codes_of(words(turn, self._stem)), self.salt)

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


LONG_TURN = 10_000
"""Characters of a turn that is not read as a whole for the sake of a few Korean words."""


def _spelled(turn: str, places: Ints) -> dict[int, str]:
    """Some of the words of a turn, as they are written, by their place. Of a long turn only the lines that hold them are read."""
    if len(turn) < LONG_TURN or "\u00ad" in turn:  # a soft hyphen joins lines
        spelled = words(turn, str)
        return {place: spelled[place] for place in places.tolist()}
    lines = turn.split("\n")
    bounds = unread(lines).bounds
    found = {}
    of_line = np.searchsorted(bounds, places, side="right") - 1
    for line in np.unique(of_line).tolist():
        spelled, begin = words(lines[line], str), int(bounds[line])
        found.update({place: spelled[place - begin] for place in places[of_line == line].tolist()})
    return found


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
        return np.load(path, mmap_mode="r", allow_pickle=False)
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
