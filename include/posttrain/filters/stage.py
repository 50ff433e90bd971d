"""The filter stage: every row through the rules, shard by shard; then duplicates over all shards; then the selection.

1. `shard.judge_shard`, in worker processes: rows that the rules drop are put aside, the others are candidates.
2. `candidates.CandidateRows`, over all shards at once: which candidates are duplicates; and the recipe's selection.
3. Here: the candidates that stay are written. A shard that loses none is taken over as it is.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain import recipe
from posttrain.columns import examples_of
from posttrain.duplicates.clusters import DUPLICATE_CONVERSATION, VERDICTS, Decision, cluster_table, spared_table
from posttrain.filters.candidates import CandidateRows
from posttrain.filters.counts import DUPLICATES, RuleCounts
from posttrain.filters.length import tokenizer_file
from posttrain.filters.rules import Drop
from posttrain.filters.select import Candidates
from posttrain.filters.shard import ShardJob, judge_shard
from posttrain.sentence_vectors import identity
from posttrain.shards import shards_of, take_counts, work_shards, workers_for
from posttrain.storage import ArtifactWriter, Manifest, sha256_file
from posttrain.workers import worker_count

SPARED = "spared.parquet"


def stage_settings(settings: recipe.Filter) -> dict[str, Any]:
    """What decides the stage's result: its settings and the content of the files that they name."""
    named = [tokenizer_file(settings.tokenizer)] if settings.tokenizer else []
    named += [recipe.data_root() / name for name in settings.select.solved] if settings.select else []
    files = [sha256_file(str(path)) for path in named]
    semantic = settings.duplicates.semantic
    return settings.model_dump(mode="json") | {"files": [*files, identity(semantic.model)] if semantic else files}


def filter_examples(inputs: list[Manifest], settings: recipe.Filter, out: ArtifactWriter) -> None:
    """Apply RULES to every example, then drop duplicates, then select. Of two duplicates the recipe's priority decides, then
    the order of `inputs`.

    `clusters.parquet` holds the members of every cluster of duplicates, `spared.parquet` the rows that are no semantic
    duplicates only because of their numbers. Facts: those of RuleCounts, with `duplicates` and
    `select` as the last rules, and those of the duplicates and of the selection.
    """
    shards = shards_of(inputs)
    with workers_for(shards) as workers, tempfile.TemporaryDirectory(prefix="posttrain-words-") as words:
        job = ShardJob(settings, words if settings.duplicates.near else "")
        candidates = CandidateRows(work_shards(out, shards, judge_shard, job, workers))
        decision = candidates.decide(settings, words, workers, out)
    counts, refused = candidates.counts(), dict[int, Drop]()
    for manifest in candidates.manifests:
        take_counts(manifest, out)
    if settings.select:
        chosen = Candidates(settings.select)
        for position, example, reported in candidates.examples(decision):
            chosen.add(position, example, reported)
        refused, out.facts["select"] = chosen.choose()
    _write(candidates, decision, refused, counts, out)
    out.facts.update(counts.facts(settings))
    out.facts["duplicates"] = decision.facts | out.facts.get("duplicates", {})


def _write(
    candidates: CandidateRows, decision: Decision, refused: dict[int, Drop], counts: RuleCounts, out: ArtifactWriter,
) -> None:
    """Write every shard's remaining rows, in order, and put the dropped ones aside."""
    for manifest in candidates.manifests:
        for entry in manifest.files:
            if entry.is_rejected:
                out.adopt(manifest, entry)
    stays = decision.keep.copy()
    stays[list(refused)] = False
    with ThreadPoolExecutor(worker_count()) as threads:  # Arrow and zstd work outside of Python's lock
        written = []
        for number, (manifest, part, start) in enumerate(zip(candidates.manifests, candidates.parts, candidates.starts,
                                                             strict=False)):
            if part is None:
                continue
            mask = stays[start:start + part.rows]
            if mask.all():
                out.adopt(manifest, part)
            elif mask.any():
                name = out.part_name(part.split)
                written.append(threads.submit(_write_masked, candidates, number, mask, name, part.split, out))
            _drop(candidates, number, ~mask, decision, refused, counts, out)
        for done in written:
            done.result()
    for source, rows in Counter(candidates.sources.filter(pa.array(stays)).to_pylist()).items():
        out.kept(source, rows)
    if (decision.cluster >= 0).any():
        out.write_table("clusters.parquet", cluster_table(decision, candidates.ids, candidates.sources))
    if decision.spared is not None and len(decision.spared.rows):
        out.write_table(SPARED, spared_table(decision.spared, candidates.ids, candidates.sources))


def _write_masked(candidates: CandidateRows, number: int, mask: npt.NDArray[np.bool_], name: str, split: str,
                  out: ArtifactWriter) -> None:
    table = candidates.table(number)
    if table is not None:
        out.write_table(name, table.filter(pa.array(mask)), split)


def _drop(candidates: CandidateRows, number: int, mask: npt.NDArray[np.bool_], decision: Decision, refused: dict[int, Drop],
          counts: RuleCounts, out: ArtifactWriter) -> None:
    """Reject the candidates of one shard that are duplicates or were not selected."""
    part, table = candidates.parts[number], candidates.table(number) if mask.any() else None
    if table is None or part is None:
        return
    places = np.flatnonzero(mask) + candidates.starts[number]
    rows = (e for batch in table.filter(pa.array(mask)).to_batches() for e in examples_of(part.split, batch))
    for place, example in zip(places.tolist(), rows, strict=True):
        drop = refused.get(place) or _duplicate(candidates, decision, place)
        counts.add(example, drop)
        out.reject_example(example, drop.reason, drop.detail)


def _duplicate(candidates: CandidateRows, decision: Decision, place: int) -> Drop:
    verdict, kept = int(decision.verdict[place]), int(decision.kept_row[place])
    name = f"{candidates.ids[kept].as_py()} of {candidates.sources[kept].as_py()}"
    jaccard, cosine = decision.jaccard[place], np.nan if decision.cosine is None else decision.cosine[place]
    near = "" if verdict == DUPLICATE_CONVERSATION or np.isnan(jaccard) else f" (Jaccard {jaccard:.2f})"
    near = near if np.isnan(cosine) else f" (cosine {cosine:.3f})"
    return Drop(DUPLICATES, VERDICTS[verdict], f"{name} is kept{near}")
