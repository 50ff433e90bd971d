"""All real eval sets on a real server, against rows of every real training file and hard texts: the same files come out."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from tests.decontaminate.test_command import write_jsonl

from posttrain.collect import source_files
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.files import decontaminate_files
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, load_recipe
from posttrain.storage import ArtifactWriter, Manifest

ROWS_A_FILE = 30
ODD = [
    "", " ", "?!", "\x00", "0", "yes", "예", "はい", "refrain " * 40, "1 2 3 4 5 6 7 8 9 10 " * 9, "💡" * 20, "a b c d e f g h",
    "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30, "def f(x):\n    return x\n" * 20, "\\frac{1}{2} + \\sqrt{3}" * 8,
    "두 정수의 합이 10이고 곱이 24라면, 두 정수를 구하시오. " * 3, "Who are you?", "什么是冰？", "氷とは何ですか。" * 5,
]


def real_turns(folder: Path) -> list[str]:
    """The user turns of the first rows of every training file of recipe `real`."""
    files = sorted({path for s in load_recipe("real").sources if s.load.kind == "file" for path in source_files(s.load, folder)})
    return [text for file in files for _, value in islice(read_raw_file(file), ROWS_A_FILE) if not isinstance(value, Broken)
            for _, text in user_turns(value)]


def leaks(index: EvalIndex) -> list[str]:
    """Eval texts of all sets and lengths: as they are, the first half, from the end to the beginning, wrapped, two in one."""
    texts = [index.text[k].as_py() for k in range(0, len(index.text), len(index.text) // 150)]
    words = [text.split() for text in texts]
    return [*texts, *(" ".join(own[: len(own) // 2]) for own in words), *(" ".join(own[::-1]) for own in words[::3]),
            *("\n".join(own) for own in words[::3]), *(f"{a}\n\n{b}" for a, b in zip(texts[::5], texts[1::5], strict=False))]


def outcome(folder: Path, train: Path, evals: Manifest, **settings: Any) -> tuple[dict[str, str], dict[str, int]]:
    """(file → its sha256, rows that are clean, in the band and removed)."""
    writer = ArtifactWriter(str(folder), stage="decontaminate")
    decontaminate_files([str(train)], evals, Decontaminate(**settings), writer)
    made = writer.finish()
    return {entry.name: entry.sha256 for entry in made.files}, made.facts["outcome"]


def test_the_same_files_come_out(server, test_data: Path, tmp_path: Path) -> None:
    recipe = load_recipe("real")
    writer = ArtifactWriter(str(tmp_path / "index"), stage="index_evals")
    index_eval_sets(recipe.evals, test_data, recipe.seed, Decontaminate(), writer)
    index = writer.finish()
    loaded = load_index(index)
    real, copied = real_turns(test_data), leaks(loaded)
    assert len(real) > 3_000 and len(loaded.eval_names) > 30
    for preset, every in (("tulu3", 1), ("seed", 16), ("balanced", 16)):  # the word measures take a hundred times as long
        turns = real[::every] + copied[::every] + ODD
        train = write_jsonl(tmp_path / f"{preset}.jsonl", [{"prompt": turn} for turn in turns])
        here, there = (outcome(tmp_path / f"{preset}-{name}" / "out", train, index, preset=preset, index=name)
                       for name in ("embedded", "elasticsearch"))
        assert there == here, preset
        assert here[1]["removed"] > 20 and here[1]["clean"] > 150, (preset, here[1])
