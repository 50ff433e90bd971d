"""Stages that work on shards: the same artifact whatever the number of processes, and only changed shards done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain import shards
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.filters import filter_examples
from posttrain.recipe import Decontaminate, EvalSet, Filter
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected, read_table

SHARED = dict(category="general", skill="general", language="en", license="MIT", raw_file="f")
STORY = "the old baker opened his shop before dawn and every child of the street came to smell the warm bread and the honey cakes"


def example(source: str, number: int, question: str, answer: str = "A long and honest answer.") -> SFTExample:
    messages = (Message("user", question), Message("assistant", answer))
    return SFTExample(id=f"{source}_{number}", source=source, raw_row=number, messages=messages, **SHARED)


def artifact(folder: Path, name: str, examples: list[SFTExample]) -> Manifest:
    writer = ArtifactWriter(str(folder / name), stage="convert")
    for one in examples:
        writer.read(one.source)
        writer.keep(one)
    return writer.finish()


@pytest.fixture
def inputs(tmp_path: Path) -> list[Manifest]:
    """Two sources: one row each that a rule drops, a conversation in both, a near copy, and a copied eval question."""
    first = [example("one", 0, "Tell me a story", STORY), example("one", 1, "2+2?", "4"),
             example("one", 2, "바다는 왜 파란가요?"),
             example("one", 3, "Please answer: how many apples does Tom have after he buys four more at the market?")]
    second = [example("two", 0, "바다는  왜 파란가요?"), example("two", 1, "Tell me a story", STORY + " today"),
              example("two", 2, "Who are you?", "I am ChatGPT."), example("two", 3, "Why is the sea blue?")]
    return [artifact(tmp_path, "one", first), artifact(tmp_path, "two", second)]


def filtered(folder: Path, inputs: list[Manifest], settings: Filter) -> Manifest:
    writer = ArtifactWriter(str(folder / "filter"), stage="filter", settings=settings.model_dump(mode="json"))
    filter_examples(inputs, settings, writer)
    return writer.finish()


NEAR = Filter(duplicates=Duplicates(near=NearDuplicates()))


def test_the_filter_drops_by_rule_and_duplicates_over_all_shards(tmp_path: Path, inputs: list[Manifest]) -> None:
    done = filtered(tmp_path / "a", inputs, NEAR)
    assert [e.id for e in read_examples(done)] == ["one_0", "one_2", "one_3", "two_3"]
    assert done.reasons == {"too_simple": 1, "names_another_assistant": 1, "duplicate_conversation": 1, "near_duplicate": 1}
    details = {row["id"]: row["detail"] for row in read_rejected(done)}
    assert details["two_0"] == "one_2 of one is kept" and details["two_1"].startswith("one_0 of one is kept (Jaccard 0.")
    clusters = read_table(done.file("clusters.parquet")).to_pylist()
    assert [(row["id"], row["kept"], row["kept_id"]) for row in clusters] == [
        ("one_0", True, "one_0"), ("two_1", False, "one_0"), ("one_2", True, "one_2"), ("two_0", False, "one_2")]


def test_priority_decides_which_of_two_is_kept(tmp_path: Path, inputs: list[Manifest]) -> None:
    settings = Filter(duplicates=Duplicates(near=NearDuplicates(), priority=("two",)))
    assert [e.id for e in read_examples(filtered(tmp_path / "a", inputs, settings))] == ["one_3", "two_0", "two_1", "two_3"]


def test_two_processes_write_the_same_artifact_as_one(
    tmp_path: Path, inputs: list[Manifest], monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = filtered(tmp_path / "one-process", inputs, NEAR)
    monkeypatch.setattr(shards, "ROWS_FOR_WORKERS", 1)
    monkeypatch.setenv("POSTTRAIN_WORKERS", "2")
    both = filtered(tmp_path / "two", inputs, NEAR)
    assert [(e.name, e.sha256) for e in both.files] == [(e.name, e.sha256) for e in alone.files]


def test_only_a_changed_shard_is_done_again(tmp_path: Path, inputs: list[Manifest]) -> None:
    first = filtered(tmp_path / "a", inputs, NEAR)
    assert first.facts["shards"] == {"all": 2, "redone": 2}
    changed = artifact(tmp_path, "changed", [example("two", 0, "A question that was not there before?")])
    writer = ArtifactWriter(str(tmp_path / "b"), stage="filter", settings=NEAR.model_dump(mode="json"),
                            shards=str(tmp_path / "a" / "shards"))
    filter_examples([inputs[0], changed], NEAR, writer)
    second = writer.finish()
    assert second.facts["shards"] == {"all": 2, "redone": 1}
    assert [e.id for e in read_examples(second)] == ["one_0", "one_2", "one_3", "two_0"]


def test_a_shard_without_its_manifest_is_done_again(tmp_path: Path, inputs: list[Manifest]) -> None:
    first = filtered(tmp_path / "a", inputs, NEAR)
    found = sorted((tmp_path / "a" / "shards" / "filter").iterdir())
    (found[0] / "manifest.json").unlink()
    writer = ArtifactWriter(str(tmp_path / "again"), stage="filter", settings=NEAR.model_dump(mode="json"),
                            shards=str(tmp_path / "a" / "shards"))
    filter_examples(inputs, NEAR, writer)
    again = writer.finish()
    assert again.facts["shards"] == {"all": 2, "redone": 1} and again.content == first.content


def test_decontamination_is_the_same_in_two_processes(
    tmp_path: Path, inputs: list[Manifest], monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "evals.jsonl").write_text(
        '{"question": "how many apples does Tom have after he buys four more at the market?"}\n', encoding="utf-8")
    evals = (EvalSet(name="apples", load={"kind": "file", "path": "evals.jsonl"}),)
    index_writer = ArtifactWriter(str(tmp_path / "index"), stage="index_evals")
    index_eval_sets(evals, tmp_path, 0, Decontaminate(), index_writer)
    index = index_writer.finish()

    def run(name: str) -> Manifest:
        writer = ArtifactWriter(str(tmp_path / name / "decontaminate"), stage="decontaminate")
        decontaminate_examples(inputs, index, Decontaminate(), writer)
        return writer.finish()

    alone = run("one-process")
    assert [row["id"] for row in read_rejected(alone)] == ["one_3"]
    monkeypatch.setattr(shards, "ROWS_FOR_WORKERS", 1)
    monkeypatch.setenv("POSTTRAIN_WORKERS", "2")
    two = run("two")
    assert [(e.name, e.sha256) for e in two.files] == [(e.name, e.sha256) for e in alone.files]
    assert two.facts == alone.facts
