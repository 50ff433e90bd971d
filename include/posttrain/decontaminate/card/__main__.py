"""python -m posttrain.decontaminate.card"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from posttrain.decontaminate.card import make_card, pairs_report
from posttrain.decontaminate.card.pairs import PairsFileError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m posttrain.decontaminate.card", description="Write the decontamination card.")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the card and its plot")
    parser.add_argument("--pairs", type=Path, action="append", default=[],
                        help="labelled pairs (JSONL: train, eval, label; or files and rows): print how the rules do on them")
    parser.add_argument("--data-root", type=Path, help="where the files of --pairs are")
    given = parser.parse_args()
    try:
        for path in given.pairs:
            print(pairs_report(path, given.data_root))
    except (PairsFileError, OSError) as error:
        print(f"decontamination-card: {error}", file=sys.stderr)
        return 2
    if not given.pairs:
        given.out.mkdir(parents=True, exist_ok=True)
        make_card(given.out)
        print(f"wrote {given.out}/decontamination-card.md and .svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
