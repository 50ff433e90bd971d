"""A finished mixture against one eval set: which of its rows fall. Every split, every part file on its own, in worker processes.

    fallen.parquet             part, place (row number in the part), id, source, decision (remove, review), reason, detail
    part-review_<kind>-*       the rows of the review band, once each, as the review stage reads them
    rejected-*                 the rows to be removed, each with its strongest match
    matches.parquet, contamination.tsv   as the decontaminate stage writes them

The rows that stay are not written again: the mixture has them.
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from posttrain.decontaminate.contamination import ContaminationTable, write_table
from posttrain.decontaminate.eval_sets import check_eval_files
from posttrain.decontaminate.examples import merge_examples
from posttrain.decontaminate.matches import MATCHES, merge_evidence
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.shard import REVIEW, ShardJob, judged_batches, loaded_index
from posttrain.recipe import Decontaminate
from posttrain.schema import SCHEMAS
from posttrain.shards import Shard, take_counts, work_shards, workers_for
from posttrain.storage import ArtifactWriter, FileEntry, Manifest, read_table, sha256_json

FALLEN = "fallen.parquet"
TEXTS = ("messages", "chosen", "rejected")
"""What of a row a reviewer sees."""
FALLEN_SCHEMA = pa.schema([
    ("part", pa.string()), ("place", pa.int64()), ("id", pa.string()), ("source", pa.string()), ("decision", pa.string()),
    ("reason", pa.string()), ("detail", pa.string()),
])


def kind_of_split(split: str) -> str:
    """The kind of a split's rows: preference prompts are RLVR rows, the others are called after theirs."""
    return split if split in SCHEMAS else "rlvr"


def parts_of(mixture: Manifest) -> list[FileEntry]:
    return [entry for entry in mixture.files if entry.split]


def compare_mixture(mixture: Manifest, index: Manifest, settings: Decontaminate, out: ArtifactWriter) -> None:
    """Compare every row of the mixture with the eval set of `index`. A row that stands in it twice is read twice.

    read = rows of all splits; rejected = those to be removed; kept = the others, the review band among them.
    Facts: those of the decontaminate stage, and `overlapping_sources` (over the data-set rule, where the recipe drops these).
    Raises EvalFilesChanged where an eval file is not what was indexed, before and after.
    """
    check_eval_files(index)
    entries = parts_of(mixture)
    shards = [Shard(mixture.file(e.name), kind_of_split(e.split), e.rows, e.sha256) for e in entries]
    with workers_for(shards) as workers:
        done = work_shards(out, shards, compare_part, ShardJob(index, settings), workers, content=index.content)
    table = ContaminationTable(loaded_index(index.path, index.content), settings.dataset_threshold, PRESETS[settings.preset])
    fallen = []
    for entry, manifest in zip(entries, done, strict=True):
        table.merge(manifest.facts["contamination"])
        take_counts(manifest, out)
        for source, counts in manifest.by_source.items():
            out.kept(source, counts["kept"])
        for own in manifest.files:
            if own.is_rejected:
                out.adopt(manifest, own)
        rows = read_table(manifest.file(FALLEN))
        fallen.append(rows.set_column(0, "part", pa.array([entry.name] * rows.num_rows, pa.string())))
    together = pa.concat_tables(fallen) if fallen else FALLEN_SCHEMA.empty_table()
    lines = _write_band(mixture, together, out)
    out.write_table(FALLEN, lines)
    merge_evidence([manifest.file(MATCHES) for manifest in done], out)
    write_table(table, out)
    counts = Counter(lines["decision"].to_pylist())
    rows = sum(entry.rows for entry in entries)
    out.facts |= {
        "overlapping_sources": table.overlapping_sources() if settings.drop_overlapping_sources else {},
        "examples": merge_examples(manifest.facts["examples"] for manifest in done),
        "outcome": {"clean": rows - counts.total(), "review": counts["review"], "removed": counts["remove"]},
    }
    check_eval_files(index)


def compare_part(shard: Shard, job: ShardJob, out: ArtifactWriter) -> None:
    """The rows of one part file that fall, the evidence, and the counts."""
    lines, first = [], 0
    for judged in judged_batches(shard, job, out):
        places = [n for n, decision in enumerate(judged.decisions) if decision != "keep"]
        names = judged.batch.select(["id", "source"]).take(pa.array(places, pa.int64())).to_pylist()
        for n, name in zip(places, names, strict=True):
            reason, detail = judged.why.get(n, ("", ""))  # of the band, the review says why
            lines.append(name | {"place": first + n, "decision": judged.decisions[n], "reason": reason, "detail": detail})
        first += judged.batch.num_rows
    out.write_table(FALLEN, pa.Table.from_pylist(lines, schema=FALLEN_SCHEMA))


def _write_band(mixture: Manifest, fallen: pa.Table, out: ArtifactWriter) -> pa.Table:
    """Write the rows to be reviewed, those that repeat once: nobody is asked twice about the same row.

    Returns the lines of `fallen`, with a reason for each row that has the name of another row of the band but not its text:
    what is decided about that one must not be taken for a decision on this one, so it falls.
    """
    seen: dict[tuple[str, str, str], str] = {}
    lines = fallen.to_pylist()
    for entry in parts_of(mixture):
        kind, places = kind_of_split(entry.split), []
        own = [line for line in lines if line["part"] == entry.name and line["decision"] == "review"]
        if not own:
            continue
        rows = read_table(mixture.file(entry.name)).take(pa.array([line["place"] for line in own], pa.int64()))
        texts = rows.select([name for name in TEXTS if name in rows.column_names]).to_pylist()
        for number, (line, text) in enumerate(zip(own, texts, strict=True)):
            name = (kind, line["source"], line["id"])
            if name not in seen:
                seen[name] = sha256_json(text)
                places.append(number)
            elif seen[name] != sha256_json(text):
                line["reason"], line["detail"] = "still_in_review_band", f"another row is called {line['id']}; {line['detail']}"
        out.write_table(out.part_name(REVIEW + kind), rows.take(pa.array(places, pa.int64())), REVIEW + kind)
    return pa.Table.from_pylist(lines, schema=FALLEN_SCHEMA)
