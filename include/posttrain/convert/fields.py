"""Reading the fields of a raw row, with the reasons for which a row is refused."""

from __future__ import annotations

from typing import Any

from posttrain.raw_files import Broken, parse_json
from posttrain.schema import UnreadableRow


def object_of(row: Any) -> dict[str, Any]:
    """The row as an object. A row that is only a text is a prompt without an answer."""
    if isinstance(row, str):
        raise UnreadableRow("no_assistant_turn", "row", "the row is only a text")
    if not isinstance(row, dict):
        raise UnreadableRow("wrong_type", "row", f"{type(row).__name__} instead of an object")
    return row


def name_of(row: dict[str, Any], *names: str) -> str | None:
    """The first of the names that the row has a value for; None where it has none of them."""
    for name in names:
        if row.get(name) is not None:
            return name
    return None


def text_of(row: dict[str, Any], *names: str) -> str:
    """The text under the first name that has a value. Raises missing_field or wrong_type."""
    name = name_of(row, *names)
    if name is None:
        absent = names[0] not in row
        also = f"; also looked for {', '.join(names[1:])}" if len(names) > 1 else ""
        raise UnreadableRow("missing_field", names[0], ("absent" if absent else "null") + also)
    return as_text(row[name], name)


def optional_text(row: dict[str, Any], *names: str) -> str | None:
    """The text under the first name that has a value, None without one. Raises wrong_type."""
    name = name_of(row, *names)
    return None if name is None else as_text(row[name], name)


def as_text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise UnreadableRow("wrong_type", field, f"{type(value).__name__} instead of text: {str(value)[:80]}")
    return value


def list_of(row: dict[str, Any], *names: str) -> list[Any]:
    """The list under the first name that has a value. Raises missing_field or wrong_type."""
    name = name_of(row, *names)
    if name is None:
        raise UnreadableRow("missing_field", names[0])
    if not isinstance(row[name], list):
        raise UnreadableRow("wrong_type", name, f"{type(row[name]).__name__} instead of a list")
    return row[name]


def json_value(text: str) -> Any:
    """The value of a JSON text within a field. Raises ValueError for whatever would be refused as a row: see raw_files."""
    value = parse_json(text)
    if isinstance(value, Broken):
        raise ValueError(value.detail)
    return value


def label_of(row: dict[str, Any], name: str) -> str | None:
    """A short text such as a category, in lower case with underscores; None where there is none."""
    value = row.get(name)
    return "_".join(value.lower().split()) if isinstance(value, str) and value.strip() else None


def number_text(value: Any, field: str) -> str:
    """A text, or a number as text: 25.0 → `25`. Raises missing_field or wrong_type."""
    if value is None:
        raise UnreadableRow("missing_field", field, "null")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else as_text(value, field)
