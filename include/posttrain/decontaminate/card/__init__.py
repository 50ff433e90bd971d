"""The decontamination card: how well every measure and preset tells leaks from clean rows.

    make decontamination-card                                     docs/decontamination-card.md and .svg, from the items in card/
    make decontamination-card PAIRS=file DATA_ROOT=folder         docs/decontamination-pairs.md as well, for labelled pairs
    make decontamination-card DATA_ROOT=folder                    docs/decontamination-verbatim.md as well, for real eval sets
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from posttrain.decontaminate.card.leaks import card_items, card_rows
from posttrain.decontaminate.card.page import plot, recall_table, rules_shown, table, totals_table
from posttrain.decontaminate.card.pairs import judged_score, pair_flags, pair_score, read_pairs
from posttrain.decontaminate.card.score import Score, all_rules, card_index, item_numbers, score_rows
from posttrain.decontaminate.card.verbatim import real_index, verbatim_page

CARD, PLOT, PAIRS = "decontamination-card.md", "decontamination-card.svg", "decontamination-pairs.md"
VERBATIM = "decontamination-verbatim.md"
ACCURACIES = (0.8, 0.9, 0.95, 1.0)
"""Shares of right answers of a judge, for which the pairs' page says what would become of the review band."""


def make_card(out: Path) -> None:
    """Write the card and its plot into the folder `out`."""
    items = card_items()
    rows = list(card_rows(items))
    with tempfile.TemporaryDirectory() as folder:
        index = card_index(items, Path(folder))
        numbers = item_numbers(index, items)
        flagged = all_rules([row.turn for row in rows], index)

    def cell(rule: str, kind: str, language: str) -> Score:
        return score_rows(rows, flagged[rule], numbers, kind, language)

    leaks = sum(row.item is not None for row in rows)
    text = _PAGE.format(items=len(items), leaks=leaks, clean=len(rows) - leaks, recall=recall_table(cell),
                        totals=totals_table(cell), plot=PLOT)
    (out / CARD).write_text(text, encoding="utf-8")
    (out / PLOT).write_text(plot({rule: cell(rule, "", "") for rule in flagged}), encoding="utf-8")


def pairs_report(path: Path, root: Path | None) -> str:
    """Precision and recall of the rules on a pair file, as a Markdown table. Raises pairs.PairsFileError."""
    with tempfile.TemporaryDirectory() as folder:
        pairs, index = read_pairs(path, root, Path(folder))
        flags = pair_flags(pairs, index)
    rows = [[rule, f"{s.recall:.3f}", f"{s.precision:.3f}", f"{s.found} of {s.leaks}", f"{s.false} of {s.clean}"]
            for rule, s in ((rule, pair_score(pairs, flags[rule])) for rule in rules_shown())]
    head = f"{path.name}: {len(pairs)} pairs, {sum(pair.is_leak for pair in pairs)} of them the same item or a variant of it\n\n"
    judged = [[f"{accuracy:g}", *(f"{value:.3f}" for value in judged_score(pairs, flags["preset balanced"], accuracy))]
              for accuracy in ACCURACIES]
    return "\n".join([head + table(["rule", "recall", "precision", "found", "other pairs flagged"], rows),
                      "Preset balanced with a judge of this accuracy deciding its review band (computed, not measured):\n",
                      table(["accuracy of the judge", "recall", "precision"], judged)])


def verbatim_report(root: Path) -> str:
    """What every preset makes of every item of the real eval sets below `root`, given as a training turn: a Markdown page."""
    with tempfile.TemporaryDirectory() as folder:
        return verbatim_page(real_index(root, Path(folder)))


_PAGE = """# Decontamination card

Made by `make decontamination-card`; a test compares it with what the command writes. Do not edit it.

{items} eval items of the project's own (24 in English, each with its Korean translation) are indexed. {leaks} training turns are
leaks made from them, {clean} are clean rows on the same topics: another question about the same thing, alone, wrapped in the
same instruction and in the same context as the leaks. A leak is found where a rule removes it or gives it to a reviewer and names
the right item. What the kinds are and how they are made: `include/posttrain/decontaminate/card/leaks.py`.

![precision and recall of every measure and preset]({plot})

## Recall by kind of leak, English / Korean

{recall}
"Answer only" rows hold nothing of the prompt: an index of prompts cannot find them, and no measure here should. "Translated" rows
need a multilingual model for the measure `dense`; words do not cross languages.

## Precision and recall over all kinds

{totals}
How the defaults follow from this and from labelled pairs of real data: [decontamination.md](decontamination.md).
"""
