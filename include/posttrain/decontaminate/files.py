"""Decontamination without a recipe: training files and a folder of eval files, in whatever form they were published."""

from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from pathlib import Path

import yaml

from posttrain.collect import raw_name
from posttrain.decontaminate.compare_block import Task, compare_block
from posttrain.decontaminate.contamination import ContaminationTable, write_table
from posttrain.decontaminate.eval_sets import check_eval_files
from posttrain.decontaminate.examples import merge_examples
from posttrain.decontaminate.matches import merge_evidence
from posttrain.decontaminate.parts import agree_on_columns, bring_parts, count_rows, drop_sources
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import one_search
from posttrain.decontaminate.shard import loaded_index
from posttrain.decontaminate.train_files import (
    TrainFile,
    blocks_of,
    files_inside,
    stem_of,
    total_bytes,
    train_files,
    unpacked_bytes,
)
from posttrain.progress import Progress
from posttrain.raw_files import file_format
from posttrain.recipe import Decontaminate, EvalSet, FileLoad, data_root, load_recipe
from posttrain.storage import ArtifactWriter, Manifest, sha256_json
from posttrain.workers import Workers, worker_count

log = logging.getLogger(__name__)

FIELDS_FILE = "evals.yaml"
_NOT_EVALS = (".yaml", ".yml", ".md")

BYTES_FOR_WORKERS = 40_000_000
"""Below this much text the start of the processes costs more than it saves."""


class EvalFolderError(ValueError):
    """The evals cannot be read. The message names the folder or file and what is allowed."""


def decontaminate_files(
    train_paths: list[str], index: Manifest, settings: Decontaminate, out: ArtifactWriter, *, dry_run: bool = False,
) -> None:
    """Compare training files, and all files of training folders, with an index. Rows may have any published form.

        clean-*.parquet, review-*.parquet, removed-*.parquet   every row of the input stands in one of them (compare_block.py)
        matches.parquet, contamination.tsv                     as the stage writes them

    A row's id is its `id`, else `file:row`; its source is its `source`, else the file's name. A row that cannot be read or
    holds no text to compare goes, and says so. With `dry_run` no rows are written. Raises TrainingFileError and EvalFilesChanged.
    """
    files = train_files(train_paths)
    check_eval_files(index)
    table = ContaminationTable(loaded_index(index.path, index.content), settings.dataset_threshold, PRESETS[settings.preset])
    folder, blocks = Path(out.path), _blocks_folder(files, out, dry_run)
    tasks = (Task(block, index, settings, str(blocks), dry_run) for file in files for block in blocks_of(file))
    count = worker_count() if settings.index == "embedded" and unpacked_bytes(files) >= BYTES_FOR_WORKERS else 1
    progress, results = Progress(f"{out.stage}:", None, size=total_bytes(files)), []
    with one_search(), Workers(count) as workers:
        for result in workers.stream(compare_block, tasks):
            progress.add(result.rows, result.bytes)
            table.merge(result.contamination)
            results.append(result)
    overlapping = table.overlapping_sources() if settings.drop_overlapping_sources else {}
    parts = bring_parts(results, blocks, folder)
    drop_sources(parts, overlapping, folder)
    agree_on_columns(parts, folder)
    count_rows(results, overlapping, out)
    for part in parts:
        if part.rows:
            out.take_over(part.name, part.role, part.rows)
    merge_evidence([str(blocks / name) for result in results for name in result.evidence], out)
    write_table(table, out)
    out.facts |= {"examples": merge_examples(result.examples for result in results),
                  "files": [file.path for file in files], "dry_run": dry_run}
    check_eval_files(index)
    shutil.rmtree(blocks)


def _blocks_folder(files: list[TrainFile], out: ArtifactWriter, dry_run: bool) -> Path:
    """Where the blocks are worked on: found again by the same call, on the same files, eval sets, settings and code (the
    writer's key), which goes on behind the blocks that are done. Without a key nothing is found again."""
    key = sha256_json([out.key, dry_run, [(file.path, file.source, file.name) for file in files]])[:20]
    blocks = Path(out.shards) / out.stage / key
    if not out.key:
        shutil.rmtree(blocks, ignore_errors=True)
    blocks.mkdir(parents=True, exist_ok=True)
    if done := len(list(blocks.glob("done-*.json"))):
        log.info("%s: going on where it was stopped: %d blocks of rows are done", out.stage, done)
    return blocks


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
    files = [file for file in files_inside(folder) if file.suffix not in _NOT_EVALS]
    unknown = [f.name for f in files if file_format(f) is None]
    if unknown:
        raise EvalFolderError(f"{folder}: no reader for {', '.join(unknown)}")
    if not files:
        raise EvalFolderError(f"{folder} holds no eval file")
    paths = [raw_name(file, folder) for file in files]
    stems = [stem_of(path) for path in paths]
    twice = {stem for stem, times in Counter(stems).items() if times > 1}
    names = [path if stem in twice else stem for path, stem in zip(paths, stems, strict=True)]
    fields = _fields(folder / FIELDS_FILE, set(names) | set(paths))
    return tuple(
        EvalSet(name=re.sub(r"[^A-Za-z0-9_./-]+", "-", name).lstrip("_./-") or f"eval-{n}",
                load=FileLoad(kind="file", path=path), fields=fields.get(path, fields.get(name, ())))
        for n, (name, path) in enumerate(zip(names, paths, strict=True))
    )


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
