"""The queue of a run as two reviewers and a later run see it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain import pipeline
from posttrain.decontaminate.review.band import log_unattended
from posttrain.decontaminate.review.decision_log import DecisionLog
from posttrain.decontaminate.review.desk import Conflict, Desk, Entry, Filter, StillTooClose, UnknownItem
from posttrain.decontaminate.review.edits import Edit, ParaphraseRefused
from posttrain.problems import build_problem
from posttrain.recipe import RECIPE_FOLDER
from posttrain.run import Run
from posttrain.schema import Message, SFTExample
from posttrain.storage import read_parquet

TAIL = " Write one line for each step and say it in full sentences."
PROBLEMS = [build_problem("addition", 7 + n, 4 + n, random.Random(n), template=n % 2) for n in range(4)]
ROWS = [(f"row-{n}", problem.question, problem.solution) for n, problem in enumerate(PROBLEMS)]
ITEMS = [problem.question + TAIL for problem in PROBLEMS]
OTHER = {"edits": [Edit(0, "A crate holds 30 pears and 12 are added. What is the sum?", "30 + 12 = 42\n#### 42")]}


@pytest.fixture
def run(tmp_path: Path, make_review_run: Callable[..., Run]) -> Run:
    return make_review_run(str(tmp_path / "workspace"), tmp_path / "data", ROWS, ITEMS)


def desk_of(run: Run) -> Desk:
    """As a web server has it: another process may have written to the log in the meantime."""
    return Desk(run, DecisionLog(run.workspace))


def entry_of(desk: Desk, row_id: str) -> Entry:
    return next(entry for entry in desk.entries() if entry.item.example.id == row_id)


def decide(desk: Desk, row_id: str, action: str, who: str = "rita", **texts: Any) -> Entry:
    entry = entry_of(desk, row_id)
    return desk.decide(entry.item.id, action, who, entry.seen, **texts)


def test_an_item_shows_the_row_and_the_eval_item_and_its_score(run: Run) -> None:
    entry = entry_of(desk_of(run), "row-0")
    assert entry.status == "open" and entry.item.best.eval == "exam" and entry.item.best.texts == (("question", ITEMS[0]),)
    assert entry.item.best.score == round(10 / 22, 9) and entry.item.best.rule.startswith("recipe: 8-gram coverage > 0.3")
    assert entry.item.best.train_spans == ((0, 10),) and entry.item.best.eval_spans == ((0, 0, 10),)
    scores = [entry.item.best.score for entry in desk_of(run).entries()]
    assert scores == sorted(scores, reverse=True)


def test_the_queue_adds_up_after_every_decision(run: Run) -> None:
    desk = desk_of(run)
    decide(desk, "row-0", "keep")
    decide(desk, "row-1", "delete")
    decide(desk, "row-2", "paraphrase", **OTHER)
    assert desk_of(run).progress() == {"rows": 4, "open": 1, "keep": 1, "paraphrase": 1, "delete": 1}
    line = desk.log.lines()[0]
    rule = entry_of(desk, "row-0").item.best.rule
    assert (line.who, line.rule, line.score, line.run_id) == ("rita", rule, round(10 / 22, 9), "reviewed")
    assert line.before == f"user: {PROBLEMS[0].question}\nassistant: {PROBLEMS[0].solution}"
    done = pipeline.review(run).manifest
    assert done.facts["band"] == {"rows": 4, "kept": 1, "paraphrased": 2, "deleted": 1}, "the teacher paraphrased the open one"
    assert done.facts["decided_by"] == {"person": 3, "unattended": 1}


def test_the_second_reviewer_is_told_and_overwrites_nothing(run: Run) -> None:
    rita, sam = desk_of(run), desk_of(run)
    seen = entry_of(sam, "row-0")
    decide(rita, "row-0", "keep")
    with pytest.raises(Conflict, match="rita has decided this row in the meantime: keep"):
        sam.decide(seen.item.id, "delete", "sam", seen.seen)
    assert entry_of(sam, "row-0").decision.who == "rita"
    decide(sam, "row-0", "delete", who="sam")  # on purpose, having seen it
    assert entry_of(rita, "row-0").status == "delete"
    undone = sam.undo(seen.item.id, "sam", entry_of(sam, "row-0").seen)
    assert (undone.status, undone.decision.who) == ("keep", "rita")


def test_undo_opens_the_row_again_and_can_be_done_once(run: Run) -> None:
    desk = desk_of(run)
    decided = decide(desk, "row-0", "delete")
    assert desk.undo(decided.item.id, "sam", decided.seen).status == "open"
    with pytest.raises(Conflict, match="nothing to undo"):
        desk.undo(decided.item.id, "sam", "")
    assert [line.action for line in desk.log.lines()] == ["delete", "undo"]


def test_a_paraphrase_that_is_still_close_stays_in_the_queue_and_is_logged(run: Run) -> None:
    desk = desk_of(run)
    with pytest.raises(StillTooClose, match="exam exam.jsonl:0"):
        decide(desk, "row-0", "paraphrase", edits=[Edit(0, "Well. " + PROBLEMS[0].question, PROBLEMS[0].solution)])
    assert entry_of(desk, "row-0").status == "open"
    (line,) = desk.log.lines()
    assert (line.action, line.score_after) == ("refused", round(10 / 22, 9)) and line.edits[0].question.startswith("Well.")


@pytest.mark.parametrize(("edits", "complaint"), [
    ([Edit(0, "", "#### 1")], "write a question"),
    ([Edit(0, PROBLEMS[0].question, "#### 1")], "the old question"),
    ([Edit(0, "How many is that?", "eleven")], "last line must be"),
    ([], "write one question for each turn"),
    ([Edit(1, "How many?", "#### 1")], "turn 1 of this row is no question"),
    ([Edit(7, "How many?", "#### 1")], "turn 7 of this row is no question"),
])
def test_a_paraphrase_that_cannot_replace_the_row_is_refused(run: Run, edits: list[Edit], complaint: str) -> None:
    desk = desk_of(run)
    with pytest.raises(ParaphraseRefused, match=complaint):
        decide(desk, "row-0", "paraphrase", edits=edits)
    assert desk.log.lines() == []


def test_an_item_of_another_run_is_unknown(run: Run) -> None:
    with pytest.raises(UnknownItem):
        desk_of(run).decide("0" * 16, "keep", "rita", "")


# ---------------------------------------------------------------- later runs


def later(run: Run, make: Callable[..., Run], rows: list[Any], items: list[str]) -> Desk:
    """The same workspace in a later run, with other ids for the rows."""
    data = Path(run.workspace).parent / "later"
    return desk_of(make(run.workspace, data, [(f"later-{row_id}", q, a) for row_id, q, a in rows], items, "later"))


def test_the_same_row_against_the_same_item_is_never_asked_twice(run: Run, make_review_run: Callable[..., Run]) -> None:
    desk = desk_of(run)
    decide(desk, "row-0", "keep")
    decide(desk, "row-1", "delete")
    decide(desk, "row-2", "paraphrase", **OTHER)
    there = later(run, make_review_run, ROWS, ITEMS)
    assert there.progress() == {"rows": 4, "open": 1, "keep": 1, "paraphrase": 1, "delete": 1}
    assert entry_of(there, "later-row-1").decision.who == "rita"


def test_under_other_names_it_is_the_same_question(run: Run, make_review_run: Callable[..., Run]) -> None:
    """Another source, row id, file, eval set, version of it, field name, cut-off: the texts are the same."""
    decide(desk_of(run), "row-0", "keep")
    data = Path(run.workspace).parent / "renamed"
    data.mkdir()
    items = [{"number": 7, "prompt": "An item that is new in this version."}, {"number": 8, "prompt": ITEMS[0]}]
    (data / "v2.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    evals = [{"name": "exam-2", "load": {"kind": "file", "path": "v2.jsonl"}, "fields": ["prompt"]}]
    row = SFTExample(id="x", source="elsewhere", category="general", skill="general", language="en", license="CC0-1.0",
                     raw_file="other.jsonl", raw_row=3,
                     messages=(Message("user", ROWS[0][1]), Message("assistant", ROWS[0][2])))
    recipe = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    rule = {"preset": "tulu3", "cut_offs": {"ngram_coverage": {"review": 0.35}}}
    there = desk_of(make_review_run(run.workspace, data, [row], [], "renamed", evals=recipe["evals"] + evals, decontaminate=rule))
    (entry,) = there.entries()
    assert (entry.item.best.eval, entry.item.best.item_id) == ("exam-2", "v2.jsonl:1")
    assert entry.item.id not in {item.id for item in desk_of(run).items}
    assert entry.status == "keep" and entry.decision.who == "rita"


def test_a_changed_row_or_a_changed_item_is_a_new_question(run: Run, make_review_run: Callable[..., Run]) -> None:
    desk = desk_of(run)
    for n in range(3):
        decide(desk, f"row-{n}", "keep")
    rows = [ROWS[0], (*ROWS[1][:2], "another answer\n#### 13"), ROWS[2]]
    items = [ITEMS[0], ITEMS[1], ITEMS[2] + " Please."]
    there = later(run, make_review_run, rows, items)
    assert [entry_of(there, f"later-row-{n}").status for n in range(3)] == ["keep", "open", "open"]


def test_a_kept_row_is_asked_again_for_a_further_item_and_a_deleted_one_is_not(
    run: Run, make_review_run: Callable[..., Run],
) -> None:
    desk = desk_of(run)
    decide(desk, "row-0", "keep")
    decide(desk, "row-1", "delete")
    more = [problem.question + " Show how you came to the result in some short lines of your own." for problem in PROBLEMS[:2]]
    there = later(run, make_review_run, ROWS[:2], ITEMS[:2] + more)
    assert len(entry_of(there, "later-row-0").item.evals) == 2
    assert [entry_of(there, f"later-row-{n}").status for n in range(2)] == ["open", "delete"]
    asked = entry_of(there, "later-row-0").matches
    assert [match.texts[0][1] for match in asked] == [more[0], ITEMS[0]], "what nobody was asked about comes first"
    assert asked[0].score < asked[1].score
    assert entry_of(there, "later-row-0").kept_beside[asked[1].content].who == "rita"


def test_a_paraphrase_comes_back_where_a_later_eval_has_its_question(run: Run, make_review_run: Callable[..., Run]) -> None:
    decide(desk_of(run), "row-0", "paraphrase", **OTHER)
    there = later(run, make_review_run, ROWS[:1], [ITEMS[0], OTHER["edits"][0].question + TAIL])
    assert entry_of(there, "later-row-0").status == "open"


def test_what_nobody_decided_is_logged_and_a_person_is_still_asked(run: Run) -> None:
    pipeline.review(run)
    lines = DecisionLog(run.workspace).lines()
    assert [(line.who, line.by_person, line.action) for line in lines] == [("unattended: paraphrase", False, "paraphrase")] * 4
    assert all(line.when and line.rule and line.before and line.after for line in lines)
    assert desk_of(run).progress()["open"] == 4
    first = pipeline.review(run)
    assert first.skipped and len(DecisionLog(run.workspace).lines()) == 4
    decide(desk_of(run), "row-0", "delete")
    second = pipeline.review(run)
    assert not second.skipped and second.manifest.facts["band"]["deleted"] == 1, "a decision is a reason to do the stage again"
    (line,) = (line for line in read_parquet(second.manifest.file("decisions.parquet")) if line["row_id"] == "row-0")
    assert line["decided_by"] == "rita"


def test_two_schedulers_log_what_nobody_decided_once(run: Run) -> None:
    done = pipeline.review(run).manifest
    before = DecisionLog(run.workspace).lines()
    shutil.rmtree(DecisionLog(run.workspace).folder)
    logs, items = [DecisionLog(run.workspace) for _ in range(4)], desk_of(run).items
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda log: log_unattended(items, done, log, run.run_id), logs))
    assert sorted(counts) == [0, 0, 0, 4]
    assert [line.row for line in DecisionLog(run.workspace).lines()] == [line.row for line in before]


def test_in_an_object_store(bucket: str, tmp_path: Path, make_review_run: Callable[..., Run]) -> None:
    made = make_review_run(bucket, tmp_path, ROWS[:3], ITEMS[:3])
    decide(desk_of(made), "row-0", "keep")
    decide(desk_of(made), "row-1", "paraphrase", **OTHER)
    with pytest.raises(Conflict, match="rita has decided"):
        desk_of(made).decide(entry_of(desk_of(made), "row-0").item.id, "delete", "sam", "")
    pipeline.review_advice(made)
    assert desk_of(made).decide_all(Filter(status="open"), "paraphrase", "sam", expected=1)[1:] == (
        [entry_of(desk_of(made), "row-2").item.id], [])
    assert desk_of(made).progress() == {"rows": 3, "open": 0, "keep": 1, "paraphrase": 2, "delete": 0}
    assert pipeline.review(made).manifest.facts["decided_by"] == {"person": 3}


# ---------------------------------------------------------------- bulk


def test_a_bulk_decision_takes_what_the_filter_takes_and_is_undone_as_one(run: Run) -> None:
    desk = desk_of(run)
    decide(desk, "row-0", "delete")
    wanted = Filter(status="open", low=0.42)  # 10 of 22 words; the others have 8 of 20
    with pytest.raises(Conflict, match="takes 1 open rows now, and you saw 2"):
        desk.decide_all(wanted, "keep", "sam", expected=2)
    batch, done, left = desk.decide_all(wanted, "keep", "sam", expected=1)
    assert [desk.entry(item).item.example.id for item in done] == ["row-2"] and left == []
    batch, done, left = desk.decide_all(Filter(status="open", source="train"), "keep", "sam", expected=2)
    assert len({line.id.partition(".")[0] for line in desk.log.lines() if line.batch == batch}) == 1, "one part of the log"
    assert desk.progress()["open"] == 0
    decide(desk, "row-1", "delete")
    assert [desk.entry(item).item.example.id for item in desk.undo_all(batch, "sam")] == ["row-3"], "row-1 has a later decision"
    assert desk.progress() == {"rows": 4, "open": 1, "keep": 1, "paraphrase": 0, "delete": 2}


def test_bulk_paraphrases_take_the_teachers_suggestions_and_leave_open_what_has_none(run: Run) -> None:
    _, done, left = desk_of(run).decide_all(Filter(status="open"), "paraphrase", "sam", expected=4)
    assert (done, left) == ([], [item.id for item in desk_of(run).items]), "there are no suggestions yet"
    pipeline.review_advice(run)
    desk = desk_of(run)
    _, done, left = desk.decide_all(Filter(status="open"), "paraphrase", "sam", expected=4)
    assert (len(done), left) == (4, [])
    assert all(entry.decision.edits[0].request_id for entry in desk.entries())


@pytest.mark.parametrize(("wanted", "rows"), [
    ({}, 4), ({"eval": "exam"}, 4), ({"eval": "addition"}, 0), ({"source": "other"}, 0), ({"measure": "cosine"}, 0),
    ({"low": 0.42}, 2), ({"high": 0.42}, 2), ({"status": "decided"}, 1), ({"status": "keep"}, 1), ({"status": "open"}, 3),
    ({"judge": "unknown"}, 4), ({"judge": "yes"}, 0),
])
def test_filters(run: Run, wanted: dict[str, Any], rows: int) -> None:
    desk = desk_of(run)
    decide(desk, "row-0", "keep")
    assert sum(Filter(**wanted).takes(entry) for entry in desk.entries()) == rows


def test_the_judges_opinion_sorts_the_queue(tmp_path: Path, make_review_run: Callable[..., Run]) -> None:
    """row-1 has a lower score than row-0; the judge says that row-1 gives its item away, and row-0 does not."""
    changed = PROBLEMS[0].question.replace(f" {PROBLEMS[0].a} ", f" {PROBLEMS[0].a + 1} ")
    settings = {"preset": "tulu3", "ngram_size": 3, "cut_offs": {"ngram_coverage": {"review": 0.2}}}
    run = make_review_run(str(tmp_path / "workspace"), tmp_path / "data", ROWS[:2], [changed + TAIL, ITEMS[1]],
                          review={"judge": "sort"}, decontaminate=settings)
    pipeline.review_advice(run)
    first, second = desk_of(run).entries()
    assert (first.item.example.id, first.advice.gives_away) == ("row-1", True)
    assert (second.item.example.id, second.advice.gives_away) == ("row-0", False)
    assert first.advice.why == f"both ask for {PROBLEMS[1].a} + {PROBLEMS[1].b}"
