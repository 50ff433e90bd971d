"""Which raw rows of a source are taken: `where`, a value or a list of values for each of some columns."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from posttrain.schema import UnreadableRow

Row = tuple[str, int, Any]


def rows_where(rows: Iterable[Row], where: Mapping[str, Any]) -> Iterator[Row | tuple[Row, UnreadableRow]]:
    """Rows whose every named column has (one of) the wanted value(s); the others come with the reason not_selected."""
    tests = [(column, column.split("."), _test(wanted if isinstance(wanted, tuple | list) else (wanted,)))
             for column, wanted in where.items()]
    for row in rows:
        for column, path, accepts in tests:
            value = _at(row[2], path)
            if not accepts(value):
                yield row, UnreadableRow("not_selected", column, _shown(value))
                break
        else:
            yield row


_ABSENT = object()


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _test(wanted: Iterable[Any]) -> Callable[[Any], bool]:
    """Whether a value is one of the wanted ones: `true` is not 1, nor "1"; `*` in a text is a wild card."""
    wanted = tuple(wanted)
    exact = {_typed(value) for value in wanted if not (isinstance(value, str) and "*" in value)}
    patterns = [fnmatch.translate(value.replace("[", "[[]").replace("?", "[?]"))
                for value in wanted if isinstance(value, str) and "*" in value]
    pattern = re.compile("|".join(patterns)) if patterns else None

    def accepts(value: Any) -> bool:
        if isinstance(value, str) and pattern is not None and pattern.match(value):
            return True
        return isinstance(value, str | bool | int | float | None) and _typed(value) in exact

    return accepts


def _typed(value: Any) -> tuple[type, Any]:
    """The value with its type, an int being a float: 1 and 1.0 are the same number in JSON and in Parquet."""
    return (float if type(value) is int else type(value), value)


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)[:80]
