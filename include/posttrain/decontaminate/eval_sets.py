"""Eval sets as they are published: read, pinned by their bytes, and never written."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.collect import SourceError, hub_files, pinned, raw_name, source_files
from posttrain.decontaminate.normalize import NORMALISER
from posttrain.problems import eval_items
from posttrain.raw_files import first_bytes, read_raw_file, single_rows
from posttrain.recipe import EvalSet
from posttrain.schema import Rejected
from posttrain.storage import Manifest, sha256_file

log = logging.getLogger(__name__)

NAME_FIELDS = "name the fields that count by `fields: [...]` of the eval set in the recipe, or of the file in evals.yaml"


class NoEvalText(ValueError):
    """Not one item of an eval set has a text that counts: nothing could ever be found of it. The message says what to name."""


class EvalFilesChanged(RuntimeError):
    """An eval file is not what it was when it was indexed. The message names the file and both hashes."""


def check_usable(spec: EvalSet, items: int, unusable: list[Rejected]) -> None:
    """Warns of rows without a text; raises NoEvalText where nobody has one and `fields` names what should count."""
    without = [row for row in unusable if row.reason == "missing_field"]
    if not without:
        return
    number = f"{len(without):,} of {len(without) + items:,} rows"
    told = f"eval set {spec.name}: {number} of {without[0].raw_file} have no text to compare"
    if spec.fields and not items:
        raise NoEvalText(f"{told} in {', '.join(spec.fields)}; {NAME_FIELDS}: {without[0].detail}")
    log.warning("%s and are not indexed; %s: row %s: %s", told, NAME_FIELDS, without[0].raw_row, without[0].detail)


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
    if load.kind != "procedural":
        files = (((file.name, single_rows(file.batches)) for file in hub_files(load, pinned(load, root, seed)["commit"]))
                 if load.kind == "hub" else ((raw_name(path, root), read_raw_file(path)) for path in source_files(load, root)))
        for name, rows in files:
            row = -1
            for row, value in rows:
                yield name, row, value
            if row < 0:
                raise SourceError(f"{name} of eval {spec.name} has no row: nothing could be found by it")
    else:
        share, rest = divmod(load.rows, len(load.skills))
        for n, skill in enumerate(load.skills):
            items = eval_items(skill, share + (n < rest), seed=load.seed_offset)
            yield from ((f"procedural/{skill}", row, value) for row, value in enumerate(items))


_HANGUL_BYTES = re.compile(rb"(?:[\xea-\xed][\x80-\xbf]{2}|\\u(?:[aA][c-fC-F]|[bcBC][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2})+")
"""A run of Hangul syllables, in UTF-8 (with a few characters of other scripts) or as JSON escapes."""
_KOREAN_WORDS = 100


def any_korean(evals: tuple[EvalSet, ...], root: Path) -> bool:
    """Whether a file begins in Korean: then the analyser, which takes most of a second to start, should start at once.

    A hint about time: what is read is the same in either case.
    """
    files = (path for spec in evals if spec.load.kind == "file" for path in source_files(spec.load, root))
    return any(len(_HANGUL_BYTES.findall(first_bytes(path))) >= _KOREAN_WORDS for path in files)


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


def difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    lines = [
        f"eval {old['name']}: {old.get('files')} before, {new.get('files')} after"
        for old, new in zip(before, after, strict=True) if old != new
    ]
    return "eval files changed while they were indexed.\n" + "\n".join(lines)
