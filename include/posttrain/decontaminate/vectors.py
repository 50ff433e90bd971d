"""The part of an eval index that a sentence model makes (the model: sentence_vectors.py). What it is compared for: dense.py.

The vectors of the eval texts are encoded once, when the index is made, and are part of it:

    dense.npy         a row of float32 for each eval text
    dense-probe.npy   the vector of PROBE: who compares later must have the very model that made the index
    dense.json        {"model": …}
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posttrain import sentence_vectors
from posttrain.storage import file_system, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from posttrain.sentence_vectors import Vectors
    from posttrain.storage import ArtifactWriter, Manifest

SETTING = "decontaminate.dense_model"
PROBE = "The quick brown fox jumps over the lazy dog; 여우가 개를 뛰어넘는다."


@dataclass(frozen=True, eq=False)
class DenseIndex:
    """The vectors of an index's texts, and the model that made them."""

    model: str
    vectors: Vectors
    probe: Vectors


def encode(model: str, texts: Sequence[str]) -> Vectors:
    """A row of length 1 for each text, by `decontaminate.dense_model`. Raises DenseModelUnusable."""
    return sentence_vectors.encode(model, texts, SETTING)


# ---------------------------------------------------------------- the index's part


def write_vectors(model: str, texts: Sequence[str], out: ArtifactWriter) -> None:
    """Encode the eval texts of an index into its artifact."""
    for name, vectors in (("dense.npy", encode(model, texts)), ("dense-probe.npy", encode(model, [PROBE]))):
        buffer = io.BytesIO()
        np.save(buffer, vectors, allow_pickle=False)
        out.write_bytes(name, buffer.getvalue())
    out.write_bytes("dense.json", (json.dumps({"model": model}) + "\n").encode())


def load_vectors(manifest: Manifest) -> DenseIndex | None:
    """The dense part of an index artifact; None where it was made without a model."""
    if all(entry.name != "dense.json" for entry in manifest.files):
        return None
    return DenseIndex(
        read_json(manifest.file("dense.json"))["model"], _load(manifest, "dense.npy"), _load(manifest, "dense-probe.npy")[0])


def _load(manifest: Manifest, name: str) -> Vectors:
    fs, path = file_system(manifest.file(name))
    with fs.open(path, "rb") as f:
        return np.load(io.BytesIO(f.read()), allow_pickle=False)
