"""Collect: one source, as it was published, into raw rows that never change again.

A raw row keeps its file and row number; licence, origin and the sha256 of every file stand in the manifest.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttrain.problems import forum_rows, raw_rows
from posttrain.raw_files import READERS, Broken, file_format, read_raw_file
from posttrain.schema import RAW_SCHEMA, Rejected
from posttrain.storage import sha256_file

if TYPE_CHECKING:
    from posttrain.recipe import FileLoad, HubLoad, Load, ProceduralLoad, Source
    from posttrain.storage import ArtifactWriter

log = logging.getLogger(__name__)

SHOWN_PROBLEMS = 5
"""A wrong data root makes every file of a recipe missing; a few of them say so."""

COMMIT = re.compile(r"[0-9a-f]{40}")


class SourceError(ValueError):
    """A source cannot be loaded. The message names the path and the data root, or the Hub id and revision."""


# ---------------------------------------------------------------- what decides the artifact's key


def pinned(load: Load, root: Path, seed: int) -> dict[str, Any]:
    """What a load stands for, exactly: files by sha256, a Hub data set by commit, a procedural one by settings and seed.

    Raises SourceError where a file is missing or a revision cannot be resolved.
    """
    if load.kind == "file":
        files = [[raw_name(path, root), sha256_file(str(path))] for path in source_files(load, root)]
        return {"kind": "file", "files": files}
    if load.kind == "hub":
        return load.model_dump(mode="json") | {"commit": _commit(load)}
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


def _commit(load: HubLoad) -> str:
    if COMMIT.fullmatch(load.revision):
        return load.revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        commit = HfApi().dataset_info(load.id, revision=load.revision).sha
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise SourceError(
            f"revision {load.revision!r} of the Hub data set {load.id!r} cannot be resolved to a commit ({error}); "
            "give the commit (40 hex digits), which needs no look-up"
        ) from error
    if not commit:
        raise SourceError(f"the Hub names no commit for revision {load.revision!r} of {load.id!r}")
    return commit


# ---------------------------------------------------------------- collecting


def collect(spec: Source, root: Path, seed: int, out: ArtifactWriter, pin: dict[str, Any] | None = None) -> None:
    """Write the raw rows of a source (`RAW_SCHEMA`, split `raw`); lines that are no rows go to `rejected`.

    `pin` is what `pinned` said when the work was decided on; the files are to be the same now. Raises SourceError where one is
    not. A file without any row counts as one rejected row: published collections hold such files.
    """
    pin = pin or pinned(spec.load, root, seed)
    hashes, facts = dict(pin["files"]) if spec.load.kind == "file" else {}, []
    for name, rows in _raw_files(spec.load, root, seed):
        number, kept, own = -1, 0, hashlib.sha256()
        for number, value in rows:
            out.read(spec.name)
            if isinstance(value, Broken):
                if value.reason == "damaged_file":
                    log.warning("%s is damaged, and only %d rows of it can be read: %s", name, number, value.detail)
                out.reject(Rejected(reason=value.reason, source=spec.name, raw_file=name, raw_row=number,
                                    field=value.field, detail=value.detail, row=value.text))
                continue
            raw = json.dumps(value, ensure_ascii=False, default=str)
            own.update(raw.encode())
            own.update(b"\n")
            kept += 1
            out.kept(spec.name)
            out.write("raw", {"raw_file": name, "raw_row": number, "raw": raw}, RAW_SCHEMA)
        if spec.load.kind == "file":
            if number < 0:
                log.warning("%s of source %s holds no row: fetch the file again, or leave it out of the path", name, spec.name)
                out.read(spec.name)
                out.reject(Rejected(reason="empty_file", source=spec.name, raw_file=name, raw_row=0, row=f"{name}: no row"))
            if sha256_file(str(root / name)) != hashes.get(name):
                raise SourceError(f"{name} of source {spec.name} changed while it was read; start again when it is finished")
        facts.append({"name": name, "sha256": hashes.get(name) or own.hexdigest(), "rows": kept})
    out.facts = {"origin": spec.origin, "license": spec.license, "non_commercial": spec.non_commercial, "files": facts}


def _raw_files(load: Load, root: Path, seed: int) -> Iterator[tuple[str, Iterator[tuple[int, Any]]]]:
    """(name, rows) of every raw file."""
    if load.kind == "file":
        for path in source_files(load, root):
            yield raw_name(path, root), read_raw_file(path)
    elif load.kind == "hub":
        commit = _commit(load)
        for files in load.files or (None,):
            part = files or f"{load.config or 'default'}/{load.split}"
            yield f"{load.id}@{commit}/{part}", enumerate(_hub_rows(load, commit, files))
    else:
        yield "procedural", enumerate(_procedural_rows(load, seed))


def _hub_rows(load: HubLoad, commit: str, files: str | None) -> Iterator[Any]:
    from datasets import load_dataset

    yield from load_dataset(load.id, load.config, split=load.split, revision=commit, data_files=files)


def _procedural_rows(load: ProceduralLoad, seed: int) -> Iterator[Any]:
    if load.style == "forum":
        yield from forum_rows(load.rows, load.skills, seed + load.seed_offset)
    else:
        yield from raw_rows(load.rows, load.skills, load.scarce_share, seed, load.seed_offset)
