"""EleutherAI's lm-evaluation-harness over the run's checkpoints, as a process.

The harness renders the chat template, generates and collects; a completion is scored by the verifier that the
task names, the same function that gives RLVR its reward.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import yaml

from posttrain.decontaminate.index import read_eval_items
from posttrain.evaluate import task_file
from posttrain.recipe import EvalSet
from posttrain.storage import load_manifest
from posttrain.train.job import Job, read_job
from posttrain.verifiers import verify

METRIC = "verified"


def harness_task(spec: EvalSet, items: list[dict[str, Any]], max_new_tokens: int) -> dict[str, Any]:
    """The task's harness configuration with its items and its verifier put in."""
    from datasets import Dataset

    config = yaml.safe_load(task_file(spec.task or "").read_text(encoding="utf-8"))
    verifier = config["metadata"]["verifier"]
    target = config["doc_to_target"]
    return {
        **config,
        "task": spec.name.replace("/", "__"),
        "custom_dataset": _dataset(Dataset.from_list(items[: spec.limit])),
        "test_split": "test",
        "generation_kwargs": {**config["generation_kwargs"], "max_gen_toks": max_new_tokens},
        "process_results": _scorer(verifier, target),
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
    }


def _dataset(dataset: Any) -> Callable[..., Any]:
    return lambda **_: {"test": dataset}


def _scorer(verifier: str, target: str) -> Callable[[dict[str, Any], list[str]], dict[str, float]]:
    from lm_eval.utils import apply_template

    return lambda doc, results: {METRIC: verify(verifier, results[0], apply_template(target, doc)).score}


def run_checkpoint(job: Job, name: str, tasks: list[dict[str, Any]]) -> Any:
    """The harness' results for one checkpoint."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    settings, launch = job.recipe.evaluate, job.recipe.launch
    model = HFLM(
        pretrained=job.inputs[name], batch_size=settings.batch_size, device="cpu" if launch.cpu else None,
        dtype="float32" if launch.cpu else "auto", trust_remote_code=False,
    )
    return simple_evaluate(
        model=model, tasks=tasks, apply_chat_template=True, log_samples=True, bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False),  # indexing the harness' own tasks takes seconds, none is used
        random_seed=job.recipe.seed, numpy_random_seed=job.recipe.seed, torch_random_seed=job.recipe.seed,
    )


def generations(name: str, spec: EvalSet, samples: list[dict[str, Any]], verifier: str) -> list[dict[str, Any]]:
    rows = []
    for sample in sorted(samples, key=lambda s: s["doc_id"]):
        completion = sample["filtered_resps"][0]
        rows.append({
            "checkpoint": name, "eval": spec.name, "skill": spec.skill or spec.name, "item": sample["doc_id"],
            "prompt": sample["arguments"][0][0], "completion": completion, "ground_truth": str(sample["target"]),
            "extracted": verify(verifier, completion, str(sample["target"])).extracted, "score": float(sample[METRIC]),
        })
    return rows


def score_table(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """checkpoint → skill → score: the plain mean over the skill's evals of their mean scores."""
    import pandas

    per_eval = pandas.DataFrame(rows).groupby(["checkpoint", "skill", "eval"])["score"].mean()
    per_skill = per_eval.groupby(["checkpoint", "skill"]).mean()
    return {str(name): {str(skill): float(score) for (_, skill), score in group.items()}
            for name, group in per_skill.groupby("checkpoint")}


def task_table(rows: list[dict[str, Any]], about: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """checkpoint → eval → score, number of items, the task's version and its verifier."""
    import pandas

    table: dict[str, dict[str, Any]] = {}
    for (checkpoint, name), scores in pandas.DataFrame(rows).groupby(["checkpoint", "eval"])["score"]:
        table.setdefault(checkpoint, {})[name] = {
            "score": float(scores.mean()), "items": len(scores), "version": about[name]["version"],
            "verifier": about[name]["verifier"],
        }
    return table


def main(job: Job) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = load_manifest(job.inputs["index_evals"])
    specs = {e.name: e for e in job.recipe.evals if e.task}
    items = {name: read_eval_items(index, name) for name in specs}
    rows: list[dict[str, Any]] = []
    about: dict[str, dict[str, Any]] = {}
    for checkpoint in job.recipe.evaluate.checkpoints:
        tasks = [harness_task(spec, items[name], job.recipe.evaluate.max_new_tokens) for name, spec in specs.items()]
        result = run_checkpoint(job, checkpoint, tasks)
        for task, spec in zip(tasks, specs.values(), strict=True):
            about[spec.name] = task["metadata"]
            rows += generations(checkpoint, spec, result["samples"][task["task"]], task["metadata"]["verifier"])
        scores = score_table(rows)[checkpoint]
        job.log(f"{checkpoint}: " + ", ".join(f"{skill} {score:.3f}" for skill, score in scores.items()))
    pq.write_table(pa.Table.from_pylist(rows), job.folder / "generations.parquet", compression="zstd")
    job.write_facts({"scores": score_table(rows), "tasks": task_table(rows, about), "generations": len(rows)})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
