"""What the teacher prepares for a reviewer: a suggestion for every row, and the judge's opinion where the recipe asks for it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.review.edits import Edit
from posttrain.decontaminate.review.judge import Opinion, ask_judge
from posttrain.decontaminate.review.paraphrase import Suggestion, suggest
from posttrain.decontaminate.review.queue import read_queue
from posttrain.decontaminate.search import open_search
from posttrain.recipe import Decontaminate, Review
from posttrain.storage import ArtifactWriter, Manifest, read_parquet
from posttrain.teacher.client import Teacher

log = logging.getLogger(__name__)

ADVICE = "advice.parquet"
ADVICE_SCHEMA = pa.schema([
    ("item", pa.string()),
    ("edits", pa.list_(pa.struct([
        ("turn", pa.int32()), ("question", pa.string()), ("answer", pa.string()), ("worse", pa.string()),
        ("request_id", pa.string())]))),
    ("complaint", pa.string()),
    ("gives_away", pa.bool_()),
    ("why", pa.string()),
])
"""One line an item of the queue. `complaint`: why there is no suggestion, or what is wrong with it. `gives_away` is null
where the judge was not asked or had no opinion."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The line of an item, as the review page shows it."""

    edits: tuple[Edit, ...] = ()
    complaint: str = ""
    gives_away: bool | None = None
    why: str = ""


def prepare_advice(
    decontaminated: Manifest, index: Manifest, review: Review, settings: Decontaminate, teacher: Teacher, out: ArtifactWriter,
) -> None:
    """Ask the teacher about every row of the band. Answers come from its journal where the review stage asks the same."""
    items = read_queue(decontaminated, load_index(index))
    with open_search(index, settings) as search:
        suggestions = suggest(items, settings, search, teacher)
    opinions = ask_judge(items, teacher) if review.judge != "off" else [Opinion()] * len(items)
    lines = [_line(item.id, *advice) for item, *advice in zip(items, suggestions, opinions, strict=True)]
    out.write_table(ADVICE, pa.Table.from_pylist(lines, schema=ADVICE_SCHEMA))
    verdicts = Counter(str(opinion.gives_away).lower() for opinion in opinions) if review.judge != "off" else Counter[str]()
    out.facts.update(items=len(items), suggestions=sum(s.is_clear for s in suggestions), judge=dict(sorted(verdicts.items())),
                     teacher=teacher.usage(), journal=teacher.journal.folder)
    log.info("advice on %d rows: %d suggestions that are clear of the evals", len(items), out.facts["suggestions"])


def _line(item: str, suggestion: Suggestion, opinion: Opinion) -> dict[str, Any]:
    return {
        "item": item, "edits": [asdict(edit) for edit in suggestion.edits], "complaint": suggestion.complaint,
        "gives_away": opinion.gives_away, "why": opinion.why,
    }


def read_advice(manifest: Manifest) -> dict[str, Advice]:
    """Item id → advice."""
    return {line.pop("item"): Advice(**(line | {"edits": tuple(Edit(**edit) for edit in line["edits"])}))
            for line in read_parquet(manifest.file(ADVICE))}
