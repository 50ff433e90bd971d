"""Counts per rule and source, and their examples: the same whichever worker counted what."""

from __future__ import annotations

import json
import random
from pathlib import Path

from posttrain.duplicates.settings import Duplicates
from posttrain.filters import RULES, RuleCounts, filter_examples, judge_example
from posttrain.recipe import Filter
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected

FACTS = {"category": "general", "skill": "general", "language": "en", "license": "MIT"}


def row(n: int, answer: str, source: str = "s") -> SFTExample:
    messages = (Message("user", f"Question {n}?"), Message("assistant", answer))
    return SFTExample(id=str(n), source=source, messages=messages, **FACTS)


def counted(rows: list[SFTExample]) -> RuleCounts:
    counts = RuleCounts()
    for example in rows:
        for found in judge_example(example, Filter()).reported:
            counts.add(example, found)
    return counts


def test_counts_and_examples_do_not_depend_on_the_workers() -> None:
    rows = [row(n, "Yes" if n % 2 else "a \ufffd b", "one" if n % 3 else "two") for n in range(60)]
    whole = counted(rows).facts(Filter())
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        parts = [counted(shuffled[:n]) for n in (7,)] + [counted(shuffled[7:30]), counted(shuffled[30:])]
        merged = RuleCounts()
        for part in random.Random(seed).sample(parts, 3):
            merged.merge(part)
        assert merged.facts(Filter()) == whole
    details = whole["rule_details"]
    assert {name: detail["rows"] for name, detail in details.items()} == {"one_word_answers": 30, "encoding": 30}
    assert details["encoding"]["sources"] == {"one": 20, "two": 10} and len(details["encoding"]["examples"]) == 10
    assert details["encoding"]["action"] == "report" and details["encoding"]["reason"] == "broken_encoding"


def test_examples_are_bounded_and_can_be_written_as_json() -> None:
    shown = counted([row(1, "word " * 500 + "\ud800")]).facts(Filter())["rule_details"]["encoding"]["examples"]
    assert shown[0]["id"] == "1" and shown[0]["source"] == "s" and shown[0]["turns"][0] == "user: Question 1?"
    assert len(shown[0]["turns"][1]) == len("assistant: ") + 200
    assert json.dumps(shown, ensure_ascii=False).encode()


def run(folder: Path, rows: list[SFTExample], settings: Filter) -> Manifest:
    source = ArtifactWriter(str(folder / "in"), stage="convert")
    for example in rows:
        source.read(example.source)
        source.keep(example)
    writer = ArtifactWriter(str(folder / "out"), stage="filter")
    filter_examples([source.finish()], settings, writer)
    return writer.finish()


def test_the_stage_keeps_counts_and_masks(tmp_path: Path) -> None:
    rows = [row(1, "Write to hong@naver.com, please."), row(2, "An ordinary answer."),
            row(3, "As an AI language model, I cannot."), row(4, "I am ChatGPT, hong@naver.com.")]
    done = run(tmp_path, rows, Filter(personal_data="mask", model_phrases="drop"))
    assert [e.messages[1].content for e in read_examples(done)] == ["Write to [EMAIL], please.", "An ordinary answer."]
    assert done.reasons == {"speaks_as_a_model": 1, "names_another_assistant": 1}
    details = done.facts["rule_details"]
    assert {name: (d["action"], d["rows"]) for name, d in details.items()} == {
        "keywords": ("drop", 1), "model_phrases": ("drop", 1), "personal_data": ("mask", 1)}
    assert {name: n for name, n in done.facts["rules"].items() if n} == {"keywords": 1, "model_phrases": 1}
    assert "hong@naver.com" in next(r["row"] for r in read_rejected(done) if r["id"] == "4")  # a dropped row is kept as it came


def test_a_rule_that_is_off_is_not_in_the_facts(tmp_path: Path) -> None:
    done = run(tmp_path, [row(1, "Yes")], Filter(one_word_answers="off", duplicates=Duplicates(conversations=False)))
    assert list(done.facts["rules"]) == [rule.name for rule in RULES if rule.name != "one_word_answers"]
    assert done.facts["rule_details"] == {}


def test_examples_show_no_personal_data() -> None:
    example = row(1, "Yes: hong@naver.com, 010-1234-5678. " + "A \ufffd b.")
    shown = counted([example]).facts(Filter())["rule_details"]
    assert set(shown) == {"encoding", "personal_data"}
    assert all(details["examples"][0]["turns"][1].startswith("assistant: Yes: [EMAIL], [PHONE].") for details in shown.values())
    assert shown["personal_data"]["examples"][0]["detail"] == "email xxxx@xxxxx.xxx, phone 000-0000-0000"
