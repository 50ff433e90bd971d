"""Near duplicates of real rows against a count of the shingles that every two rows share."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from posttrain.collect import collect
from posttrain.convert import convert_source
from posttrain.duplicates.decide import decide
from posttrain.duplicates.fingerprints import fingerprint
from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.duplicates.texts import compared_texts
from posttrain.recipe import load_recipe
from posttrain.schema import Example
from posttrain.storage import ArtifactWriter, read_examples

SOURCES = ("alpaca_en_demo", "oasst_zh", "tydiqa_ko", "tatqa", "hh_rlhf", "chatbot_ko")
"""English, Chinese and Korean; passages that many questions share; preference pairs; very short rows."""
ROWS_A_SOURCE = 250


def real_rows(folder: Path, data: Path) -> list[Example]:
    recipe, found = load_recipe("real"), []
    for name in SOURCES:
        spec = recipe.source(name)
        collected = ArtifactWriter(str(folder / "collect" / name), stage="collect")
        collect(spec, data, 0, collected)
        converted = ArtifactWriter(str(folder / "convert" / name), stage="convert")
        convert_source(collected.finish(), spec, converted)
        found += list(read_examples(converted.finish()))[:ROWS_A_SOURCE]
    return found


def all_near_pairs(texts: list[str], groups: list[bytes], threshold: float) -> dict[tuple[int, int], float]:
    """Brute force over runs of three words: every pair at or above the threshold, with its Jaccard."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    found, sizes = {}, []
    for n, text in enumerate(texts):
        words = text.split()
        shingles = {tuple(words[k : k + 3]) for k in range(max(len(words) - 2, 1))}
        sizes.append(len(shingles))
        shared: Counter[int] = Counter()
        for shingle in shingles:
            shared.update(holders[shingle])
            holders[shingle].append(n)
        for other, count in shared.items():
            jaccard = count / (sizes[n] + sizes[other] - count)
            if jaccard >= threshold and groups[n] == groups[other]:
                found[other, n] = jaccard
    return found


def test_recall_and_precision_on_real_rows(test_data: Path, tmp_path: Path) -> None:
    wanted = Duplicates(conversations=False, near=NearDuplicates())
    compared = [compared_texts(example, wanted) for example in real_rows(tmp_path, test_data)]
    dice = random.Random(1)
    for row in compared[:]:
        share = dice.random() * 0.15
        words = [f"w{dice.getrandbits(30)}" if dice.random() < share else word for word in row.words.split()]
        compared.append(replace(row, words=" ".join(words)))
    texts = [row.words for row in compared]
    truth = all_near_pairs(texts, [row.group for row in compared], 0.8)
    assert len(compared) > 2_500 and sum(0.8 <= jaccard < 0.9 for jaccard in truth.values()) > 300

    found = decide(fingerprint(compared, wanted), np.zeros(len(compared)), wanted, lambda ns: [texts[n] for n in ns])
    settled = [not (found.keep[a] and found.keep[b]) for a, b in truth]
    assert np.mean(settled) >= 0.95
    for row in np.flatnonzero(~found.keep).tolist():
        kept = int(found.kept_row[row])
        assert found.keep[kept] and found.jaccard[row] == truth[min(row, kept), max(row, kept)] >= 0.8
