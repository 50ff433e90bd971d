"""The stage: what people said, what the judge says where it may, and the rest without anybody; the real procedural teacher."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.review import review_band
from posttrain.decontaminate.review.band import decision_of
from posttrain.decontaminate.review.decision_log import Decision, DecisionLog, in_force
from posttrain.decontaminate.review.edits import Edit
from posttrain.decontaminate.review.queue import read_queue
from posttrain.problems import build_problem, read_problem
from posttrain.recipe import Decontaminate, Review
from posttrain.recipe import Teacher as TeacherSettings
from posttrain.schema import Message, PreferencePair, RLVRExample
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, read_examples, read_parquet, read_rejected
from posttrain.teacher.client import Teacher, open_teacher
from posttrain.teacher.server import procedural_server
from posttrain.teacher.worked_answers import final_number

PROBLEM = build_problem("addition", 7, 4, random.Random(0), template=0)
QUESTION = PROBLEM.question
TAIL = " Write one line for each step and say it in full sentences."  # 12 words: a question of 8 to 12 words is in the band
ASK = Message("user", QUESTION)
BAND = Decontaminate(preset="tulu3", cut_offs={"ngram_coverage": {"review": 0.3}})
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


def review(
    bench: Any, teacher: Teacher, rows: list[Any], unattended: str = "paraphrase", name: str = "review", **more: Any,
) -> Manifest:
    """Decontaminate the rows, which must all fall into the band, then review them."""
    if not (bench.folder / "clean").exists():
        decontaminated = bench.decontaminate(rows, cut_offs=BAND.cut_offs)
        assert sum(decontaminated.written.get(f"review_{kind}", 0) for kind in ("sft", "preference", "rlvr")) == len(rows)
    writer = ArtifactWriter(str(bench.folder / name), stage="review")
    clean, index = (load_manifest(str(bench.folder / folder)) for folder in ("clean", "index"))
    settings = Review(unattended=unattended, judge=more.get("judge", "off"))
    review_band(clean, index, settings, BAND, teacher, writer, more.get("decided"))
    return writer.finish()


def journal_of(teacher: Teacher) -> list[dict[str, Any]]:
    """The requests that the teacher has answered."""
    files = Path(teacher.journal.folder).rglob("*.json")
    return [json.loads(path.read_text(encoding="utf-8"))["request"] for path in files]


def requests_of(teacher: Teacher, request_id: str | None) -> list[dict[str, Any]]:
    return [record.request for record in [teacher.journal.read(request_id or "")] if record]


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


def test_a_row_that_the_verifier_binds_to_its_prompt_goes(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    done = review(bench, teacher, [RLVRExample(id="row", messages=(ASK,), ground_truth="{}", verifier="ifeval", **SHARED)])
    assert done.reasons == {"still_in_review_band": 1}
    assert "ground truth of verifier ifeval" in next(read_rejected(done))["detail"]
    assert teacher.usage()["requests"] == 0


def test_a_pair_gets_a_question_that_both_sides_answer(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    chosen, rejected = (ASK, Message("assistant", PROBLEM.solution)), (ASK, Message("assistant", "7 + 4 = 12\n#### 12"))
    models = {"chosen_model": "a", "rejected_model": "b"}
    pair = PreferencePair(id="row", prompt=QUESTION, chosen=chosen, rejected=rejected, **models, **SHARED)
    done = review(bench, teacher, [pair])
    (new,) = read_examples(done, "preference")
    problem = read_problem(new.prompt)
    assert problem and (problem.a, problem.b) != (7, 4)
    assert new.chosen[0] == new.rejected[0] == Message("user", new.prompt)
    assert final_number(new.chosen[1].content) == str(problem.answer) != final_number(new.rejected[1].content)
    assert (new.chosen_model, new.rejected_model) == (None, None), "the old models did not write these answers"
    assert new.parent_id == "row"
    (line,) = decisions(done)
    assert line["before"].endswith("rejected user: " + QUESTION + "\nrejected assistant: 7 + 4 = 12\n#### 12")


def test_of_a_longer_conversation_only_the_turn_that_matched_is_replaced(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    row = bench.sft("row", "Good morning.", QUESTION, "Thank you.", answer=PROBLEM.solution)
    (new,) = read_examples(review(bench, teacher, [row]))
    assert [new.messages[n] for n in (0, 1, 4, 5)] == [row.messages[n] for n in (0, 1, 4, 5)]
    problem = read_problem(new.messages[2].content)
    assert problem and (problem.a, problem.b) != (7, 4) and new.messages[3].content.endswith(f"#### {problem.answer}")
    (asked,) = [r["messages"][1]["content"] for r in requests_of(teacher, new.request_id)]
    assert "user: Good morning." in asked and "user: Thank you." in asked, "the teacher sees what the question stands in"


def test_every_turn_that_matched_is_replaced_and_the_second_is_asked_for_beside_the_new_first(bench, teacher: Teacher) -> None:
    other = other_problem(0)
    bench.add_eval("eval", [QUESTION + TAIL, other.question + TAIL])
    row = bench.sft("row", QUESTION, other.question, answer=PROBLEM.solution)
    (new,) = read_examples(review(bench, teacher, [row]))
    questions = [message.content for message in new.messages if message.role == "user"]
    assert all(read_problem(question) for question in questions) and not {QUESTION, other.question} & set(questions)
    asked = [request["messages"][1]["content"] for request in journal_of(teacher)]
    asked = [text for text in asked if "<conversation>" in text]
    assert sorted(text.count(f"user: {questions[0]}") for text in asked) == [0, 1]


def test_a_conversation_of_which_one_new_turn_is_still_close_goes_whole(bench, teacher: Teacher) -> None:
    """The new first turn is fine; the new second one is in the evals too."""
    other = other_problem(0)
    row = bench.sft("row", QUESTION, other.question, answer=PROBLEM.solution)
    bench.add_eval("eval", [QUESTION + TAIL, other.question + TAIL])
    (first,) = read_examples(review(bench, teacher, [row], name="first"))
    for folder in ("index", "rows", "clean"):
        (bench.folder / folder).rename(bench.folder / f"first-{folder}")
    bench.add_eval("second", [first.messages[2].content + TAIL])
    done = review(bench, teacher, [row])
    assert done.reasons == {"still_in_review_band": 1}
    assert "second second.jsonl:0" in next(read_rejected(done))["detail"]


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


def other_problem(number: int) -> Any:
    return build_problem("addition", 20 + number, 3 + number, random.Random(0), template=0)


def said(bench: Any, action: str, row_id: str, **texts: Any) -> dict[Any, Decision]:
    """What holds after a reviewer's decision about one row of the band."""
    items = read_queue(load_manifest(str(bench.folder / "clean")), load_index(load_manifest(str(bench.folder / "index"))))
    (item,) = (item for item in items if item.example.id == row_id)
    log = DecisionLog(str(bench.folder / "workspace"))
    log.append(lambda lines: [decision_of(item, action, "rita", "run", **texts)])
    return in_force(log.lines())


def test_what_a_person_said_holds_and_the_rest_is_unattended(bench, teacher: Teacher) -> None:
    problems = [other_problem(number) for number in range(4)]
    rows = [bench.sft(f"row-{n}", p.question, answer=p.solution) for n, p in enumerate(problems)]
    bench.add_eval("eval", [p.question + TAIL for p in problems])
    review(bench, teacher, rows, name="nobody")
    said(bench, "keep", "row-0")
    said(bench, "delete", "row-1")
    new = Edit(0, "A shelf holds 9 books and 8 more arrive. How many are there?", "9 + 8 = 17\n#### 17")
    decided = said(bench, "paraphrase", "row-2", edits=(new,))
    done = review(bench, teacher, rows, unattended="delete", decided=decided)
    assert done.facts["band"] == {"rows": 4, "kept": 1, "paraphrased": 1, "deleted": 2}
    assert done.facts["decided_by"] == {"person": 3, "unattended": 1}
    kept = {example.id: example for example in read_examples(done)}
    assert set(kept) == {"row-0", "row-2_paraphrased"} and kept["row-0"] == rows[0]
    assert [m.content for m in kept["row-2_paraphrased"].messages] == [new.question, new.answer]
    lines = {line["row_id"]: line for line in decisions(done)}
    assert [(lines[f"row-{n}"]["decision"], lines[f"row-{n}"]["decided_by"]) for n in range(4)] == [
        ("kept", "rita"), ("deleted_by_reviewer", "rita"), ("paraphrased", "rita"), ("deleted_by_reviewer", "unattended: delete")]
    assert lines["row-0"]["decided_at"] and lines["row-3"]["decided_at"] is None
    assert lines["row-0"]["rule"].startswith("recipe: 8-gram coverage > 0.3")


def test_a_persons_paraphrase_that_is_close_to_a_newer_eval_item_is_not_taken(bench, teacher: Teacher) -> None:
    row = bench.sft("row", QUESTION, answer=PROBLEM.solution)
    bench.add_eval("eval", [QUESTION + TAIL])
    review(bench, teacher, [row], name="nobody")
    decided = said(bench, "paraphrase", "row", edits=(Edit(0, other_problem(0).question, other_problem(0).solution),))
    for folder in ("index", "rows", "clean"):
        (bench.folder / folder).rename(bench.folder / f"first-{folder}")
    bench.add_eval("newer", [other_problem(0).question + TAIL])
    done = review(bench, teacher, [row], unattended="delete", decided=decided)
    assert (done.facts["decided_by"], done.facts["band"]["deleted"]) == ({"unattended": 1}, 1)


def test_the_judge_decides_only_where_the_recipe_says_so(bench, teacher: Teacher) -> None:
    other, rivers = other_problem(1), "Name the rivers that flow through the old town of Prague."
    rows = [bench.sft("same", QUESTION, answer=PROBLEM.solution), bench.sft("other", other.question, answer=other.solution),
            bench.sft("rivers", rivers)]
    # The item of "other" shares its first words with the row, and asks for other numbers.
    changed = other.question.replace(str(other.b), str(other.b + 1))
    bench.add_eval("eval", [QUESTION + TAIL, changed + TAIL, rivers + TAIL])
    settings = {"cut_offs": {"ngram_coverage": {"review": 0.1}}, "ngram_size": 3}
    clean = bench.decontaminate(rows, **settings)
    index = load_manifest(str(bench.folder / "index"))
    assert clean.written == {"review_sft": 3}

    def do(judge: str) -> Manifest:
        writer = ArtifactWriter(str(bench.folder / judge), stage="review")
        rules = Decontaminate(**({"preset": "tulu3"} | settings))
        review_band(clean, index, Review(unattended="keep", judge=judge), rules, teacher, writer)
        return writer.finish()

    assert do("sort").facts["decided_by"] == {"unattended": 3}, "an opinion sorts the queue and decides nothing"
    done = do("decide")
    found = {line["row_id"]: (line["decision"], line["decided_by"], line["judge"]) for line in decisions(done)}
    assert found["same"] == ("deleted_by_judge", "judge", f"both ask for {PROBLEM.a} + {PROBLEM.b}")
    assert found["other"][:2] == ("kept", "judge") and "the row asks for 21 + 4 and the test item for 21 + 5" in found["other"][2]
    assert found["rivers"] == ("kept", "unattended: keep", None), "no opinion, no verdict"
    assert done.reasons == {"deleted_by_judge": 1}


def test_an_empty_band(bench, teacher: Teacher) -> None:
    bench.add_eval("eval", [QUESTION + TAIL])
    done = review(bench, teacher, [])
    assert (done.rows, decisions(done)) == ({"read": 0, "kept": 0, "rejected": 0}, [])
