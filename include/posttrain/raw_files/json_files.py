"""json, jsonl and txt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.raw_files.broken import Broken, Rows
from posttrain.raw_files.text import checked, encodable, may_hold_surrogates, open_text, parse, parse_json, shallow, too_deep


def read_jsonl(path: Path) -> Rows:
    if _is_array(path):
        yield from read_json(path)
        return
    with open_text(path) as lines:
        for row, line in enumerate(lines):
            if line.strip():
                yield row, parse_json(line.strip())


TURN_FIELDS = frozenset({"role", "from"})
"""A list of objects with one of them is a conversation, which is one row."""


def _is_array(path: Path) -> bool:
    """Whether a file called .jsonl is one array of rows, as hh-rlhf's red_team_attempts.jsonl.gz is. Lines may be lists, too."""
    with open_text(path) as lines:
        texts = (line.strip() for line in lines)
        first = next(filter(None, texts), "")
        if not first.startswith("["):
            return False
        alone = not any(texts)
    value = parse(first)
    if isinstance(value, Broken) and not alone:
        with open_text(path) as lines:
            value, alone = parse(lines.read()), True
    return alone and isinstance(value, list) and bool(value) and all(
        isinstance(row, dict) and not TURN_FIELDS & row.keys() for row in value)


def read_txt(path: Path) -> Rows:
    """A line is a JSON object or array where it begins like one, else the text itself."""
    with open_text(path) as lines:
        for row, line in enumerate(lines):
            text = line.strip()
            if text:
                yield row, parse_json(text) if text[0] in "{[" else checked(text, text)


def read_json(path: Path) -> Rows:
    with open_text(path) as f:
        text = f.read()
    if not text.strip():
        return
    value = parse(text)
    if isinstance(value, Broken):
        # "Extra data": JSON lines under the name .json, as many Hub repositories have them.
        yield from read_jsonl(path) if value.detail.startswith("Extra data") else [(0, value)]
        return
    suspect, deep = may_hold_surrogates(text), too_deep(value)
    for number, row in enumerate(rows_of(value)):
        if deep and too_deep(row):
            yield number, shallow(json.dumps(row, ensure_ascii=False), row)
        else:
            yield number, encodable(row) if suspect else row


ROW_FIELDS = frozenset({"messages", "conversations", "conversation", "chosen", "rejected", "instances"})
"""Lists that belong to one row: an object that holds one of them is a row, not a file of rows."""


def rows_of(value: Any) -> Iterator[Any]:
    """The rows of a whole JSON document, by the layouts of `read_raw_file`."""
    if isinstance(value, list):
        yield from value
        return
    if not isinstance(value, dict) or not value or ROW_FIELDS & value.keys():
        yield value
        return
    values = list(value.values())
    lists = [v for v in values if isinstance(v, list) and v and all(isinstance(item, dict) for item in v)]
    if len(lists) == 1:
        yield from _questions(lists[0]) if all("paragraphs" in item and "qas" not in item for item in lists[0]) else lists[0]
    elif all(isinstance(v, dict) for v in values):
        yield from ({"_key": key, **row} for key, row in value.items())
    elif all(isinstance(v, list) for v in values) and len({len(v) for v in values if v}) == 1 and not lists:
        columns = {name: v for name, v in value.items() if v}
        yield from (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    else:
        yield value


def _questions(articles: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """SQuAD: one row a question, with the title of its article and the context of its paragraph."""
    for article in articles:
        for paragraph in article["paragraphs"]:
            shared = {"title": article.get("title"), "context": paragraph.get("context")}
            yield from ({**shared, **question} for question in paragraph.get("qas") or [])
