"""The review band without a person, with the real procedural teacher."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.review import review_band
from posttrain.problems import build_problem, read_problem
from posttrain.recipe import Decontaminate, Review
from posttrain.recipe import Teacher as TeacherSettings
from posttrain.schema import Message, PreferencePair, RLVRExample
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, read_examples, read_parquet, read_rejected
from posttrain.teacher.client import Teacher, open_teacher
from posttrain.teacher.server import procedural_server

PROBLEM = build_problem("addition", 7, 4, random.Random(0), template=0)
QUESTION = PROBLEM.question
TAIL = " Write one line for each step and say it in full sentences."  # 12 words: a question of 8 to 12 words is in the band
ASK = Message("user", QUESTION)
BAND = Decontaminate(review_above=0.3)
SHARED = {"source": "train", "category": "math", "skill": "addition", "language": "en", "license": "MIT"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with procedural_server() as url:
        yield url


@pytest.fixture
def teacher(server: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Teacher]:
    monkeypatch.setenv("POSTTRAIN_TEACHER_URL", server)
    with open_teacher(TeacherSettings(), str(tmp_path / "workspace"), 0) as opened:
        yield opened


def review(bench: Any, teacher: Teacher, rows: list[Any], unattended: str = "paraphrase", name: str = "review") -> Manifest:
    """Decontaminate the rows, which must all fall into the band, then review them."""
    if not (bench.folder / "clean").exists():
        decontaminated = bench.decontaminate(rows, review_above=BAND.review_above)
        assert sum(decontaminated.written.get(f"review_{kind}", 0) for kind in ("sft", "preference", "rlvr")) == len(rows)
    writer = ArtifactWriter(str(bench.folder / name), stage="review")
    clean, index = (load_manifest(str(bench.folder / folder)) for folder in ("clean", "index"))
    review_band(clean, index, Review(unattended=unattended), BAND, teacher, writer)
    return writer.finish()


def decisions(manifest: Manifest) -> list[dict[str, Any]]:
    return list(read_parquet(manifest.file("decisions.parquet")))


def test_a_paraphrase_has_another_problem_its_verified_answer_and_its_parent(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    done = review(bench, teacher, [bench.sft("row", QUESTION, answer=PROBLEM.solution)])
    (example,) = read_examples(done)
    assert (example.id, example.parent_id, example.made_by, example.source) == ("row_paraphrased", "row", "rewritten", "train")
    assert example.request_id and teacher.journal.read(example.request_id)
    question, answer = (message.content for message in example.messages)
    problem = read_problem(question)
    assert problem and (problem.a, problem.b) != (7, 4) and problem.skill == "addition"
    assert answer.endswith(f"#### {problem.answer}")
    assert done.rows == {"read": 1, "kept": 1, "rejected": 0}
    (line,) = decisions(done)
    assert (line["decision"], line["decided_by"], line["new_id"]) == ("paraphrased", "unattended: paraphrase", "row_paraphrased")
    asked = len(words(QUESTION))
    assert (line["eval"], line["item_id"], line["score_before"]) == ("eval", "eval.jsonl:0", round(asked / (asked + 12), 9))
    assert question in line["after"]


def test_an_rlvr_row_gets_the_new_number(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    row = RLVRExample(id="row", messages=(ASK,), ground_truth="11", verifier="gsm8k", **SHARED)
    done = review(bench, teacher, [row])
    (example,) = read_examples(done, "rlvr")
    problem = read_problem(example.messages[0].content)
    assert problem and example.ground_truth == str(problem.answer)


def test_a_paraphrase_that_overlaps_another_item_goes(bench, teacher: Teacher) -> None:
    row = bench.sft("row", QUESTION, answer=PROBLEM.solution)
    bench.add_eval("eval", [QUESTION + TAIL])
    (first,) = read_examples(review(bench, teacher, [row], name="first"))
    # The teacher answers the same request the same way: the next round's evals hold its paraphrase.
    for folder in ("index", "rows", "clean"):
        (bench.folder / folder).rename(bench.folder / f"first-{folder}")
    bench.add_eval("second", [first.messages[0].content + TAIL])
    done = review(bench, teacher, [row])
    assert done.reasons == {"still_in_review_band": 1}
    (rejected,) = read_rejected(done)
    assert rejected["id"] == "row" and "second second.jsonl:0" in rejected["detail"]
    assert decisions(done)[0]["score_after"] > 0.3


@pytest.mark.parametrize(
    ("example", "detail"),
    [
        (PreferencePair(id="row", prompt=QUESTION, chosen=(ASK, Message("assistant", "11")), rejected=(), **SHARED),
         "a pair belong to the old prompt"),
        (RLVRExample(id="row", messages=(ASK,), ground_truth="{}", verifier="ifeval", **SHARED),
         "ground truth of verifier ifeval"),
    ],
)
def test_what_a_new_question_would_not_fit_goes(bench, teacher: Teacher, example: Any, detail: str) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    done = review(bench, teacher, [example])
    assert done.reasons == {"still_in_review_band": 1}
    assert detail in next(read_rejected(done))["detail"]
    assert teacher.usage()["requests"] == 0


def test_one_turn_of_a_longer_conversation_is_not_replaced(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    assert review(bench, teacher, [bench.sft("row", "hi", QUESTION)]).reasons == {"still_in_review_band": 1}


def test_a_question_that_the_teacher_cannot_read_goes(bench, teacher: Teacher) -> None:
    question = "Name the rivers that flow through the old town of Prague."  # 11 words
    bench.add_eval("eval", [question + TAIL])
    assert review(bench, teacher, [bench.sft("row", question)]).reasons == {"teacher_gave_up": 1}


@pytest.mark.parametrize(("unattended", "kept", "reasons"), [("keep", 1, {}), ("delete", 0, {"deleted_by_reviewer": 1})])
def test_keep_and_delete_ask_nobody(bench, teacher: Teacher, unattended: str, kept: int, reasons: dict[str, int]) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    row = bench.sft("row", QUESTION)
    done = review(bench, teacher, [row], unattended)
    assert (done.rows["kept"], done.reasons) == (kept, reasons)
    assert list(read_examples(done)) == [row] * kept
    assert teacher.usage()["requests"] == 0


def test_an_empty_band(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    done = review(bench, teacher, [])
    assert (done.rows, decisions(done)) == ({"read": 0, "kept": 0, "rejected": 0}, [])
