"""A stage of two rows, for the tests of storage."""

from __future__ import annotations

from posttrain import storage
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, do_once

PROVENANCE = {"source": "unit", "category": "math", "skill": "addition", "language": "en", "license": "MIT"}


def question(number: int, source: str = "unit") -> SFTExample:
    turns = (Message("user", f"{number}+1?"), Message("assistant", f"{number + 1}"))
    return SFTExample(**PROVENANCE | {"source": source}, id=f"{source}_{number}", messages=turns)


def write_two(out: ArtifactWriter) -> None:
    """Reads three rows, keeps two of them, rejects one."""
    out.read("unit", 3)
    out.keep(question(1))
    out.keep(question(2))
    out.reject_example(question(3), "too_simple", "bare arithmetic")


def run(workspace: str, work=write_two, *, inputs=(), code="c1", **choices) -> storage.StageResult:
    return do_once("filter", settings=choices, code=code, inputs=list(inputs), work=work, workspace=workspace)
