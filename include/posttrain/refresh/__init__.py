"""refresh: an eval set was added or changed; the current mixture is compared with it alone, and loses the rows that fall.

    start_refresh   the current mixture, the eval sets that it was not compared with yet (evals.py), a run for the work
    index_new       an index of each of these sets alone
    compare         every row of the mixture against each of them (comparison.py)
    review          the review band, unattended, by the recipe's settings; a paraphrase is compared with all evals of the recipe
    new_version     the mixture without the rows that fell (version.py), or None where none does

Like posttrain.pipeline this knows an order of stages; the command `refresh-evals` and the DAG `refresh_eval_index` call it. The
run is called after the mixture, the eval sets and the rule, and all artifacts are found again by content: a second refresh does
nothing, and one that was killed goes on.

    runs/<run id>/refresh.json            what was found at the start
                  refresh.html            what changed
    runs/<run id>-eval-<name>/stages/     index_evals, refresh (the comparison), review, refresh_check of one eval set
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import partial

from posttrain import pipeline
from posttrain.code_version import code_version
from posttrain.decontaminate.shard import REVIEW
from posttrain.recipe import DATA_STAGES, Recipe, data_root
from posttrain.refresh.comparison import compare_mixture
from posttrain.refresh.evals import EvalState, eval_states
from posttrain.refresh.version import Compared, fallen_rows, write_version
from posttrain.run import Run, load_run, run_ids, run_slug, start_run
from posttrain.storage import (
    Manifest,
    StageResult,
    do_once,
    exists,
    join,
    load_manifest,
    read_json,
    sha256_json,
    workspace_url,
    write_json,
)

log = logging.getLogger(__name__)

class NoMixture(LookupError):
    """There is no mixture that could be compared. The message says how to make one."""


@dataclass(frozen=True)
class Refresh:
    """The work on one mixture. `states`: all eval sets of the recipe; `base_run_id`: the run that the mixture is from, or ""."""

    run: Run
    mixture: Manifest
    base_run_id: str
    states: list[EvalState]

    @property
    def pending(self) -> list[EvalState]:
        """The eval sets to be compared."""
        return [state for state in self.states if state.status != "known"]

    def of(self, state: EvalState) -> Run:
        """The run in which one eval set is indexed and compared: its recipe has this set alone, and the embedded index. Both
        kinds of index give the same answer, and the alias of a server must go on pointing at all evals."""
        recipe = self.run.recipe
        alone = recipe.model_copy(update={
            "evals": tuple(spec for spec in recipe.evals if spec.name == state.name),
            "decontaminate": recipe.decontaminate.model_copy(update={"index": "embedded"})})
        return replace(self.run, run_id=f"{self.run.run_id}-eval-{state.name}", recipe=alone)


# ---------------------------------------------------------------- the start


def current_mixture(recipe: str, workspace: str) -> tuple[Manifest, str]:
    """The mixture of the newest run of this recipe that has one, and the run's id. Raises NoMixture."""
    for run_id in reversed(run_ids(workspace)):
        folder = join(workspace, "runs", run_slug(run_id))
        record = join(folder, "stages", "mix.json")
        if exists(record) and read_json(join(folder, "run.json"))["recipe"]["name"] == recipe:
            return load_manifest(read_json(record)["manifest"]), run_id
    raise NoMixture(f"{workspace} has no mixture of recipe {recipe} that could be compared with new evals; "
                    f"`python -m posttrain run {recipe} --until mix` makes one")


def start_refresh(
    recipe: Recipe, workspace: str | None = None, mixture: Manifest | None = None, base_run_id: str = "",
    accept: Collection[str] = (),
) -> Refresh:
    """Look at the eval files; where some are new, create the run (or go on with it).

    Without `mixture` the newest one of the recipe is taken. Raises NoMixture, EvalFilesChanged (see evals.eval_states).
    """
    workspace = workspace or workspace_url()
    if mixture is None:
        mixture, base_run_id = current_mixture(recipe.name, workspace)
    states = eval_states(recipe, data_root(), mixture, workspace, accept)
    contents = sorted(state.content for state in states if state.status != "known")
    key = sha256_json([mixture.content, contents, recipe.decontaminate.model_dump(mode="json")])[:12]
    run_id = f"refresh-{recipe.name}-{key}"
    if not contents:
        return Refresh(Run(run_id, run_id, 0, recipe, DATA_STAGES[-1], workspace=workspace), mixture, base_run_id, states)
    refresh = Refresh(start_run(recipe, run_id, until=DATA_STAGES[-1], workspace=workspace), mixture, base_run_id, states)
    _take_over_records(refresh)
    write_json(join(refresh.run.folder, "refresh.json"), {
        "mixture": mixture.path, "base_run_id": base_run_id, "evals": [asdict(state) for state in states]})
    return refresh


def load_refresh(run_id: str, workspace: str | None = None) -> Refresh:
    """A refresh that was started. Raises StorageError where there is none of this id."""
    run = load_run(run_id, workspace)
    value = read_json(join(run.folder, "refresh.json"))
    return Refresh(run, load_manifest(value["mixture"]), value["base_run_id"], [EvalState(**state) for state in value["evals"]])


def _take_over_records(refresh: Refresh) -> None:
    """What the mixture was made from belongs to the lineage of the new version: the run points at the same artifacts."""
    if not refresh.base_run_id:
        return
    for record in replace(refresh.run, run_id=refresh.base_run_id).stage_records():
        stage, part = record["stage"], record["part"]
        if stage in DATA_STAGES and stage != "index_evals" and not (stage == "mix" and not part):
            taken = StageResult(load_manifest(record["manifest"]), True, f"taken from run {refresh.base_run_id}")
            refresh.run.record(stage, taken, part)


# ---------------------------------------------------------------- the steps


def index_new(refresh: Refresh) -> list[StageResult]:
    """An index of each new eval set alone."""
    return [pipeline.index_evals(refresh.of(state)) for state in refresh.pending]


def compare(refresh: Refresh) -> list[StageResult]:
    """Every row of the mixture against each new eval set."""
    found = []
    for state in refresh.pending:
        run = refresh.of(state)
        index, settings = run.manifest("index_evals"), run.recipe.decontaminate
        result = run.stage("refresh", "posttrain.refresh.comparison", inputs=[index, refresh.mixture],
                           settings=settings.model_dump(mode="json"),
                           work=partial(compare_mixture, refresh.mixture, index, settings))
        run.record("decontaminate", result)  # where the review looks for its band
        found.append(result)
        rows, table = result.manifest.rows, result.manifest.facts["contamination"]
        log.info("refresh: eval %s: %d of %d rows fall, %d rows in the review band; %d items contaminated", state.name,
                 rows["rejected"], rows["read"], band_rows(result.manifest), sum(line["contaminated"] for line in table))
    return found


def review(refresh: Refresh) -> list[StageResult]:
    """Index all evals of the recipe, which a training on the new version needs too; then decide about each review band."""
    from posttrain.decontaminate.stage import decontaminate_examples

    settings = refresh.run.recipe.decontaminate
    found = [pipeline.index_evals(refresh.run)]
    everything = found[0].manifest
    for state in refresh.pending:
        run = refresh.of(state)
        if not band_rows(run.manifest("refresh")):
            continue
        reviewed = pipeline.review(run)
        found.append(reviewed)
        if reviewed.manifest.written:
            found.append(run.stage(
                "refresh_check", "posttrain.decontaminate.stage", inputs=[everything, reviewed.manifest],
                settings=settings.model_dump(mode="json"),
                work=partial(decontaminate_examples, [reviewed.manifest], everything, settings)))
    return found


def new_version(refresh: Refresh) -> StageResult | None:
    """The mixture without the rows that fell, as this run's mixture; None where every row stays: then nothing is made."""
    mixture = refresh.mixture
    compared = [_compared(refresh.of(state)) for state in refresh.pending]
    falls = fallen_rows(mixture, compared)
    if not any(falls.values()):
        log.info("refresh: no row of the mixture falls; it stays as it is")
        return None
    inputs = [mixture, *(m for one in compared for m in (one.comparison, one.reviewed, one.checked) if m)]
    evals = [state.name for state in refresh.pending]
    result = do_once(
        "mix", settings=mixture.settings | {"refreshed_from": mixture.content, "refreshed_for": evals},
        code=code_version("posttrain.refresh.version"), inputs=inputs, workspace=refresh.run.workspace,
        work=partial(write_version, mixture, falls, evals))
    refresh.run.record("mix", StageResult(mixture, True, "the version before"), f"before-{mixture.key}")
    refresh.run.record("mix", result)
    return result


def _compared(run: Run) -> Compared:
    reviewed, checked = (run.manifest(name) if run.has(name) else None for name in ("review", "refresh_check"))
    return Compared(run.manifest("refresh"), reviewed, checked)


def band_rows(comparison: Manifest) -> int:
    """How many rows of the mixture are in the review band of one eval set; repeats count once."""
    return sum(entry.rows for entry in comparison.files if entry.split.startswith(REVIEW))
