"""`sources`: where rows come from, what they are taken for, and what a person decided about them."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from posttrain.schema import CATEGORIES
from posttrain.section import Section


class HubLoad(Section):
    """A data set of the Hugging Face Hub at a revision; the commit that it stands for is locked in the workspace and recorded."""

    kind: Literal["hub"]
    id: str
    revision: str = Field(min_length=1, description="a commit (40 hex digits), or a tag or branch: locked when first used")
    config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = Field(
        default=(), description="files or globs of the repository, read as local files are; all of the configuration unless said")


class FileLoad(Section):
    """Local json, jsonl, csv, tsv, txt or parquet files, plain, .gz or .zst. A relative path starts at the data root.

    `path` may be a glob; the files are read in sorted order.
    """

    kind: Literal["file"]
    path: str


class ProceduralLoad(Section):
    """Word problems made from a seed (`posttrain.problems`): the demo's source. One skill, drawn by the seed, is scarce.

    `style`: `worked` gives {question, answer} with a solution, `forum` gives {prompt, completion} with an unhelpful answer.
    """

    kind: Literal["procedural"]
    style: Literal["worked", "forum"] = "worked"
    rows: int = Field(gt=0)
    skills: tuple[str, ...] = Field(min_length=1)
    scarce_share: float = Field(default=0.0, ge=0, lt=1, description="share of the rows that the scarce skill gets; 0 = even")
    seed_offset: int = Field(default=0, description="added to the recipe's seed, so that two sources differ")


Load = Annotated[HubLoad | FileLoad | ProceduralLoad, Field(discriminator="kind")]


Cell = bool | int | float | str | None
"""A value that a raw column is compared with."""


class SourceReview(Section):
    """What a person decided about a source after looking at its rows (`python -m posttrain sample SOURCE --recipe RECIPE`)."""

    decision: Literal["accept", "reject"]
    by: str = Field(min_length=1, description="who decided")
    date: datetime.date
    note: str = ""


def _language_code(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise PydanticCustomError("language_code", "{found} is no language code such as ko or zh-Hant", {"found": repr(value)})
    return value


LanguageCode = Annotated[str, AfterValidator(_language_code)]
"""`ko`, as rows have it. `Korean` would match no row, and a quota for it would cap nothing."""


class Source(Section):
    """One source of training rows. A source without origin and licence is refused."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")
    family: str
    load: Load
    origin: str = Field(min_length=1)
    license: str = Field(min_length=1)
    non_commercial: bool = False
    category: Literal[CATEGORIES] = "general"  # type: ignore[valid-type]
    skill: str | None = Field(default=None, description="the skill its rows teach; the category unless said")
    language: LanguageCode | None = Field(default=None, description="declared language; guessed from the script unless said")
    where: dict[str, Cell | Annotated[tuple[Cell, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="raw column (`a.b` for b inside of a) → the value, or the values, of the rows that are taken; "
                    "`*` in a text stands for any characters, `!` before it for all others; the other rows are rejected",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of the family: `python -m posttrain sources`")
    review: SourceReview | None = Field(
        default=None, description="a person's decision; without one that accepts, a release of its rows is refused")


MADE_SOURCES = ("improved", "synthesized", "gap")
"""Sources that the pipeline makes itself: rewritten prompts, new rows, and new rows for a skill in focus."""


def data_root() -> Path:
    """The folder that relative source paths start at: POSTTRAIN_DATA_ROOT, else the working folder."""
    return Path(os.environ.get("POSTTRAIN_DATA_ROOT") or ".").resolve()
