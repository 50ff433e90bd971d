"""The report's pictures: matplotlib figures as inline SVG. Text stays text, so that the browser's fonts draw it."""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import Any

from posttrain.report.facts import Drop, RoundFacts

KEPT, DROPPED, MADE, LINK = "#2f6f9f", "#c8553d", "#4c9f70", "#b9cfdf"
CHECKPOINT_COLOURS = {"base": "#b8bdc4", "sft": "#6fa3c7", "dpo": "#2f6f9f", "rlvr": "#173f5f"}


def flow(facts: RoundFacts) -> str:
    """A bar per stage, as high as the rows that it read: kept below, dropped on top; bands carry the kept rows on."""
    stages = [s for s in facts.stages if s.rows["read"] and s.stage in
              ("collect", "convert", "filter", "improve", "synthesize", "decontaminate", "review", "mix")]
    figure, axes = _figure(9.5, 3.6)
    top = max((s.rows["read"] for s in stages), default=1)
    line = [s for s in stages if s.stage not in ("improve", "synthesize", "review")]
    for n, stage in enumerate(stages):
        kept, read = stage.rows["kept"], stage.rows["read"]
        axes.bar(n, kept, 0.46, color=MADE if stage.stage in ("improve", "synthesize") else KEPT)
        axes.bar(n, read - kept, 0.46, bottom=kept, color=DROPPED)
        dropped = f"\n−{read - kept:,}" if read > kept else ""
        axes.text(n, read + 0.015 * top, f"{kept:,}{dropped}", ha="center", va="bottom", fontsize=8)
    for left, right in zip(line, line[1:], strict=False):
        x = [stages.index(left) + 0.23, stages.index(right) - 0.23]
        axes.fill_between(x, 0, [left.rows["kept"], min(left.rows["kept"], right.rows["read"])], color=LINK, zorder=0, lw=0)
    axes.set_xticks(range(len(stages)), [s.stage for s in stages], fontsize=8)
    axes.set_ylim(0, 1.22 * top)
    axes.set_ylabel("rows")
    return _svg(figure, f"flow {facts.run.run_id}")


def drops(items: list[Drop], run_id: str) -> str:
    """A horizontal bar per stage and reason, the most frequent on top; logarithmic where they differ by over 100 times."""
    items = sorted(items, key=lambda d: (d.rows, d.stage, d.reason))
    figure, axes = _figure(9.5, 0.6 + 0.28 * max(1, len(items)))
    axes.barh(range(len(items)), [d.rows for d in items], color=DROPPED)
    axes.set_yticks(range(len(items)), [_label(f"{d.stage}: {d.reason}") for d in items], fontsize=8)
    for n, drop in enumerate(items):
        axes.text(drop.rows, n, f" {drop.rows:,}", va="center", fontsize=8)
    if items and items[-1].rows > 100 * items[0].rows:
        axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("rows dropped")
    return _svg(figure, f"drops {run_id}")


def curve(steps: list[dict[str, float]], key: str, title: str, run_id: str) -> str:
    """One metric over the steps: every logged value, and the mean of the last fortieth of them as the bold line."""
    figure, axes = _figure(4.6, 2.6)
    points = [(s["step"], s[key]) for s in steps if key in s]
    width = max(1, len(points) // 40)
    windows = [points[max(0, n - width + 1) : n + 1] for n in range(len(points))]
    axes.plot(*zip(*points, strict=True), lw=0.6, alpha=0.4, color=KEPT)
    axes.plot([step for step, _ in points], [sum(v for _, v in window) / len(window) for window in windows], lw=1.6, color=KEPT)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    return _svg(figure, f"{title} {run_id}")


def scores(facts: RoundFacts) -> str:
    """A group of bars per skill: base → SFT → DPO → RLVR; the threshold is a line across its group."""
    checkpoints = list(facts.scores)
    skills = sorted({skill for values in facts.scores.values() for skill in values})
    figure, axes = _figure(9.5, 3.2)
    width = 0.8 / max(1, len(checkpoints))
    for n, checkpoint in enumerate(checkpoints):
        heights = [100 * facts.scores[checkpoint].get(skill, 0.0) for skill in skills]
        x = [k - 0.4 + (n + 0.5) * width for k in range(len(skills))]
        bars = axes.bar(x, heights, 0.92 * width, label=checkpoint, color=CHECKPOINT_COLOURS.get(checkpoint, KEPT))
        axes.bar_label(bars, [f"{h:.0f}" for h in heights], fontsize=7, padding=1)
    for k, skill in enumerate(skills):
        if skill in facts.thresholds:
            axes.hlines(100 * facts.thresholds[skill], k - 0.45, k + 0.45, color=DROPPED, lw=1.6)
    axes.set_xticks(range(len(skills)), [_label(s) for s in skills], fontsize=8)
    axes.set_ylim(0, 112)
    axes.set_ylabel("score, %")
    axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return _svg(figure, f"scores {facts.run.run_id}")


def seconds(rounds: list[RoundFacts]) -> str:
    """Seconds of work per stage, a bar per round; a skipped stage has none."""
    names = list(dict.fromkeys(s.stage for r in rounds for s in r.stages))
    figure, axes = _figure(9.5, 0.7 + 0.26 * max(1, len(names)) * max(1, len(rounds)) ** 0.5)
    height = 0.8 / max(1, len(rounds))
    for n, facts in enumerate(rounds):
        values = [(facts.stage(name).seconds if facts.stage(name) else 0.0) for name in names]  # type: ignore[union-attr]
        y = [k - 0.4 + (n + 0.5) * height for k in range(len(names))]
        bars = axes.barh(y, values, 0.9 * height, label=f"round {facts.run.round + 1}", color=[KEPT, MADE, LINK][n % 3])
        axes.bar_label(bars, [f"{v:.1f}" if v else "" for v in values], fontsize=7, padding=2)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    if len(rounds) > 1:
        axes.legend(fontsize=8, frameon=False)
    return _svg(figure, "seconds")


# ---------------------------------------------------------------- matplotlib


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of `width` × `height` inches with one axes; made without pyplot, which keeps global state."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label(text: str) -> str:
    """Names come from recipes and data: a dollar sign must not start a formula."""
    return text.replace("$", r"\$")


def _svg(figure: Any, salt: str) -> str:
    """The figure as an <svg> element. `salt` keeps the ids of several pictures of one page apart."""
    import matplotlib

    buffer = io.StringIO()
    # Text is not drawn as outlines, so the font that matplotlib measures with need not have Hangul.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    settings = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg"):], flags=re.DOTALL)
