"""The first step of the filter stage: the rules over the rows of one part file, in a worker process."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from posttrain import recipe
from posttrain.columns import ExampleColumns, examples_at, take_rows, value_counts
from posttrain.duplicates.fingerprints import Fingerprints, fingerprint
from posttrain.duplicates.store import write_words
from posttrain.duplicates.texts import NOTHING, compared_texts
from posttrain.filters.counts import RuleCounts
from posttrain.filters.rules import prepare_rules, prepare_screen
from posttrain.schema import SCHEMAS, Example
from posttrain.shards import Shard
from posttrain.storage import ArtifactWriter, read_batches

FINGERPRINTS, REPORTED = "fingerprints.npz", "reported.json"


@dataclass(frozen=True)
class ShardJob:
    """What `judge_shard` needs: settings, and a local folder for the words that near duplicates are compared by, or ""."""

    settings: recipe.Filter
    words: str


def judge_shard(shard: Shard, job: ShardJob, out: ArtifactWriter) -> None:
    """Judge the rows of one part file. Leaves the candidates as they are to be kept, their fingerprints and the rules' counts."""
    settings, judge, counts = job.settings, prepare_rules(job.settings), RuleCounts()
    screen = prepare_screen(settings) if shard.split == "sft" and not settings.duplicates.any else None
    batches, compared, reported, rows = [], [], [], 0
    kept: Counter[str] = Counter()
    for batch in read_batches(shard.path):
        seen = np.flatnonzero(screen(batch.column("messages"))) if screen else np.arange(batch.num_rows)
        stays, changed = np.ones(batch.num_rows, bool), dict[int, Example]()
        for source, number in value_counts(batch.column("source")):
            out.read(source, number)
        for place, read in zip(seen.tolist(), examples_at(shard.split, batch, seen), strict=True):
            verdict = judge(read)
            if verdict.drop:
                counts.add(read, verdict.drop)
                out.reject_example(read, verdict.drop.reason, verdict.drop.detail)
                stays[place] = False
                continue
            if verdict.example is not read:
                changed[place] = verdict.example
            for found in verdict.reported:
                counts.add(verdict.example, found)
                reported.append((rows + int(stays[:place].sum()), found.rule, found.reason, found.detail))
            if settings.duplicates.any:
                compared.append(compared_texts(verdict.example, settings.duplicates))
        places = np.flatnonzero(stays)
        rows += len(places)
        for source, number in value_counts(batch.column("source").filter(pa.array(stays))):
            kept[source] += number
        if changed or batch.schema != SCHEMAS[shard.split]:
            rest = zip(places.tolist(), examples_at(shard.split, batch, places), strict=True)
            batches.append(_table_of(shard.split, [changed.get(place, example) for place, example in rest]))
        else:
            batches.append(take_rows(batch, places))
    for source, number in kept.items():
        out.kept(source, number)
    if rows:
        out.write_table(out.part_name(shard.split), pa.concat_tables(batches), shard.split)
    prints = fingerprint(compared if settings.duplicates.any else [NOTHING] * rows, settings.duplicates)
    out.write_bytes(FINGERPRINTS, _npz(prints))
    if settings.select and settings.select.quality:
        out.write_bytes(REPORTED, json.dumps(reported).encode())
    if job.words:
        write_words(words_file(job.words, out.key), (row.words for row in compared))
    out.facts["counts"] = counts.state()


def _table_of(split: str, examples: list[Example]) -> pa.Table:
    columns = ExampleColumns(split)
    for example in examples:
        columns.append(example)
    return columns.table()


def _npz(prints: Fingerprints) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, conversation=prints.conversation, prompt=prints.prompt, group=prints.group, signature=prints.signature)
    return buffer.getvalue()


def words_file(folder: str, key: str) -> str:
    return f"{folder}/{key}"
