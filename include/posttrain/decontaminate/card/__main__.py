"""python -m posttrain.decontaminate.card"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from posttrain.collect import SourceError
from posttrain.decontaminate.card import CARD, PAIRS, PLOT, VERBATIM, make_card, pairs_report, verbatim_report
from posttrain.decontaminate.card.pairs import PairsFileError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m posttrain.decontaminate.card", description="Write the decontamination card.")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the card and its plot")
    parser.add_argument("--pairs", type=Path, action="append", default=[],
                        help="labelled pairs (JSONL: train, eval, label; or files and rows): how the rules do on them")
    parser.add_argument("--data-root", type=Path,
                        help="where the files of --pairs are; without --pairs: every item of the eval sets there, word for word")
    given = parser.parse_args()
    try:
        reports = [pairs_report(path, given.data_root) for path in given.pairs]
        verbatim = verbatim_report(given.data_root) if given.data_root and not given.pairs else ""
    except (PairsFileError, SourceError, OSError) as error:
        print(f"decontamination-card: {error}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    make_card(given.out)
    print(f"wrote {given.out / CARD} and {given.out / PLOT}")
    if verbatim:
        (given.out / VERBATIM).write_text(verbatim, encoding="utf-8")
        print(f"wrote {given.out / VERBATIM}")
    if reports:
        (given.out / PAIRS).write_text("# Labelled pairs\n\n" + "\n".join(reports), encoding="utf-8")
        print("\n".join([f"wrote {given.out / PAIRS}\n", *reports]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
