"""decontaminate: training rows against the eval index. Training rows are removed; eval items never change.

    part-<kind>-*.parquet          clean rows, which the mixture takes
    part-review_<kind>-*.parquet   the review band: rows that the review stage decides about; they count as kept
    rejected-*.parquet             removed rows, each with the reason and its strongest match
    matches.parquet                the evidence for every removal and every row in the band (see matches.py)
    contamination.tsv              eval × source: contaminated instances, and whether they are more than the data-set rule allows

A user turn is one unit: scores of two turns or two rows are never added up.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from posttrain.columns import examples_of
from posttrain.decontaminate.contamination import ContaminationTable, write_table
from posttrain.decontaminate.eval_sets import check_eval_files
from posttrain.decontaminate.examples import merge_examples
from posttrain.decontaminate.matches import MATCHES, merge_evidence
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import one_search
from posttrain.decontaminate.shard import REVIEW, ShardJob, compare_shard, loaded_index
from posttrain.shards import shards_of, take_counts, work_shards, workers_for
from posttrain.storage import read_table
from posttrain.workers import Workers

if TYPE_CHECKING:
    from posttrain.recipe import Decontaminate
    from posttrain.storage import ArtifactWriter, FileEntry, Manifest

__all__ = ["REVIEW", "decontaminate_examples"]


def decontaminate_examples(rows: list[Manifest], index: Manifest, settings: Decontaminate, out: ArtifactWriter) -> None:
    """Compare the examples of all `rows` with the index; write clean rows, the band, and what was removed with its evidence.

    Raises EvalFilesChanged where an eval file is not what was indexed, before and after.
    """
    check_eval_files(index)
    shards = shards_of(rows)
    # A server has its own concurrency; several processes would only queue there.
    with one_search(), workers_for(shards) if settings.index == "embedded" else Workers(1) as workers:
        done = work_shards(out, shards, compare_shard, ShardJob(index, settings), workers, content=index.content)
    table = ContaminationTable(loaded_index(index.path, index.content), settings.dataset_threshold, PRESETS[settings.preset])
    for manifest in done:
        table.merge(manifest.facts["contamination"])
        take_counts(manifest, out)
    overlapping = table.overlapping_sources() if settings.drop_overlapping_sources else {}
    outcome = Counter(clean=0, review=0, removed=0)
    for manifest in done:
        for entry in manifest.files:
            if entry.is_rejected:
                out.adopt(manifest, entry)
                outcome["removed"] += entry.rows
            elif entry.split:
                left = _take_over(manifest, entry, overlapping, out)
                outcome.update({"review" if entry.split.startswith(REVIEW) else "clean": left, "removed": entry.rows - left})
    out.facts |= {"outcome": dict(outcome), "examples": merge_examples(manifest.facts["examples"] for manifest in done)}
    merge_evidence([manifest.file(MATCHES) for manifest in done], out)
    write_table(table, out)
    check_eval_files(index)


def _take_over(manifest: Manifest, entry: FileEntry, overlapping: dict[str, list[str]], out: ArtifactWriter) -> int:
    """A shard's clean rows or band, without the rows of sources that the recipe drops as a whole; how many rows are left."""
    sources = read_table(manifest.file(entry.name), ["source"]).column("source")
    dropped = pc.is_in(sources, pa.array(list(overlapping), pa.string()))
    for source, rows in Counter(sources.filter(pc.invert(dropped)).to_pylist()).items():
        out.kept(source, rows)
    if not pc.any(dropped).as_py():
        out.adopt(manifest, entry)
        return entry.rows
    rows = read_table(manifest.file(entry.name))
    for batch in rows.filter(dropped).to_batches():
        for example in examples_of(entry.split.removeprefix(REVIEW), batch):
            out.reject_example(example, "eval_set_overlap",
                               "over the data-set rule on " + ", ".join(overlapping[example.source]))
    left = rows.filter(pc.invert(dropped))
    if left.num_rows:
        out.write_table(out.part_name(entry.split), left, entry.split)
    return left.num_rows
