"""Other questions in place of a row's own: the teacher's suggestion, checked, and the whole row compared with the evals again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posttrain.decontaminate.matches import Finding, decide, describe, find_contamination, strongest
from posttrain.decontaminate.review.edits import Edit, answers_to, has_number, obstacle, questions_of, rewritten
from posttrain.decontaminate.review.queue import Item
from posttrain.decontaminate.search import EvalSearch
from posttrain.decontaminate.shard import training_row
from posttrain.recipe import Decontaminate
from posttrain.schema import Example, conversation
from posttrain.storage import sha256_json
from posttrain.teacher import prompts
from posttrain.teacher.client import Answer, Ask, Teacher
from posttrain.teacher.worked_answers import check_answers, final_number

LONGEST_TURN = 1_000
"""Characters of each turn around a question that the teacher sees. A row may hold a book."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The teacher's questions and answers for a row; without them, `complaint` says why there are none.

    `reason` is the drop reason of a row for which nobody finds anything better.
    """

    edits: tuple[Edit, ...] = ()
    reason: str = ""
    complaint: str = ""
    findings: list[Finding] = field(default_factory=list)
    """What the new row overlaps at or above the review cut-off."""

    @property
    def is_clear(self) -> bool:
        return bool(self.edits) and not self.reason


def questions_matched(item: Item) -> tuple[int, ...]:
    """The places of the questions of a row that a paraphrase replaces."""
    return questions_of(item.example, (match.turn for match in item.matches))


def suggest(items: Sequence[Item], settings: Decontaminate, search: EvalSearch, teacher: Teacher) -> list[Suggestion]:
    """Ask the teacher for each row that can be paraphrased, question by question; answers with a number are checked, and the
    whole row is compared again."""
    found, edits = dict[int, Suggestion](), dict[int, tuple[Edit, ...]]()
    turns = [questions_matched(item) for item in items]
    for n, item in enumerate(items):
        if complaint := obstacle(item.example, turns[n]):
            found[n] = Suggestion(reason="still_in_review_band", complaint=complaint)
        else:
            edits[n] = ()
    for step in range(max(map(len, turns), default=0)):
        asked = [n for n in edits if n not in found and step < len(turns[n])]
        asks = [_ask(items[n].example, turns[n][step], edits[n]) for n in asked]
        for n, answer in zip(asked, teacher.ask_many(asks) if asks else [], strict=True):
            if edit := _edit(turns[n][step], answer):
                edits[n] += (edit,)
            else:
                found[n] = Suggestion(reason="teacher_gave_up", complaint="no paraphrase in the requested form")
    made = [n for n in edits if n not in found]
    wrong = _not_verified({n: items[n].example for n in made}, edits, teacher)
    again = compare_again([rewritten(items[n].example, edits[n]) for n in made], search, settings)
    for n, findings in zip(made, again, strict=True):
        reason = complaint = ""
        if n in wrong:
            reason, complaint = "answer_not_verified", "the paraphrase's answer is not verified"
        elif findings:
            reason, complaint = "still_in_review_band", f"the paraphrase overlaps {describe(strongest(findings))}"
        found[n] = Suggestion(edits[n], reason, complaint, findings)
    return [found[n] for n in range(len(items))]


def _ask(example: Example, turn: int, before: Sequence[Edit]) -> Ask:
    """The request for one question; a longer conversation comes along as it is after the edits `before`."""
    turns = conversation(rewritten(example, before))
    around = "\n".join(f"{m.role}: {m.content[:LONGEST_TURN]}" for m in turns) if len(turns) > 2 else ""
    in_pair = answers_to(example, turn).worse is not None
    write = prompts.paraphrase_pair if in_pair else prompts.paraphrase
    return write(turns[turn].content, has_number=has_number(example, turn), conversation=around)


def _edit(turn: int, answer: Answer | None) -> Edit | None:
    """The teacher's answer as an edit; None where it gave up."""
    if answer is None:
        return None
    data = {name: text.strip() for name, text in answer.data.items()}
    return Edit(turn, data["question"], data["answer"], data.get("worse_answer", ""), answer.request_id)


def _not_verified(rows: dict[int, Example], edits: dict[int, tuple[Edit, ...]], teacher: Teacher) -> set[int]:
    """The rows with a number as answer that is not found right, or with a worse answer that comes to the same number."""
    checks = [(n, edit) for n, example in rows.items() for edit in edits[n] if has_number(example, edit.turn)]
    truths = check_answers(teacher, [(edit.question, edit.answer) for _, edit in checks]) if checks else []
    return {n for (n, edit), truth in zip(checks, truths, strict=True)
            if truth is None or (edit.worse and final_number(edit.worse) == truth)}


def compare_again(examples: list[Example], search: EvalSearch, settings: Decontaminate) -> list[list[Finding]]:
    """For each row, what it overlaps at or above the review cut-off; empty where it is clear."""
    rows = [training_row(example, settings.turns) for example in examples]
    found = find_contamination(rows, search, settings) if rows else []
    return [[f for f in findings if f.decision != "keep"] if decide(findings) != "keep" else [] for findings in found]


def judged_by(index_content: str, settings: Decontaminate) -> str:
    """The index and the settings that a paraphrase was found clear by: where they are others, it is compared again."""
    return sha256_json([index_content, settings.model_dump(mode="json", exclude={"index"})])[:16]
