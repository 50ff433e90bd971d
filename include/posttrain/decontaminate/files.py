"""Decontamination without a recipe: training files and a folder of eval files, in whatever form they were published."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from posttrain.collect import raw_name
from posttrain.decontaminate.contamination import ContaminationTable, write_table
from posttrain.decontaminate.index import check_eval_files, index_eval_sets
from posttrain.decontaminate.matches import (
    Evidence,
    Finding,
    TrainingRow,
    decide,
    describe,
    find_contamination,
    removal_reason,
    strongest,
)
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import EvalSearch, open_search
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import COMPRESSIONS, Broken, file_format, read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad, data_root, load_recipe
from posttrain.schema import RAW_SCHEMA, Rejected
from posttrain.storage import ArtifactWriter, Manifest, exists, join, load_manifest

FIELDS_FILE = "evals.yaml"
_NOT_EVALS = (".yaml", ".yml", ".md")

ROWS_AT_ONCE = 2_000


class EvalFolderError(ValueError):
    """The evals cannot be read. The message names the folder or file and what is allowed."""


class TrainingFileError(ValueError):
    """A training file or folder cannot be read."""


def decontaminate_files(train_paths: list[str], evals: str, settings: Decontaminate, out: ArtifactWriter) -> None:
    """Compare training files with the evals of a folder or recipe. The index is written to `<out>/index`.

    A training path is a file of rows in any published form (`texts.user_turns`), a folder of such files, or a
    finished artifact. Clean rows keep their form: split `raw`, as `collect` writes it, which `convert` reads;
    those of an artifact stay examples. A row's id is its `id`, else `file:row`; its source is its `source`, else the
    file's name. Raises EvalFolderError, TrainingFileError, RecipeError, collect.SourceError and EvalFilesChanged.
    """
    artifacts = [load_manifest(path) for path in train_paths if exists(join(path, "manifest.json"))]
    files = [file for path in train_paths if not exists(join(path, "manifest.json")) for file in training_files(Path(path))]
    if artifacts and files:
        raise TrainingFileError("give either artifacts of this pipeline or files, not both in one call")
    index = _index(evals, settings, join(out.path, "index"))
    if artifacts:
        decontaminate_examples(artifacts, index, settings, out)
    else:
        _decontaminate_raw(files, index, settings, out)


def _index(evals: str, settings: Decontaminate, path: str) -> Manifest:
    sets, root, seed = resolve_evals(evals)
    writer = ArtifactWriter(path, stage="index_evals", settings={"ngram_size": settings.ngram_size})
    index_eval_sets(sets, root, seed, settings, writer)
    return writer.finish()


# ---------------------------------------------------------------- evals


def resolve_evals(folder_or_recipe: str) -> tuple[tuple[EvalSet, ...], Path, int]:
    """(eval sets, folder that their paths start at, seed) of a folder of eval files or of a recipe by name or path."""
    folder = Path(folder_or_recipe)
    if folder.is_dir():
        return folder_evals(folder), folder.resolve(), 0
    if folder.is_file() and folder.suffix not in (".yaml", ".yml"):
        raise EvalFolderError(f"{folder} is a file; --evals takes a folder with one file per eval set, or a recipe")
    recipe = load_recipe(folder_or_recipe)
    if not recipe.evals:
        raise EvalFolderError(f"recipe {recipe.name} has no evals")
    return recipe.evals, data_root(), recipe.seed


def folder_evals(folder: Path) -> tuple[EvalSet, ...]:
    """One eval set a file, in folders below as well; its name is its path without the endings.

    `evals.yaml` in the folder may name the fields that count: `{file or name: {fields: [question, passage]}}`.
    Raises EvalFolderError for a folder without eval files, a file that no reader knows, and a wrong evals.yaml.
    """
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith(".") and f.suffix not in _NOT_EVALS]
    unknown = [f.name for f in files if file_format(f) is None]
    if unknown:
        raise EvalFolderError(f"{folder}: no reader for {', '.join(unknown)}")
    if not files:
        raise EvalFolderError(f"{folder} holds no eval file")
    paths = [raw_name(file, folder) for file in files]
    stems = [_stem(path) for path in paths]
    twice = {stem for stem, times in Counter(stems).items() if times > 1}
    names = [path if stem in twice else stem for path, stem in zip(paths, stems, strict=True)]
    fields = _fields(folder / FIELDS_FILE, set(names) | set(paths))
    return tuple(
        EvalSet(name=re.sub(r"[^A-Za-z0-9_./-]+", "-", name).lstrip("_./-") or f"eval-{n}",
                load=FileLoad(kind="file", path=path), fields=fields.get(path, fields.get(name, ())))
        for n, (name, path) in enumerate(zip(names, paths, strict=True))
    )


def _stem(path: str) -> str:
    """`math/test.jsonl.gz` → `math/test`."""
    suffixes = Path(path).suffixes
    endings = 2 if suffixes and suffixes[-1] in COMPRESSIONS else 1
    return path.removesuffix("".join(suffixes[-endings:]))


def _fields(path: Path, known: set[str]) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        return {}
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise EvalFolderError(f"{path}: not valid YAML: {error}") from error
    form = "a mapping such as `math.jsonl: {fields: [question, passage]}`"
    if not isinstance(value, dict):
        raise EvalFolderError(f"{path}: {form} is expected")
    for name, entry in value.items():
        if name not in known:
            raise EvalFolderError(f"{path}: {name!r} is no eval file here; there are: {', '.join(sorted(known))}")
        names = entry.get("fields") if isinstance(entry, dict) and set(entry) == {"fields"} else None
        if not isinstance(names, list) or not names or not all(isinstance(field, str) for field in names):
            raise EvalFolderError(f"{path}: {name}: {form} is expected")
    return {name: tuple(entry["fields"]) for name, entry in value.items()}


# ---------------------------------------------------------------- training rows


def training_files(path: Path) -> list[Path]:
    """A file, or all files below a folder whose format is known, sorted. Raises TrainingFileError."""
    if path.is_file():
        if file_format(path) is None:
            raise TrainingFileError(f"{path}: no reader for this ending")
        return [path]
    if not path.is_dir():
        raise TrainingFileError(f"{path}: no such file or folder")
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file_format(file)]
    if not files:
        raise TrainingFileError(f"{path} holds no file of a known format")
    return files


def _decontaminate_raw(files: list[Path], index: Manifest, settings: Decontaminate, out: ArtifactWriter) -> None:
    check_eval_files(index)
    with open_search(index, settings) as search:
        overlapping = _overlapping_sources(files, search, settings) if settings.drop_overlapping_sources else {}
        table = ContaminationTable(search.index, settings.dataset_threshold, PRESETS[settings.preset])
        evidence = Evidence(search.index)
        for file, number, value, row, findings in _compare(files, search, settings):
            table.count(row.source, (file, number), findings)
            evidence.add(row, findings)
            out.read(row.source)
            if dropped := _dropped(value, row, findings, overlapping):
                body = value.text if isinstance(value, Broken) else value
                out.reject(Rejected(reason=dropped[0], source=row.source, id=row.id, raw_file=file, raw_row=number,
                                    detail=dropped[1], row=body))
                continue
            out.kept(row.source)
            raw = json.dumps(value, ensure_ascii=False, default=str)
            split = "review_raw" if decide(findings) == "review" else "raw"
            out.write(split, {"raw_file": file, "raw_row": number, "raw": raw}, RAW_SCHEMA)
    evidence.write(out)
    write_table(table, out)
    check_eval_files(index)


def _overlapping_sources(files: list[Path], search: EvalSearch, settings: Decontaminate) -> dict[str, list[str]]:
    table = ContaminationTable(search.index, settings.dataset_threshold, PRESETS[settings.preset])
    for file, number, _, row, findings in _compare(files, search, settings):
        table.count(row.source, (file, number), findings)
    return table.overlapping_sources()


def _compare(
    files: list[Path], search: EvalSearch, settings: Decontaminate,
) -> Iterator[tuple[str, int, Any, TrainingRow, list[Finding]]]:
    """(file, row number, value, what counts of it, findings) of every row, in order."""
    stream = ((str(file), number, value) for file in files for number, value in read_raw_file(file))
    while batch := list(islice(stream, ROWS_AT_ONCE)):
        rows = [_training_row(*raw) for raw in batch]
        for raw, row, findings in zip(batch, rows, find_contamination(rows, search, settings), strict=True):
            yield *raw, row, findings


def _dropped(
    value: Any, row: TrainingRow, findings: list[Finding], overlapping: dict[str, list[str]],
) -> tuple[str, str] | None:
    """(reason, detail) of a row that goes, or None."""
    if isinstance(value, Broken):
        return value.reason, value.detail
    if not row.turns:
        return "missing_field", "no messages, prompt or text to compare"
    if decide(findings) == "remove":
        return removal_reason(findings), describe(strongest(findings))
    if row.source in overlapping:
        return "eval_set_overlap", "over the data-set rule on " + ", ".join(overlapping[row.source])
    return None


def _training_row(file: str, number: int, value: Any) -> TrainingRow:
    own = value if isinstance(value, dict) else {}
    identity, source = own.get("id"), own.get("source")
    known = isinstance(identity, str | int) and not isinstance(identity, bool) and str(identity)
    return TrainingRow(
        id=str(identity) if known else f"{file}:{number}",
        source=source if isinstance(source, str) and source else _stem(Path(file).name),
        turns=[] if isinstance(value, Broken) else user_turns(value),
    )
