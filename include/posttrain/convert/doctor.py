"""Which source families read an unknown file: every family is tried on its first rows.

The order, best first:

1. rows that the family understands, times columns of the file that it reads (`id` apart): HelpSteer2's five ratings speak for
   `helpsteer2`, though it refuses ties, which a family of prompts and answers would take. A row is understood that is
   converted to a question with a text, or refused for what it is (a tie, a tool call, a test question) and not for how it is
   laid out. A family that names no column (`pair`) is the last resort;
2. the rows that it understands;
3. the rows that it converts;
4. families that give the very same texts stand together, a layout of many publishers before a publisher who uses it;
   a family that gets more out of the rows (pairs, or rows with a ground truth) stands before one that gets conversations,
   and a publisher's family whose columns are (most of them) there before a layout that gets other texts;
5. the family whose usual columns are the file's own; then the order of the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from posttrain.convert import FAMILIES, Draft
from posttrain.convert.draft import check_draft
from posttrain.convert.family import Family
from posttrain.convert.rows import row_by_row
from posttrain.raw_files import Broken, read_raw_file
from posttrain.raw_rows import RawRow
from posttrain.schema import UnreadableRow

SAMPLE_ROWS = 200
BAD_ROWS_SHOWN = 3

MISFITS = frozenset({
    "invalid_json", "undecodable_text", "damaged_file", "broken_quoting", "missing_field", "wrong_type", "unknown_role",
    "roles_do_not_alternate", "no_user_turn", "no_assistant_turn", "no_complete_path", "no_final_answer", "unknown_verifier",
    "prompts_differ", "too_few_answers",
})
"""Reasons that speak against the family. With any other reason the family understood the row, and does not want it."""


_CHECKABLE = re.compile(r"[0-9\\{]")


@dataclass(frozen=True)
class BadRow:
    """A row that a family does not convert: its number in the file (0-based), the reason, the field and what was found."""

    row: int
    reason: str
    field: str
    detail: str


@dataclass
class Fit:
    """How one family reads the sample. `columns`: those of the file that it reads. `same_as`: families with the same texts.
    `words_as_truth`: rows whose ground truth has neither a digit nor LaTeX, as an answer in prose that was taken for one."""

    family: str
    rows: int
    converted: int = 0
    understood: int = 0
    kinds: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)
    same_as: list[str] = field(default_factory=list)
    texts: str = ""
    words_as_truth: int = 0

    @property
    def share(self) -> float:
        """Converted rows per row of the sample."""
        return self.converted / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found: the fits of all families, best first, and the sample's rows, unreadable rows and columns."""

    rows: int
    broken: list[BadRow]
    columns: list[str]
    fits: list[Fit]


def diagnose(path: Path, limit: int = SAMPLE_ROWS) -> Diagnosis:
    """Try every family on the first `limit` rows of a file. Raises ValueError for a file name without a reader."""
    sample = list(islice(read_raw_file(path), limit))
    broken = [BadRow(n, row.reason, row.field, row.detail) for n, row in sample if isinstance(row, Broken)]
    rows = [(path.name, n, row) for n, row in sample if not isinstance(row, Broken)]
    columns = list(dict.fromkeys(name for _, _, row in rows if isinstance(row, dict) for name in row))
    tried: dict[Any, Fit] = {}
    fits = []
    for name, family in FAMILIES.items():
        key = (family.convert, family.join, family.kinds)
        if key not in tried:
            tried[key] = _try(name, family, rows)
        fit = tried[key]
        fits.append(dataclasses.replace(fit, family=name, rows=len(sample), kinds=fit.kinds or list(family.kinds),
                                        columns=columns_read(family, columns)))
    return Diagnosis(len(sample), broken, columns, _ranked(fits, columns))


def _try(name: str, family: Family, rows: list[RawRow]) -> Fit:
    convert, _ = family.bind({})
    fit = Fit(name, len(rows))
    texts = hashlib.blake2b(digest_size=16)
    kinds: dict[str, None] = {}
    for value, members in (family.join or row_by_row)(rows):
        drafts: list[Draft] = []
        try:
            drafts = convert(value)
            for draft in drafts:
                check_draft(draft, "rlvr" in family.kinds)
            fit.converted += len(members)
            fit.understood += len(members) * all(map(_asks, drafts))
            kinds.update(dict.fromkeys(draft.kind for draft in drafts))
            fit.words_as_truth += any(draft.kind == "rlvr" and not _CHECKABLE.search(draft.ground_truth) for draft in drafts)
        except UnreadableRow as error:
            fit.understood += len(members) * (error.reason not in MISFITS)
            fit.reasons[error.reason] = fit.reasons.get(error.reason, 0) + len(members)
            if len(fit.bad_rows) < BAD_ROWS_SHOWN:
                fit.bad_rows.append(BadRow(members[0][1], error.reason, error.field, error.detail))
        texts.update(b"\x01")
        for parts in dict.fromkeys(tuple(_parts(draft)) for draft in drafts):  # a row that is repeated is one text
            texts.update("\x00".join(parts).encode("utf-8", "surrogatepass"))
    fit.kinds, fit.texts = list(kinds), texts.hexdigest()
    return fit


def _asks(draft: Draft) -> bool:
    """Whether the first question has a text. Without one, the family took another column for it: Alpaca's empty `input`."""
    turns = draft.messages or draft.chosen or draft.rejected
    return any(message.content.strip() for message in turns if message.role == "user")


def _parts(draft: Draft) -> Iterator[str]:
    yield draft.kind
    for turns in (draft.messages, draft.chosen, draft.rejected):
        for message in turns:
            yield f"{message.role}: {message.content}"
    yield draft.ground_truth


# ---------------------------------------------------------------- order


def columns_read(family: Family, columns: Iterable[str]) -> list[str]:
    """The file's columns among those that a family's table line names; of `a/b, c` the first alternative that is there."""
    present, read = set(columns), dict[str, None]()
    for spec in family.columns:
        for alternative in spec.split("/"):
            names = [name for name in (part.strip() for part in alternative.split(",")) if name in present]
            if names:
                read.update(dict.fromkeys(names))
                break
    return list(read)


def _generality(fit: Fit, family: Family, columns: set[str]) -> int:
    """0: more than conversations; 1: a publisher's family that finds half of its columns; 2: a layout; 3: any other."""
    if set(fit.kinds) - {"sft"} and 2 * fit.words_as_truth <= fit.converted:
        return 0
    if family.origin is None:
        return 2
    missing, _ = _strangeness(family, columns)
    return 1 if 2 * missing <= len(family.columns) else 3


def _strangeness(family: Family, columns: set[str]) -> tuple[int, int]:
    """How little the file's columns look like the family's own. Lower is nearer.

    A column under a second-choice name counts 1. A column that the file lacks counts for a publisher's family, whose files
    have all of them, and only then for a layout, of which most are optional.
    """
    distance = missing = 0
    for spec in family.columns:
        found = next((n for n, alternative in enumerate(spec.split("/"))
                      if any(part.strip() in columns for part in alternative.split(","))), None)
        distance += found or 0
        missing += found is None
    return (distance, missing) if family.origin is None else (missing, distance)


def _ranked(fits: list[Fit], columns: list[str]) -> list[Fit]:
    present = set(columns)
    table = {name: n for n, name in enumerate(FAMILIES)}
    groups: dict[Any, list[Fit]] = {}
    for fit in fits:
        groups.setdefault((fit.texts, fit.converted, fit.understood) if fit.understood else fit.family, []).append(fit)

    def within(fit: Fit) -> tuple[Any, ...]:
        family = FAMILIES[fit.family]
        return not fit.columns, family.origin is not None, _strangeness(family, present), -len(fit.columns), table[fit.family]

    def between(group: list[Fit]) -> tuple[Any, ...]:
        first = group[0]
        family = FAMILIES[first.family]
        most = max(len(set(fit.columns) - {"id"}) for fit in group)
        return (not first.understood, not most, -first.understood * most, -first.understood, -first.converted,
                _generality(first, family, present), _strangeness(family, present), table[first.family])

    for group in groups.values():
        group.sort(key=within)
        for fit in group:
            fit.same_as = [other.family for other in group if other is not fit]
    return [fit for group in sorted(groups.values(), key=between) for fit in group]


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The object that `doctor --json` prints: the families that read the file, best first, and why the others do not."""
    fits = [
        {"family": fit.family, "share": round(fit.share, 4), "converted": fit.converted, "understood": fit.understood,
         "kinds": fit.kinds, "columns": fit.columns, "same_texts_as": fit.same_as, "reasons": fit.reasons,
         "bad_rows": [asdict(row) for row in fit.bad_rows]}
        for fit in diagnosis.fits
    ]
    return {
        "rows": diagnosis.rows, "unreadable": [asdict(row) for row in diagnosis.broken], "columns": diagnosis.columns,
        "families": [fit for fit in fits if fit["understood"]], "others": [fit for fit in fits if not fit["understood"]],
    }
