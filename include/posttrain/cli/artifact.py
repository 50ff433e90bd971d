"""Writing the artifact of one stage into the folder that the command names."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from posttrain.cli.rows import Inputs
from posttrain.code_version import code_version
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, sha256_json, write_json

log = logging.getLogger(__name__)


@contextmanager
def unfinished(out: Path, keep: str = "") -> Iterator[Path]:
    """A hidden folder beside `out` for work in progress; removed when the block ends.

    `keep` names a folder in it that stays where the block fails, or the process is killed, and something in it is finished: the
    same command goes on from there. What is finished has a JSON file (shards.py, block_results.py).
    """
    check_free(out)
    folder = out.resolve().parent / f".{out.name}.unfinished"
    kept = folder / keep if keep else None
    clear(folder, kept)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        clear(folder, kept)
        if folder.exists():
            log.warning("what is done is kept in %s: the same command goes on from there", folder)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def clear(folder: Path, kept: Path | None) -> None:
    """Remove a folder, or all but `kept` of it where something in that is finished."""
    if kept is None or next(kept.rglob("*.json"), None) is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir() and path != kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path != kept:
            path.unlink(missing_ok=True)


def check_free(out: Path) -> None:
    """Refuse an --out that holds anything: an artifact is never written twice, and nobody's files are removed."""
    if (out / "manifest.json").is_file():
        raise FileExistsError(f"{out} is a finished artifact already: remove it, or give another --out")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not empty: give another --out")


def write_stage(
    stage: str, modules: str | tuple[str, ...], folder: Path, out: Path, inputs: Inputs, settings: dict[str, Any],
    work: Callable[[ArtifactWriter], None],
) -> Manifest:
    """Do a stage as a run does it, in `folder`, and move the finished artifact to `out`."""
    code = code_version(*([modules] if isinstance(modules, str) else modules))
    # Not storage.artifact_key: what came from outside has no manifest, and nothing is looked up by this key.
    key = sha256_json([stage, settings, code, [(parent["stage"], parent["content"]) for parent in inputs.parents]])[:20]
    writer = ArtifactWriter(str(folder / "artifact"), stage=stage, key=key, settings=settings, code=code, parents=inputs.parents)
    for rejected in inputs.unreadable:
        writer.read(rejected.source)
        writer.reject(rejected)
    with redirect_stdout(sys.stderr):  # standard output is for the counts alone
        work(writer)
    return place(writer.finish(), out, shutil.move)


def place(manifest: Manifest, out: Path, bring: Callable[[str, str], Any]) -> Manifest:
    """Bring a finished artifact to `out`; its manifest then says where it lies."""
    check_free(out)
    target = out.resolve()
    if target.is_dir():
        target.rmdir()
    target.parent.mkdir(parents=True, exist_ok=True)
    bring(manifest.path, str(target))
    placed = load_manifest(str(target))
    write_json(placed.file("manifest.json"), asdict(placed))
    return placed


def show_counts(manifest: Manifest, as_json: bool) -> None:
    """What a stage command prints on standard output."""
    import json

    if as_json:
        typer.echo(json.dumps(manifest.counts(), ensure_ascii=False))
        return
    rows = manifest.rows
    typer.echo(f"{manifest.stage}: read {rows['read']:,}, kept {rows['kept']:,}, rejected {rows['rejected']:,}")
    for reason, count in manifest.reasons.items():
        typer.echo(f"  {count:>9,}  {reason}")
    for split, count in manifest.written.items():
        typer.echo(f"  {count:>9,}  rows written to {split}")
    typer.echo(manifest.path)
