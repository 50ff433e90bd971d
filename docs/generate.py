"""`python docs/generate.py`: write the pages of docs/ that follow from the code. A test compares them with it."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "include"))


def reasons_page() -> str:
    """Every reason for which a row can be dropped, in stage order."""
    from posttrain.schema import REASONS

    lines = ["# Reasons for drops", "", "Generated from `posttrain.schema.REASONS` by `python docs/generate.py`.", "",
             "A dropped row is never lost: it lies with its reason in `rejected-*.parquet` of the stage that dropped it.", "",
             "| reason | a row is dropped because |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{reason}` | {text} |" for reason, text in REASONS.items())]) + "\n"


PAGES = {"reasons.md": reasons_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
