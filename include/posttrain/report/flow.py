"""The way from the pool to the mixture, source by source: an alluvial drawing and the counts in it, as the books have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from posttrain.mix.books import CHAIN
from posttrain.report import svg
from posttrain.report.mixture import Mixture

LEVELS = ("pool", "converted", "filtered", "deduplicated", "decontaminated", "mixed")
"""The columns of the drawing: CHAIN without `made`, whose rows join at `deduplicated`, before decontamination."""
HEIGHT, WIDTH, NODE, TOP = 330.0, 1040.0, 12.0, 42.0


@dataclass(frozen=True)
class Line:
    """One source: rows after each step that was done, rows that fell before each level of the drawing, and the rows in the
    mixture's splits, repeats counted."""

    source: str
    colour: str
    steps: dict[str, int]
    fell: dict[str, int]
    written: int | None


def flow_view(mixture: Mixture) -> dict[str, Any]:
    """What the template shows: `picture` (None with fewer than two steps), `steps`, `lines`, `total`, `fallen`, `joined`,
    `unexplained`.

    `unexplained` is None where artifacts before the mixture are gone: then nobody can say.
    """
    books = mixture.books
    chains = {source: books.chain(source) for source in books.sources()}
    written = {e.source: e.written for e in books.entries if e.stage == "mix"}
    names = sorted(chains, key=lambda s: (-max(chains[s].values(), default=0), s))
    steps = [step for step in CHAIN if any(step in chain for chain in chains.values())]
    if steps and not any(chain.get("made") for chain in chains.values()):
        steps = [step for step in steps if step != "made"]
    fell: dict[str, dict[str, int]] = {}
    for stage, source, reason, rows in books.reasons():
        if level := level_of(stage, reason):
            own = fell.setdefault(source, {})
            own[level] = own.get(level, 0) + rows
    lines = [Line(name, svg.colour(n), chains[name], fell.get(name, {}), written.get(name, 0) if mixture.mix else None)
             for n, name in enumerate(names)]
    total = {step: sum(line.steps.get(step, 0) for line in lines) for step in steps}
    levels = [level for level in LEVELS if level in steps]
    fallen: dict[tuple[str, str, str], int] = {}
    for stage, source, reason, rows in books.reasons():
        fallen[stage, source, reason] = fallen.get((stage, source, reason), 0) + rows
    known = "pool" in steps and not mixture.gone
    return {
        "steps": steps, "lines": lines, "total": total, "written": sum(written.values()) if mixture.mix else None,
        "picture": draw(lines, levels) if len(levels) > 1 and lines else None,
        "fallen": sorted(((*key, rows) for key, rows in fallen.items()), key=lambda f: -f[3]),
        "joined": books.joined(), "problems": books.problems if known else [], "gone": mixture.gone,
        "unexplained": books.unexplained if known else None,
    }


def level_of(stage: str, reason: str) -> str | None:
    """The level before which a row falls that this stage drops; None for rows that the teacher did not give."""
    if stage in ("filter", "deduplicate"):
        return "deduplicated" if "duplicate" in reason else "filtered"
    return {"collect": "converted", "convert": "converted", "decontaminate": "decontaminated", "review": "decontaminated",
            "mix": "mixed"}.get(stage)


def level_rows(line: Line, level: str) -> int:
    """Rows of a source at a level of the drawing."""
    return line.steps.get(level, 0) + (line.steps.get("made", 0) if level == "deduplicated" else 0)


def draw(lines: list[Line], levels: list[str]) -> str:
    """A band per source, as high as its rows at each level; what fell before a level hangs red below it.

    Rows that a step adds (two examples of one raw row, rows that were made) begin at its node, without a band before it.
    """
    totals = {level: sum(level_rows(line, level) for line in lines) for level in levels}
    scale = HEIGHT / max([*totals.values(), 1])
    gap = (WIDTH - 190 - NODE) / (len(levels) - 1)
    x = {level: 140 + n * gap for n, level in enumerate(levels)}
    bands, nodes, lowest = [], [], TOP + HEIGHT
    for left, right in zip(levels, levels[1:], strict=False):
        y_left = y_right = TOP
        under = TOP + totals[right] * scale + 26
        fell = 0
        for line in lines:
            before, after = level_rows(line, left), level_rows(line, right)
            off = min(before, line.fell.get(right, 0))
            on = min(before - off, after)
            if on:
                bands.append(_band(x[left] + NODE, y_left, x[right], y_right, on * scale, line.colour, 0.45,
                                   f"{line.source}: {on:,} of {before:,} rows go on to {right}"))
            if off:
                bands.append(_band(x[left] + NODE, y_left + on * scale, x[right], under + fell * scale, off * scale,
                                   svg.FALLEN, 0.3, f"{line.source}: {off:,} of {before:,} rows fell before {right}"))
            y_left, y_right, fell = y_left + before * scale, y_right + after * scale, fell + off
        if fell:
            nodes.append(svg.box(x[right], under, NODE, fell * scale, svg.FALLEN, f"{fell:,} rows fell before {right}"))
            nodes.append(svg.label(x[right] + NODE / 2, under - 4, f"−{fell:,}", size=10, anchor="middle", fill=svg.FALLEN))
            lowest = max(lowest, under + fell * scale)
    for level in levels:
        y = TOP
        nodes.append(svg.label(x[level] + NODE / 2, 16, level, anchor="middle"))
        nodes.append(svg.label(x[level] + NODE / 2, 31, f"{totals[level]:,}", size=11, anchor="middle", fill="#5d6670"))
        for line in lines:
            rows = level_rows(line, level)
            tall = rows * scale
            if rows:
                nodes.append(svg.box(x[level], y, NODE, tall, line.colour, f"{line.source}, {level}: {rows:,}"))
            if level == levels[0] and tall >= 11:
                shown = line.source if len(line.source) <= 20 else line.source[:19] + "…"
                nodes.append(svg.label(x[level] - 6, y + tall / 2 + 4, shown, size=10, anchor="end"))
            y += tall
    return svg.drawing(WIDTH, lowest + 14, bands + nodes, "Rows from the pool to the mixture by source")


def _band(x0: float, y0: float, x1: float, y1: float, tall: float, fill: str, opacity: float, title: str) -> str:
    middle = (x0 + x1) / 2
    path = (f"M{x0:.1f},{y0:.1f} C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f} V{y1 + tall:.1f} "
            f"C{middle:.1f},{y1 + tall:.1f} {middle:.1f},{y0 + tall:.1f} {x0:.1f},{y0 + tall:.1f} Z")
    return f'<path d="{path}" fill="{fill}" fill-opacity="{opacity}"><title>{svg.escape(title)}</title></path>'
