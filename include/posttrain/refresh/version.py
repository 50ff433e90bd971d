"""The next version of a mixture: the same rows in the same order, without those that fell.

A part file without such a row is the old one under a second name. A row that the reviewer paraphrased is replaced where it
stood, in every repeat; nothing is filled up with other rows, because these were never compared with the new eval set: the next
rebuild of the mixture does that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posttrain.columns import ExampleColumns, examples_of
from posttrain.refresh.comparison import FALLEN, kind_of_split, parts_of
from posttrain.schema import SCHEMAS, Example
from posttrain.storage import ArtifactWriter, FileEntry, Manifest, read_examples, read_rejected, read_table

Name = tuple[str, str, str]
"""kind, source and id of a row: what the reviewer decided about. Its repeats share it."""


@dataclass(frozen=True)
class Fall:
    """A row leaves the mixture (`reason`, a key of schema.REASONS), or `example` takes its place."""

    reason: str = ""
    detail: str = ""
    example: Example | None = None


LABELS = ("source", "category", "skill", "language")
Label = tuple[str, ...]
"""A split and the values of LABELS."""

Falls = dict[str, dict[int, Fall]]
"""Part file of the mixture → row number → what becomes of the row."""


@dataclass(frozen=True)
class Compared:
    """What one eval set said about the mixture. `reviewed` and `checked` (the reviewer's paraphrases against all evals of the
    recipe) are None where nothing was in the band, or nothing was left of it."""

    comparison: Manifest
    reviewed: Manifest | None = None
    checked: Manifest | None = None


def fallen_rows(mixture: Manifest, compared: Iterable[Compared]) -> Falls:
    """What becomes of every row that does not stay as it is. Where several evals speak against a row, a removal counts before a
    review, and a row that is dropped by any review is dropped."""
    kinds = {entry.name: kind_of_split(entry.split) for entry in parts_of(mixture)}
    said: dict[tuple[str, int], list[Fall]] = {}
    for one in compared:
        lines = read_table(one.comparison.file(FALLEN)).to_pylist()
        band = {(kinds[line["part"]], line["source"], line["id"]) for line in lines if line["decision"] == "review"}
        outcomes = _outcomes(one, band)
        for line in lines:
            name = (kinds[line["part"]], line["source"], line["id"])
            fall = Fall(line["reason"], line["detail"]) if line["reason"] else outcomes[name]
            if fall:
                said.setdefault((line["part"], line["place"]), []).append(fall)
        for place, fall in _overlapping(mixture, one.comparison.facts["overlapping_sources"]):
            said.setdefault(place, []).append(fall)
    falls: Falls = {}
    for (part, place), found in said.items():
        falls.setdefault(part, {})[place] = min(found, key=lambda fall: fall.example is not None)
    return falls


def _outcomes(one: Compared, band: set[Name]) -> dict[Name, Fall | None]:
    """What the review made of each row of the band; None for one that it kept as it is."""
    undecided = Fall("still_in_review_band", "the review left no decision on it")
    found: dict[Name, Fall | None] = dict.fromkeys(band, undecided)
    if one.reviewed is None:
        return found
    for row in read_rejected(one.reviewed):
        for name in band & {(kind, row["source"], row["id"]) for kind in SCHEMAS}:
            found[name] = Fall(row["reason"], row["detail"])
    clean = {example.id for example in read_examples(one.checked)} if one.checked else set()
    for kind in SCHEMAS:
        for example in read_examples(one.reviewed, kind):
            if (kind, example.source, example.id) in band:
                found[kind, example.source, example.id] = None
            elif example.id in clean:
                found[kind, example.source, example.parent_id or ""] = Fall(example=example)
            else:
                found[kind, example.source, example.parent_id or ""] = Fall(
                    "still_in_review_band", "the paraphrase overlaps another eval set of the recipe")
    return found


def _overlapping(mixture: Manifest, sources: dict[str, list[str]]) -> Iterator[tuple[tuple[str, int], Fall]]:
    """The rows of sources that the recipe drops as a whole, because they are over the data-set rule."""
    for entry in parts_of(mixture) if sources else []:
        column = read_table(mixture.file(entry.name), ["source"])["source"]
        for place in pc.indices_nonzero(pc.is_in(column, pa.array(list(sources), pa.string()))).to_pylist():
            evals = ", ".join(sources[column[place].as_py()])
            yield (entry.name, place), Fall("eval_set_overlap", f"over the data-set rule on {evals}")


def write_version(mixture: Manifest, falls: Falls, evals: list[str], out: ArtifactWriter) -> None:
    """Write the mixture without the rows that fell. read = rows of the old version in all splits, repeats counted; kept = those
    that are still there, paraphrased ones among them; rejected = those that fell, with reason and body.

    Facts: those of the old version with the rows counted again, and `refreshed`: what it was made from, and what fell.
    """
    fell: Counter[Label] = Counter()
    for entry in parts_of(mixture):
        of_part = falls.get(entry.name, {})
        labels = read_table(mixture.file(entry.name), list(LABELS))
        gone = {place: fall for place, fall in of_part.items() if fall.example is None}
        sources = Counter(labels["source"].to_pylist())
        for source, rows in sources.items():
            out.read(source, rows)
        for row in labels.take(pa.array(sorted(gone), pa.int64())).to_pylist():
            fell[entry.split, *(row[name] or "" for name in LABELS)] += 1
            sources[row["source"]] -= 1
        for source, rows in sources.items():
            out.kept(source, rows)
        if of_part:
            table = read_table(mixture.file(entry.name))
            _reject(table, kind_of_split(entry.split), gone, out)
            _write_part(entry, table, of_part, out)
        else:
            out.adopt(mixture, entry)
    rewritten = sum(fall.example is not None for of_part in falls.values() for fall in of_part.values())
    out.facts = _facts(mixture, fell, rewritten, evals)


def _write_part(entry: FileEntry, table: pa.Table, falls: dict[int, Fall], out: ArtifactWriter) -> None:
    pieces, first = [], 0
    for place in sorted(falls):
        pieces.append(table.slice(first, place - first))
        example = falls[place].example
        if example is not None:
            columns = ExampleColumns(kind_of_split(entry.split))
            columns.append(example)
            pieces.append(columns.table().cast(table.schema))
        first = place + 1
    left = pa.concat_tables([*pieces, table.slice(first)])
    if left.num_rows:
        out.write_table(out.part_name(entry.split), left, entry.split)


def _reject(table: pa.Table, kind: str, gone: dict[int, Fall], out: ArtifactWriter) -> None:
    places = sorted(gone)
    batches = table.take(pa.array(places, pa.int64())).to_batches()
    examples = (example for batch in batches for example in examples_of(kind, batch))
    for place, example in zip(places, examples, strict=True):
        out.reject_example(example, gone[place].reason, gone[place].detail, "messages")


def _facts(mixture: Manifest, fell: Counter[Label], rewritten: int, evals: list[str]) -> dict[str, Any]:
    """The old facts with fewer rows. `fell_since_mixed` is what all versions together took from what `amounts` gave."""
    by_split: Counter[str] = Counter()
    for (split, *_), rows in fell.items():
        by_split[split] += rows
    facts = dict(mixture.facts)
    facts["splits"] = {split: rows - by_split[split] for split, rows in facts.get("splits", mixture.written).items()}
    for name, labels in (("rows", ("source", "category", "skill")), ("languages", ("language",))):
        less: Counter[tuple[str, ...]] = Counter()
        for (split, *values), rows in fell.items():
            of_row = dict(zip(LABELS, values, strict=True))
            less[split, *(of_row[label] for label in labels)] += rows
        facts[name] = [line | {"rows": line["rows"] - less[line["split"], *(line[label] for label in labels)]}
                       for line in facts.get(name, [])]
    earlier = Counter(facts.get("refreshed", {}).get("fell_since_mixed", {}))
    facts["refreshed"] = {
        "from": mixture.path, "content": mixture.content, "evals": evals, "fell": dict(sorted(by_split.items())),
        "rewritten": rewritten, "fell_since_mixed": dict(sorted((earlier + by_split).items())),
    }
    return facts
