"""decontaminate: training rows against the eval index. Training rows are removed; eval items never change.

    part-<kind>-*.parquet          clean rows, which the mixture takes
    part-review_<kind>-*.parquet   the review band: rows that the review stage decides about; they count as kept
    rejected-*.parquet             removed rows, each with the reason and its strongest match
    matches.parquet                the evidence for every removal and every row in the band (see matches.py)
    contamination.tsv              eval × source: contaminated instances, and whether they are more than the data-set rule allows

A user turn is one unit: scores of two turns or two rows are never added up.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice

from posttrain.decontaminate.contamination import ContaminationTable
from posttrain.decontaminate.index import check_eval_files
from posttrain.decontaminate.matches import (
    Evidence,
    Finding,
    TrainingRow,
    decide,
    describe,
    find_contamination,
    removal_reason,
    strongest,
)
from posttrain.decontaminate.search import EvalSearch, open_search
from posttrain.recipe import Decontaminate
from posttrain.schema import SCHEMAS, Example, conversation, kind_of, prompt_of, to_row
from posttrain.storage import ArtifactWriter, Manifest, read_examples

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 2_000
REVIEW = "review_"
"""The review band of a kind is a split of its own, which the mixture does not read: `review_sft`."""


def decontaminate_examples(rows: list[Manifest], index: Manifest, settings: Decontaminate, out: ArtifactWriter) -> None:
    """Compare the examples of all `rows` with the index; write clean rows, the band, and what was removed with its evidence.

    Raises EvalFilesChanged where an eval file is not what was indexed, before and after.
    """
    check_eval_files(index)
    with open_search(index, settings) as search:
        overlapping = _overlapping_sources(rows, search, settings) if settings.drop_overlapping_sources else {}
        table = ContaminationTable(search.index, settings.dataset_threshold)
        evidence = Evidence(search.index)
        for example, row, findings in compare(_examples(rows), search, settings):
            table.count(example.source, _row_name(example), findings)
            evidence.add(row, findings)
            _place(example, findings, overlapping, out)
    evidence.write(out)
    write_table(table, out)
    check_eval_files(index)


def training_row(example: Example) -> TrainingRow:
    """The user turns of the conversation; of a pair, those of the chosen side, or of the rejected where there is no chosen."""
    turns = [(n, m.content) for n, m in enumerate(conversation(example)) if m.role == "user"]
    return TrainingRow(example.id, example.source, turns)


def compare(
    examples: Iterable[Example], search: EvalSearch, settings: Decontaminate,
) -> Iterator[tuple[Example, TrainingRow, list[Finding]]]:
    """Each example with its findings, in order, some thousand at a time."""
    stream, done = iter(examples), 0
    while batch := list(islice(stream, ROWS_AT_ONCE)):
        rows = [training_row(example) for example in batch]
        yield from zip(batch, rows, find_contamination(rows, search, settings), strict=True)
        done += len(batch)
        log.info("compared %d rows with %d eval items", done, len(search.index.eval_of_item))


def write_table(table: ContaminationTable, out: ArtifactWriter) -> None:
    """`contamination.tsv`, and the same as facts for the report."""
    out.write_bytes("contamination.tsv", table.tsv())
    out.facts["contamination"] = table.rows()
    out.facts["ngram_size"] = table.index.ngram_size


def _examples(rows: list[Manifest]) -> Iterator[Example]:
    for manifest in rows:
        yield from read_examples(manifest)


def _row_name(example: Example) -> Hashable:
    """What counts as one row: an SFT example and its RLVR twin come from the same raw row and ask the same."""
    return example.id if example.raw_row is None else (example.raw_file, example.raw_row, prompt_of(example))


def _overlapping_sources(rows: list[Manifest], search: EvalSearch, settings: Decontaminate) -> dict[str, list[str]]:
    """A pass of its own: whether a source is dropped is known only when its last row has been seen."""
    table = ContaminationTable(search.index, settings.dataset_threshold)
    for example, _, findings in compare(_examples(rows), search, settings):
        table.count(example.source, _row_name(example), findings)
    return table.overlapping_sources()


def _place(example: Example, findings: list[Finding], overlapping: dict[str, list[str]], out: ArtifactWriter) -> None:
    out.read(example.source)
    decision = decide(findings)
    if decision == "remove":
        out.reject_example(example, removal_reason(findings), describe(strongest(findings)), "messages")
    elif example.source in overlapping:
        out.reject_example(example, "eval_set_overlap", "over the data-set rule on " + ", ".join(overlapping[example.source]))
    elif decision == "review":
        out.kept(example.source)
        out.add(REVIEW + kind_of(example), example)
    else:
        out.keep(example)
