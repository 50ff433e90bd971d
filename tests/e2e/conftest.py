"""A data set on which every stage over shards starts its worker processes: 24,000 short rows of three sources."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain.recipe import RECIPE_FOLDER
from posttrain.run import Run, load_run
from posttrain.shards import ROWS_FOR_WORKERS

SOURCES = {"first": 11_000, "second": 9_000, "third": 4_000}
"""Source → rows. Each has two files and gives one shard."""
EVAL_ITEMS = 40
WORDS = [a + b for a in ("ba", "do", "fi", "ke", "lu", "mo", "ra", "su", "ti", "wo", "한", "물") for b in
         ("ker", "lin", "mar", "nel", "pon", "rus", "sat", "ton", "vel", "zig", "글", "결")]


@dataclass(frozen=True)
class ManyRows:
    """A recipe and its files. `recipe` names the sources' files relative to `data`, the data root."""

    recipe: Path
    data: Path

    def environment(self, workspace: str, workers: int) -> dict[str, str]:
        return os.environ | {"POSTTRAIN_WORKSPACE": workspace, "POSTTRAIN_DATA_ROOT": str(self.data),
                             "POSTTRAIN_WORKERS": str(workers)}

    def command(self, workspace: str, workers: int, run_id: str, limit: int = -1) -> subprocess.CompletedProcess[str]:
        """The data half on the command line, in a process of its own. No file may become larger than `limit` bytes."""
        return subprocess.run(
            [sys.executable, "-m", "posttrain", "run", str(self.recipe), "--until", "mix", "--run-id", run_id],
            env=self.environment(workspace, workers), capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )

    def run(self, workspace: str, workers: int, run_id: str = "many") -> tuple[Run, str]:
        """The command to its end; the run, and what it wrote to standard error."""
        done = self.command(workspace, workers, run_id)
        assert done.returncode == 0, done.stderr[-3000:]
        return load_run(run_id, workspace), done.stderr


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def rows_of(source: str, count: int, evals: list[str]) -> Iterator[dict[str, str]]:
    """Alpaca rows: of a hundred, two are earlier ones and two an earlier one with a word more; some ask an eval question."""
    rng, seen = random.Random(source), list[dict[str, str]]()
    for number in range(count):
        row = {"instruction": f"Why does the {sentence(rng, 8)} come to {source}?", "output": f"Because {sentence(rng, 25)}."}
        if number % 50 == 7:
            row = rng.choice(seen)
        elif number % 50 == 19:
            earlier = rng.choice(seen)
            row = earlier | {"output": f"{earlier['output']} {rng.choice(WORDS)}"}
        elif number % 200 == 33:
            row = row | {"instruction": rng.choice(evals)}
        elif number % 500 == 99:
            row = row | {"output": "As ChatGPT I cannot say."}
        elif number % 250 == 60:  # the same in every source
            row = {"instruction": f"What is number {number}?", "output": f"Number {number} is one that all sources have."}
        seen.append(row)
        yield row


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def recipe_of(data: Path) -> dict[str, Any]:
    """Recipe smoke with the three sources, an eval set of its own and the search for near duplicates."""
    value = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    value["sources"] = [{"name": name, "family": "alpaca", "load": {"kind": "file", "path": f"{name}/*.jsonl"},
                         "origin": "made by a test", "license": "CC0-1.0", "category": "general"} for name in SOURCES]
    value["evals"].append({"name": "items", "load": {"kind": "file", "path": "items.jsonl"}})
    value["mix"] = {"sft": [{"source": name, "proportion": 1.0} for name in SOURCES]}
    value |= {"name": "many", "improve": {"max_rows": 0}, "synthesize": {}, "review": {"unattended": "delete"},
              "filter": {"duplicates": {"near": {}}}}
    return value


@pytest.fixture(scope="session")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> ManyRows:
    data = tmp_path_factory.mktemp("many-rows")
    rng = random.Random(0)
    evals = [f"How often did the {sentence(rng, 12)} stand before the gate?" for _ in range(EVAL_ITEMS)]
    write_rows(data / "items.jsonl", [{"question": text} for text in evals])
    for source, count in SOURCES.items():
        (data / source).mkdir()
        rows = list(rows_of(source, count, evals))
        write_rows(data / source / "a.jsonl", rows[: count // 2])
        write_rows(data / source / "b.jsonl", rows[count // 2 :])
    assert sum(SOURCES.values()) * 0.9 > ROWS_FOR_WORKERS, "also after the filter"
    recipe = data / "many.yaml"
    recipe.write_text(yaml.safe_dump(recipe_of(data), allow_unicode=True), encoding="utf-8")
    return ManyRows(recipe, data)


@pytest.fixture(scope="session")
def alone(many_rows: ManyRows, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run in one process, without Airflow, in a folder."""
    run, said = many_rows.run(str(tmp_path_factory.mktemp("alone")), workers=1)
    assert "filter: redone 3 of 3 shards, in this process" in said
    assert re.search(r"collect: 3 of 3 sources, [\d,]+ rows, [\d,]+ rows/s, 0 s left", said)
    for part in ("convert: 3 of 3 sources,", "filter: 3 of 3 shards,", "decontaminate: 3 of 3 shards,"):
        assert re.search(rf"{part} [\d,]+ of [\d,]+ rows, [\d,]+ rows/s, 0 s left", said), "progress with rate and time left"
    reasons = run.manifest("filter").reasons
    assert min(reasons[name] for name in ("duplicate_conversation", "near_duplicate", "names_another_assistant")) > 20
    assert run.manifest("decontaminate").rows["rejected"] > 50
    return run
