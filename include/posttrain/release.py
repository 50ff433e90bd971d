"""release: everything a user of the model and its data needs, in one folder.

    model/              the final checkpoint with its tokenizer; loads with AutoModelForCausalLM.from_pretrained
    README.md           model card with the Hub's metadata header
    dataset/            the mixture under published column names, with a dataset card
    LICENSES.md         licence and rows of every source
    manifests/          the manifest of every stage
    lineage.json        which artifact was made from which
    recipe.yaml         the recipe as it was checked
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from posttrain.cards import CardFacts, dataset_card, licence_page, model_card
from posttrain.licences import licence_lines, refused_licences
from posttrain.recipe import TRAINED
from posttrain.run import Run
from posttrain.source_review import source_rows, undecided_sources
from posttrain.storage import (
    ArtifactWriter,
    Manifest,
    StageResult,
    StorageError,
    file_system,
    load_manifest,
    read_table,
    scratch_folder,
)

log = logging.getLogger(__name__)


class ReleaseRefused(RuntimeError):
    """The run may not be released: its gate did not pass, or has not spoken."""


def build_release(run: Run) -> StageResult:
    """Build the release folder of a run whose gate passed and whose rows may be passed on. Raises ReleaseRefused otherwise, with
    the gaps or with the licences that the recipe does not allow."""
    gate = run.manifest("gate")
    if not gate.facts.get("passed"):
        gaps = ", ".join(f"{skill} is {100 * gap:.1f} % short" for skill, gap in gate.facts.get("gaps", {}).items())
        raise ReleaseRefused(f"run {run.run_id} is not released: its gate did not pass{': ' + gaps if gaps else ''}")
    checkpoint = run.manifest(gate.facts["checkpoint"])
    mix = run.manifest("mix")
    pairs = run.manifest("preferences") if run.has("preferences") else None
    refused = refused_licences(run, [mix, *([pairs] if pairs else [])])
    if refused:
        raise ReleaseRefused(f"run {run.run_id} is not released: its licences do not allow it:\n" + "\n".join(refused))
    undecided = undecided_sources(run.recipe, source_rows([mix, *([pairs] if pairs else [])]))
    if undecided:
        raise ReleaseRefused(f"run {run.run_id} is not released: sources without a review that accepts them:\n"
                             + "\n".join(undecided))
    stages = _stage_manifests(run)
    settings = run.recipe.release.model_dump(mode="json") | {"recipe": run.recipe.name, "run_id": run.run_id}
    inputs = [gate, run.manifest("evaluate"), checkpoint, mix, *([pairs] if pairs else [])]

    def work(out: ArtifactWriter) -> None:
        facts = card_facts(run, checkpoint.stage, mix, pairs)
        _copy_checkpoint(run, checkpoint, out)
        columns = _write_dataset(mix, pairs, out)
        out.write_bytes("README.md", model_card(facts).encode())
        out.write_bytes("dataset/README.md", dataset_card(facts, columns).encode())
        out.write_bytes("LICENSES.md", licence_page(facts).encode())
        recipe = run.recipe.model_dump(mode="json", exclude_none=True)
        out.write_bytes("recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False).encode())
        for name, manifest in stages.items():
            out.write_bytes(f"manifests/{name}.json", _json(asdict(manifest)))
        out.write_bytes("lineage.json", _json(lineage_of(stages, run)))
        out.facts["run_id"] = run.run_id
        out.facts["scores"] = facts.scores
        out.facts["dataset_rows"] = facts.split_rows
        if run.recipe.release.push_to_hub:
            out.facts["pushed_to"] = push(out.path, run.recipe.release.push_to_hub)

    return run.stage("release", "posttrain.release", inputs=inputs, settings=settings, work=work)


def _stage_manifests(run: Run) -> dict[str, Manifest]:
    """`stage` or `stage.source` → manifest, for everything that the run has done before the release."""
    return {
        f"{r['stage']}.{r['part']}" if r["part"] else r["stage"]: load_manifest(r["manifest"])
        for r in run.stage_records() if r["stage"] != "release"
    }


def lineage_of(stages: dict[str, Manifest], run: Run) -> dict[str, Any]:
    """Every artifact behind the release with its content hash and the artifacts that it was made from.

    A row is followed by `python -m posttrain lineage ROW_ID`: the data set keeps `id`, `parent_id`, `raw_file`
    and `raw_row` of every row.
    """
    names = {manifest.path: name for name, manifest in stages.items()}
    return {
        "run_id": run.run_id, "root_run_id": run.root_run_id, "round": run.round,
        "artifacts": {
            name: {
                "key": m.key, "content": m.content, "code": m.code, "path": m.path, "rows": m.rows,
                "made_from": sorted({names.get(parent["path"], parent["stage"]) for parent in m.parents}),
            }
            for name, m in stages.items()
        },
    }


def card_facts(run: Run, final: str, mix: Manifest, pairs: Manifest | None) -> CardFacts:
    """What the cards say, out of recipe, scores and mixture. `final`: the checkpoint that is released."""
    found = run.manifest("evaluate").facts["scores"]
    scores = {checkpoint: found[checkpoint] for checkpoint in run.recipe.evaluate.checkpoints if checkpoint in found}
    split_rows = {s: rows for s, rows in (mix.written | (pairs.written if pairs else {})).items() if rows}
    base = run.recipe.model
    return CardFacts(
        run_id=run.run_id, recipe=run.recipe, scores=scores[final], all_scores=scores, split_rows=split_rows,
        licences=licence_lines(run, mix), languages=_languages(mix),
        trained=TRAINED[: TRAINED.index(final) + 1] if final in TRAINED else (),
        base_model=base.id if base.kind == "hub" else None, parameters=_parameters(run),
    )


def _parameters(run: Run) -> int | None:
    return run.manifest("base").facts.get("parameters") if run.has("base") else None


def _languages(mix: Manifest) -> list[str]:

    languages: set[str] = set()
    for entry in mix.files:
        if entry.split:
            languages.update(read_table(mix.file(entry.name), ["language"])["language"].unique().to_pylist())
    return sorted(languages - {None, ""})


# ---------------------------------------------------------------- files


def _copy_checkpoint(run: Run, checkpoint: Manifest, out: ArtifactWriter) -> None:
    """Copy `checkpoint/` into `model/`; the artifact that the checkpoint comes from stays as it is."""
    local = Path(scratch_folder(run.workspace, "release", out.key)) / "model"
    shutil.rmtree(local, ignore_errors=True)
    fs, source = file_system(checkpoint.file("checkpoint"))
    if not fs.exists(source):
        raise StorageError(f"{checkpoint.path} holds no checkpoint/ folder")
    fs.get(source, str(local), recursive=True)
    (local / "training_args.bin").unlink(missing_ok=True)  # a pickle of the trainer's, with paths of this machine
    out.add_folder("model", str(local))
    shutil.rmtree(local.parent, ignore_errors=True)


def _write_dataset(mix: Manifest, pairs: Manifest | None, out: ArtifactWriter) -> dict[str, list[str]]:
    """Write the splits as `dataset/<split>/train-00000.parquet`; returns the columns of every split.

    The pairs that DPO trained on hold the mixture's ready-made pairs, so they stand for its split of that name.
    """

    columns: dict[str, list[str]] = {}
    parts: dict[str, int] = {}
    for manifest in filter(None, (mix, pairs)):
        for entry in manifest.files:
            if not entry.split or (manifest is mix and pairs and entry.split in pairs.written):
                continue
            table = published(read_table(manifest.file(entry.name)))
            number = parts[entry.split] = parts.get(entry.split, -1) + 1
            out.write_table(f"dataset/{entry.split}/train-{number:05d}.parquet", table)
            columns[entry.split] = table.column_names
    return columns


def published(table: Any) -> Any:
    """A split under the published column names. open-instruct reads an RLVR row's verifier from `dataset`."""
    if "verifier" in table.column_names and "dataset" not in table.column_names:
        table = table.append_column("dataset", table["verifier"])
    names = ("id", "messages", "source", "prompt", "chosen", "rejected", "ground_truth", "dataset")
    first = [name for name in names if name in table.column_names]
    return table.select([*first, *(c for c in table.column_names if c not in first)])


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


# ---------------------------------------------------------------- the Hub


def push(folder: str, name: str) -> dict[str, str]:
    """Upload model and data set to the Hugging Face Hub as ENTITY/NAME and ENTITY/NAME-data; returns both addresses.

    The token comes from HF_TOKEN. Raises ReleaseRefused where it is not set. The folder must be local.
    """
    import os

    from huggingface_hub import HfApi

    token = os.environ.get("HF_TOKEN")
    if not token:
        raise ReleaseRefused(f"release.push_to_hub is {name!r}, but HF_TOKEN is not set: set it, or leave push_to_hub out")
    api = HfApi(token=token)
    root = Path(folder.removeprefix("file://"))
    data = f"{name}-data"
    for repository, kind in ((name, "model"), (data, "dataset")):
        api.create_repo(repository, repo_type=kind, exist_ok=True, private=True)
    api.upload_folder(repo_id=name, folder_path=root / "model")
    for file in ("README.md", "LICENSES.md", "recipe.yaml", "lineage.json"):
        api.upload_file(repo_id=name, path_or_fileobj=root / file, path_in_repo=file)
    api.upload_folder(repo_id=data, repo_type="dataset", folder_path=root / "dataset")
    log.info("pushed to %s and %s", name, data)
    return {"model": name, "dataset": data}
