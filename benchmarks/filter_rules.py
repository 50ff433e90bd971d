"""Speed of the filter rules: rows of recipe `real`, through its converters, in one process.

    . ./env.sh && python benchmarks/filter_rules.py ../shared/data [SOURCE ...]

Prints rows/s and microseconds a row of all rules at their defaults, for all rows and for those of 1,000 to 2,500 bytes, and what
each rule costs on them. Processor time, the best of five passes; reading and writing are not in it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from filter_page import read_source  # noqa: E402

from posttrain.filters import RULES, RowView, prepare_rules  # noqa: E402
from posttrain.recipe import Filter  # noqa: E402

SOURCES = ("stanford_alpaca", "dolly", "lima")
PASSES = 5


def microseconds(work: Callable[[Any], object], rows: Sequence[Any]) -> float:
    """Processor time per row, the best of PASSES."""
    best = float("inf")
    for _ in range(PASSES):
        started = time.process_time()
        for row in rows:
            work(row)
        best = min(best, time.process_time() - started)
    return best / len(rows) * 1e6


def main(data_root: Path, sources: Sequence[str]) -> None:
    examples = [example for source in sources for example in read_source(source, data_root)]
    settings = Filter()
    judge = prepare_rules(settings)
    print("| rows | number | bytes a row | µs a row | rows/s |\n|---|---|---|---|---|")
    middle = [e for e in examples if 1000 <= len(RowView(e).folded) <= 2500]
    for name, chosen in (("all", examples), ("1,000 to 2,500 bytes", middle)):
        spent = microseconds(judge, chosen)
        size = sum(len(RowView(e).folded) for e in chosen) / len(chosen)
        print(f"| {name} | {len(chosen)} | {size:.0f} | {spent:.1f} | {1e6 / spent:,.0f} |")
    print("\n| part | µs a row |\n|---|---|")
    print(f"| view of the row | {microseconds(RowView, chosen):.2f} |")
    views = [RowView(example) for example in chosen]
    for rule in RULES:
        if rule.marks is None:
            print(f"| {rule.name} | {microseconds(lambda view, rule=rule: rule.rule(view, settings), views):.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:] or SOURCES)
