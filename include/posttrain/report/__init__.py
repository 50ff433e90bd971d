"""report.html: one self-contained file over all rounds of a run's loop, and the same facts as a plain-text table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from posttrain.report import pictures
from posttrain.report.facts import RoundFacts, read_round
from posttrain.report.heat_table import COLUMNS, contamination_table
from posttrain.run import Run, rounds_of
from posttrain.schema import REASONS
from posttrain.storage import join, write_atomic

SECTIONS = (
    ("verdict", "Verdict"), ("rows", "Rows"), ("drops", "Drops"), ("contamination", "Contamination"), ("training", "Training"),
    ("scores", "Scores"), ("seconds", "Seconds"), ("licences", "Licences"), ("recipe", "Recipe"),
)
CURVES = {
    "sft": (("loss", "SFT: loss"), ("mean_token_accuracy", "SFT: token accuracy")),
    "dpo": (("loss", "DPO: loss"), ("rewards/margins", "DPO: reward margin")),
    "rlvr": (("reward", "RLVR: mean reward"), ("completions/mean_length", "RLVR: tokens per answer")),
}
"""The metrics that are drawn, by the names under which TRL logs them."""


def write_report(run: Run) -> str:
    """Write report.html into the run's folder and return its path. All rounds up to this one are in it."""
    path = join(run.folder, "report.html")
    with write_atomic(path) as f:
        f.write(render_report([read_round(r) for r in rounds_of(run) if r.round <= run.round]).encode())
    return path


def render_report(rounds: list[RoundFacts]) -> str:
    """The page. Names and texts from data and recipes are escaped; only the pictures are inserted as they are."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = lambda value: f"{value:.4g}" if isinstance(value, float) else value
    last = rounds[-1].run
    return environment.get_template("report.html.j2").render(
        title=f"{last.recipe.name}: {last.run_id}", sections=SECTIONS, recipe=last.recipe, reasons=REASONS,
        rounds=[_round_view(facts) for facts in rounds], seconds_picture=_picture(pictures.seconds(rounds)),
        stop=rounds[-1].stop,
        recipe_yaml=yaml.safe_dump(last.recipe.model_dump(mode="json", exclude_none=True), allow_unicode=True, sort_keys=False),
    )


def _round_view(facts: RoundFacts) -> dict[str, Any]:
    table = contamination_table(facts.contamination)
    dropped, run_id = sorted(facts.drops(), key=lambda d: -d.rows), facts.run.run_id
    return {
        "run": facts.run, "stages": facts.stages, "flow": _picture(pictures.flow(facts)),
        "drops": dropped, "drops_picture": _picture(pictures.drops(dropped, run_id)) if dropped else None,
        "heat": _picture(pictures.heat(table.evals, table.sources, table.shares, run_id)) if table.shares else None,
        "contamination": table.rows, "contamination_columns": COLUMNS,
        "decontaminated": facts.stage("decontaminate") is not None,
        "curves": _curves(facts), "scores": facts.scores, "score_lines": score_lines(facts), "tasks": facts.tasks,
        "scores_picture": _picture(pictures.scores(facts)) if facts.scores else None,
        "licences": facts.licences, **verdict_of(facts),
    }


def _picture(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704 - made by matplotlib, which escapes the text in it


def _curves(facts: RoundFacts) -> list[Any]:
    return [
        _picture(pictures.curve(steps, key, title, facts.run.run_id))
        for stage, steps in facts.curves.items() for key, title in CURVES[stage] if any(key in step for step in steps)
    ]


def verdict_of(facts: RoundFacts) -> dict[str, Any]:
    """`passed` (None where the gate has not spoken), the verdict in words, and the gap of every skill that fell short."""
    passed = facts.verdict.get("passed") if facts.verdict else None
    words = "not judged" if passed is None else "passed" if passed else "failed"
    return {"passed": passed, "verdict": words, "gaps": dict(facts.verdict.get("gaps", {}))}


def score_lines(facts: RoundFacts) -> list[dict[str, Any]]:
    """Per skill: the score of every checkpoint, the threshold, and whether the last checkpoint reaches it."""
    lines = []
    for skill in sorted({skill for values in facts.scores.values() for skill in values}):
        values = [values.get(skill) for values in facts.scores.values()]
        threshold = facts.thresholds.get(skill)
        passed = None if threshold is None or values[-1] is None else values[-1] >= threshold
        lines.append({"skill": skill, "scores": values, "threshold": threshold, "passed": passed})
    return lines
