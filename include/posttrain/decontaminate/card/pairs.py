"""Labelled pairs of a training text and an eval text: how every rule does on them.

A line of the file is JSON, in one of two forms; `label` (or `reader_label`) is `same_item`, `variant` or anything else, and the
first two are leaks:

    {"train": "…", "eval": "…", "label": "variant"}
    {"train_file": "train/a.jsonl.gz", "train_file_index": 7, "eval_file": "eval/b.json", "eval_file_index": 3, "label": "other"}

The second names rows below a data root; `eval_field` names the field of the eval item that counts (else it is its prompt, and
an `eval_set` whose name ends in `_context` means the field `context`). Pairs of texts are indexed with each other; of named
files the whole eval file is, since a word is as rare as it is in the eval set.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.card.score import Flagged, Score, all_rules
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad, load_recipe
from posttrain.storage import ArtifactWriter

LEAK_LABELS = ("same_item", "variant")
FILES_OF = "real"
"""The recipe whose eval sets say which fields of a named eval file count."""


class PairsFileError(ValueError):
    """A line of a pair file cannot be used. The message names the file, the line and what is expected."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`turns`: the user turns, or the text. `item`: the number of the eval item in the index of all pairs."""

    turns: tuple[str, ...]
    item: int
    label: str

    @property
    def is_leak(self) -> bool:
        return self.label in LEAK_LABELS


def read_pairs(path: Path, root: Path | None, folder: Path) -> tuple[list[Pair], EvalIndex]:
    """The pairs of a file with the index of their eval items, made below `folder`. Raises PairsFileError."""
    lines = [(n, line) for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line.strip()]
    values = [_value(path, n, line) for n, line in lines]
    if not values:
        raise PairsFileError(f"{path} holds no pair")
    named = {"train_file" in value for value in values}
    if named == {True, False}:
        raise PairsFileError(f"{path}: pairs of texts and pairs of files are mixed; put them into two files")
    if named == {False}:
        return _text_pairs(values, folder)
    if root is None:
        raise PairsFileError(f"{path} names files: say with --data-root where they are")
    return _file_pairs(path, values, root, folder)


def _value(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise PairsFileError(f"{path}:{number}: not JSON: {error}") from error
    known = set(value) if isinstance(value, dict) else set()
    named = {"train", "eval"} <= known or {"train_file", "train_file_index", "eval_file", "eval_file_index"} <= known
    if not named or not known & {"label", "reader_label"}:
        raise PairsFileError(f"{path}:{number}: expected train, eval and label, or train_file, train_file_index, eval_file, "
                             "eval_file_index and label")
    return value


def _label(value: Mapping[str, Any]) -> str:
    return str(value.get("label", value.get("reader_label")))


def _text_pairs(values: list[dict[str, Any]], folder: Path) -> tuple[list[Pair], EvalIndex]:
    texts = list(dict.fromkeys(str(value["eval"]) for value in values))
    rows = [json.dumps({"prompt": text}, ensure_ascii=False) for text in texts]
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    index = _index((EvalSet(name="pairs", load=FileLoad(kind="file", path="pairs.jsonl")),), folder, folder)
    known = {index.item_id[k].as_py(): k for k in range(len(index.item_id))}
    items = {text: known.get(f"pairs.jsonl:{n}", -1) for n, text in enumerate(texts)}
    return [Pair((str(value["train"]),), items[str(value["eval"])], _label(value)) for value in values], index


def _file_pairs(path: Path, values: list[dict[str, Any]], root: Path, folder: Path) -> tuple[list[Pair], EvalIndex]:
    for name in {str(value[side]) for value in values for side in ("train_file", "eval_file")}:
        if not (root / name).is_file():
            raise PairsFileError(f"{path}: there is no {root / name}")
    fields = {file.relative_to(root).as_posix(): spec.fields for spec in load_recipe(FILES_OF).evals
              if isinstance(spec.load, FileLoad) for file in root.glob(spec.load.path)}
    wanted = sorted({(str(value["eval_file"]), _field(value)) for value in values})
    sets = {key: EvalSet(name=f"eval-{n}", load=FileLoad(kind="file", path=key[0]),
                         fields=(key[1],) if key[1] else fields.get(key[0], ())) for n, key in enumerate(wanted)}
    index = _index(tuple(sets.values()), root, folder)
    known = {(index.eval_names[index.eval_of_item[k]], index.item_id[k].as_py()): k for k in range(len(index.item_id))}
    rows: dict[str, dict[int, Any]] = defaultdict(dict)
    for name in {str(value["train_file"]) for value in values}:
        asked = {int(value["train_file_index"]) for value in values if value["train_file"] == name}
        rows[name] = {n: row for n, row in read_raw_file(root / name) if n in asked}
    pairs = []
    for value in values:
        name, row = str(value["train_file"]), int(value["train_file_index"])
        if row not in rows[name]:
            raise PairsFileError(f"{path}: {name} has no row {row}")
        key = (str(value["eval_file"]), _field(value))
        item = known.get((sets[key].name, f"{value['eval_file']}:{value['eval_file_index']}"), -1)
        pairs.append(Pair(tuple(text for _, text in user_turns(rows[name][row])), item, _label(value)))
    return pairs, index


def _field(value: Mapping[str, Any]) -> str:
    return str(value.get("eval_field") or ("context" if str(value.get("eval_set", "")).endswith("_context") else ""))


def _index(sets: tuple[EvalSet, ...], root: Path, folder: Path) -> EvalIndex:
    writer = ArtifactWriter(str(folder / "index"), stage="index_evals")
    index_eval_sets(sets, root, 0, Decontaminate(), writer)
    return load_index(writer.finish())


def pair_flags(pairs: list[Pair], index: EvalIndex) -> dict[str, Flagged]:
    """Rule → pair number → the pair's own item where the rule names it for one of its turns."""
    owner = [n for n, pair in enumerate(pairs) for _ in pair.turns]
    turns = [turn for pair in pairs for turn in pair.turns]
    return {name: Flagged(_of_pairs(pairs, owner, flagged.removed), _of_pairs(pairs, owner, flagged.in_review))
            for name, flagged in all_rules(turns, index).items()}


def _of_pairs(pairs: list[Pair], owner: list[int], named: Mapping[int, set[int]]) -> dict[int, set[int]]:
    return {owner[turn]: {pairs[owner[turn]].item} for turn, items in named.items() if pairs[owner[turn]].item in items}


def pair_scores(pairs: list[Pair], index: EvalIndex) -> dict[str, Score]:
    """Rule → how it does, removed and in review taken together."""
    return {name: pair_score(pairs, flagged) for name, flagged in pair_flags(pairs, index).items()}


def pair_score(pairs: list[Pair], flagged: Flagged) -> Score:
    hits = {n for n in range(len(pairs)) if flagged.items(n)}
    found, leaks = sum(pairs[n].is_leak for n in hits), sum(pair.is_leak for pair in pairs)
    return Score(found, leaks, len(hits) - found, len(pairs) - leaks)


def judged_score(pairs: list[Pair], flagged: Flagged, accuracy: float) -> tuple[float, float]:
    """(recall, precision) to be expected where a judge that is right in this share of the cases decides the review band.

    Computed, not measured: of the leaks in review the judge deletes `accuracy`, of the other pairs 1 - `accuracy`; what is
    removed without asking stays removed. Precision is the expected leaks among the expected deletions.
    """
    counts = Counter[tuple[bool, bool]]()  # (is it removed without asking, is it a leak)
    for n, pair in enumerate(pairs):
        if flagged.items(n):
            counts[n in flagged.removed, pair.is_leak] += 1
    found = counts[True, True] + accuracy * counts[False, True]
    false = counts[True, False] + (1 - accuracy) * counts[False, False]
    return found / max(1, sum(pair.is_leak for pair in pairs)), found / (found + false) if found + false else 1.0
