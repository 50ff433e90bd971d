"""A source family: how the rows of one publisher, or of one layout that many publishers use, are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from posttrain.convert.draft import Converter, Draft, Join, Refused, Sample
from posttrain.licence_terms import terms_of
from posttrain.raw_rows import RawRow
from posttrain.schema import Kind
from posttrain.section import Section

PARQUET_BRANCH, PARQUET_TRAIN = "refs/convert/parquet", ("*/train/*.parquet",)
"""The Hub's own conversion of a set, `<config>/<split>/0000.parquet`, where the main branch holds a loading script and no rows,
which `datasets` does not run. The branch is locked to its commit as `main` is."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One line of the table of families.

    A layout that belongs to no publisher (alpaca, messages, prompt_completion) has no origin, licence or Hub id of its own;
    the source that uses it states them. `revision` is a commit where one is known: one at which other public projects read the
    set. The branch of the others is locked to a commit when it is first collected (`hub_revisions`).
    """

    convert: Callable[..., list[Draft]]
    """From a raw row, and `options=` where the family has some, to drafts."""
    columns: tuple[str, ...]
    """The columns that are read; `a/b` reads `b`, where there is no `a`."""
    layout: str
    """One sentence: what becomes of a row."""
    kinds: tuple[Kind, ...] = ("sft",)
    origin: str | None = None
    license: str | None = None
    non_commercial: bool = False
    hub: str | None = None
    config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = ()
    """Of the Hub repository, where not all of them are rows of this layout, or a path says something about its rows."""
    revision: str = "main"
    join: Join | None = None
    """Puts raw rows that are parts of one conversation together."""
    sample: Callable[..., Iterator[RawRow | Refused]] | None = None
    """From the raw rows and `options=` to the rows that are taken; the others come out with the reason."""
    options: type[Section] | None = None
    tested_on: tuple[str, ...] = ()
    """Real files, under the folder of test data, that the tests convert; without one, rows written by hand in this schema."""

    @property
    def commercial_use(self) -> str:
        """Whether the publisher allows commercial use; of a layout, that it is the source's to say."""
        if self.license is None:
            return "the source says"
        terms = terms_of(self.license)
        if self.non_commercial or "non_commercial" in terms:
            return "no"
        return "unclear" if "unstated" in terms else "yes, share-alike" if "share_alike" in terms else "yes"

    def bind(self, options: Mapping[str, Any]) -> tuple[Converter, Sample | None]:
        """The converter and the sample with a source's options, checked once. Raises ValueError for unknown or wrong ones."""
        if self.options is None:
            if options:
                raise ValueError(f"this source family has no options, but was given {', '.join(options)}")
            return self.convert, self.sample
        checked = self.options.model_validate(dict(options))
        sample = functools.partial(self.sample, options=checked) if self.sample else None
        return functools.partial(self.convert, options=checked), sample
