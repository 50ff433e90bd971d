"""Sentence vectors: the model, and the part of an eval index that it makes. What they are compared for: dense.py.

The vectors of the eval texts are encoded once, when the index is made, and are part of it:

    dense.npy         a row of float32 for each eval text
    dense-probe.npy   the vector of PROBE: who compares later must have the very model that made the index
    dense.json        {"model": …}

Encoding runs on a GPU where there is one; POSTTRAIN_DENSE_DEVICE (cpu, cuda, cuda:1, mps) chooses another device. The package
sentence-transformers is needed only where a recipe names a model.
"""

from __future__ import annotations

import functools
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from posttrain.storage import file_system, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from posttrain.storage import ArtifactWriter, Manifest

Vectors = npt.NDArray[np.float32]

PROBE = "The quick brown fox jumps over the lazy dog; 여우가 개를 뛰어넘는다."

TEXTS_AT_ONCE = 64
"""Texts in one forward pass."""


class DenseModelUnusable(RuntimeError):
    """There is no such model here, or it is not the one that made the index. The message says what to do."""


@dataclass(frozen=True, eq=False)
class DenseIndex:
    """The vectors of an index's texts, and the model that made them."""

    model: str
    vectors: Vectors
    probe: Vectors


# ---------------------------------------------------------------- the model


@functools.lru_cache(maxsize=1)
def encoder(model: str) -> Any:
    """The model, loaded once a process. Raises DenseModelUnusable where it cannot be."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as e:
        raise DenseModelUnusable(
            f"decontaminate.dense_model is {model}, and the package sentence-transformers is not installed: "
            "pip install sentence-transformers, or leave dense_model out") from e
    name, _, revision = (model, "", "") if Path(model).is_dir() else model.partition("@")
    device = os.environ.get("POSTTRAIN_DENSE_DEVICE") or None
    try:
        return SentenceTransformer(name, revision=revision or None, device=device)
    except (OSError, ValueError, RuntimeError) as e:
        raise DenseModelUnusable(
            f"decontaminate.dense_model {model} cannot be loaded{f' on {device}' if device else ''}: {e}. It must be a folder "
            "with a sentence-transformers model, or a name that the Hugging Face Hub, or its cache here, has") from e


def encode(model: str, texts: Sequence[str]) -> Vectors:
    """A row of length 1 for each text; equal texts are encoded once."""
    distinct = dict.fromkeys(texts)
    place = {text: n for n, text in enumerate(distinct)}
    found = np.asarray(encoder(model).encode(
        list(distinct), batch_size=TEXTS_AT_ONCE, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False,
    ), np.float32)
    if not np.isfinite(found).all():
        bad = next(text for text, row in zip(distinct, found, strict=True) if not np.isfinite(row).all())
        raise DenseModelUnusable(f"decontaminate.dense_model {model} gives a vector that is no number for the text {bad[:80]!r}")
    return found[[place[text] for text in texts]]


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
