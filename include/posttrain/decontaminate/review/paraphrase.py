"""Another question in place of a row's own: the teacher's or a reviewer's, checked, and compared with the evals again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from posttrain.decontaminate.matches import Finding, decide, describe, find_contamination, strongest
from posttrain.decontaminate.search import EvalSearch
from posttrain.decontaminate.shard import training_row
from posttrain.recipe import Decontaminate
from posttrain.schema import Example, PreferencePair, RLVRExample, conversation, prompt_of
from posttrain.storage import sha256_json
from posttrain.teacher import prompts
from posttrain.teacher.client import Teacher
from posttrain.teacher.worked_answers import check_answers, final_number


class ParaphraseRefused(ValueError):
    """The question and answer cannot replace the row's. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The teacher's question and answer for a row; without them, `complaint` says why there are none.

    `reason` is the drop reason of a row for which nobody finds anything better.
    """

    question: str = ""
    answer: str = ""
    request_id: str | None = None
    truth: str | None = None
    reason: str = ""
    complaint: str = ""
    findings: list[Finding] = field(default_factory=list)
    """What the new row overlaps at or above the review cut-off."""

    @property
    def is_clear(self) -> bool:
        return bool(self.question) and not self.reason


def suggest(band: list[Example], settings: Decontaminate, search: EvalSearch, teacher: Teacher) -> list[Suggestion]:
    """Ask the teacher for each row that can be paraphrased; answers with a number are checked, then the row is compared again."""
    found = [Suggestion(reason="still_in_review_band", complaint=obstacle(example)) for example in band]
    possible = [n for n, example in enumerate(band) if not found[n].complaint]
    answers = dict(zip(possible, teacher.ask_many([prompts.paraphrase(prompt_of(band[n])) for n in possible]), strict=True))
    given = {n: answer for n, answer in answers.items() if answer}
    worked = {n: (answer.data["question"].strip(), answer.data["answer"].strip()) for n, answer in given.items()}
    to_check = [n for n in worked if has_number(band[n])]
    truths = dict(zip(to_check, check_answers(teacher, [worked[n] for n in to_check]), strict=True))
    new = {n: rewritten(band[n], *worked[n], given[n].request_id, truths.get(n)) for n in worked}
    again = dict(zip(new, compare_again(list(new.values()), search, settings), strict=True))
    for n in possible:
        if n not in new:
            found[n] = Suggestion(reason="teacher_gave_up", complaint="no paraphrase in the requested form")
            continue
        reason = complaint = ""
        if n in truths and truths[n] is None:
            reason, complaint = "answer_not_verified", "the paraphrase's answer is not verified"
        elif again[n]:
            reason, complaint = "still_in_review_band", f"the paraphrase overlaps {describe(strongest(again[n]))}"
        found[n] = Suggestion(*worked[n], given[n].request_id, truths.get(n), reason, complaint, again[n])
    return found


def obstacle(example: Example) -> str:
    """Why a row cannot be paraphrased, or "": other turns and answers would no longer fit the new question."""
    if isinstance(example, PreferencePair):
        return "the two answers of a pair belong to the old prompt"
    if sum(m.role == "user" for m in example.messages) > 1:
        return "one turn of a longer conversation cannot be replaced"
    if isinstance(example, RLVRExample) and example.verifier != "gsm8k":
        return f"the ground truth of verifier {example.verifier} belongs to the old prompt"
    return ""


def has_number(example: Example) -> bool:
    """Whether the row's answer is a final number, as in GSM8K, so that the new answer can be verified."""
    return isinstance(example, RLVRExample) or final_number(conversation(example)[-1].content) is not None


def by_hand(example: Example, question: str, answer: str, request_id: str | None) -> Example:
    """The row with a reviewer's question and answer. Raises ParaphraseRefused."""
    question, answer = question.strip(), answer.strip()
    if complaint := obstacle(example):
        raise ParaphraseRefused(f"this row cannot be paraphrased: {complaint}; keep or delete it")
    if not question or not answer:
        raise ParaphraseRefused("write a question and its answer")
    if question == prompt_of(example).strip():
        raise ParaphraseRefused("this is the old question; keep the row, or ask in other words")
    truth = final_number(answer)
    if has_number(example) and truth is None:
        raise ParaphraseRefused("the answer's last line must be `#### ` and the final number, as in the row that it replaces")
    return rewritten(example, question, answer, request_id, truth)


def rewritten(example: Example, question: str, answer: str, request_id: str | None, truth: str | None) -> Example:
    """The row with another question and answer in place of its own, linked to the original by `parent_id`."""
    turns = tuple(
        replace(m, content=question if m.role == "user" else answer if m.role == "assistant" else m.content)
        for m in conversation(example)
    )
    values: dict[str, Any] = {
        "id": f"{example.id}_paraphrased", "made_by": "rewritten", "parent_id": example.id, "raw_file": None, "raw_row": None,
        "request_id": request_id, "messages": turns,
    }
    if isinstance(example, RLVRExample):
        values["ground_truth"] = truth or ""
    return replace(example, **values)


def compare_again(examples: list[Example], search: EvalSearch, settings: Decontaminate) -> list[list[Finding]]:
    """For each row, what it overlaps at or above the review cut-off; empty where it is clear."""
    rows = [training_row(example, settings.turns) for example in examples]
    found = find_contamination(rows, search, settings) if rows else []
    return [[f for f in findings if f.decision != "keep"] if decide(findings) != "keep" else [] for findings in found]


def judged_by(index_content: str, settings: Decontaminate) -> str:
    """The index and the settings that a paraphrase was found clear by: where they are others, it is compared again."""
    return sha256_json([index_content, settings.model_dump(mode="json", exclude={"index"})])[:16]
