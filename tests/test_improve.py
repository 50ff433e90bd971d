"""Improve with the real filter's rejects and the real procedural teacher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain import recipe
from posttrain.filters import filter_examples
from posttrain.improve import improve_prompts
from posttrain.problems import read_problem
from posttrain.schema import Message, RLVRExample, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected
from posttrain.teacher.client import Teacher, open_teacher
from posttrain.verifiers import verify


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teacher]:
    with open_teacher(recipe.Teacher(), str(tmp_path_factory.mktemp("workspace")), 0) as opened:
        yield opened


def example(
    id_: str, prompt: str, answer: str, *, skill: str = "addition", language: str = "en", row: int | None = None,
) -> SFTExample:
    return SFTExample(id=id_, source="demo", category="math", skill=skill, language=language, license="MIT", raw_file="a.jsonl",
                      raw_row=row, messages=(Message("user", prompt), Message("assistant", answer)))


def twin(sft: SFTExample, truth: str) -> RLVRExample:
    return RLVRExample(id=f"{sft.id}-rlvr", source=sft.source, category=sft.category, skill=sft.skill, language=sft.language,
                       license=sft.license, raw_file=sft.raw_file, raw_row=sft.raw_row, messages=sft.messages[:1],
                       ground_truth=truth, verifier="gsm8k")


def filtered(folder: Path, *examples: Any) -> Manifest:
    converted = ArtifactWriter(str(folder / "converted"), stage="convert")
    for one in examples:
        converted.read(one.source)
        converted.keep(one)
    out = ArtifactWriter(str(folder / "filtered"), stage="filter")
    filter_examples([converted.finish()], recipe.Filter(), out)
    return out.finish()


def improve(
    manifest: Manifest, teacher: Teacher, folder: Path, *, focus: dict[str, float] | None = None, max_rows: int = 200,
) -> Manifest:
    out = ArtifactWriter(str(folder / "improved"), stage="improve")
    improve_prompts(manifest, recipe.Improve(max_rows=max_rows), focus or {}, teacher, out)
    return out.finish()


BARE = [
    example("en_1", "2+2?", "2 + 2 = 4\n#### 4", row=0),
    example("ko_1", "2+2는 얼마인가요?", "2 + 2 = 4\n#### 4", skill="korean_addition", language="ko", row=1),
]


@pytest.mark.parametrize("bare", BARE, ids=["English", "Korean"])
def test_ax5_simple_question_becomes_a_word_problem_with_the_same_answer(
    teacher: Teacher, tmp_path: Path, bare: SFTExample,
) -> None:
    manifest = improve(filtered(tmp_path, bare), teacher, tmp_path)
    sft, = read_examples(manifest, "sft")
    rlvr, = read_examples(manifest, "rlvr")
    assert isinstance(sft, SFTExample) and isinstance(rlvr, RLVRExample)
    problem = read_problem(sft.messages[0].content)
    assert problem is not None
    assert (problem.a, problem.b, problem.answer, problem.language) == (2, 2, 4, bare.language)
    assert verify("gsm8k", sft.messages[1].content, "4").score == 1
    assert (sft.id, sft.parent_id, sft.made_by, sft.source) == (f"improved_{bare.id}", bare.id, "rewritten", "improved")
    assert (sft.language, sft.license, sft.skill) == (bare.language, "MIT", bare.skill)
    assert sft.request_id and Path(teacher.journal.path(sft.request_id)).is_file()
    assert (rlvr.ground_truth, rlvr.verifier, rlvr.messages) == ("4", "gsm8k", sft.messages[:1])
    assert (rlvr.id, rlvr.parent_id) == (f"improved_{bare.id}-rlvr", bare.id)
    assert manifest.rows == {"read": 1, "kept": 1, "rejected": 0}


def test_only_bare_arithmetic_is_rewritten_and_twins_count_once(teacher: Teacher, tmp_path: Path) -> None:
    source = filtered(
        tmp_path, BARE[0], twin(BARE[0], "4"),
        example("hi", "Hi!", "Hello!"),                                     # too simple, but has no known result
        example("chain", "1 + 2 + 3?", "6"),                                # more than one operation
        example("fine", "Why is the sky blue?", "Because air scatters blue light more than red light."),
    )
    manifest = improve(source, teacher, tmp_path)
    assert manifest.facts["candidates"] == 1
    assert manifest.rows == {"read": 1, "kept": 1, "rejected": 0}
    assert manifest.written == {"rlvr": 1, "sft": 1}


def test_the_result_is_computed_not_copied(teacher: Teacher, tmp_path: Path) -> None:
    manifest = improve(filtered(tmp_path, example("wrong", "2+2?", "2 + 2 = 5\n#### 5")), teacher, tmp_path)
    rlvr, = read_examples(manifest, "rlvr")
    assert isinstance(rlvr, RLVRExample) and rlvr.ground_truth == "4"


def test_what_the_teacher_cannot_rewrite_is_rejected_with_its_body(teacher: Teacher, tmp_path: Path) -> None:
    source = filtered(tmp_path, example("ko_2", "9-4는?", "5", skill="subtraction", language="ko", row=7))
    manifest = improve(source, teacher, tmp_path)
    assert manifest.reasons == {"teacher_gave_up": 1}
    row, = read_rejected(manifest)
    assert (row["id"], row["raw_row"], row["source"]) == ("improved_ko_2", 7, "improved")
    assert "9-4는?" in row["row"]


def test_a_focused_round_rewrites_the_weak_skill_first_and_several_times(teacher: Teacher, tmp_path: Path) -> None:
    others = example("en_2", "3+4?", "7", row=2), example("en_3", "7 × 8?", "56", skill="multiplication", row=3)
    source = filtered(tmp_path, *BARE, *others)
    manifest = improve(source, teacher, tmp_path, focus={"korean_addition": 0.4}, max_rows=6)
    skills = [row.skill for row in read_examples(manifest, "sft")]
    assert manifest.rows["read"] == 6
    assert skills[: skills.count("korean_addition")] == ["korean_addition"] * skills.count("korean_addition")
    assert skills.count("korean_addition") >= 3
    assert {row.id for row in read_examples(manifest, "sft")} <= {
        "improved_ko_1", "improved_ko_1_1", "improved_ko_1_2", "improved_ko_1_3", "improved_en_1", "improved_en_2"}
    assert len({row.messages[0].content for row in read_examples(manifest, "sft")}) == len(skills)


def test_the_same_prompt_in_two_rows_gets_two_rewrites(teacher: Teacher, tmp_path: Path) -> None:
    source = filtered(tmp_path, *(example(f"row_{n}", "6 + 7?", "13", row=n) for n in range(5)))
    manifest = improve(source, teacher, tmp_path)
    prompts = [row.messages[0].content for row in read_examples(manifest, "sft")]
    assert len(prompts) == len(set(prompts)) >= 4
    assert manifest.rows["read"] == 5
    assert set(manifest.reasons) <= {"duplicate_conversation"}


def test_max_rows_zero_asks_nothing(teacher: Teacher, tmp_path: Path) -> None:
    before = teacher.usage()["requests"]
    manifest = improve(filtered(tmp_path, *BARE), teacher, tmp_path, max_rows=0)
    assert manifest.rows == {"read": 0, "kept": 0, "rejected": 0}
    assert teacher.usage()["requests"] == before


def test_the_same_input_gives_the_same_bytes(teacher: Teacher, tmp_path: Path) -> None:
    source = filtered(tmp_path, *BARE)
    first = improve(source, teacher, tmp_path / "one")
    with open_teacher(recipe.Teacher(concurrency=1), str(tmp_path / "other_workspace"), 0) as other:
        assert improve(source, other, tmp_path / "two").content == first.content
    with open_teacher(recipe.Teacher(), str(tmp_path / "other_workspace"), 1) as other:
        assert improve(source, other, tmp_path / "three").content != first.content
