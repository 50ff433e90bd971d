"""As little as a recipe can hold, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.recipe import RecipeError, load_recipe

SMALL = """\
name: small
description: one source, as little as a recipe can hold
sources:
  - name: questions
    family: gsm8k
    load: {kind: file, path: questions.jsonl}
    origin: written for this test
    license: MIT
mix:
  sft: [{source: questions, proportion: 1.0}]
model: {kind: tiny}
sft: {learning_rate: 1.0e-3, batch_size: 8, max_length: 64}
dpo: {learning_rate: 1.0e-4, batch_size: 8, max_length: 64}
rlvr: {learning_rate: 1.0e-4, batch_size: 8, max_length: 64}
"""


def refusal(tmp_path: Path, text: str, overrides: dict | None = None) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load_recipe(str(path), overrides)
    return str(error.value)


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if part in line)


def extending(tmp_path, text, base=SMALL):
    (tmp_path / "small.yaml").write_text(base, encoding="utf-8")
    path = tmp_path / "over.yaml"
    path.write_text("extends: {recipe: small.yaml}\nname: over\n" + text, encoding="utf-8")
    return str(path)


MORE = "sources:\n  - {name: more, family: gsm8k, load: {kind: file, path: b.jsonl}, origin: here, license: MIT}\n"
