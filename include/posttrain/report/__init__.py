"""report.html: one self-contained file over all rounds of a run's loop, or over a mixture; the same facts as plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from posttrain.report import data_page, pictures
from posttrain.report.contamination import contamination_view
from posttrain.report.facts import RoundFacts, read_round
from posttrain.report.mixture import Mixture, mixture_of_folder, mixture_of_run
from posttrain.run import Run, rounds_of
from posttrain.schema import REASONS
from posttrain.storage import Manifest, join, write_atomic

SECTIONS = (
    ("verdict", "Verdict"), ("rows", "Rows"), ("drops", "Drops"), ("contamination", "Contamination"), ("training", "Training"),
    ("scores", "Scores"), ("seconds", "Seconds"), *data_page.SECTIONS, ("recipe", "Recipe"),
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
    page = render_report([read_round(r) for r in rounds_of(run) if r.round <= run.round], mixture_of_run(run))
    with write_atomic(path) as f:
        f.write(page.encode("utf-8", "replace"))
    return path


def write_mixture_report(folder: str, out: str) -> str:
    """Write the page of one mixture artifact to `out` and return it. Raises StorageError where `folder` is no mixture."""
    mixture = mixture_of_folder(folder)
    page = page_environment().get_template("mixture_page.html.j2").render(
        title=f"Mixture {mixture.name}", sections=data_page.SECTIONS, artifacts=mixture.manifests, m=_data_view(mixture),
    )
    with write_atomic(out) as f:
        f.write(page.encode("utf-8", "replace"))
    return out


def write_decontamination_report(manifest: Manifest) -> str:
    """Write report.html into a decontaminate artifact that the command made, and return its path."""
    path = manifest.file("report.html")
    page = page_environment().get_template("contamination_page.html.j2").render(
        title="Decontamination", c=_contamination(manifest, None), parents=manifest.parents)
    with write_atomic(path) as f:
        f.write(page.encode("utf-8", "replace"))
    return path


def _contamination(manifest: Manifest, review: Manifest | None) -> dict[str, Any]:
    view = contamination_view(manifest, review)
    return view | {"heat": view["heat"] and _picture(view["heat"])}


def render_report(rounds: list[RoundFacts], mixture: Mixture) -> str:
    """The page: all rounds, and the data of the last one. Names and texts from data and recipes are escaped; pictures are not."""
    last = rounds[-1].run
    return page_environment().get_template("report.html.j2").render(
        title=f"{last.recipe.name}: {last.run_id}", sections=SECTIONS, recipe=last.recipe, reasons=REASONS,
        rounds=[_round_view(facts) for facts in rounds], seconds_picture=_picture(pictures.seconds(rounds)),
        stop=rounds[-1].stop, m=_data_view(mixture),
        recipe_yaml=yaml.safe_dump(last.recipe.model_dump(mode="json", exclude_none=True), allow_unicode=True, sort_keys=False),
    )


def page_environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = lambda value: f"{value:.4g}" if isinstance(value, float) else value
    return environment


def _data_view(mixture: Mixture) -> dict[str, Any]:
    """The view of the data sections with its drawings marked as such, so that they are not escaped a second time."""
    view = data_page.data_view(mixture)
    marked = lambda part, *names: part | {name: part[name] and _picture(part[name]) for name in names}  # noqa: E731
    view["flow"] = marked(view["flow"], "picture")
    view["lengths"]["splits"] = [marked(split, "characters", "turns") for split in view["lengths"]["splits"]]
    if view["shares"]:
        for name in ("categories", "languages"):
            view["shares"][name] = [marked(table, "picture") for table in view["shares"][name]]
    if view["duplicates"]:
        view["duplicates"] = marked(view["duplicates"], "picture")
    if view["diversity"]:
        view["diversity"]["languages"] = [marked(language, "picture") for language in view["diversity"]["languages"]]
        if view["diversity"]["map"]:
            view["diversity"]["map"] = marked(vars(view["diversity"]["map"]), "picture")
    return view


def _round_view(facts: RoundFacts) -> dict[str, Any]:
    dropped, run_id = sorted(facts.drops(), key=lambda d: -d.rows), facts.run.run_id
    return {
        "run": facts.run, "stages": facts.stages, "flow": _picture(pictures.flow(facts)),
        "drops": dropped, "drops_picture": _picture(pictures.drops(dropped, run_id)) if dropped else None,
        "contamination": _contamination(facts.decontaminated, facts.reviewed) if facts.decontaminated else None,
        "curves": _curves(facts), "scores": facts.scores, "score_lines": score_lines(facts), "tasks": facts.tasks,
        "scores_picture": _picture(pictures.scores(facts)) if facts.scores else None,
        **verdict_of(facts),
    }


def _picture(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704 - made by matplotlib or report/svg.py, which escape the text in it


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
