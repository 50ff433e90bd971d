"""Semantic duplicates, and rows that only their numbers spared, side by side on the page of a run."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from tests.decontaminate.test_dense import save_model
from tests.report.test_data_page import RECIPE, write_lines

from posttrain import pipeline
from posttrain.recipe import check_recipe
from posttrain.report import write_report
from posttrain.report.data_page import data_view
from posttrain.report.mixture import mixture_of_run
from posttrain.run import start_run

ROWS = [("the cat sat on the zorp mat", "the sun"), ("the cat sat on the blip mat", "the sun"),
        ("how many are 3 red cats", "there are 3"), ("how many are 5 red cats", "there are 5"),
        ("the moon ran", "home on the mat")]


def test_a_person_can_judge_both(tmp_path: Path) -> None:
    write_lines(tmp_path / "one.jsonl", [{"instruction": q, "input": "", "output": a} for q, a in ROWS])
    semantic = {"model": str(save_model(tmp_path, seed=0)), "threshold": 0.999}
    source = RECIPE["sources"][0] | {"name": "one", "load": {"kind": "file", "path": str(tmp_path / "one.jsonl")}}
    value = json.loads(json.dumps(RECIPE)) | {
        "sources": [source], "evals": [], "filter": {"duplicates": {"semantic": semantic}},
        "mix": {"sft": [{"source": "one", "proportion": 1.0}]}}
    run = start_run(check_recipe(value, "test"), "small", until="mix", workspace=str(tmp_path / "workspace"))
    for stage in ("collect", "convert"):
        pipeline.MAPPED_STAGES[stage](run, "one")
    for stage in ("filter", "improve", "synthesize", "index_evals", "decontaminate", "review", "mix"):
        pipeline.LIBRARY_STAGES[stage](run)

    found = data_view(mixture_of_run(run))["duplicates"]
    assert (found["semantic"]["of"], found["spared"]["of"], found["clusters"]) == (1, 1, 1)
    [fell], [stayed] = found["semantic"]["pairs"], found["spared"]["pairs"]
    assert (fell["cosine"], fell["other_numbers"]) == (1.0, False) and (stayed["cosine"], stayed["other_numbers"]) == (1.0, True)
    assert [words for words, differs in fell["dropped"] + fell["kept"] if differs] == ["blip", "zorp"]

    page = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", Path(write_report(run)).read_text(encoding="utf-8"))))
    assert "Semantic duplicates side by side" in page and "Spared for their numbers" in page and "; the numbers differ" in page
