"""Collect: one source, as it was published, into raw rows that never change again.

A raw row keeps its file and row number; licence, origin and the sha256 of every file stand in the manifest.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from posttrain.hub_revisions import HubRevisionError, commit_of
from posttrain.problems import forum_rows, raw_rows
from posttrain.raw_files import READERS, Broken, Rows, as_plain, file_format, plain_schema, read_raw_batches
from posttrain.raw_rows import RawWriter
from posttrain.schema import Rejected
from posttrain.storage import ROWS_PER_BATCH, sha256_file, workspace_url

if TYPE_CHECKING:
    from posttrain.recipe import FileLoad, HubLoad, Load, ProceduralLoad, Source
    from posttrain.storage import ArtifactWriter

log = logging.getLogger(__name__)

SHOWN_PROBLEMS = 5
"""A wrong data root makes every file of a recipe missing; a few of them say so."""


class SourceError(ValueError):
    """A source cannot be loaded. The message names the path and the data root, or the Hub id and revision."""


# ---------------------------------------------------------------- what decides the artifact's key


def pinned(load: Load, root: Path, seed: int, workspace: str | None = None) -> dict[str, Any]:
    """What a load stands for, exactly: files by sha256, a Hub data set by commit, a procedural one by settings and seed.

    A branch or tag of a Hub data set is locked to its commit in the workspace (`hub_revisions`). Raises SourceError where a file
    is missing or a revision cannot be resolved.
    """
    if load.kind == "file":
        files = [[raw_name(path, root), sha256_file(str(path))] for path in source_files(load, root)]
        return {"kind": "file", "files": files}
    if load.kind == "hub":
        try:
            return load.model_dump(mode="json") | {"commit": commit_of(load.id, load.revision, workspace or workspace_url())}
        except HubRevisionError as error:
            raise SourceError(str(error)) from error
    return load.model_dump(mode="json") | {"seed": seed}


def check_files(loads: Iterable[Load], root: Path) -> None:
    """Refuse a run whose local files are not there. Raises one SourceError that names the first of them and counts the rest."""
    problems = []
    for load in loads:
        if load.kind == "file":
            try:
                source_files(load, root)
            except SourceError as error:
                problems.append(str(error))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        raise SourceError("\n".join([*problems[:SHOWN_PROBLEMS], *([f"… and {more} more like it"] if more > 0 else [])]))


def source_files(load: FileLoad, root: Path) -> list[Path]:
    """The files of a path or glob under the data root, sorted by name."""
    path = root / load.path
    found = [path] if path.is_file() else [Path(name) for name in glob.glob(str(path), recursive=True)]
    files = sorted(p for p in found if p.is_file())
    if not files:
        hint = " (it is a folder: add a file name or a glob such as *.jsonl)" if path.is_dir() else ""
        raise SourceError(f"no file {load.path!r} under the data root {root}{hint}; set POSTTRAIN_DATA_ROOT")
    for p in files:
        if file_format(p) is None:
            raise SourceError(f"{p}: no reader for this ending; allowed: {', '.join(READERS)}, each also .gz or .zst")
    return files


def raw_name(path: Path, root: Path) -> str:
    """The name of a raw file in every later stage: its path under the data root, or its whole path outside of it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


# ---------------------------------------------------------------- collecting


def collect(spec: Source, root: Path, seed: int, out: ArtifactWriter, pin: dict[str, Any] | None = None) -> None:
    """Write the raw rows of a source (split `raw`, see raw_rows); lines that are no rows go to `rejected`.

    `pin` is what `pinned` said when the work was decided on; the files are to be the same now. Raises SourceError where one is
    not. A file without any row counts as one rejected row: published collections hold such files.
    """
    pin = pin or pinned(spec.load, root, seed)
    hashes = dict(pin["files"]) if spec.load.kind == "file" else {}
    writer, facts = RawWriter(out), []
    for file in _raw_files(spec.load, root, seed, pin):
        read, kept, own = 0, 0, hashlib.sha256()
        for number, value in file.batches:
            rows = value.num_rows if isinstance(value, pa.RecordBatch) else 1
            read += rows
            out.read(spec.name, rows)
            if isinstance(value, Broken):
                if value.reason == "damaged_file":
                    log.warning("%s is damaged, and only %d rows of it can be read: %s", file.name, number, value.detail)
                out.reject(Rejected(reason=value.reason, source=spec.name, raw_file=file.name, raw_row=number,
                                    field=value.field, detail=value.detail, row=value.text))
                continue
            kept += rows
            out.kept(spec.name, rows)
            if isinstance(value, pa.RecordBatch):
                if not file.path:
                    own.update(value.serialize())
                writer.add_batch(file.name, number, value)
            else:
                raw = json.dumps(value, ensure_ascii=False, default=str)
                if not file.path:
                    own.update(f"{raw}\n".encode())
                writer.add(file.name, number, raw)
        if not read:
            log.warning("%s of source %s holds no row: fetch the file again, or leave it out of the path", file.name, spec.name)
            out.read(spec.name)
            out.reject(Rejected(reason="empty_file", source=spec.name, raw_file=file.name, raw_row=0, row=f"{file.name}: no row"))
        sha256 = sha256_file(str(file.path)) if file.path else own.hexdigest()
        if spec.load.kind == "file" and sha256 != hashes.get(file.name):
            raise SourceError(f"{file.name} of source {spec.name} changed while it was read; start again when it is finished")
        facts.append({"name": file.name, "sha256": sha256, "rows": kept})
    writer.flush()
    out.facts = {"origin": spec.origin, "license": spec.license, "non_commercial": spec.non_commercial, "files": facts}


@dataclass(frozen=True)
class RawFile:
    """A raw file, or what stands for one: a split of a Hub data set, or procedural rows. `batches`: as raw_files.read_raw_batches
    gives them."""

    name: str
    batches: Rows
    path: Path | None = None


def _raw_files(load: Load, root: Path, seed: int, pin: dict[str, Any]) -> Iterator[RawFile]:
    if load.kind == "file":
        for path in source_files(load, root):
            yield RawFile(raw_name(path, root), read_raw_batches(path), path)
    elif load.kind == "hub":
        yield from hub_files(load, pin["commit"])
    else:
        yield RawFile("procedural", enumerate(_procedural_rows(load, seed)))


def hub_files(load: HubLoad, commit: str) -> Iterator[RawFile]:
    """What a Hub data set holds at exactly this commit: each of its `files`, or the split as one.

    Raises SourceError where the commit cannot be had.
    """
    if load.files:
        for path, name in _downloaded(load, commit):
            yield RawFile(f"{load.id}@{commit}/{name}", read_raw_batches(path), path)
    else:
        yield RawFile(f"{load.id}@{commit}/{load.config or 'default'}/{load.split}", _split_rows(load, commit))


def _downloaded(load: HubLoad, commit: str) -> list[tuple[Path, str]]:
    """The files of the repository that `files` names, in that order: where each lies here, and its path there."""
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(load.id, repo_type="dataset", revision=commit, allow_patterns=list(load.files)))
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise SourceError(f"files of the Hub data set {load.id!r} at commit {commit} cannot be had: {error}") from error
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    found: list[tuple[Path, str]] = []
    for pattern in load.files:
        matching = [name for name in names if _matches(name, pattern)]
        if not matching:
            raise SourceError(f"the Hub data set {load.id!r} has no file {pattern!r} at commit {commit}")
        for name in matching:
            if file_format(folder / name) is None:
                raise SourceError(f"{name} of the Hub data set {load.id!r}: no reader for this ending; allowed: "
                                  f"{', '.join(READERS)}, each also .gz or .zst; narrow `files` ({pattern!r}) down")
            found.append((folder / name, name))
    return found


def _matches(name: str, pattern: str) -> bool:
    """As a glob: `*` stays within a folder."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _split_rows(load: HubLoad, commit: str) -> Rows:
    from datasets import load_dataset_builder
    from datasets.packaged_modules.cache.cache import Cache

    try:
        builder = load_dataset_builder(load.id, load.config, revision=commit)
        if isinstance(builder, Cache):  # the Hub is out of reach, and `datasets` took the commit that it prepared last
            builder = Cache(repo_id=load.id, dataset_name=builder.dataset_name, config_name=builder.config.name,
                            version=str(builder.config.version), hash=commit)
        builder.download_and_prepare()
        rows = builder.as_dataset(split=load.split)
    except (OSError, ValueError, RuntimeError) as error:
        # `datasets` has a RuntimeError for a repository with a loading script, which it does not run.
        hint = "; name its data files under `files` of the load" if isinstance(error, RuntimeError) else ""
        raise SourceError(f"the Hub data set {load.id!r} at commit {commit} cannot be loaded ({load.config or 'default'}, "
                          f"split {load.split}): {error}{hint}") from error
    plain = plain_schema(rows.data.schema)
    tables = rows.with_format("arrow")
    for start in range(0, len(rows), ROWS_PER_BATCH):
        length = min(ROWS_PER_BATCH, len(rows) - start)
        batches = tables[start : start + length].combine_chunks().to_batches() if plain else []
        if len(batches) == 1 and (batch := as_plain(batches[0], plain)):
            yield start, batch
        else:
            yield from enumerate(rows.select(range(start, start + length)), start=start)


def _procedural_rows(load: ProceduralLoad, seed: int) -> Iterator[Any]:
    if load.style == "forum":
        yield from forum_rows(load.rows, load.skills, seed + load.seed_offset)
    else:
        yield from raw_rows(load.rows, load.skills, load.scarce_share, seed, load.seed_offset)
