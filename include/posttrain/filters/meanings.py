"""The sentence vectors of the candidates that still stand, one part file after the other, each kept as an artifact of its own.

    <workspace>/shards/filter_meanings/<key>/meanings.npz    addressed by model, rows and what of them is read

Encoding is by far what costs most here: who changes the threshold, or one source, encodes only what was not encoded before. One
process does it, whose model uses all cores or the accelerator.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import numpy as np

from posttrain.columns import examples_at
from posttrain.duplicates.exact import Mask
from posttrain.duplicates.meaning import Meanings, ReadTexts, read_texts
from posttrain.duplicates.settings import SemanticDuplicates
from posttrain.sentence_vectors import encode, identity, read_whole
from posttrain.shards import Progress
from posttrain.storage import (
    ArtifactWriter,
    FileEntry,
    Manifest,
    exists,
    file_system,
    join,
    load_manifest,
    read_batches,
    sha256_bytes,
    sha256_json,
)

log = logging.getLogger(__name__)

STAGE, FILE = "filter_meanings", "meanings.npz"
SETTING = "filter.duplicates.semantic.model"


@dataclass(frozen=True)
class ReadPart:
    """A part file, the number of its first row among all candidates, and which of its rows are to be read."""

    entry: FileEntry
    path: str
    start: int
    wanted: Mask


def read_meanings(parts: list[ReadPart], settings: SemanticDuplicates, out: ArtifactWriter) -> list[Meanings]:
    """The vectors of every part. Fact `duplicates.semantic_not_read_whole`: rows that the model would cut off, which are left
    out: what comes first in them may be the same passage.
    """
    about = [STAGE, out.code, identity(settings.model), settings.what]
    paths = [join(out.shards, STAGE, sha256_json([*about, part.entry.sha256, sha256_bytes(part.wanted.tobytes())])[:20])
             for part in parts]
    missing = {path: part for path, part in zip(paths, parts, strict=True) if not exists(join(path, "manifest.json"))}
    progress = Progress("filter, sentence vectors", len(missing), sum(int(part.wanted.sum()) for part in missing.values()))
    for path, part in missing.items():
        _encode_part(path, part, settings)
        progress.add(int(part.wanted.sum()))
    manifests = [load_manifest(path) for path in paths]
    left_out = sum(manifest.facts["not_read_whole"] for manifest in manifests)
    if left_out:
        log.warning("semantic duplicates: %d rows are longer than what %s reads and are not compared", left_out, settings.model)
    out.facts["duplicates"] = {"semantic_not_read_whole": left_out}
    return [_load(manifest, part.start) for manifest, part in zip(manifests, parts, strict=True)]


def _encode_part(path: str, part: ReadPart, settings: SemanticDuplicates) -> None:
    """Write the vectors of one part; rows are numbered from its first one."""
    places, texts, seen = list[int](), list[ReadTexts](), 0
    for batch in read_batches(part.path):
        wanted = np.flatnonzero(part.wanted[seen : seen + batch.num_rows])
        for place, example in zip(wanted.tolist(), examples_at(part.entry.split, batch, wanted), strict=True):
            read = read_texts(example, settings)
            if read:
                places.append(seen + place)
                texts.append(read)
        seen += batch.num_rows
    flat = [side for read in texts for side in read.sides]
    sides = len(texts[0].sides) if texts else 1
    whole = read_whole(settings.model, flat, SETTING).reshape(-1, sides).all(axis=1) if texts else np.empty(0, bool)
    texts = [read for read, is_whole in zip(texts, whole.tolist(), strict=True) if is_whole]
    vectors = np.empty((0, sides, 1), np.float32)
    if texts:
        flat = [side for read in texts for side in read.sides]
        vectors = encode(settings.model, flat, SETTING).reshape(len(texts), sides, -1)
    buffer = io.BytesIO()
    np.savez(
        buffer, rows=np.array(places, dtype=np.int64)[whole], vectors=vectors,
        group=np.frombuffer(b"".join(read.group for read in texts), dtype="<u8"),
        numbers=np.frombuffer(b"".join(read.numbers for read in texts), dtype="<u8"),
    )
    writer = ArtifactWriter(path, stage=STAGE)
    writer.write_bytes(FILE, buffer.getvalue())
    writer.facts["not_read_whole"] = int((~whole).sum())
    writer.finish()


def _load(manifest: Manifest, start: int) -> Meanings:
    fs, name = file_system(manifest.file(FILE))
    with np.load(io.BytesIO(fs.cat_file(name)), allow_pickle=False) as arrays:
        return Meanings(arrays["rows"] + start, arrays["vectors"], arrays["group"].astype(np.uint64),
                        arrays["numbers"].astype(np.uint64))
