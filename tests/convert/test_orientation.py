"""Which answer is chosen, checked on every row of the real labelled files against the label read on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.convert import FAMILIES
from posttrain.convert.draft import Draft
from posttrain.raw_files import Broken, read_raw_file
from posttrain.schema import UnreadableRow

HH = "train/anthropics__hh-rlhf/test.4of5.jsonl.gz"
HH_KO = "train/sionic-ai__Data_Ko_hh-rlhf/ko_harmless_base_test.4of5.txt.gz"


def pairs(path: Path, family: str) -> Iterator[tuple[int, Any, Draft]]:
    """(row number, raw row, its pair) of every row that the family converts."""
    for number, row in read_raw_file(path):
        if not isinstance(row, Broken):
            try:
                (draft,) = FAMILIES[family].convert(row)
            except UnreadableRow:
                continue
            yield number, row, draft


def test_hh_rlhf(test_data: Path) -> None:
    found = list(pairs(test_data / HH, "hh_rlhf"))
    assert len(found) == 1844
    for _, row, draft in found:
        assert row["chosen"].strip().endswith(draft.chosen[-1].content)
        assert row["rejected"].strip().endswith(draft.rejected[-1].content)


def test_pandalm_follows_the_three_votes(test_data: Path) -> None:
    found = list(pairs(test_data / "train/WeOpenML__PandaLM/testset-v1.json.gz", "pandalm"))
    assert len(found) == 888
    for _, row, draft in found:
        votes = Counter(row[f"annotator{n}"] for n in (1, 2, 3))
        better, worse = (1, 2) if votes[1] > votes[2] else (2, 1)
        assert votes[better] >= 2
        assert (draft.chosen[-1].content, draft.rejected[-1].content) == (row[f"response{better}"], row[f"response{worse}"])


def test_ranked_answers(test_data: Path) -> None:
    for _, row, draft in pairs(test_data / "train/hiyouga__LLaMA-Factory/oaast_rm_zh.json.gz", "oasst_ranked"):
        assert (draft.chosen[-1].content, draft.rejected[-1].content) == (row["output"][0], row["output"][-1])


def test_kto_labels(test_data: Path) -> None:
    labels = Counter()
    for _, row, draft in pairs(test_data / "train/hiyouga__LLaMA-Factory/kto_en_demo.json.gz", "kto"):
        assert bool(draft.chosen) is row["label"] and bool(draft.rejected) is not row["label"]
        labels[row["label"]] += 1
    assert sum(labels.values()) == 300 and min(labels.values()) > 0


def test_pairs_in_three_published_forms(test_data: Path) -> None:
    for name in ("hiyouga__LLaMA-Factory/dpo_en_demo.4of5.json.gz", "allenai__open-instruct/preference_sample.jsonl.gz",
                 "allenai__noncompliance/coconot_pref.4of5.jsonl.gz"):
        for _, row, draft in pairs(test_data / "train" / name, "preference"):
            for side in ("chosen", "rejected"):
                value = row[side][-1] if isinstance(row[side], list) else row[side]
                text = value if isinstance(value, str) else value.get("value") or value.get("content")
                assert getattr(draft, side)[-1].content == text


def test_the_korean_translation_agrees_with_the_english_rows(test_data: Path) -> None:
    """Line i translates row i. Where the two English answers differ by more than 60 characters, the longer one is the longer
    one in Korean as well: a pair that was turned round would show."""
    english = {number: draft for number, _, draft in pairs(test_data / HH, "hh_rlhf")}
    compared = 0
    for number, _, draft in pairs(test_data / HH_KO, "hh_rlhf_translated"):
        if number in english:
            there = len(english[number].chosen[-1].content) - len(english[number].rejected[-1].content)
            here = len(draft.chosen[-1].content) - len(draft.rejected[-1].content)
            if abs(there) > 60:
                assert (here > 0) == (there > 0), number
                compared += 1
    assert compared == 142
