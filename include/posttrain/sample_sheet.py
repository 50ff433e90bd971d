"""A sheet of random rows of one source, for a person to look at: CSV for a spreadsheet, or one self-contained HTML page.

The same seed gives the same rows. Every text is escaped: a row may hold HTML, or a spreadsheet's formula.
"""

from __future__ import annotations

import csv
import html
import io
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from posttrain.schema import Example, Message, PreferencePair, RLVRExample, kind_of

COLUMNS = ("kind", "id", "raw_file", "raw_row", "category", "skill", "language", "license", "prompt", "answer", "rejected answer",
           "ground truth", "tags", "verdict", "remark")
"""The last two are for the person who looks."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass
class Sheet:
    """What a sheet shows: the source's facts by name, random rows, and some rows that were rejected."""

    title: str
    facts: dict[str, str]
    examples: list[Example]
    rejected: list[dict[str, Any]] = field(default_factory=list)


def draw_rows(rows: Iterable[Any], count: int, seed: int) -> list[Any]:
    """`count` random rows in their order, one pass, without holding more than that (reservoir sampling)."""
    chooser = random.Random(seed)
    drawn: list[tuple[int, Any]] = []
    for n, row in enumerate(rows):
        if n < count:
            drawn.append((n, row))
        elif (place := chooser.randrange(n + 1)) < count:
            drawn[place] = (n, row)
    return [row for _, row in sorted(drawn, key=lambda item: item[0])]


def cells(example: Example) -> dict[str, str]:
    """One row of the sheet; `prompt` is all that stands before the last answer."""
    answer, rejected, truth = "", "", ""
    if isinstance(example, PreferencePair):
        turns = example.chosen or example.rejected
        answer = example.chosen[-1].content if example.chosen else ""
        rejected = example.rejected[-1].content if example.rejected else ""
        before = turns[:-1]
    elif isinstance(example, RLVRExample):
        before, truth = example.messages, f"{example.verifier}: {example.ground_truth}"
    else:
        before, answer = example.messages[:-1], example.messages[-1].content if example.messages else ""
    return {
        "kind": kind_of(example), "id": example.id, "raw_file": example.raw_file or "", "raw_row": str(example.raw_row),
        "category": example.category, "skill": example.skill, "language": example.language, "license": example.license,
        "prompt": _spoken(before), "answer": answer, "rejected answer": rejected, "ground truth": truth,
        "tags": ", ".join(example.tags), "verdict": "", "remark": "",
    }


def _spoken(turns: tuple[Message, ...]) -> str:
    """One turn as it is, several with their roles."""
    return turns[0].content if len(turns) == 1 else "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in turns)


# ---------------------------------------------------------------- the two forms


def csv_sheet(sheet: Sheet) -> str:
    """One line a row. A cell that a spreadsheet would take for a formula is led by an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for example in sheet.examples:
        row = cells(example)
        writer.writerow([_no_formula(row[name]) for name in COLUMNS])
    return text.getvalue()


def _no_formula(text: str) -> str:
    return "'" + text if text.startswith(FORMULA_STARTS) else text


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; max-width: 80rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f5f5; padding: .6rem; margin: .2rem 0 .8rem }
article { border-top: 1px solid #bbb; padding: .8rem 0 } h3 { margin: .2rem 0; font-size: 1rem } small { color: #555 }
.answer { background: #eaf6ea } .rejected { background: #faeaea } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
"""


def html_sheet(sheet: Sheet) -> str:
    """One page without scripts and without anything from elsewhere."""
    facts = "".join(f"<tr><td>{_e(name)}</td><td>{_e(value)}</td></tr>" for name, value in sheet.facts.items())
    parts = [f"<table>{facts}</table>", f"<h2>{len(sheet.examples)} random rows</h2>"]
    parts += [_article(n, cells(example)) for n, example in enumerate(sheet.examples, start=1)]
    if sheet.rejected:
        parts.append(f"<h2>{len(sheet.rejected)} of the rows that were not converted</h2>")
        for row in sheet.rejected:
            where = f"{row['raw_file']} row {row['raw_row']}: {row['reason']} in {row['field']} {row['detail']}"
            parts.append(f"<article><h3>{_e(where)}</h3><pre>{_e(str(row['row']))}</pre></article>")
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_e(sheet.title)}</title><style>{STYLE}</style>'
            f"</head><body><h1>{_e(sheet.title)}</h1>{''.join(parts)}</body></html>\n")


def _article(number: int, row: dict[str, str]) -> str:
    facts = " · ".join(row[name] for name in ("kind", "category", "skill", "language", "license", "tags") if row[name])
    texts = [("", "prompt"), ("answer", "answer"), ("rejected", "rejected answer"), ("answer", "ground truth")]
    shown = "".join(f'{name}<pre class="{kind}">{_e(row[name])}</pre>' for kind, name in texts if row[name])
    place = f"{row['raw_file']} row {row['raw_row']}"
    return f"<article><h3>{number}. {_e(row['id'])}</h3><small>{_e(facts)} · {_e(place)}</small><br>{shown}</article>"


def _e(text: str) -> str:
    return html.escape(text, quote=True)
