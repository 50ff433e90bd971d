"""docs/filters.md says what the rules find in real files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain.filters import RULES

CHECKED = (
    "alpaca_en_demo", "tulu2_mix_sample", "tulu3_sft_sample", "kto_en_demo", "dpo_en_demo", "sciriff", "tabmwp", "code_alpaca",
    "lima", "glaive_toolcall", "oasst_trees", "arena_answers", "pandalm", "self_instruct_answers", "tydiqa_ko", "chatbot_ko",
    "oasst_zh",
)
"""Sources of a few seconds in all, with which every rule that finds anything is checked."""


@pytest.fixture(scope="module")
def page(project: Path) -> Any:
    spec = importlib.util.spec_from_file_location("filter_page", project / "docs" / "filter_page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["filter_page"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_figures_that_the_code_gives(page: Any, project: Path, test_data: Path) -> None:
    written = page.figures_of((project / "docs" / "filters.md").read_text(encoding="utf-8"))
    counts = page.count_rules(test_data, CHECKED)
    found = {(rule, source): rows for source, by_rule in counts.items() for rule, rows in by_rule.items()
             if rows and rule != "rows"}
    assert {key: rows for key, rows in written.items() if key[1] in CHECKED} == found, (
        "docs/filters.md is old: run `python docs/generate.py filters --data-root FOLDER`")
    assert {rule for rule, _ in written} == {rule for rule, _ in found}


def test_the_page_has_every_rule_and_its_own_words(page: Any, project: Path) -> None:
    text = (project / "docs" / "filters.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.name}` | `{rule.reason}` |" in text and page.ABOUT[rule.name] in text
    assert all(words in text for words in (*page.SEEN.values(), page.TAIL, page.SEEN_HEAD))
