"""The second step of the filter stage: the candidates of all shards at once, and which of them are duplicates."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain import recipe
from posttrain.columns import examples_of
from posttrain.duplicates.clusters import Decision
from posttrain.duplicates.decide import decide
from posttrain.duplicates.exact import Mask
from posttrain.duplicates.fingerprints import Fingerprints, fingerprint, joined
from posttrain.duplicates.meaning import Meanings
from posttrain.duplicates.settings import SemanticDuplicates, source_ranks
from posttrain.duplicates.store import WordStore, write_words
from posttrain.duplicates.texts import compared_texts
from posttrain.filters.counts import RuleCounts
from posttrain.filters.meanings import ReadPart, read_meanings
from posttrain.filters.rules import Drop
from posttrain.filters.shard import FINGERPRINTS, REPORTED, words_file
from posttrain.schema import Example
from posttrain.storage import ArtifactWriter, FileEntry, Manifest, exists, file_system, read_batches, read_table
from posttrain.workers import Workers


class CandidateRows:
    """The rows of all shards that no rule drops, numbered through."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests
        self.parts: list[FileEntry | None] = [next((e for e in m.files if e.split), None) for m in manifests]
        self.starts = np.cumsum([0, *(part.rows if part else 0 for part in self.parts)]).tolist()
        tables = [t for n in range(len(manifests)) if (t := self.table(n, ["id", "source"])) is not None]
        self.ids, self.sources = (_joined(tables, name) for name in ("id", "source"))

    def table(self, number: int, columns: list[str] | None = None) -> pa.Table | None:
        """The candidates of one shard, or some columns of them; None where it has none."""
        part = self.parts[number]
        return read_table(self.manifests[number].file(part.name), columns) if part else None

    def counts(self) -> RuleCounts:
        counts = RuleCounts()
        for manifest in self.manifests:
            counts.merge(RuleCounts.of_state(manifest.facts["counts"]))
        return counts

    def decide(self, settings: recipe.Filter, words: str, workers: Workers, out: ArtifactWriter) -> Decision:
        """Which candidates are duplicates of which. `out` says where sentence vectors are kept, and takes facts about them."""
        fetch = WordStore.of(self._words(settings, words, workers)) if settings.duplicates.near else _no_words
        encoded = self.sources.dictionary_encode()
        ranks = source_ranks(settings.duplicates, encoded.dictionary.to_pylist())
        places = np.array([ranks[name] for name in encoded.dictionary.to_pylist()], dtype=np.int64)
        priorities = places[encoded.indices.to_numpy(zero_copy_only=False)] if len(places) else np.empty(0, np.int64)
        prints = joined([_load(manifest) for manifest in self.manifests] or [fingerprint([], settings.duplicates)])
        read = functools.partial(self._meanings, settings.duplicates.semantic, out)
        return decide(prints, priorities, settings.duplicates, fetch, workers.map, read)

    def _meanings(self, settings: SemanticDuplicates, out: ArtifactWriter, standing: Mask) -> list[Meanings]:
        """The sentence vectors of the candidates that still stand."""
        left_out = pc.is_in(self.sources, pa.array(settings.leave_out, pa.string())).to_numpy(zero_copy_only=False)
        wanted = standing & ~left_out
        parts = [ReadPart(part, manifest.file(part.name), start, wanted[start : start + part.rows])
                 for manifest, part, start in zip(self.manifests, self.parts, self.starts, strict=False) if part]
        return read_meanings(parts, settings, out)

    def _words(self, settings: recipe.Filter, folder: str, workers: Workers) -> list[str]:
        """The words of every shard on the local disk. Those of a shard that was found again are written now."""
        files = [words_file(folder, manifest.key) for manifest in self.manifests]
        todo = {file: (manifest.file(part.name) if part else "", part.split if part else "", settings, file)
                for file, manifest, part in zip(files, self.manifests, self.parts, strict=True) if not exists(file)}
        list(workers.map(_write_words, list(todo.values())))
        return files

    def examples(self, decision: Decision) -> Iterator[tuple[int, Example, tuple[Drop, ...]]]:
        """The candidates that are no duplicates, with their number and what was reported of them."""
        for number, (manifest, part, start) in enumerate(zip(self.manifests, self.parts, self.starts, strict=False)):
            reported = _read_reported(manifest)
            table = self.table(number)
            rows = (e for batch in table.to_batches() for e in examples_of(part.split, batch)) if table and part else ()
            for place, example in enumerate(rows):
                if decision.keep[start + place]:
                    yield start + place, example, tuple(reported.get(place, ()))


def _joined(tables: list[pa.Table], column: str) -> pa.StringArray:
    return pa.chunked_array([c for t in tables for c in t.column(column).chunks], pa.string()).combine_chunks()


def _no_words(rows: npt.NDArray[np.int64]) -> list[str]:
    raise LookupError("words are compared for near duplicates only")


def _write_words(task: tuple[str, str, recipe.Filter, str]) -> None:
    path, split, settings, file = task
    examples = (e for batch in read_batches(path) for e in examples_of(split, batch)) if path else ()
    write_words(file, (compared_texts(example, settings.duplicates).words for example in examples))


def _load(manifest: Manifest) -> Fingerprints:
    fs, name = file_system(manifest.file(FINGERPRINTS))
    with np.load(io.BytesIO(fs.cat_file(name))) as arrays:
        return Fingerprints(arrays["conversation"], arrays["prompt"], arrays["group"], arrays["signature"])


def _read_reported(manifest: Manifest) -> dict[int, list[Drop]]:
    if not any(entry.name == REPORTED for entry in manifest.files):
        return {}
    fs, name = file_system(manifest.file(REPORTED))
    found: dict[int, list[Drop]] = {}
    for place, rule, reason, detail in json.loads(fs.cat_file(name)):
        found.setdefault(place, []).append(Drop(rule, reason, detail))
    return found
