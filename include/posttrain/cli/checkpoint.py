"""A checkpoint named on the command line, as an artifact with a folder `checkpoint/`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from posttrain.cli.rows import is_artifact
from posttrain.recipe import Evaluate
from posttrain.storage import ArtifactWriter, Manifest, do_once, load_manifest, scratch_folder, sha256_file, sha256_json

NAMES: tuple[str, ...] = get_args(get_args(Evaluate.model_fields["checkpoints"].annotation)[0])


def checkpoint_name(path: Path) -> str:
    """What the scores are filed under: the stage of a checkpoint artifact, `base` for any other folder."""
    stage = load_manifest(str(path.resolve())).stage if is_artifact(path) else "base"
    if stage not in NAMES:
        raise ValueError(f"{path} is an artifact of {stage}, without a checkpoint; there is one in those of {', '.join(NAMES)}")
    return stage


def checkpoint_artifact(path: Path, workspace: str) -> Manifest:
    """The artifact itself, or a folder that transformers can load, copied into one. Raises FileNotFoundError."""
    if is_artifact(path):
        return load_manifest(str(path.resolve()))
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"{path} is no checkpoint: it has neither manifest.json nor config.json")
    files = {f.relative_to(path).as_posix(): sha256_file(str(f)) for f in sorted(path.rglob("*")) if f.is_file()}

    def work(out: ArtifactWriter) -> None:
        copy = Path(scratch_folder(workspace, "import", sha256_json(files)[:12])) / "checkpoint"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        out.add_folder("checkpoint", str(copy))

    return do_once("base", settings={"files": files}, code="import", inputs=[], work=work, workspace=workspace).manifest
