"""A mixture of a few readable rows that was compared with one eval set, and a recipe that gets more of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posttrain import pipeline
from posttrain.columns import ExampleColumns
from posttrain.recipe import Decontaminate, EvalSet, Recipe, Review, load_recipe
from posttrain.run import start_run
from posttrain.schema import Example, Message, PreferencePair, RLVRExample, SFTExample, kind_of
from posttrain.storage import ArtifactWriter, Manifest

DUCKS = "Janet's ducks lay sixteen eggs per day and she eats three of them for breakfast every single morning"
TRAIN = "A train leaves the northern station at nine in the morning and travels at eighty kilometres per hour"
TOWER = "Which tower of the old harbour fortress was built first and by whose order was it torn down again"
BREAD = "Write a short poem about a baker who forgets the salt and still sells every loaf before noon"

_LABELS = {"category": "math", "skill": "general", "language": "en", "license": "MIT"}


def sft(row_id: str, question: str, source: str = "chat") -> SFTExample:
    messages = (Message("user", question), Message("assistant", f"An answer to {row_id}."))
    return SFTExample(id=row_id, source=source, messages=messages, **_LABELS)


def prompt(row_id: str, question: str, source: str = "chat", truth: str = "", verifier: str = "") -> RLVRExample:
    return RLVRExample(id=row_id, source=source, messages=(Message("user", question),), ground_truth=truth, verifier=verifier,
                       **_LABELS)


def pair(row_id: str, question: str, source: str = "pairs") -> PreferencePair:
    user = Message("user", question)
    return PreferencePair(id=row_id, source=source, prompt=question, chosen=(user, Message("assistant", "Good.")),
                          rejected=(user, Message("assistant", "Bad.")), **_LABELS)


ROWS: dict[str, list[Example]] = {
    "sft": [sft("bread", BREAD), sft("train", TRAIN), sft("ducks", DUCKS), sft("bread", BREAD), sft("ducks", DUCKS)],
    "preference_prompts": [prompt("bread", BREAD), prompt("ducks", DUCKS)],
    "preference": [pair("pair-bread", BREAD), pair("pair-ducks", DUCKS)],
    "rlvr": [prompt("tower", TOWER, "quiz", "the west tower", "ifeval")],
}
"""The mixture: two rows stand in the SFT split twice, and the ducks in every split but the last."""


class Bench:
    """A data root with eval files, a workspace, and the run `base` whose mixture is ROWS."""

    DUCKS, TRAIN, TOWER, BREAD = DUCKS, TRAIN, TOWER, BREAD
    HALF_TOWER = "Which tower of the old harbour fortress was built of the green stone"
    """Its first nine words are nine of the nineteen of TOWER."""
    sft = staticmethod(sft)

    def __init__(self, folder: Path) -> None:
        self.root, self.workspace = folder / "data", str(folder / "workspace")
        self.root.mkdir()
        self.evals: dict[str, dict[str, Any]] = {}
        self.settings: dict[str, Any] = {}
        self.review: dict[str, Any] = {"unattended": "delete"}

    def add_eval(self, name: str, questions: list[str], file: str = "") -> Path:
        """Write an eval file and name it in the recipe; under the same name it is another version of the file."""
        path = self.root / (file or f"{name}.jsonl")
        path.write_text("".join(json.dumps({"question": question}) + "\n" for question in questions), encoding="utf-8")
        self.evals[name] = {"name": name, "load": {"kind": "file", "path": path.name}}
        return path

    @property
    def recipe(self) -> Recipe:
        smoke = load_recipe("smoke")
        return smoke.model_copy(update={
            "evals": tuple(EvalSet.model_validate(value) for value in self.evals.values()),
            "decontaminate": Decontaminate.model_validate({"preset": "tulu3"} | self.settings),
            "review": Review.model_validate(self.review), "gate": smoke.gate.model_copy(update={"thresholds": {}})})

    def mixture(self, rows: dict[str, list[Example]] | None = None, run_id: str = "base") -> Manifest:
        """The mixture of a run, made after a comparison with the recipe's evals as they are now."""
        run = start_run(self.recipe, run_id, until="mix", workspace=self.workspace)
        index = pipeline.index_evals(run).manifest

        def work(out: ArtifactWriter) -> None:
            for split, examples in (rows or ROWS).items():
                for example in examples:
                    out.read(example.source)
                    out.kept(example.source)
                for first in range(0, len(examples), 2):  # parts of two rows
                    columns = ExampleColumns(kind_of(examples[first]))
                    for example in examples[first:first + 2]:
                        columns.append(example)
                    out.write_table(out.part_name(split), columns.table(), split)

        settings = {"made_for": run_id}
        return run.stage("mix", "posttrain.mix", inputs=[index], settings=settings, work=work).manifest


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The run `base`, compared with the eval `old`, which asks about nothing that is in the mixture."""
    made = Bench(tmp_path)
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(made.root))
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", made.workspace)
    made.add_eval("old", ["What is the capital of the smallest country that has a coast on two oceans and a lake"])
    made.mixture()
    return made


@pytest.fixture
def ids() -> Callable[[Manifest], dict[str, list[str]]]:
    """Split → the ids of a mixture's rows, in order."""
    from posttrain.storage import read_rows

    return lambda manifest: {split: [row["id"] for row in read_rows(manifest, split)] for split in manifest.written}
