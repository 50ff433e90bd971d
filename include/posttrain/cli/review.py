"""The command review: the review band, decided as unattended runs do."""

from __future__ import annotations

from pathlib import Path

from posttrain import recipe as settings_of
from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.data import OptionalIn, OptionalOut, one_of, teacher_of
from posttrain.cli.evals import Evals, check_evals, eval_index, with_index
from posttrain.cli.rows import read_inputs
from posttrain.cli.run_stage import do_in_run
from posttrain.storage import ArtifactWriter, workspace_url


def review(
    paths: OptionalIn = None, evals: Evals = None, out: OptionalOut = None, recipe: options.RecipeName = None,
    seed: options.Seed = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Decide on the review band of a decontaminate artifact as unattended runs do: what people of this workspace have decided
    holds; for the rest the judge, where the recipe lets it decide, then the teacher paraphrases and the row is checked again."""
    from posttrain.decontaminate.index import load_index
    from posttrain.decontaminate.review.band import log_unattended, review_band
    from posttrain.decontaminate.review.decision_log import DecisionLog, as_settings, decided_about
    from posttrain.decontaminate.review.queue import read_queue
    from posttrain.teacher.client import open_teacher

    if run:
        return do_in_run("review", run, None, as_json)
    evals = evals or recipe
    options.needed(out=out, evals=evals, **{"in": paths})
    check_evals(evals)
    found = options.recipe_of(recipe)
    settings, teacher_settings, seed = teacher_of(found, seed)
    reviewing, rule = (found.review, found.decontaminate) if found else (settings_of.Review(), settings_of.Decontaminate())
    with unfinished(out) as folder:
        index = eval_index(evals, rule, folder, None)
        inputs = read_inputs(paths or [], folder)
        keyed = with_index(index, evals, inputs)
        items, log = read_queue(one_of(inputs.manifests), load_index(index)), DecisionLog(workspace_url())
        decided = decided_about(log.lines(), ((item.content, item.evals) for item in items))

        def work(writer: ArtifactWriter) -> None:
            with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
                review_band(one_of(inputs.manifests), index, reviewing, rule, teacher, writer, decided)

        all_settings = settings | reviewing.model_dump(mode="json") | {"decontaminate": rule.model_dump(mode="json")}
        if decided:
            all_settings |= {"decisions": as_settings(decided)}
        manifest = write_stage("review", "posttrain.decontaminate.review", folder, out, keyed, all_settings, work)
    log_unattended(items, manifest, log, Path(manifest.path).name)
    show_counts(manifest, as_json)
