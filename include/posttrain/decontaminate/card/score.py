"""Precision and recall of every rule on labelled rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.card.leaks import LANGUAGES, Item, Row
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import TrainingRow, find_contamination
from posttrain.decontaminate.presets import PRESETS, Measure, PresetName
from posttrain.decontaminate.search import EvalSearch, embedded
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.storage import ArtifactWriter

CURVES: dict[Measure, tuple[float, ...]] = dict.fromkeys(
    ("ngram_coverage", "cosine", "count_cosine", "jaccard", "reworded"), (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9))
"""Measure → the cut-offs of its precision-recall curve. Below the first nothing is asked."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """What a rule flags: row → the items (eval, row of the file) that it names, by decision."""

    removed: dict[int, set[int]]
    in_review: dict[int, set[int]]

    def items(self, row: int) -> set[int]:
        return self.removed.get(row, set()) | self.in_review.get(row, set())


@dataclass(frozen=True, slots=True)
class Score:
    """`found` leaks of `leaks`, and `false` flagged clean rows of `clean`."""

    found: int
    leaks: int
    false: int
    clean: int

    @property
    def recall(self) -> float:
        return self.found / self.leaks if self.leaks else 0.0

    @property
    def precision(self) -> float:
        flagged = self.found + self.false
        return self.found / flagged if flagged else 1.0


def card_index(items: Iterable[Item], folder: Path) -> EvalIndex:
    """The items as two eval sets, `card_en` and `card_ko`, indexed below `folder`."""
    sets = []
    for language in LANGUAGES:
        name = f"card_{language}"
        rows = [json.dumps({"question": item.question}, ensure_ascii=False) for item in items if item.language == language]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        sets.append(EvalSet(name=name, load=FileLoad(kind="file", path=f"{name}.jsonl"), fields=("question",)))
    writer = ArtifactWriter(str(folder / "index"), stage="index_evals")
    index_eval_sets(tuple(sets), folder, 0, Decontaminate(), writer)
    return load_index(writer.finish())


def flagged_by_preset(preset: PresetName, turns: list[str], search: EvalSearch) -> Flagged:
    """Row → items that a preset removes or gives to a reviewer."""
    rows = [TrainingRow(str(n), "card", [(0, turn)]) for n, turn in enumerate(turns)]
    result = Flagged(defaultdict(set), defaultdict(set))
    for n, findings in enumerate(find_contamination(rows, search, Decontaminate(preset=preset))):
        for finding in findings:
            if finding.decision != "keep":
                (result.removed if finding.decision == "remove" else result.in_review)[n].add(finding.match.item)
    return result


def flagged_by_measures(turns: list[str], search: EvalSearch) -> dict[tuple[Measure, float], Flagged]:
    """(measure, cut-off) → what a cut-off on this measure alone flags (≥)."""
    result = {}
    for measure, cut_offs in CURVES.items():
        matches = search.score(measure, turns, cut_offs[0])
        for cut_off in cut_offs:
            removed: dict[int, set[int]] = defaultdict(set)
            for match in matches:
                if match.score >= cut_off:
                    removed[match.turn].add(match.item)
            result[measure, cut_off] = Flagged(removed, {})
    return result


def all_rules(turns: list[str], index: EvalIndex) -> dict[str, Flagged]:
    """Rule name → what it flags: every preset, then every measure at every cut-off of its curve."""
    search = embedded(index)
    presets = {f"preset {name}": flagged_by_preset(name, turns, search) for name in PRESETS}
    measures = {f"{name} ≥ {cut_off:g}": flagged for (name, cut_off), flagged in flagged_by_measures(turns, search).items()}
    return presets | measures


def score_rows(rows: list[Row], flagged: Flagged, number_of: Mapping[tuple[str, int], int], kind: str, language: str) -> Score:
    """One cell of the card: the leaks of one kind and language ("" is all), against all clean rows of the language.

    A leak is found where the rule names its own item; a clean row is false where it names any.
    """
    leaks = found = false = clean = 0
    for n, row in enumerate(rows):
        if language and row.language != language:
            continue
        if row.item is None:
            clean += 1
            false += bool(flagged.items(n))
        elif not kind or row.kind == kind:
            leaks += 1
            found += number_of[row.item] in flagged.items(n)
    return Score(found, leaks, false, clean)


def item_numbers(index: EvalIndex, items: Iterable[Item]) -> dict[tuple[str, int], int]:
    """(language, number) → the item's number in the index."""
    known = {index.item_id[k].as_py(): k for k in range(len(index.item_id))}
    return {(item.language, item.number): known[f"card_{item.language}.jsonl:{item.number}"] for item in items}
