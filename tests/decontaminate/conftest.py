"""Eval sets and training rows that a test writes down in a few words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.coverage import score_turns
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest


class Bench:
    """A folder of eval files and the artifacts made from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evals: list[EvalSet] = []
        (folder / "evals").mkdir(exist_ok=True)

    @staticmethod
    def sft(row_id: str, *turns: str, source: str = "train", answer: str = "ok") -> SFTExample:
        """A conversation with these user turns, each answered with `answer`."""
        messages = tuple(m for turn in turns for m in (Message("user", turn), Message("assistant", answer)))
        return SFTExample(
            id=row_id, source=source, category="general", skill="general", language="en", license="MIT", messages=messages,
        )

    def add_eval(self, name: str, items: list[Any], fields: tuple[str, ...] = ()) -> Path:
        """An eval set; an item that is a text stands for {"question": text}."""
        path = self.folder / "evals" / f"{name}.jsonl"
        rows = [{"question": item} if isinstance(item, str) else item for item in items]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        self.evals.append(EvalSet(name=name, load=FileLoad(kind="file", path=path.name), fields=fields))
        return path

    def index(self, settings: Decontaminate | None = None) -> Manifest:
        writer = ArtifactWriter(str(self.folder / "index"), stage="index_evals")
        index_eval_sets(tuple(self.evals), self.folder / "evals", 0, settings or Decontaminate(), writer)
        return writer.finish()

    def rows(self, examples: list[Any], name: str = "rows") -> Manifest:
        writer = ArtifactWriter(str(self.folder / name), stage="filter")
        for example in examples:
            writer.read(example.source)
            writer.keep(example)
        return writer.finish()

    def decontaminate(self, examples: list[Any], **settings: Any) -> Manifest:
        chosen = Decontaminate(**({"preset": "tulu3"} | settings))
        writer = ArtifactWriter(str(self.folder / "clean"), stage="decontaminate", settings=chosen.model_dump(mode="json"))
        decontaminate_examples([self.rows(examples)], self.index(chosen), chosen, writer)
        return writer.finish()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def score_of(bench: Bench) -> Callable[..., float]:
    """The score of one eval item against one training turn, through the whole stage; 0.0 where nothing is shared."""
    def score(item: Any, turn: str, n: int = 8, fields: tuple[str, ...] = ()) -> float:
        bench.add_eval("eval", [item], fields)
        index = load_index(bench.index(Decontaminate(ngram_size=n)))
        found = score_turns(index, [turn], floor=0.0)
        return found[0].score if found else 0.0

    return score


@pytest.fixture
def make_index(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[list[str]], int], EvalIndex]:
    """The loaded index of items given by their texts: (items, n) → index."""
    def make(items: list[list[str]], n: int) -> EvalIndex:
        folder = tmp_path_factory.mktemp("index")
        fields = ("a", "b", "c")
        rows = [dict(zip(fields, texts, strict=False)) for texts in items]
        (folder / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        spec = EvalSet(name="eval", load=FileLoad(kind="file", path="eval.jsonl"), fields=fields)
        writer = ArtifactWriter(str(folder / "index"), stage="index_evals")
        index_eval_sets((spec,), folder, 0, Decontaminate(ngram_size=n), writer)
        return load_index(writer.finish())

    return make
