"""One JSON file per answered request: what a killed run has paid for, it never asks again.

    <workspace>/journal/<connection and model>/<first 2 hex digits of the key>/<key>.json
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from typing import Any

from posttrain.storage import exists, join, read_text, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """An answered request. `content` is the teacher's text as it came, whether it fits the schema or not."""

    key: str
    request: dict[str, Any]
    content: str
    model: str
    prompt_tokens: int
    completion_tokens: int


_TYPES = {"key": str, "request": dict, "content": str, "model": str, "prompt_tokens": int, "completion_tokens": int}


class Journal:
    """The records of one connection and model, in the workspace or under any fsspec URL."""

    def __init__(self, workspace: str, connection: str, model: str) -> None:
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{connection}-{model}").strip(".-")
        self.folder = join(workspace, "journal", slug)

    def path(self, key: str) -> str:
        return join(self.folder, key[:2], f"{key}.json")

    def read(self, key: str) -> Record | None:
        """The record of a request, or None where it has not been answered yet or its file is damaged."""
        path = self.path(key)
        if not exists(path):
            return None
        try:
            value = json.loads(read_text(path))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            log.warning("%s is damaged (%s): the request is sent again", path, error)
            return None
        wrong = _complaint(value, key)
        if wrong:
            log.warning("%s is damaged (%s): the request is sent again", path, wrong)
            return None
        return Record(**value)

    def write(self, record: Record) -> None:
        """Write a record under a temporary name, then rename it."""
        write_json(self.path(record.key), asdict(record))


def _complaint(value: Any, key: str) -> str | None:
    if not isinstance(value, dict) or set(value) != set(_TYPES):
        return f"not an object with the keys {', '.join(_TYPES)}"
    wrong = next((name for name, kind in _TYPES.items() if type(value[name]) is not kind), None)
    if wrong:
        return f"{wrong} is not {_TYPES[wrong].__name__}"
    return None if value["key"] == key else f"it holds the request {value['key'][:12]}…"
