"""TAT-QA: a table, the paragraphs around it and questions about both → one conversation a question."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import list_of, number_text, object_of, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


def convert_tatqa(row: Any) -> list[Draft]:
    """Table (cells joined by ` | `), paragraphs in order, question; the answer with its scale (`172 million`, `12.5%`)."""
    fields = object_of(row)
    passage = f"{table_text(fields.get('table'))}\n\n{_paragraphs(fields)}".strip()
    questions = list_of(fields, "questions")
    if not questions:
        raise UnreadableRow("no_user_turn", "questions", "a table without a question")
    drafts = []
    for n, question in enumerate(questions):
        if not isinstance(question, dict):
            raise UnreadableRow("wrong_type", f"questions[{n}]", f"{type(question).__name__} instead of an object")
        prompt = f"{passage}\n\n{text_of(question, 'question')}"
        drafts.append(Draft(messages=question_answer(prompt, _answer(question, f"questions[{n}].answer"))))
    return drafts


def table_text(table: Any) -> str:
    """The rows of a table, one a line; cells joined by ` | `."""
    rows = table.get("table") if isinstance(table, dict) else table
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise UnreadableRow("missing_field" if rows is None else "wrong_type", "table", "not a list of rows of cells")
    return "\n".join(" | ".join(str(cell) for cell in row) for row in rows)


def _paragraphs(row: dict[str, Any]) -> str:
    paragraphs = row.get("paragraphs") or []
    if not isinstance(paragraphs, list) or not all(isinstance(p, dict) for p in paragraphs):
        raise UnreadableRow("wrong_type", "paragraphs", "not a list of paragraphs")
    ordered = sorted(paragraphs, key=lambda p: p["order"] if isinstance(p.get("order"), int) else 0)
    return "\n\n".join(text_of(paragraph, "text") for paragraph in ordered)


def _answer(question: dict[str, Any], field: str) -> str:
    value, scale = question.get("answer"), question.get("scale") or ""
    parts = value if isinstance(value, list) else [value]
    texts = [text for part in parts if (text := number_text(part, field).strip())]
    if not texts:
        raise UnreadableRow("no_assistant_turn", field, "an empty answer")
    if scale:
        texts = [_scaled(text, str(scale)) for text in texts]
    return ", ".join(texts)


def _scaled(text: str, scale: str) -> str:
    """A number with its scale, unless it has it already or is a word (a span under a scaled heading)."""
    if not any(c.isdigit() for c in text) or text.endswith(("%", scale)):
        return text
    return f"{text}%" if scale == "percent" else f"{text} {scale}"
