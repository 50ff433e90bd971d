"""The card as Markdown tables and one SVG plot, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from posttrain.decontaminate.card.leaks import LANGUAGES, LEAKS, TRANSLATED
from posttrain.decontaminate.card.score import CURVES, Score
from posttrain.decontaminate.presets import PRESETS

KINDS = (*LEAKS, TRANSLATED)
SHOWN = (0.5, 0.6, 0.9)
"""The cut-offs of a single measure that the tables show; the plot shows all of CURVES."""

_COLOURS = ("#4269d0", "#ff725c", "#3ca951", "#a463f2", "#9c6b4e")


def rules_shown() -> list[str]:
    """The rules of the tables, presets first."""
    return [f"preset {name}" for name in PRESETS] + [f"{measure} ≥ {cut_off:g}" for measure in CURVES for cut_off in SHOWN]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def recall_table(cell: Callable[[str, str, str], Score]) -> str:
    """Recall of every kind of leak, English / Korean. `cell(rule, kind, language)`."""
    rows = [
        [rule, *(" / ".join(f"{cell(rule, kind, language).recall:.2f}" for language in LANGUAGES) for kind in KINDS)]
        for rule in rules_shown()
    ]
    return table(["rule", *KINDS], rows)


def totals_table(cell: Callable[[str, str, str], Score]) -> str:
    """Precision and recall over all kinds, and the clean rows that a rule flags."""
    rows = []
    for rule in rules_shown():
        both = [cell(rule, "", language) for language in LANGUAGES]
        rows.append([rule, *(f"{s.precision:.2f} / {s.recall:.2f}" for s in both),
                     " / ".join(f"{s.false} of {s.clean}" for s in both)])
    return table(["rule", "English: precision / recall", "Korean: precision / recall", "clean rows flagged, en / ko"], rows)


# ---------------------------------------------------------------- the plot


_WIDTH, _HEIGHT, _LEFT, _TOP, _SIDE = 640, 420, 60, 30, 340


def _point(recall: float, precision: float) -> tuple[float, float]:
    """Recall from 0 to 1 to the right, precision from .5 to 1 upwards."""
    return round(_LEFT + recall * _SIDE, 1), round(_TOP + (1 - max(precision, 0.5)) * 2 * _SIDE, 1)


def plot(scores: Mapping[str, Score]) -> str:
    """Precision over recall: a line per measure along its cut-offs, a square per preset. `scores`: rule → its score."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for step in range(6):
        x, y = _point(step / 5, 0.5 + step / 10)
        parts.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_TOP + _SIDE}" stroke="#ddd"/>')
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _SIDE}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{_TOP + _SIDE + 16}" text-anchor="middle">{step / 5:.1f}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{0.5 + step / 10:.1f}</text>')
    parts.append(f'<text x="{_LEFT + _SIDE / 2}" y="{_TOP + _SIDE + 34}" text-anchor="middle">recall</text>')
    parts.append(f'<text x="18" y="{_TOP + _SIDE / 2}" text-anchor="middle" '
                 f'transform="rotate(-90 18 {_TOP + _SIDE / 2})">precision</text>')
    legend = _LEFT + _SIDE + 30
    for n, (measure, cut_offs) in enumerate(CURVES.items()):
        points = [_point(s.recall, s.precision) for s in (scores[f"{measure} ≥ {cut_off:g}"] for cut_off in cut_offs)]
        line = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{_COLOURS[n]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{_COLOURS[n]}"/>' for x, y in points]
        parts.append(f'<circle cx="{legend}" cy="{_TOP + 10 + 20 * n}" r="5" fill="{_COLOURS[n]}"/>')
        parts.append(f'<text x="{legend + 12}" y="{_TOP + 14 + 20 * n}">{measure}, .3 to .9</text>')
    for n, name in enumerate(PRESETS):
        s = scores[f"preset {name}"]
        x, y = _point(s.recall, s.precision)
        parts.append(f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10" fill="black"/>')
        parts.append(f'<text x="{x}" y="{y - 10 - 12 * n}" text-anchor="middle" font-weight="bold">{name}</text>')
    parts.append(f'<rect x="{legend - 5}" y="{_TOP + 5 + 20 * len(CURVES)}" width="10" height="10" fill="black"/>')
    parts.append(f'<text x="{legend + 12}" y="{_TOP + 14 + 20 * len(CURVES)}">presets, remove + review</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
