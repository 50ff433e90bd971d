"""A batch of raw rows as Arrow columns, for the layouts that most rows have.

What a row of a family means is said by its row function. A reader says the same of the plain rows of a whole batch at a third of
the cost, and names the rows of which it is not sure: those go to the row function, as do all rows of a batch that is not plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.columns import ASSISTANT, USER, alternates, rows_of_turns, text_bytes
from posttrain.convert.gsm8k_guard import HEAD_CHARACTERS, SHORTEST_QUESTION, may_be_test_question
from posttrain.convert.turns import ROLE_ALIASES
from posttrain.schema import HANGUL_LEADS, MESSAGES, ROLES, SCHEMAS, guess_language

if TYPE_CHECKING:
    from posttrain.recipe import Source

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BYTES_AT_ONCE = 64 << 20
"""A batch of more text than this is read row by row: Arrow's text columns and its JSON reader end at 2 GiB."""
SMALLEST_BATCH = 256
"""Rows. A batch that is not plain is halved until it is, or is as small as this; then its rows are read one by one."""
TURNS_FOR_LANGUAGE, CHARACTERS_FOR_LANGUAGE = 4, 300
"""The beginnings of the first turns say the language as well as all of their text, and a long transcript costs no more."""
WHITE_SPACE = "".join(chr(n) for n in range(0x3001) if chr(n).isspace())
"""What `str.strip` takes away; there is none above U+3000."""

_BRACE = ord("{")
_MAY_BE_HANGUL = np.isin(np.arange(256), list(HANGUL_LEADS))


class NotPlain(Exception):
    """The rows of a batch differ in their types, or have a form that only the row function knows."""


@dataclass(frozen=True, kw_only=True)
class Conversations:
    """The conversations of a batch: row n has the turns `rows[n]:rows[n + 1]`, turn k the role `ROLES[roles[k]]`.

    `sure`: the rows that the reader has read; of the others nothing here means anything. The columns that are None have no value
    in any row. `raw_id` holds no blank ids.
    """

    rows: Ints
    roles: Ints
    contents: pa.StringArray
    sure: Mask
    raw_id: pa.StringArray | None = None
    category: pa.StringArray | None = None
    skill: pa.StringArray | None = None
    language: pa.StringArray | None = None
    license: pa.StringArray | None = None


Reader = Callable[[pa.Table], Conversations]
"""From the columns of a batch of rows to their conversations. Raises NotPlain."""


def pieces(raw: pa.StringArray | pa.StructArray) -> Iterator[tuple[int, int, pa.Table | None]]:
    """(first row, number of rows, their columns) of parts of a column of raw rows; no columns where they are not plain."""
    columns_of = published_columns if pa.types.is_struct(raw.type) else parsed
    todo = [(0, len(raw))]
    while todo:
        start, length = todo.pop()
        try:
            yield start, length, columns_of(raw.slice(start, length))
        except NotPlain:
            if length <= SMALLEST_BATCH:
                yield start, length, None
            else:
                todo += [(start + length // 2, length - length // 2), (start, length // 2)]


def published_columns(raw: pa.StructArray) -> pa.Table:
    """Rows that were columns when they were collected. A column without a value in any row is left out, as in `parsed`.

    Raises NotPlain for too much text at once.
    """
    if raw.nbytes > BYTES_AT_ONCE:
        raise NotPlain
    columns = zip(raw.type, raw.flatten(), strict=True)
    return pa.table({field.name: column for field, column in columns if column.null_count < len(raw)})


def parsed(raw: pa.StringArray) -> pa.Table:
    """JSON objects as a table, with the types that Arrow infers. Raises NotPlain."""
    from pyarrow import json

    if raw.nbytes > BYTES_AT_ONCE:
        raise NotPlain
    lines = pc.binary_join_element_wise(raw, "", "\n")
    text = lines.buffers()[2]
    try:
        table = json.read_json(pa.BufferReader(text), json.ReadOptions(use_threads=False, block_size=text.size + 1))
    except pa.ArrowInvalid as error:
        raise NotPlain from error
    if table.num_rows != len(raw):
        raise NotPlain
    return table


# ---------------------------------------------------------------- columns


def texts(table: pa.Table, name: str) -> pa.StringArray | None:
    """A column of texts; None where no row has a value. Raises NotPlain where rows have another type."""
    if name not in table.column_names or pa.types.is_null(table.schema.field(name).type):
        return None
    if table.schema.field(name).type != pa.string():
        raise NotPlain  # a text that looks like a date comes as one
    return table.column(name).combine_chunks()


def texts_if_any(table: pa.Table, name: str) -> pa.StringArray | None:
    """`texts`, but None where the rows have another type, as for ids that are numbers."""
    if name in table.column_names:
        kind = table.schema.field(name).type
        if not (pa.types.is_temporal(kind) or pa.types.is_string(kind)):
            return None
    return texts(table, name)


def first_texts(table: pa.Table, *names: str) -> pa.StringArray:
    """In every row the first of the columns that has a value there, or null. Raises NotPlain where there is none of them."""
    columns = [column for name in names if (column := texts(table, name)) is not None]
    if not columns:
        raise NotPlain
    return pc.coalesce(*columns) if len(columns) > 1 else columns[0]


def are_blank(column: pa.StringArray | None, rows: int) -> Mask:
    """Where the column has no value, or white space only."""
    if column is None:
        return np.ones(rows, bool)
    return mask_of(pc.equal(pc.utf8_trim(column, WHITE_SPACE), ""), null=True)


def mask_of(column: pa.BooleanArray, null: bool) -> Mask:
    return column.fill_null(null).to_numpy(zero_copy_only=False)


def ids_of(table: pa.Table) -> pa.StringArray | None:
    """The rows' own ids, without blank ones."""
    column = texts_if_any(table, "id")
    return None if column is None else pc.if_else(pa.array(are_blank(column, len(column))), None, column)


def labels_of(table: pa.Table, name: str) -> pa.StringArray | None:
    """A column of short texts in lower case with underscores, as fields.label_of has them."""
    column = texts_if_any(table, name)
    return None if column is None else per_value(column, lambda value: "_".join(value.lower().split()) or None)


def per_value(column: pa.StringArray, function: Callable[[str], str | None]) -> pa.StringArray:
    """The function's result for every text; it is asked once for each that differs."""
    encoded = column.dictionary_encode()
    return pa.array([function(value) for value in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


# ---------------------------------------------------------------- conversations


def turns_of_columns(table: pa.Table, *names: str) -> Conversations:
    """The checked conversations under the one of the names that the rows have; see turns.conversation_of."""
    present = [name for name in names if name in table.column_names and not pa.types.is_null(table.schema.field(name).type)]
    if len(present) != 1:
        raise NotPlain
    column = table.column(present[0]).combine_chunks()
    if not (pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type)):
        raise NotPlain
    rows = column.offsets.to_numpy().astype(np.int64)
    turns = column.values.slice(int(rows[0]), int(rows[-1] - rows[0]))
    rows -= rows[0]
    fields = zip(turns.type, turns.flatten(), strict=True)
    values = {field.name: value for field, value in fields if value.null_count < len(value)}
    spoken, contents = _only(values, "role", "from"), _only(values, "content", "value")
    if {"tool_calls", "function_call"} & values.keys():
        raise NotPlain
    roles = _codes(spoken)
    odd = (roles < 0) | contents.is_null().to_numpy(zero_copy_only=False)
    sure = alternates(rows, roles) & ~rows_of_turns(rows, odd)
    system = texts(table, "system")
    if system is not None:
        sure &= are_blank(system, len(sure))
    return Conversations(rows=rows, roles=roles, contents=contents, sure=sure)


def _only(values: dict[str, pa.Array], *names: str) -> pa.StringArray:
    present = [values[name] for name in names if name in values]
    if len(present) != 1 or present[0].type != pa.string():
        raise NotPlain
    return present[0]


def _codes(roles: pa.StringArray) -> Ints:
    """Places in ROLES; -1 for a role that has none, such as a tool's."""
    encoded = roles.dictionary_encode()
    known = [ROLE_ALIASES.get(name.lower()) for name in encoded.dictionary.to_pylist()]
    codes = np.array([*(ROLES.index(name) if name else -1 for name in known), -1])
    return codes[encoded.indices.fill_null(len(known)).to_numpy()]


def exchanges(question: pa.StringArray, answer: pa.StringArray, sure: Mask) -> Conversations:
    """Conversations of one question and one answer; rows without one of the two are not sure."""
    count = len(question)
    sure = sure & (question.is_valid().to_numpy(zero_copy_only=False) & answer.is_valid().to_numpy(zero_copy_only=False))
    order = np.arange(2 * count).reshape(2, count).T.ravel()
    return Conversations(
        rows=np.arange(0, 2 * count + 1, 2), roles=np.tile([USER, ASSISTANT], count),
        contents=pa.concat_arrays([question, answer]).take(pa.array(order)), sure=sure,
    )


def trimmed(column: pa.StringArray) -> pa.StringArray:
    """`str.strip` of every text."""
    return pc.utf8_trim(column, WHITE_SPACE)


# ---------------------------------------------------------------- what holds for every family


def may_be_refused(found: Conversations) -> Mask:
    """The rows of which draft.check_draft has to see every turn: one may hold a placeholder or a test question."""
    odd = _turns_with_braces(found.contents)
    asked = np.flatnonzero(found.roles == USER)
    asked = asked[pc.utf8_length(found.contents).fill_null(0).to_numpy()[asked] >= SHORTEST_QUESTION]
    heads = pc.utf8_slice_codeunits(found.contents, 0, HEAD_CHARACTERS).take(pa.array(asked)).to_pylist()
    odd[asked] |= np.fromiter(map(may_be_test_question, heads), bool, len(heads))
    return rows_of_turns(found.rows, odd)


def _turns_with_braces(contents: pa.StringArray) -> Mask:
    """The turns in which `{{` stands. Arrow's own search takes five times as long."""
    starts, data = text_bytes(contents)
    places = np.flatnonzero(data[:-1] == _BRACE)
    found = np.zeros(len(contents), bool)
    found[np.searchsorted(starts, places[data[places + 1] == _BRACE], side="right") - 1] = True
    return found


def languages(found: Conversations) -> list[str]:
    """What the guess of rows.py says of every row that is sure."""
    counts = np.diff(found.rows)
    early = np.arange(len(found.roles)) - np.repeat(found.rows[:-1], counts) < TURNS_FOR_LANGUAGE
    places = np.flatnonzero(early)
    heads = pc.utf8_slice_codeunits(found.contents, 0, CHARACTERS_FOR_LANGUAGE).take(pa.array(places)).fill_null("")
    starts, data = text_bytes(heads)
    bounds = np.concatenate([[0], np.cumsum(np.minimum(counts, TURNS_FOR_LANGUAGE))])
    leads = np.flatnonzero(_MAY_BE_HANGUL[data])
    first, second = data[leads], data[leads + 1]
    is_syllable = ((first == 0xEA) & (second >= 0xB0)) | (first == 0xEB) | (first == 0xEC) | ((first == 0xED) & (second < 0x9E))
    possible, syllables = (np.diff(np.searchsorted(found_at, starts[bounds])) for found_at in (leads, leads[is_syllable]))
    characters = np.diff(np.concatenate([[0], np.cumsum(pc.utf8_length(heads).to_numpy())])[bounds])
    nothing_else = np.diff(starts[bounds]) - characters == 2 * syllables  # but ASCII: then NFC changes nothing
    korean = nothing_else & (syllables > 0) & (10 * syllables >= characters + np.diff(bounds) - 1)
    guessed = np.where(korean, "ko", "en").tolist()
    for row in np.flatnonzero((possible > 0) & ~korean).tolist():
        own = heads.slice(int(bounds[row]), int(bounds[row + 1] - bounds[row])).to_pylist()
        guessed[row] = guess_language(" ".join(own))
    return guessed


def published_sources(table: pa.Table) -> pa.StringArray | None:
    """What rows.published_source says of every row."""
    columns = [column for name in ("source", "dataset") if (column := texts_if_any(table, name)) is not None]
    filled = [pc.if_else(pc.equal(column, ""), None, column) for column in columns]
    return pc.coalesce(*filled) if filled else None


def examples_table(
    found: Conversations, ids: list[str | None], raw: pa.RecordBatch, published: pa.StringArray | None, spec: Source,
) -> pa.Table:
    """The rows of a batch as a table of SFT examples. Those that have no id are not sure, and stand there without meaning."""
    count = len(ids)
    nothing, category = pa.scalar(None, pa.string()), _filled(found.category, spec.category, count)
    columns: dict[str, Any] = {
        "id": pa.array(ids, pa.string()), "source": spec.name, "category": category,
        "skill": _filled(found.skill, spec.skill or category, count),
        "language": _filled(found.language, spec.language or pa.array(languages(found), pa.string()), count),
        "license": _filled(found.license, spec.license, count), "made_by": "selected",
        "raw_file": raw.column("raw_file"), "raw_row": raw.column("raw_row"), "published_source": published,
        "tags": pa.ListArray.from_arrays(pa.array(np.zeros(count + 1, np.int32)), pa.array([], pa.string())),
        "messages": _messages(found),
    }
    return pa.Table.from_arrays(
        [_filled(None, value if (value := columns.get(field.name)) is not None else nothing, count) for field in SCHEMAS["sft"]],
        schema=SCHEMAS["sft"],
    )


def _filled(column: pa.Array | None, otherwise: Any, count: int) -> pa.Array:
    """The column with `otherwise`, a value or a column, where it has none."""
    if column is not None:
        return pc.coalesce(column, otherwise)
    return otherwise if isinstance(otherwise, pa.Array) else pa.repeat(otherwise, count)


def _messages(found: Conversations) -> pa.ListArray:
    roles = pa.array(ROLES, pa.string()).take(pa.array(np.maximum(found.roles, 0)))
    turns = pa.StructArray.from_arrays([roles, found.contents], fields=list(MESSAGES.value_type))
    return pa.ListArray.from_arrays(pa.array(found.rows.astype(np.int32)), turns, type=MESSAGES)
