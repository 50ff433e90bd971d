"""The pipeline, top to bottom: each stage takes its inputs from the run and leaves one artifact.

This is the only place that knows the order. The Airflow tasks and the command line call these functions; a stage
module never calls another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from posttrain.recipe import Recipe, RecipeError, data_root
from posttrain.run import Run
from posttrain.storage import ArtifactWriter, StageResult
from posttrain.train.launch import Launcher


def check_inputs(recipe: Recipe) -> None:
    """Refuse a recipe whose local files are not there, before the first task. Raises SourceError naming all of them."""
    from posttrain.collect import check_files
    from posttrain.evaluate import task_file

    check_files([item.load for item in (*recipe.sources, *recipe.evals)], data_root())
    if recipe.launch.config_file and not Path(recipe.launch.config_file).is_file():
        raise RecipeError(f"launch.config_file: there is no file {recipe.launch.config_file}; `accelerate config` writes one")
    for spec in recipe.evals:
        if spec.task:
            task_file(spec.task)


def check_evals(recipe: Recipe, workspace: str, accept: Collection[str] = ()) -> None:
    """Refuse eval files that changed under their names since the last run of this recipe, unless `accept` has their sha256.

    Raises EvalFilesChanged; ValueError for a hash that accepts nothing.
    """
    from posttrain.decontaminate.eval_changes import check_eval_versions

    check_eval_versions(recipe, data_root(), workspace, accept)


# ---------------------------------------------------------------- data


def collect(run: Run, source: str) -> StageResult:
    """Load one source at a pinned revision into raw shards; record origin, licence and sha256."""
    from posttrain import collect

    spec = run.recipe.source(source)
    pin = collect.pinned(spec.load, data_root(), run.recipe.seed, run.workspace)
    settings = {"load": pin, "source": spec.name,
                "origin": spec.origin, "license": spec.license}
    return run.stage("collect", "posttrain.collect", inputs=[], settings=settings, part=source,
                     work=lambda out: collect.collect(spec, data_root(), run.recipe.seed, out, pin))


def convert(run: Run, source: str) -> StageResult:
    """Raw rows of one source → examples; unreadable rows are kept aside with file, row, field and reason."""
    from posttrain.convert import convert_source, converter_modules

    spec = run.recipe.source(source)
    collected = run.manifest("collect", source)
    return run.stage("convert", *converter_modules(spec.family), inputs=[collected], part=source,
                     settings=spec.model_dump(mode="json", exclude={"load", "review"}),
                     work=lambda out: convert_source(collected, spec, out))


def filter_rows(run: Run) -> StageResult:
    """Keyword → empty → quality rules, then exact duplicates within and across sources."""
    from posttrain.filters import filter_examples, stage_settings

    inputs = [run.manifest("convert", source.name) for source in run.recipe.sources]
    return run.stage("filter", "posttrain.filters", inputs=inputs, settings=stage_settings(run.recipe.filter),
                     work=lambda out: filter_examples(inputs, run.recipe.filter, out))


def improve(run: Run) -> StageResult:
    """Prompts that were too simple become reasoning questions with a worked, verified answer."""
    from posttrain.improve import improve_prompts
    from posttrain.teacher.client import open_teacher

    filtered = run.manifest("filter")
    settings = _teacher_settings(run) | run.recipe.improve.model_dump(mode="json") | {"focus": run.focus}

    def work(out: Any) -> None:
        with open_teacher(run.recipe.teacher, run.workspace, run.recipe.seed) as teacher:
            improve_prompts(filtered, run.recipe.improve, run.focus, teacher, out)

    return run.stage("improve", "posttrain.improve", inputs=[filtered], settings=settings, work=work)


def synthesize(run: Run) -> StageResult:
    """New rows by persona, self-play and variation, and in a later round for every skill in focus; answers verified."""
    from posttrain.synthesize import synthesize_rows
    from posttrain.teacher.client import open_teacher

    filtered = run.manifest("filter")
    settings = _teacher_settings(run) | run.recipe.synthesize.model_dump(mode="json") | {
        "focus": run.focus, "round": run.round, "seed": run.recipe.seed}

    def work(out: Any) -> None:
        with open_teacher(run.recipe.teacher, run.workspace, run.recipe.seed) as teacher:
            synthesize_rows(filtered, run.recipe.synthesize, run.focus, run.round, run.recipe.seed, teacher, out)

    return run.stage("synthesize", "posttrain.synthesize", inputs=[filtered], settings=settings, work=work)


def index_evals(run: Run) -> StageResult:
    """Eval sets → normalised index, with the sha256 of every eval file; eval files are never written, and no other file takes
    the place of one under its name unasked."""
    from posttrain.decontaminate.build_index import index_eval_sets
    from posttrain.decontaminate.eval_sets import pinned_evals

    check_evals(run.recipe, run.workspace)
    settings = {
        "evals": pinned_evals(run.recipe.evals, data_root(), run.recipe.seed),
        "ngram_size": run.recipe.decontaminate.ngram_size, "index": run.recipe.decontaminate.index,
        "dense_model": run.recipe.decontaminate.dense_model,
    }
    return run.stage("index_evals", "posttrain.decontaminate.build_index", inputs=[], settings=settings,
                     work=lambda out: index_eval_sets(run.recipe.evals, data_root(), run.recipe.seed,
                                                      run.recipe.decontaminate, out))


def decontaminate(run: Run) -> StageResult:
    """Rows against the eval index → clean rows, removed rows with their evidence, and the review band."""
    from posttrain.decontaminate.stage import decontaminate_examples

    index = run.manifest("index_evals")
    rows = [run.manifest(stage) for stage in ("filter", "improve", "synthesize")]
    return run.stage("decontaminate", "posttrain.decontaminate.stage", inputs=[index, *rows],
                     settings=run.recipe.decontaminate.model_dump(mode="json"),
                     work=lambda out: decontaminate_examples(rows, index, run.recipe.decontaminate, out))


def review(run: Run) -> StageResult:
    """The review band: what people decided holds; the rest is done unattended, and checked again."""
    from posttrain.decontaminate.index import load_index
    from posttrain.decontaminate.review.band import log_unattended, review_band
    from posttrain.decontaminate.review.decision_log import DecisionLog, as_settings, decided_about
    from posttrain.decontaminate.review.queue import has_band, read_queue
    from posttrain.teacher.client import open_teacher

    index, decontaminated, log = run.manifest("index_evals"), run.manifest("decontaminate"), DecisionLog(run.workspace)
    settings = _review_settings(run)
    items = read_queue(decontaminated, load_index(index)) if has_band(decontaminated) else []
    decided = decided_about(log.lines(), ((item.content, item.evals) for item in items))
    if decided:
        settings["decisions"] = as_settings(decided)

    def work(out: Any) -> None:
        with open_teacher(run.recipe.teacher, run.workspace, run.recipe.seed) as teacher:
            review_band(decontaminated, index, run.recipe.review, run.recipe.decontaminate, teacher, out, decided)

    result = run.stage("review", "posttrain.decontaminate.review", inputs=[index, decontaminated], settings=settings, work=work)
    if not result.skipped:
        log_unattended(items, result.manifest, log, run.run_id)
    return result


def review_advice(run: Run) -> StageResult:
    """For a person who is asked about the review band: the teacher's suggestion for every row, and the judge's opinion."""
    from posttrain.decontaminate.review.advice import prepare_advice
    from posttrain.teacher.client import open_teacher

    index, decontaminated = run.manifest("index_evals"), run.manifest("decontaminate")

    def work(out: Any) -> None:
        with open_teacher(run.recipe.teacher, run.workspace, run.recipe.seed) as teacher:
            prepare_advice(decontaminated, index, run.recipe.review, run.recipe.decontaminate, teacher, out)

    return run.stage("review_advice", "posttrain.decontaminate.review.advice", inputs=[index, decontaminated],
                     settings=_review_settings(run), work=work)


def _review_settings(run: Run) -> dict[str, Any]:
    review = run.recipe.review.model_dump(mode="json", exclude={"timeout_hours"})
    return _teacher_settings(run) | review | {"decontaminate": run.recipe.decontaminate.model_dump(mode="json")}


def mix(run: Run) -> StageResult:
    """Clean rows → SFT, preference-prompt, preference and RLVR splits; licence gate; seeded shuffle. Then the run's books."""
    from posttrain.mix import mix_rows
    from posttrain.mix.books import write_books

    inputs = [run.manifest("decontaminate"), run.manifest("review")]
    licenses = {source.name: source.non_commercial for source in run.recipe.sources}
    settings = run.recipe.mix.model_dump(mode="json") | {"seed": run.recipe.seed, "non_commercial": licenses}
    if run.recipe.mix.focus_upsampling > 1:
        settings["focus"] = sorted(run.focus)
    result = run.stage("mix", "posttrain.mix", inputs=inputs, settings=settings,
                       work=lambda out: mix_rows(inputs, run.recipe.mix, licenses, run.recipe.seed, out, run.focus))
    write_books(run)
    return result


def _teacher_settings(run: Run) -> dict[str, Any]:
    """What of the teacher decides its answers; concurrency and time-outs do not."""
    return {"teacher": run.recipe.teacher.model_dump(include={"connection", "model", "temperature"}), "seed": run.recipe.seed}


# ---------------------------------------------------------------- model


def sft(run: Run, launcher: Launcher) -> StageResult:
    """Base model + SFT split → checkpoint; loss on assistant tokens only, sum reduction."""
    from posttrain.train import train_stage

    base(run, launcher)
    tokenize(run)
    return train_stage(run, "sft", [run.manifest("base"), run.manifest("tokenize")], launcher)


def base(run: Run, launcher: Launcher) -> StageResult:
    """The model before SFT: a tiny Llama with a tokenizer trained on the mixture, or a model of the Hub."""
    from posttrain.train import train_stage

    return train_stage(run, "base", [run.manifest("mix")], launcher)


def tokenize(run: Run) -> StageResult:
    """SFT split → input ids and labels on the answers' tokens, by the base model's tokenizer; found again where it exists."""
    from posttrain.tokenize.rows import cached, stage_settings, tokenize_rows
    from posttrain.tokenize.tokenizer import open_tokenizer

    mixture, folder = run.manifest("mix"), Path(run.manifest("base").file("checkpoint"))
    settings, max_length = run.recipe.tokenize, run.recipe.sft.max_length

    def work(out: ArtifactWriter) -> None:
        tokenize_rows([mixture], open_tokenizer(folder, settings.template), settings, max_length, out)

    return cached(lambda: run.stage("tokenize", "posttrain.tokenize.rows", inputs=[mixture],
                                    settings=stage_settings(settings, max_length, folder), work=work))


def preferences(run: Run, launcher: Launcher) -> StageResult:
    """Answers sampled from the SFT checkpoint and the teacher's own, judged and binarised; no tied pairs."""
    from posttrain.preferences import build_preferences

    return build_preferences(run, run.manifest("sft"), run.manifest("mix"), launcher)


def dpo(run: Run, launcher: Launcher) -> StageResult:
    """SFT checkpoint + pairs → checkpoint; length-normalised DPO."""
    from posttrain.train import train_stage

    return train_stage(run, "dpo", [run.manifest("sft"), run.manifest("preferences")], launcher)


def rlvr(run: Run, launcher: Launcher) -> StageResult:
    """DPO checkpoint + RLVR split → checkpoint; GRPO with the verifiers as rewards."""
    from posttrain.train import train_stage

    return train_stage(run, "rlvr", [run.manifest("dpo"), run.manifest("mix")], launcher)


def evaluate(run: Run, launcher: Launcher) -> StageResult:
    """Every checkpoint of the run on every eval with a task, by the harness; every generation saved."""
    from posttrain.evaluate import evaluate_checkpoints

    checkpoints = {name: run.manifest(name) for name in run.recipe.evaluate.checkpoints}
    return evaluate_checkpoints(run, checkpoints, run.manifest("index_evals"), launcher)


def gate(run: Run) -> StageResult:
    """Scores of the last checkpoint against the thresholds → verdict and gaps."""
    from posttrain.gate import judge_run

    return judge_run(run)


def release(run: Run) -> StageResult:
    """The release folder: model, tokenizer, model card, dataset card, licence summary, manifests."""
    from posttrain.release import build_release

    return build_release(run)


MAPPED_STAGES: dict[str, Callable[[Run, str], StageResult]] = {"collect": collect, "convert": convert}
"""Stages with one artifact per source."""

LIBRARY_STAGES: dict[str, Callable[[Run], StageResult]] = {
    "filter": filter_rows, "improve": improve, "synthesize": synthesize, "index_evals": index_evals,
    "decontaminate": decontaminate, "review": review, "mix": mix, "gate": gate, "release": release,
}
"""Stages that run in the caller's process."""

PROCESS_STAGES: dict[str, Callable[[Run, Launcher], StageResult]] = {
    "base": base, "sft": sft, "preferences": preferences, "dpo": dpo, "rlvr": rlvr, "evaluate": evaluate,
}
"""Stages whose work is a process of its own: training, generation, evaluation."""
