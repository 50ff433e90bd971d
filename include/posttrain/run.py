"""A run: one pass through the pipeline with one recipe. Its folder says which artifact each stage gave.

    <workspace>/runs/<run id>/run.json              recipe, round, focus: written once, when the run starts
                              stages/<stage>.json   the artifact of a stage (of one source: <stage>.<source>.json)
                              books.json            pool → converted → … → mixed, by source and reason
                              gate.json             verdict and gaps
                              report.html

Artifacts are shared between runs; the run folder only points at them.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from posttrain.code_version import code_version
from posttrain.recipe import STAGES, Recipe, RecipeError, check_recipe
from posttrain.storage import (
    ArtifactWriter,
    Manifest,
    StageResult,
    StorageError,
    do_once,
    exists,
    file_system,
    join,
    load_manifest,
    read_json,
    workspace_url,
    write_json,
)

log = logging.getLogger(__name__)


def run_slug(run_id: str) -> str:
    """A run id as a file name: user input never reaches a path as it is.

    `nightly-3` stays as it is; an id that had to be changed gets 8 hex digits of its hash behind it, so that no two ids
    share a folder: `manual__2026-01-05T00:00:00` → `manual__2026-01-05T00-00-00-0f1dd73d`.
    """
    slug = re.sub(r"\.{2,}|[^A-Za-z0-9_.-]+", "-", run_id).strip(".-")[:100]
    if not any(c.isalnum() for c in run_id):
        raise ValueError(f"run id {run_id!r} has no letter or digit")
    if slug == run_id:
        return slug
    digest = hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else f"run-{digest}"


@dataclass(frozen=True)
class Run:
    """One pass through the pipeline. `round` counts from 0; `root_run_id` is the id of round 0.

    `focus` is what a later round aims at: the gap (threshold − score) of every skill that fell short.
    """

    run_id: str
    root_run_id: str
    round: int
    recipe: Recipe
    until: str = STAGES[-1]
    max_rounds: int = 1
    approval: bool = False
    focus: dict[str, float] = field(default_factory=dict)
    workspace: str = ""

    @property
    def folder(self) -> str:
        return join(self.workspace, "runs", run_slug(self.run_id))

    # -- stages

    def stage(
        self, name: str, *modules: str, inputs: list[Manifest], settings: dict[str, Any],
        work: Callable[[ArtifactWriter], None], part: str = "",
    ) -> StageResult:
        """Do a stage once and record its artifact in the run folder.

        `modules` are those whose code decides its key, with all that they import; `part` names the source of a mapped stage.
        """
        result = do_once(
            name, settings=settings, code=code_version(*modules), inputs=inputs, work=work, workspace=self.workspace,
        )
        self.record(name, result, part)
        return result

    def record(self, name: str, result: StageResult, part: str = "") -> None:
        value = {
            "stage": name, "part": part, "manifest": result.manifest.path, "skipped": result.skipped, "why": result.why,
            "seconds": result.manifest.seconds, "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_json(join(self.folder, "stages", f"{name}.{part}.json" if part else f"{name}.json"), value)

    def stage_records(self) -> list[dict[str, Any]]:
        """What each finished stage of this run gave, in pipeline order."""
        fs, folder = file_system(join(self.folder, "stages"))
        if not fs.exists(folder):
            return []
        records = [read_json(fs.unstrip_protocol(name)) for name in fs.ls(folder, detail=False) if name.endswith(".json")]
        order: dict[str, float] = {name: n for n, name in enumerate(STAGES)}
        # A reviewer's advice, the model before SFT and the tokenised mixture have records of their own and no stage.
        order |= {"review_advice": order["review"] - 0.5, "base": order["sft"] - 0.5, "tokenize": order["sft"] - 0.25}
        return sorted(records, key=lambda r: (order.get(r["stage"], len(order)), r["part"]))

    def manifest(self, name: str, part: str = "") -> Manifest:
        """The artifact of a stage of this run. Raises StorageError where the stage has not run yet."""
        path = join(self.folder, "stages", f"{name}.{part}.json" if part else f"{name}.json")
        if not exists(path):
            raise StorageError(f"run {self.run_id}: stage {name}{f' of {part}' if part else ''} has not finished; run it first")
        return load_manifest(read_json(path)["manifest"])

    def has(self, name: str) -> bool:
        return exists(join(self.folder, "stages", f"{name}.json"))

    def wants(self, name: str) -> bool:
        """Whether the run goes as far as this stage."""
        return STAGES.index(name) <= STAGES.index(self.until)


def start_run(
    recipe: Recipe, run_id: str, *, root_run_id: str | None = None, round: int = 0, until: str = STAGES[-1],
    max_rounds: int | None = None, approval: bool = False, focus: dict[str, float] | None = None,
    workspace: str | None = None,
) -> Run:
    """Create the run folder. Starting a run id again goes on with it.

    Where it is started with another recipe, round or focus, the record of which artifact its stages gave is cleared
    first: it is about the old ones. The artifacts stay.
    """
    run = Run(
        run_id=run_id, root_run_id=root_run_id or run_id, round=round, recipe=recipe, until=until,
        max_rounds=max_rounds if max_rounds is not None else recipe.gate.max_rounds, approval=approval,
        focus=dict(sorted((focus or {}).items())), workspace=workspace or workspace_url(),
    )
    value = asdict(run) | {"recipe": recipe.model_dump(mode="json"), "started_at": time.time()}
    path = join(run.folder, "run.json")
    if exists(path):
        earlier = read_json(path)
        if all(earlier[name] == value[name] for name in ("run_id", "root_run_id", "round", "recipe", "focus")):
            value["started_at"] = earlier["started_at"]
        else:
            _forget_stages(run)
    write_json(path, value)
    return run


def _forget_stages(run: Run) -> None:
    fs, folder = file_system(join(run.folder, "stages"))
    if fs.exists(folder):
        fs.rm(folder, recursive=True)


def load_run(run_id: str, workspace: str | None = None) -> Run:
    """Read a run folder. Raises StorageError with the ids that exist."""
    workspace = workspace or workspace_url()
    path = join(workspace, "runs", run_slug(run_id), "run.json") if any(c.isalnum() for c in run_id) else ""
    if not path or not exists(path):
        raise StorageError(f"no run {run_id!r} in {workspace}; runs there: {', '.join(run_ids(workspace)) or 'none'}")
    value = read_json(path)
    value.pop("started_at")
    return Run(**(value | {"recipe": check_recipe(value["recipe"], path), "workspace": workspace}))


def run_ids(workspace: str | None = None) -> list[str]:
    """The ids of all runs in the workspace, oldest first."""
    return [run["run_id"] for run in _run_files(workspace)]


def readable_runs(workspace: str | None = None) -> Iterator[Run]:
    """The runs of the workspace, newest first. One whose recipe is none any more, as after an upgrade, is named in the log."""
    for run_id in reversed(run_ids(workspace)):
        try:
            yield load_run(run_id, workspace)
        except RecipeError as error:
            log.warning("run %s is left out, this version does not take its recipe: %s", run_id, str(error)[:300])


def run_records(workspace: str, recipe: str, stage: str) -> Iterator[dict[str, Any]]:
    """What a stage without parts gave in the runs of a recipe, the newest run first."""
    for value in reversed(_run_files(workspace)):
        path = join(workspace, "runs", run_slug(value["run_id"]), "stages", f"{stage}.json")
        if value["recipe"]["name"] == recipe and exists(path):
            yield read_json(path)


def rounds_of(run: Run) -> list[Run]:
    """All rounds of the loop that `run` belongs to, in order, as far as they have started."""
    rounds = [value["run_id"] for value in _run_files(run.workspace) if value["root_run_id"] == run.root_run_id]
    return sorted((load_run(run_id, run.workspace) for run_id in rounds), key=lambda r: r.round)


def _run_files(workspace: str | None) -> list[dict[str, Any]]:
    """What stands in every run.json, oldest first."""
    fs, folder = file_system(join(workspace or workspace_url(), "runs"))
    if not fs.exists(folder):
        return []
    found = [fs.unstrip_protocol(join(name, "run.json")) for name in fs.ls(folder, detail=False)]
    return sorted((read_json(path) for path in found if exists(path)), key=lambda run: run["started_at"])
