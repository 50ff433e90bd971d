"""Files of a workspace on any fsspec file system: where they are, reading, writing whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec


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


def scratch_folder(workspace: str, *parts: str) -> str:
    """A local folder for files that a trainer writes before they become an artifact; survives a kill."""
    local = not ("://" in workspace and not workspace.startswith("file://"))
    base = Path(workspace.removeprefix("file://")) if local else Path(tempfile.gettempdir()) / "posttrain"
    folder = base.joinpath("scratch", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
