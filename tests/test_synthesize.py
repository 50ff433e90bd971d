"""Synthesis with the real procedural teacher: every row new, verified, and linked to where it came from."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain import recipe
from posttrain.problems import PERSONAS, make_problem, read_problem
from posttrain.schema import Message, RLVRExample, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected
from posttrain.synthesize import METHODS, synthesize_rows
from posttrain.synthesize.ideas import read_pool
from posttrain.teacher.client import Teacher, open_teacher
from posttrain.verifiers import verify

SKILLS = ("addition", "korean_addition", "subtraction")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teacher]:
    with open_teacher(recipe.Teacher(), str(tmp_path_factory.mktemp("workspace")), 0) as opened:
        yield opened


def write_filtered(folder: Path, questions: list[tuple[str, str, str, str]], license_: str = "MIT") -> Manifest:
    """(id, skill, question, answer) → kept SFT and RLVR rows."""
    out = ArtifactWriter(str(folder / "filtered"), stage="filter")
    for id_, skill, question, answer in questions:
        language = "ko" if skill.startswith("korean") else "en"
        common = {"source": "demo", "category": "math", "skill": skill, "language": language, "license": license_}
        ask = Message("user", question)
        out.read("demo", 2)
        out.keep(SFTExample(id=id_, **common, messages=(ask, Message("assistant", answer))))
        truth = answer.rsplit("#### ", 1)[1]
        out.keep(RLVRExample(id=f"{id_}-rlvr", **common, messages=(ask,), ground_truth=truth, verifier="gsm8k"))
    return out.finish()


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    problems = [make_problem(skill, random.Random(f"{skill} {n}")) for skill in SKILLS for n in range(10)]
    return write_filtered(tmp_path_factory.mktemp("seeds"), [
        (f"{p.skill}_{n}", p.skill, p.question, p.solution) for n, p in enumerate(problems)])


def synthesize(
    manifest: Manifest, teacher: Teacher, folder: Path, *, focus: dict[str, float] | None = None, round: int = 0, seed: int = 0,
    **settings: object,
) -> Manifest:
    out = ArtifactWriter(str(folder / "synthesized"), stage="synthesize")
    chosen = recipe.Synthesize(**{"personas": ("baker", "librarian", "사서"), **settings})
    synthesize_rows(manifest, chosen, focus or {}, round, seed, teacher, out)
    return out.finish()


def sft_rows(manifest: Manifest) -> list[SFTExample]:
    return [row for row in read_examples(manifest, "sft") if isinstance(row, SFTExample)]


def seed_prompts(manifest: Manifest) -> dict[str, str]:
    return {seed.id: seed.prompt for seed in read_pool(manifest).seeds}


# ---------------------------------------------------------------- every method


@pytest.fixture(scope="module")
def made(filtered: Manifest, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return synthesize(filtered, teacher, tmp_path_factory.mktemp("made"), rows={"persona": 30, "self_play": 20, "variation": 15})


def test_the_recipe_names_every_method() -> None:
    assert set(METHODS) == {"persona", "self_play", "variation"}


def test_as_many_rows_as_wanted_each_an_sft_and_an_rlvr_example(made: Manifest) -> None:
    assert made.rows["kept"] == 65
    assert made.written == {"rlvr": 65, "sft": 65}
    assert {method: sum(skills.values()) for method, skills in made.facts["rows"].items()} == {
        "persona": 30, "self_play": 20, "variation": 15}
    assert made.facts["missing"] == {}
    assert made.facts["teacher"]["model"] == "procedural-word-problems"


def test_every_answer_is_right(made: Manifest) -> None:
    twins = {row.id.removesuffix("-rlvr"): row for row in read_examples(made, "rlvr")}
    for row in sft_rows(made):
        problem = read_problem(row.messages[0].content)
        assert problem is not None and problem.skill == row.skill and problem.language == row.language
        assert verify("gsm8k", row.messages[1].content, str(problem.answer)).score == 1
        twin = twins[row.id]
        assert isinstance(twin, RLVRExample) and twin.ground_truth == str(problem.answer)


def test_every_row_says_where_it_comes_from(made: Manifest, filtered: Manifest, teacher: Teacher) -> None:
    known = set(seed_prompts(filtered)) | {row.id for row in sft_rows(made)}
    for row in sft_rows(made):
        method = next(name for name in METHODS if row.id.startswith(f"synthesized_{name}_{row.skill}_"))
        assert (row.made_by, row.source) == ("new", "synthesized")
        assert row.request_id and json.loads(Path(teacher.journal.path(row.request_id)).read_text(encoding="utf-8"))
        if method == "persona":
            assert row.persona and row.parent_id is None and row.license == "Apache-2.0"
        else:
            assert row.parent_id in known
    assert len({row.id for row in sft_rows(made)}) == 65


def test_no_question_twice_and_none_of_the_seeds(made: Manifest, filtered: Manifest) -> None:
    questions = [row.messages[0].content for row in sft_rows(made)]
    assert len(set(questions)) == len(questions)
    assert not set(questions) & set(seed_prompts(filtered).values())


def test_ax10_self_play_asks_a_new_question_and_goes_on_from_its_own(made: Manifest, filtered: Manifest) -> None:
    parents = seed_prompts(filtered) | {row.id: row.messages[0].content for row in sft_rows(made)}
    rows = [row for row in sft_rows(made) if "_self_play_" in row.id]
    assert all(row.messages[0].content != parents[row.parent_id or ""] for row in rows)
    assert any((row.parent_id or "").startswith("synthesized_") for row in rows)   # a follow-up to a row that was made
    assert any((row.parent_id or "").endswith("-rlvr") for row in rows)            # a follow-up to a seed


def test_ax11_the_teacher_asks_from_a_persona(made: Manifest) -> None:
    rows = [row for row in sft_rows(made) if row.persona]
    assert Counter(row.skill for row in rows) == {skill: 10 for skill in SKILLS}
    assert {row.persona for row in rows} == {"baker", "librarian", "사서"}
    assert all((row.persona == "사서") == (row.language == "ko") for row in rows)
    assert all(any(thing in row.messages[0].content for thing in PERSONAS[row.persona or ""]) for row in rows)


def test_ax12_variation_keeps_the_meaning_in_other_words(made: Manifest, filtered: Manifest) -> None:
    seeds = seed_prompts(filtered)
    rows = [row for row in sft_rows(made) if "_variation_" in row.id]
    assert {row.language for row in rows} == {"en", "ko"}
    for row in rows:
        before, after = read_problem(seeds[row.parent_id or ""]), read_problem(row.messages[0].content)
        assert before is not None and after is not None
        assert (before.skill, before.a, before.b, before.answer) == (after.skill, after.a, after.b, after.answer)
        assert before.question != after.question


@pytest.mark.parametrize("prompt", ["광합성이란 무엇인가?", "What is photosynthesis?"])
def test_ax10_a_seed_that_the_procedural_teacher_cannot_read_is_given_up(teacher: Teacher, tmp_path: Path, prompt: str) -> None:
    manifest = write_filtered(tmp_path, [("photo", "knowledge", prompt, "#### 0")])
    made = synthesize(manifest, teacher, tmp_path, rows={"self_play": 1, "variation": 1})
    assert made.rows == {"read": 2, "kept": 0, "rejected": 2}
    assert made.reasons == {"teacher_gave_up": 2}
    assert made.facts["missing"] == {"self_play": 1, "variation": 1}


# ---------------------------------------------------------------- gaps


def test_a_skill_in_focus_gets_its_rows(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    made = synthesize(filtered, teacher, tmp_path, focus={"subtraction": 0.3}, round=1, rows={"persona": 6}, rows_per_gap=30)
    rows = [row for row in sft_rows(made) if row.source == "gap"]
    assert len(rows) == 30
    assert {row.skill for row in rows} == {"subtraction"}
    assert made.by_source["gap"]["kept"] == 30 and made.by_source["synthesized"]["kept"] == 6
    assert made.facts["rows"]["gap"] == {"subtraction": 30}
    varied = [row for row in rows if row.parent_id]
    assert varied and all((row.parent_id or "").startswith("subtraction_") for row in varied)


def test_a_gap_that_stays_open_gets_more_rows_beside_the_first(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    rounds = [sft_rows(synthesize(filtered, teacher, tmp_path / str(n), focus={"addition": 0.3}, round=n, rows_per_gap=12))
              for n in (1, 2)]
    assert [len(rows) for rows in rounds] == [12, 24]
    first, second = ({row.messages[0].content for row in rows} for rows in rounds)
    assert len(first & second) >= 9  # the second wave of round 1 had a seed less to vary; nearly all of it comes back


def test_a_skill_without_a_single_seed_is_made_too(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    made = synthesize(filtered, teacher, tmp_path, focus={"korean_division": 0.9}, round=1, rows_per_gap=10)
    rows = sft_rows(made)
    assert len(rows) == 10
    assert {(row.skill, row.language, row.category) for row in rows} == {("korean_division", "ko", "math")}


def test_a_skill_that_nobody_can_make_is_reported_not_invented(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    made = synthesize(filtered, teacher, tmp_path, focus={"poetry": 0.5}, round=1, rows_per_gap=10)
    assert made.rows["kept"] == 0
    assert made.reasons == {"teacher_gave_up": 5}  # one wave of two: nothing came, so nothing more is asked
    assert made.facts["missing"] == {"gap.poetry": 10}


# ---------------------------------------------------------------- books


def test_duplicates_are_made_good(teacher: Teacher, tmp_path: Path) -> None:
    """Two variations of a seed are asked for and there are only two other wordings: some coincide, the others count."""
    manifest = write_filtered(tmp_path, [(f"s{n}", "addition", f"Tom has {n} apples and buys 4. How many now?", f"#### {n + 4}")
                                         for n in range(2, 12)])
    made = synthesize(manifest, teacher, tmp_path, rows={"variation": 14})
    assert made.rows["read"] == made.rows["kept"] + made.rows["rejected"]
    assert made.rows["kept"] == 14
    assert set(made.reasons) == {"duplicate_conversation"}
    body = json.loads(next(read_rejected(made))["row"])
    assert body["parent_id"] and body["answer"]["question"]


def test_a_row_made_from_a_seed_is_bound_by_its_licence(teacher: Teacher, tmp_path: Path) -> None:
    seeds = [("s", "addition", "Tom has 3 apples and buys 4. How many now?", "#### 7")]
    manifest = write_filtered(tmp_path, seeds, "CC-BY-NC-4.0")
    made = synthesize(manifest, teacher, tmp_path, rows={"persona": 2, "variation": 1})
    assert sorted((row.license, row.parent_id) for row in sft_rows(made)) == [
        ("Apache-2.0", None), ("Apache-2.0", None), ("CC-BY-NC-4.0", "s-rlvr")]


def test_nothing_wanted_asks_nothing(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    before = teacher.usage()["requests"]
    assert synthesize(filtered, teacher, tmp_path).rows == {"read": 0, "kept": 0, "rejected": 0}
    assert teacher.usage()["requests"] == before


def test_same_seed_same_bytes_another_seed_others(filtered: Manifest, teacher: Teacher, tmp_path: Path) -> None:
    rows = {"persona": 6, "self_play": 6, "variation": 6}
    first = synthesize(filtered, teacher, tmp_path / "one", rows=rows)
    with open_teacher(recipe.Teacher(concurrency=2), str(tmp_path / "other"), 0) as other:
        assert synthesize(filtered, other, tmp_path / "two", rows=rows).content == first.content
    with open_teacher(recipe.Teacher(), str(tmp_path / "other"), 1) as other:
        assert synthesize(filtered, other, tmp_path / "three", rows=rows, seed=1).content != first.content
