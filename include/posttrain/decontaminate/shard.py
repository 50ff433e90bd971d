"""The rows of one part file against the eval index, in a worker process."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from posttrain.columns import examples_at, take_rows
from posttrain.decontaminate.contamination import ContaminationTable
from posttrain.decontaminate.examples import Examples
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import (
    Decision,
    Evidence,
    decide,
    describe,
    findings_of,
    removal_reason,
    strongest,
)
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import EvalSearch, search_of
from posttrain.decontaminate.turns import TrainingRow, Which, turns_of_batch
from posttrain.recipe import Decontaminate
from posttrain.schema import Example, conversation, prompt_of
from posttrain.shards import Shard
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, read_batches

REVIEW = "review_"
"""The review band of a kind is a split of its own, which the mixture does not read: `review_sft`."""


@dataclass(frozen=True)
class ShardJob:
    index: Manifest
    settings: Decontaminate


def compare_shard(shard: Shard, job: ShardJob, out: ArtifactWriter) -> None:
    """Clean rows and the review band as they came, removed rows with their reason, the evidence and the counts."""
    places: dict[str, list[pa.Table]] = {"keep": [], "review": []}
    for judged in judged_batches(shard, job, out):
        for decision, tables in places.items():
            chosen = [n for n, d in enumerate(judged.decisions) if d == decision]
            tables.append(take_rows(judged.batch, chosen))
    for decision, split in (("keep", shard.split), ("review", REVIEW + shard.split)):
        if any(t.num_rows for t in places[decision]):
            out.write_table(out.part_name(split), pa.concat_tables(places[decision]), split)


@dataclass(frozen=True)
class Judged:
    """A batch of rows with the decision on each, and (reason, detail) of those that are removed."""

    batch: pa.RecordBatch
    decisions: list[Decision]
    why: dict[int, tuple[str, str]]


def judged_batches(shard: Shard, job: ShardJob, out: ArtifactWriter) -> Iterator[Judged]:
    """The rows of a part file with the decision on each. Writes what does not depend on what becomes of the other rows: removed
    rows, the evidence and the counts; all of it is written when the last batch has been taken."""
    with searching(job.index, job.settings) as search:
        table = ContaminationTable(search.index, job.settings.dataset_threshold, PRESETS[job.settings.preset])
        evidence, examples = Evidence(search.index), Examples(search.index)
        for batch in read_batches(shard.path):
            turns = turns_of_batch(shard.split, batch, job.settings.turns)
            findings = findings_of(turns, search, job.settings)
            decisions: list[Decision] = ["keep"] * batch.num_rows
            why: dict[int, tuple[str, str]] = {}
            kept = Counter(batch.column("source").to_pylist())
            for source, number in kept.items():
                out.read(source, number)
                table.sources.add(source)
            hits = sorted(findings)
            for n, example in zip(hits, examples_at(shard.split, batch, hits), strict=True):
                decisions[n] = decide(findings[n])
                row = TrainingRow(example.id, example.source, turns.of(n))
                evidence.add(row, findings[n])
                examples.add(row, findings[n])
                table.count(example.source, row_name(example), findings[n])
                if decisions[n] == "remove":
                    why[n] = removal_reason(findings[n]), describe(strongest(findings[n]))
                    out.reject_example(example, *why[n], "messages")
                    kept[example.source] -= 1
            for source, number in kept.items():
                out.kept(source, number)
            yield Judged(batch, decisions, why)
        evidence.write(out)
    out.facts |= {"contamination": table.state(), "examples": examples.state()}


@contextmanager
def searching(index: Manifest, settings: Decontaminate) -> Iterator[EvalSearch]:
    """The index is loaded once a process; see search.one_search for a server."""
    with search_of(loaded_index(index.path, index.content), index.content, settings) as search:
        yield search


@functools.lru_cache(maxsize=1)
def loaded_index(path: str, content: str) -> EvalIndex:
    """The index artifact at `path`; `content`, its hash, tells it from another one that lay there before."""
    return load_index(load_manifest(path))


def training_row(example: Example, which: Which) -> TrainingRow:
    """An example as decontamination sees it: the turns that `turns_of_batch` gives."""
    turns = [(n, m.content) for n, m in enumerate(conversation(example)) if which == "all" or m.role == "user"]
    return TrainingRow(example.id, example.source, turns)


def row_name(example: Example) -> Hashable:
    """What counts as one row: an SFT example and its RLVR twin come from the same raw row and ask the same."""
    return example.id if example.raw_row is None else (example.raw_file, example.raw_row, prompt_of(example))
