"""Artifacts: what a stage leaves behind, addressed by content, on any fsspec file system.

    <workspace>/artifacts/<stage>/<key>/part-<split>-00000.parquet   kept rows, one schema a split
                                        rejected-00000.parquet       dropped rows, each with its reason
                                        manifest.json                written last: its presence means "done"

`key` hashes the stage's settings, the source code behind the stage and the *content* of its inputs, so
unchanged work is found again and a changed byte is done anew. Every file is written under a temporary name
and renamed; a reader goes by the manifest's list of files, so what a killed run left over is never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from posttrain.columns import ExampleColumns, examples_of
from posttrain.schema import REASONS, REJECTED_SCHEMA, SCHEMAS, Example, Rejected, kind_of, to_row

ROWS_PER_PART = 50_000
"""A part file is the unit of parallel work: small enough for one worker's memory, large enough to compress."""
ROWS_PER_BATCH = 4096
CHARACTERS_PER_PART = 200_000_000
"""Long documents fill a part sooner: an Arrow column of text holds at most 2 GiB."""


class StorageError(RuntimeError):
    """An artifact is missing, half-written or does not add up."""


# ---------------------------------------------------------------- paths


def workspace_url() -> str:
    """The workspace: POSTTRAIN_WORKSPACE (a folder or an fsspec URL), else ./workspace."""
    url = os.environ.get("POSTTRAIN_WORKSPACE") or "workspace"
    return url.rstrip("/") if "://" in url else str(Path(url).resolve())


def join(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def file_system(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a path or URL, and the path as that file system wants it.

    Listings are not kept: another process writes to the same workspace, and a store's client would go by what it saw before.
    """
    return fsspec.core.url_to_fs(path, use_listings_cache=False)


def exists(path: str) -> bool:
    fs, name = file_system(path)
    return bool(fs.exists(name))


def read_text(path: str) -> str:
    fs, name = file_system(path)
    with fs.open(name, "r", encoding="utf-8") as f:
        return str(f.read())


def read_json(path: str) -> Any:
    return json.loads(read_text(path))


@contextmanager
def write_atomic(path: str) -> Iterator[Any]:
    """Open a temporary name beside `path` for binary writing; rename it when the block ends without an error."""
    fs, name = file_system(path)
    fs.makedirs(fs._parent(name), exist_ok=True)
    temporary = f"{name}.tmp-{uuid.uuid4().hex[:8]}"
    try:
        with fs.open(temporary, "wb") as f:
            yield f
        fs.mv(temporary, name)
    except BaseException:
        if fs.exists(temporary):
            fs.rm(temporary)
        raise


def link_or_copy(source: str, target: str) -> None:
    """Give a local file a second name, or copy it where that cannot be: to another disk, or on one without links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_json(path: str, value: Any) -> None:
    with write_atomic(path) as f:
        f.write((json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())


# ---------------------------------------------------------------- hashes


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a JSON value, whatever the order of its keys. Raises TypeError for anything else: a set has no order."""
    return sha256_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def sha256_file(path: str) -> str:
    """The sha256 of a file's bytes, read in chunks of 1 MiB."""
    fs, name = file_system(path)
    digest = hashlib.sha256()
    with fs.open(name, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# ---------------------------------------------------------------- manifests


@dataclass
class FileEntry:
    """One file of an artifact. `split` is the part's name (`sft`, `rlvr`, …), or "" for any other file."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str

    @property
    def is_rejected(self) -> bool:
        """Whether it holds dropped rows."""
        return not self.split and self.name.startswith(("rejected-", "removed-"))


@dataclass
class Manifest:
    """What a stage did. `content` hashes the kept rows and output files, and not the rejected rows.

    `rows`: read, kept and rejected input rows, and per split the rows written (a source row may yield several).
    `by_source`: the same three counts per source. `reasons`: dropped rows per reason.
    """

    stage: str
    key: str
    path: str
    content: str
    settings: dict[str, Any]
    code: str
    parents: list[dict[str, str]]
    files: list[FileEntry]
    rows: dict[str, int]
    written: dict[str, int]
    by_source: dict[str, dict[str, int]]
    reasons: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    """Whatever else the stage counted: tokens, cost, contamination per eval, scores."""
    seconds: float = 0.0

    def counts(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "rows": self.rows,
            "written": self.written,
            "reasons": self.reasons,
            "by_source": self.by_source,
            "facts": self.facts,
            "path": self.path,
        }

    def file(self, name: str) -> str:
        """The full path of one file or folder of the artifact."""
        return join(self.path, name)


def load_manifest(path: str) -> Manifest:
    """Read the manifest of an artifact folder (or the manifest file itself)."""
    folder = path.removesuffix("/manifest.json").rstrip("/")
    if not exists(join(folder, "manifest.json")):
        raise StorageError(f"{folder} has no manifest.json: the stage that writes it has not finished")
    value = read_json(join(folder, "manifest.json"))
    value["files"] = [FileEntry(**entry) for entry in value["files"]]
    value["path"] = folder
    return Manifest(**value)


def read_rows(manifest: Manifest, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The kept rows of an artifact as dicts, in file order; all splits, or one."""
    for entry in manifest.files:
        if entry.split and (split is None or entry.split == split):
            yield from read_parquet(manifest.file(entry.name))


def read_examples(manifest: Manifest, split: str | None = None) -> Iterator[Example]:
    for entry in manifest.files:
        if entry.split in SCHEMAS and (split is None or entry.split == split):
            for batch in read_batches(manifest.file(entry.name)):
                yield from examples_of(entry.split, batch)


def read_rejected(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for entry in manifest.files:
        if entry.is_rejected:
            yield from read_parquet(manifest.file(entry.name))


@contextmanager
def open_parquet(path: str) -> Iterator[Any]:
    """The file as pyarrow reads it best: a local one without a Python object in between.

    pyarrow's threads may still hold such an object when the interpreter ends, which then aborts the process.
    """
    fs, name = file_system(path)
    with pa.OSFile(name, "rb") if isinstance(fs, LocalFileSystem) else fs.open(name, "rb") as f:
        yield f


def read_batches(path: str) -> Iterator[pa.RecordBatch]:
    """A Parquet file in record batches of some thousand rows."""
    with open_parquet(path) as f:
        yield from pq.ParquetFile(f).iter_batches(batch_size=ROWS_PER_BATCH)


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A whole Parquet file, or some of its columns. Not `pq.read_table`: that imports pyarrow.dataset and with it pandas, half a
    second in every worker."""
    with open_parquet(path) as f:
        return pq.ParquetFile(f).read(columns=columns)


def read_parquet(path: str) -> Iterator[dict[str, Any]]:
    for batch in read_batches(path):
        yield from batch.to_pylist()


# ---------------------------------------------------------------- writing


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


# ---------------------------------------------------------------- doing a stage once


@dataclass(frozen=True)
class StageResult:
    manifest: Manifest
    skipped: bool
    why: str


def artifact_key(stage: str, settings: dict[str, Any], code: str, inputs: Iterable[Manifest]) -> str:
    """20 hex digits over the stage's settings, its code and the content of its inputs.

    Rejected rows count here: `improve` rewrites what the filter rejected.
    """
    return sha256_json([stage, settings, code, [(m.stage, m.content, _rejected_hashes(m)) for m in inputs]])[:20]


def _rejected_hashes(manifest: Manifest) -> list[str]:
    return [entry.sha256 for entry in manifest.files if entry.is_rejected]


def do_once(
    stage: str,
    *,
    settings: dict[str, Any],
    code: str,
    inputs: list[Manifest],
    work: Callable[[ArtifactWriter], None],
    workspace: str,
) -> StageResult:
    """Do a stage unless its artifact exists already; say which, and why.

    `settings` must be JSON. `work` fills the writer; it is called only where there is something to do.
    """
    key = artifact_key(stage, settings, code, inputs)
    path = join(workspace, "artifacts", stage, key)
    if exists(join(path, "manifest.json")):
        manifest = load_manifest(path)
        return StageResult(manifest, True, f"unchanged: same settings, code and inputs as {stage}/{key}")
    writer = ArtifactWriter(
        path, stage=stage, key=key, settings=settings, code=code,
        parents=[{"stage": m.stage, "path": m.path, "content": m.content} for m in inputs], shards=join(workspace, "shards"),
    )
    work(writer)
    return StageResult(writer.finish(), False, f"done: no artifact {stage}/{key} yet")


def scratch_folder(workspace: str, *parts: str) -> str:
    """A local folder for files that a trainer writes before they become an artifact; survives a kill."""
    local = not ("://" in workspace and not workspace.startswith("file://"))
    base = Path(workspace.removeprefix("file://")) if local else Path(tempfile.gettempdir()) / "posttrain"
    folder = base.joinpath("scratch", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
