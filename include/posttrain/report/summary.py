"""The plain-text table at the end of a run: the report's facts, for a terminal."""

from __future__ import annotations

import sys

from posttrain.report import score_lines, verdict_of
from posttrain.report.facts import RoundFacts, read_round
from posttrain.report.heat_table import COLUMNS, contaminated_cells
from posttrain.run import Run
from posttrain.storage import exists, join


def print_summary(runs: list[Run]) -> None:
    """Print the rounds of a loop: rows, reasons, removals per eval, scores against thresholds, seconds, paths."""
    sys.stdout.write(summary_text(runs))
    sys.stdout.flush()


def summary_text(runs: list[Run]) -> str:
    rounds = [read_round(run) for run in runs]
    blocks = [block for facts in rounds for block in _round_blocks(facts)]
    ended = [f"The loop ended: {rounds[-1].stop}."] if rounds[-1].stop else []
    return "\n\n".join([*blocks, *ended, _paths(rounds)]) + "\n"


def _round_blocks(facts: RoundFacts) -> list[str]:
    verdict = verdict_of(facts)
    aim = f", aimed at {', '.join(facts.run.focus)}" if facts.run.focus else ""
    gaps = "".join(f", {skill} {100 * gap:.1f} % short" for skill, gap in verdict["gaps"].items())
    title = f"Round {facts.run.round + 1} · {facts.run.run_id}{aim} · gate: {verdict['verdict']}{gaps}"
    return [title + "\n" + "=" * len(title), *filter(None, [_stages(facts), _drops(facts), _removals(facts), _scores(facts)])]


def _stages(facts: RoundFacts) -> str:
    rows = [[s.stage, f"{s.rows['read']:,}", f"{s.rows['kept']:,}", f"{s.rows['rejected']:,}", f"{s.seconds:.1f}",
             f"skipped: {s.why}" if s.skipped else ""] for s in facts.stages]
    total = sum(s.seconds for s in facts.stages)
    return table(["stage", "read", "kept", "dropped", "seconds", ""], [*rows, ["together", "", "", "", f"{total:.1f}", ""]])


def _drops(facts: RoundFacts) -> str:
    return table(["dropped by", "reason", "rows"], [[d.stage, d.reason, f"{d.rows:,}"] for d in facts.drops()], right=(2,))


def _removals(facts: RoundFacts) -> str:
    rows = [[_short(row[column]) for column in COLUMNS] for row in contaminated_cells(facts.contamination)]
    return table([column.replace("_", " ") for column in COLUMNS], rows, right=(2, 3, 4, 5))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _scores(facts: RoundFacts) -> str:
    lines = []
    for line in score_lines(facts):
        verdict = {None: "not gated", True: "reached", False: "below"}[line["passed"]]
        values = ["–" if v is None else f"{100 * v:.1f}" for v in line["scores"]]
        lines.append([line["skill"], *values, "–" if line["threshold"] is None else f"{100 * line['threshold']:.1f}", verdict])
    header = ["skill, %", *facts.scores, "threshold", ""]
    return table(header, lines, right=tuple(range(1, len(header) - 1)))


def _paths(rounds: list[RoundFacts]) -> str:
    run = rounds[-1].run
    lines = [f"report   {join(run.folder, 'report.html')}"] if exists(join(run.folder, "report.html")) else []
    release = rounds[-1].stage("release")
    return "\n".join([*lines, f"release  {release.paths[0] if release else 'none: the gate has not passed'}"])


def table(header: list[str], rows: list[list[str]], right: tuple[int, ...] = (1, 2, 3, 4)) -> str:
    """Columns two blanks apart; the columns in `right` end on the right. Empty where there are no rows."""
    if not rows:
        return ""
    widths = [max(map(width, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in [header, *rows]:
        cells = [" " * (w - width(c)) + c if n in right else c + " " * (w - width(c))
                 for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(width, lines)), *lines[1:]])


def width(text: str) -> int:
    """Columns of a terminal: a Hangul syllable takes two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
