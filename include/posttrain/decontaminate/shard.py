"""The rows of one part file against the eval index, in a worker process."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from posttrain.columns import conversations_of, examples_of, take_rows
from posttrain.decontaminate.contamination import ContaminationTable
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import (
    Decision,
    Evidence,
    TrainingRow,
    decide,
    describe,
    find_contamination,
    removal_reason,
    strongest,
)
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import EvalSearch, embedded, open_search
from posttrain.recipe import Decontaminate
from posttrain.schema import Example, Message, conversation, prompt_of
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
    with _search(job) as search:
        table = ContaminationTable(search.index, job.settings.dataset_threshold, PRESETS[job.settings.preset])
        evidence = Evidence(search.index)
        for batch in read_batches(shard.path):
            rows = training_rows(shard.split, batch, job.settings.turns)
            findings = find_contamination(rows, search, job.settings)
            decisions: list[Decision] = [decide(found) if found else "keep" for found in findings]
            why: dict[int, tuple[str, str]] = {}
            hits = [n for n, found in enumerate(findings) if found]
            for n, example in zip(hits, _examples(shard.split, batch, hits), strict=True):
                evidence.add(rows[n], findings[n])
                table.count(example.source, row_name(example), findings[n])
                if decisions[n] == "remove":
                    why[n] = removal_reason(findings[n]), describe(strongest(findings[n]))
                    out.reject_example(example, *why[n], "messages")
            for source, number in Counter(row.source for row in rows).items():
                out.read(source, number)
                table.sources.add(source)
            for source, number in Counter(r.source for r, d in zip(rows, decisions, strict=True) if d != "remove").items():
                out.kept(source, number)
            yield Judged(batch, decisions, why)
        evidence.write(out)
    out.facts["contamination"] = table.state()


@contextmanager
def _search(job: ShardJob) -> Iterator[EvalSearch]:
    """The embedded index is loaded once a process; a server is asked anew for each shard."""
    if job.settings.index == "embedded":
        yield embedded(loaded_index(job.index.path, job.index.content))
    else:
        with open_search(job.index, job.settings) as search:
            yield search


@functools.lru_cache(maxsize=1)
def loaded_index(path: str, content: str) -> EvalIndex:
    """The index artifact at `path`; `content`, its hash, tells it from another one that lay there before."""
    return load_index(load_manifest(path))


def training_rows(kind: str, batch: pa.RecordBatch, which: str) -> list[TrainingRow]:
    """The turns (`user`, or `all`) of each conversation; of a pair, those of the chosen side, or of the rejected where there
    is no chosen."""
    if kind == "preference":
        sides = zip(conversations_of(batch.column("chosen")), conversations_of(batch.column("rejected")), strict=True)
        conversations = (chosen or rejected for chosen, rejected in sides)
    else:
        conversations = conversations_of(batch.column("messages"))
    ids, sources = batch.column("id").to_pylist(), batch.column("source").to_pylist()
    return [_turns(*row, which) for row in zip(ids, sources, conversations, strict=True)]


def training_row(example: Example, which: str) -> TrainingRow:
    """`training_rows` for one example."""
    return _turns(example.id, example.source, conversation(example), which)


def _turns(id: str, source: str, messages: tuple[Message, ...], which: str) -> TrainingRow:
    return TrainingRow(id, source, [(n, m.content) for n, m in enumerate(messages) if which == "all" or m.role == "user"])


def row_name(example: Example) -> Hashable:
    """What counts as one row: an SFT example and its RLVR twin come from the same raw row and ask the same."""
    return example.id if example.raw_row is None else (example.raw_file, example.raw_row, prompt_of(example))


def _examples(kind: str, batch: pa.RecordBatch, places: list[int]) -> list[Example]:
    return [e for part in take_rows(batch, places).to_batches() for e in examples_of(kind, part)] if places else []
