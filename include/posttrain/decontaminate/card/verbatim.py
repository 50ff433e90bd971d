"""Every item of real eval sets, given word for word as a training turn: what each preset makes of it."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.card.page import table
from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import Decision, TrainingRow, find_contamination
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.presets import PRESETS, Measure, PresetName
from posttrain.decontaminate.search import EvalSearch, embedded
from posttrain.recipe import Decontaminate, load_recipe
from posttrain.storage import ArtifactWriter

EVALS_OF = "real"
"""The recipe that names the eval sets below the data root."""

ROWS_AT_ONCE = 500
"""Sets whose items repeat each other give thousands of pairs a row."""

COPIED = 0.9
"""Of a copied item at least one text is covered whole, so nothing below is asked for: near copies overlap by the million."""

SHORT = 8
"""Words: an item of fewer has no 8-gram."""

Outcomes = Mapping[tuple[str, bool], Counter[Decision]]
"""(eval set, whether the item is short) → how many items are removed, reviewed or missed (`keep`)."""


def real_index(root: Path, folder: Path) -> EvalIndex:
    """The index of all eval sets of the recipe, made below `folder`."""
    recipe = load_recipe(EVALS_OF)
    writer = ArtifactWriter(str(folder / "index"), stage="index_evals")
    index_eval_sets(recipe.evals, root, recipe.seed, Decontaminate(), writer)
    return load_index(writer.finish())


def verbatim(index: EvalIndex, preset: PresetName, items: Iterable[int] | None = None) -> Outcomes:
    """What a preset says about each item beside the turn that is the item, its texts one below the other.

    Every turn is compared with the whole index. Of what the measures nominate, only the pair of the turn and its own item is
    judged: a preset judges each pair by itself, and near copies within a set would otherwise be judged by the million.
    """
    wanted, found = list(range(len(index.item_id)) if items is None else items), dict[tuple[str, bool], Counter[Decision]]()
    for begin in range(0, len(wanted), ROWS_AT_ONCE):
        numbers = wanted[begin : begin + ROWS_AT_ONCE]
        turns = [[index.text[k].as_py() for k in index.texts(n)] for n in numbers]
        rows = [TrainingRow(str(n), "verbatim", [(0, "\n".join(texts))]) for n, texts in zip(numbers, turns, strict=True)]
        search = EvalSearch(index, functools.partial(_own_pairs, embedded(index), numbers))
        findings = find_contamination(rows, search, Decontaminate(preset=preset))
        for n, texts, own in zip(numbers, turns, findings, strict=True):
            decisions = {finding.decision for finding in own}
            decision: Decision = "remove" if "remove" in decisions else "review" if "review" in decisions else "keep"
            key = index.eval_names[index.eval_of_item[n]], all(len(words(text)) < SHORT for text in texts)
            found.setdefault(key, Counter())[decision] += 1
    return found


def _own_pairs(search: EvalSearch, items: list[int], measure: Measure, turns: list[str], floor: float) -> list[Match]:
    if measure == "ngram_coverage":
        floor = max(floor, COPIED)
    return [match for match in search.score(measure, turns, floor) if match.item == items[match.turn]]


def verbatim_page(index: EvalIndex) -> str:
    """The Markdown page of all presets."""
    found = {preset: verbatim(index, preset) for preset in PRESETS}
    totals = [[preset, *_cells(outcomes.values()), *_cells(c for (_, short), c in outcomes.items() if short)]
              for preset, outcomes in found.items()]
    names = sorted({name for outcomes in found.values() for name, _ in outcomes})
    rows = [[name, *(" / ".join(_cells(c for (own, _), c in outcomes.items() if own == name)) for outcomes in found.values())]
            for name in names]
    head = [f"{group} {what}" for group in ("all:", "short:") for what in ("items", "removed", "review", "missed")]
    return _PAGE.format(recipe=EVALS_OF, items=f"{len(index.item_id):,}", sets=len(names), short=SHORT,
                        totals=table(["preset", *head], totals), rows=table(["eval set", *found], rows))


def _cells(counters: Iterable[Counter[Decision]]) -> list[str]:
    total = sum(counters, Counter[Decision]())
    return [f"{n:,}" for n in (total.total(), total["remove"], total["review"], total["keep"])]


_PAGE = """# Verbatim prompts

Made by `make decontamination-card DATA_ROOT=<folder>`. Every item of the {sets} eval sets of recipe `{recipe}` ({items}
items) is given word for word as a training turn. Found means removed or in review, with the item itself named.

{totals}
Short items have fewer than {short} words in each of their texts, so that no 8-gram can find them.

## By eval set: items / removed / review / missed

{rows}"""
