"""Writing an artifact: rows into parts, files, the books of what was read, and the manifest last."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from posttrain.columns import ExampleColumns
from posttrain.schema import REASONS, REJECTED_SCHEMA, Example, Rejected, kind_of, to_row
from posttrain.storage.files import file_system, join, link_or_copy, write_atomic, write_json
from posttrain.storage.hashes import sha256_file, sha256_json
from posttrain.storage.manifest import FileEntry, Manifest, StorageError

ROWS_PER_PART = 50_000
"""A part file is the unit of parallel work: small enough for one worker's memory, large enough to compress."""
CHARACTERS_PER_PART = 200_000_000
"""Long documents fill a part sooner: an Arrow column of text holds at most 2 GiB."""


class ArtifactWriter:
    """Collects a stage's rows and files, then writes the manifest.

    A stage calls `read()` once for every input row and `keep()` or `reject()` until it is accounted for;
    `finish()` refuses to write a manifest in which kept + rejected is not what was read, for any source.
    """

    def __init__(self, path: str, *, stage: str, key: str = "", settings: dict[str, Any] | None = None,
                 code: str = "", parents: list[dict[str, str]] | None = None, shards: str = "") -> None:
        self.path, self.stage, self.key, self.code = path, stage, key, code
        self.shards = shards or join(path.rstrip("/").rsplit("/", 1)[0], "shards")
        """Where the artifacts of the stage's shards lie (see shards.py)."""
        self.settings, self.parents = settings or {}, parents or []
        self.facts: dict[str, Any] = {}
        self._started = time.monotonic()
        self._buffers: dict[str, list[dict[str, Any]]] = {}
        self._characters: Counter[str] = Counter()
        self._examples: dict[str, ExampleColumns] = {}
        self._schemas: dict[str, pa.Schema] = {"rejected": REJECTED_SCHEMA}
        self._files: list[FileEntry] = []
        self._part: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._sources: dict[str, Counter[str]] = {}
        self.names: dict[str, str] = {}
        """Split → what its part files are called, where that is not `part-<split>`; `rejected` is the split of dropped rows."""
        fs, name = file_system(path)
        if fs.exists(name):
            if fs.exists(f"{name}/manifest.json"):
                raise StorageError(f"{path} is finished already; an artifact is never written twice")
            fs.rm(name, recursive=True)
        fs.makedirs(name, exist_ok=True)

    # -- accounting

    def read(self, source: str, rows: int = 1) -> None:
        """Count input rows of a source."""
        self._source(source)["read"] += rows

    def kept(self, source: str, rows: int = 1) -> None:
        """Count input rows as kept without writing them (a source row that became several examples)."""
        self._source(source)["kept"] += rows

    def _source(self, source: str) -> Counter[str]:
        count = self._sources.get(source)
        if count is None:
            count = self._sources[source] = Counter(read=0, kept=0, rejected=0)
        return count

    # -- rows

    def keep(self, example: Example) -> None:
        """Write an example and count it as one kept row of its source."""
        self.kept(example.source)
        self.add(kind_of(example), example)

    def add(self, split: str, example: Example) -> None:
        """Write an example to a split without counting a kept input row."""
        columns = self._examples.setdefault(split, ExampleColumns(kind_of(example)))
        columns.append(example)
        if len(columns) >= ROWS_PER_PART or columns.characters >= CHARACTERS_PER_PART:
            self._flush_examples(split)

    def add_table(self, kind: str, table: pa.Table) -> None:
        """As `add` for each row of a table of the kind's schema, into the split of the kind's name."""
        while table.num_rows:
            columns = self._examples.setdefault(kind, ExampleColumns(kind))
            table = table.slice(columns.extend(table, ROWS_PER_PART, CHARACTERS_PER_PART))
            if len(columns) >= ROWS_PER_PART or columns.characters >= CHARACTERS_PER_PART:
                self._flush_examples(kind)

    def write(self, split: str, row: dict[str, Any], schema: pa.Schema) -> None:
        """Write a row of any schema to a split without counting a kept input row; a split takes rows or examples."""
        self._schemas.setdefault(split, schema)
        self._append(split, row)

    def reject(self, rejected: Rejected) -> None:
        self._source(rejected.source)["rejected"] += 1
        self._reasons[rejected.reason] += 1
        body = rejected.row if isinstance(rejected.row, str) else json.dumps(rejected.row, ensure_ascii=False, default=str)
        self._append("rejected", {  # not asdict, which would walk through the row, as deep as it is
            "id": rejected.id, "source": rejected.source, "raw_file": rejected.raw_file, "raw_row": rejected.raw_row,
            "reason": rejected.reason, "field": rejected.field, "detail": _printable(rejected.detail), "row": _printable(body),
        })

    def reject_example(self, example: Example, reason: str, detail: str = "", field: str | None = None) -> None:
        self.reject(Rejected(reason=reason, source=example.source, id=example.id, raw_file=example.raw_file,
                             raw_row=example.raw_row, field=field, detail=detail, row=to_row(example)))

    def _append(self, split: str, row: dict[str, Any]) -> None:
        buffer = self._buffers.setdefault(split, [])
        buffer.append(row)
        self._characters[split] += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(buffer) >= ROWS_PER_PART or self._characters[split] >= CHARACTERS_PER_PART:
            self._flush(split)

    def _flush(self, split: str) -> None:
        rows = self._buffers.pop(split, [])
        self._characters.pop(split, None)
        if not rows:
            return
        self.write_table(self.part_name(split), pa.Table.from_pylist(rows, schema=self._schemas[split]),
                         split if split != "rejected" else "")

    def _flush_examples(self, split: str) -> None:
        self.write_table(self.part_name(split), self._examples.pop(split).table(), split)

    # -- rows in ready tables: the stage takes names in order, writes them with `write_table` from any thread, and counts

    def part_name(self, split: str) -> str:
        """The name of the split's next part file; `rejected` is the split of dropped rows."""
        number = self._part[split]
        self._part[split] += 1
        name = self.names.get(split) or ("rejected" if split == "rejected" else f"part-{split}")
        return f"{name}-{number:05d}.parquet"

    def rejected(self, source: str, reason: str, rows: int) -> None:
        """Count dropped rows that stand in tables of REJECTED_SCHEMA."""
        if reason not in REASONS:
            raise KeyError(f"{reason!r} is not in schema.REASONS; add it there with one sentence")
        self._source(source)["rejected"] += rows
        self._reasons[reason] += rows

    # -- files

    def write_table(self, name: str, table: pa.Table, split: str = "") -> None:
        """Write a Parquet file (zstd) into the artifact; its rows count as written to `split` if it belongs to one."""
        with write_atomic(join(self.path, name)) as f:
            pq.write_table(table, f, compression="zstd")
        self._register(name, split, table.num_rows)

    def adopt(self, manifest: Manifest, entry: FileEntry) -> None:
        """Take over a part or rejected file of a shard's artifact as it is: a second name for it where the file system can."""
        split = entry.split or "rejected"
        name = self.part_name(split)
        (fs, target), (_, source) = file_system(join(self.path, name)), file_system(manifest.file(entry.name))
        if isinstance(fs, LocalFileSystem):
            link_or_copy(source, target)
        else:
            fs.cp_file(source, target)
        self._files.append(FileEntry(name, entry.split, entry.rows, entry.bytes, entry.sha256))

    def take_over(self, name: str, split: str, rows: int) -> None:
        """Make a file of the artifact that another process wrote into its folder."""
        self._register(name, split, rows)

    def write_bytes(self, name: str, data: bytes) -> None:
        with write_atomic(join(self.path, name)) as f:
            f.write(data)
        self._register(name, "", 0)

    def add_folder(self, name: str, local: str) -> None:
        """Move a local folder (a checkpoint, say) into the artifact under `name`."""
        fs, target = file_system(join(self.path, name))
        if isinstance(fs, LocalFileSystem):
            fs.makedirs(fs._parent(target), exist_ok=True)
            shutil.move(local, target)
        else:
            fs.put(local, target, recursive=True)
            shutil.rmtree(local)
        for found in sorted(fs.find(target)):
            self._register(f"{name}/{found[len(fs._strip_protocol(target)) + 1:]}", "", 0)

    def _register(self, name: str, split: str, rows: int) -> None:
        path = join(self.path, name)
        fs, fs_path = file_system(path)
        self._files.append(FileEntry(name, split, rows, int(fs.size(fs_path)), sha256_file(path)))

    # -- the end

    def finish(self) -> Manifest:
        """Check the books, then write the manifest: the last file, and the sign that the stage is done."""
        for source, count in self._sources.items():
            if count["kept"] + count["rejected"] != count["read"]:
                raise StorageError(
                    f"{self.stage}: source {source!r} does not add up: read {count['read']}, "
                    f"kept {count['kept']} + rejected {count['rejected']}"
                )
        for split in list(self._buffers):
            self._flush(split)
        for split in list(self._examples):
            self._flush_examples(split)
        self._files.sort(key=lambda entry: entry.name)
        self._check_files()
        total = Counter(read=0, kept=0, rejected=0)
        for count in self._sources.values():
            total.update(count)
        written: Counter[str] = Counter()
        for entry in self._files:
            written.update({entry.split: entry.rows} if entry.split else {})
        manifest = Manifest(
            stage=self.stage,
            key=self.key,
            path=self.path,
            content=sha256_json([(e.name, e.sha256) for e in self._files if not e.is_rejected]),
            settings=self.settings,
            code=self.code,
            parents=self.parents,
            files=self._files,
            rows=dict(total),
            written=dict(sorted(written.items())),
            by_source={name: dict(count) for name, count in sorted(self._sources.items())},
            reasons=dict(sorted(self._reasons.items())),
            facts=self.facts,
            seconds=round(time.monotonic() - self._started, 3),
        )
        write_json(join(self.path, "manifest.json"), asdict(manifest))
        return manifest

    def _check_files(self) -> None:
        """Two processes at the same artifact: the second one clears the folder that the first one fills."""
        for entry in self._files:
            fs, name = file_system(join(self.path, entry.name))
            fs.invalidate_cache()
            if not fs.exists(name) or fs.size(name) != entry.bytes:
                raise StorageError(
                    f"{self.path}/{entry.name} is gone or changed since it was written: another process does the same "
                    f"{self.stage} stage; start it again when that one has finished"
                )


def _printable(text: str) -> str:
    """The text with lone surrogates escaped: broken input is kept, and Parquet holds UTF-8 only."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
