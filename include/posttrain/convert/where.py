"""Which raw rows of a source are taken: `where`, a value or a list of values for each of some columns."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from posttrain.schema import UnreadableRow

Row = tuple[str, int, Any]


def rows_where(rows: Iterable[Row], where: Mapping[str, Any]) -> Iterator[Row | tuple[Row, UnreadableRow]]:
    """Rows whose every named column has (one of) the wanted value(s); the others come with the reason not_selected.

    `a.b` is b inside of a. A row without the column is never taken, so that a misspelt column takes nothing.
    """
    tests = [(column, column.split("."), _test(wanted if isinstance(wanted, tuple | list) else (wanted,)))
             for column, wanted in where.items()]
    for row in rows:
        for column, path, accepts in tests:
            value = _at(row[2], path)
            if value is _ABSENT or not accepts(value):
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


def _test(conditions: Iterable[Any]) -> Callable[[Any], bool]:
    """Whether a value is one of those given, if any are, and none of those that a `!` stands before.

    `true` is not 1, nor "1"; `*` in a text is a wild card.
    """
    conditions = tuple(conditions)
    wanted = _matcher(value for value in conditions if not _negated(value))
    unwanted = _matcher(value[1:] for value in conditions if _negated(value))
    only_unwanted = all(map(_negated, conditions))
    return lambda value: (only_unwanted or wanted(value)) and not unwanted(value)


def _negated(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("!")


def _matcher(values: Iterable[Any]) -> Callable[[Any], bool]:
    values = tuple(values)
    exact = {_typed(value) for value in values if not (isinstance(value, str) and "*" in value)}
    patterns = [fnmatch.translate(value.replace("[", "[[]").replace("?", "[?]"))
                for value in values if isinstance(value, str) and "*" in value]
    pattern = re.compile("|".join(patterns)) if patterns else None

    def matches(value: Any) -> bool:
        if isinstance(value, str) and pattern is not None and pattern.match(value):
            return True
        return isinstance(value, str | bool | int | float | None) and _typed(value) in exact

    return matches


def _typed(value: Any) -> tuple[type, Any]:
    """The value with its type, an int being a float: 1 and 1.0 are the same number in JSON and in Parquet."""
    return (float if type(value) is int else type(value), value)


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)[:80]
