"""Sentence vectors by any sentence-transformers model: a folder, or a name of the Hugging Face Hub, `name@revision` to pin it.

Encoding runs on a GPU where there is one; POSTTRAIN_DENSE_DEVICE (cpu, cuda, cuda:1, mps) chooses another device. The package
sentence-transformers is needed only where a recipe names a model. `setting` is the recipe's key that does, for messages.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from posttrain.storage import sha256_file

if TYPE_CHECKING:
    from collections.abc import Sequence

Vectors = npt.NDArray[np.float32]

TEXTS_AT_ONCE = 64
"""Texts in one forward pass."""
COUNTED_AT_ONCE = 1_000
"""Texts whose tokens are counted at once."""
CHARACTERS_A_TOKEN = 30
"""No text of natural language or code has so many on average."""


class DenseModelUnusable(RuntimeError):
    """There is no such model here, or it is not the one that is meant. The message says what to do."""


def missing(model: str) -> str | None:
    """What is missing for the model, as far as it shows without loading it, and what to do; None where nothing is."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return "the package sentence-transformers is not installed: pip install sentence-transformers, or name no model"
    path = Path(model)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("modules.json", "config.json")):
            return (f"the folder {model} holds no model (neither modules.json nor config.json): save one there with "
                    "SentenceTransformer.save")
    elif path.is_file() or model.startswith(("/", ".", "~")):
        return f"there is no folder {model}: name a folder with a sentence-transformers model, or a model of the Hugging Face Hub"
    return None


@functools.lru_cache(maxsize=1)
def encoder(model: str, setting: str) -> Any:
    """The model, loaded once a process. Raises DenseModelUnusable where it cannot be."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as e:
        raise DenseModelUnusable(
            f"{setting} is {model}, and the package sentence-transformers is not installed: "
            f"pip install sentence-transformers, or leave {setting.rpartition('.')[2]} out") from e
    name, _, revision = (model, "", "") if Path(model).is_dir() else model.partition("@")
    device = os.environ.get("POSTTRAIN_DENSE_DEVICE") or None
    try:
        return SentenceTransformer(name, revision=revision or None, device=device)
    except (OSError, ValueError, RuntimeError) as e:
        raise DenseModelUnusable(
            f"{setting} {model} cannot be loaded{f' on {device}' if device else ''}: {e}. It must be a folder "
            "with a sentence-transformers model, or a name that the Hugging Face Hub, or its cache here, has") from e


def encode(model: str, texts: Sequence[str], setting: str) -> Vectors:
    """A row of length 1 for each text; equal texts are encoded once. A lone surrogate is read as a question mark."""
    readable = [text.encode("utf-8", "replace").decode() for text in texts]
    distinct = dict.fromkeys(readable)
    place = {text: n for n, text in enumerate(distinct)}
    found = np.asarray(encoder(model, setting).encode(
        list(distinct), batch_size=TEXTS_AT_ONCE, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False,
    ), np.float32)
    if not np.isfinite(found).all():
        bad = next(text for text, row in zip(distinct, found, strict=True) if not np.isfinite(row).all())
        raise DenseModelUnusable(f"{setting} {model} gives a vector that is no number for the text {bad[:80]!r}")
    return found[[place[text] for text in readable]]


def read_whole(model: str, texts: Sequence[str], setting: str) -> npt.NDArray[np.bool_]:
    """For each text, whether the model reads all of it: what is longer than its longest input it cuts off, and says nothing."""
    own = encoder(model, setting)
    limit = own.max_seq_length
    if limit is None or limit == float("inf"):
        return np.ones(len(texts), dtype=bool)
    before = own.prompts.get(own.default_prompt_name) or "" if own.default_prompt_name else ""
    readable = [before + text.encode("utf-8", "replace").decode() for text in texts]
    # A token has at least a byte, and a model adds two tokens or three of its own: most short texts need no count.
    whole = np.array([len(text.encode()) + 4 <= limit for text in readable], dtype=bool)
    # A text of so many characters has more tokens than that: it need not be cut into them to know.
    unsure = [n for n in np.flatnonzero(~whole).tolist() if len(readable[n]) <= CHARACTERS_A_TOKEN * limit]
    for begin in range(0, len(unsure), COUNTED_AT_ONCE):
        some = unsure[begin : begin + COUNTED_AT_ONCE]
        tokens = own.tokenizer([readable[n] for n in some], truncation=False, verbose=False)["input_ids"]
        whole[some] = [len(row) <= limit for row in tokens]
    return whole


def identity(model: str) -> str:
    """What tells the model from another one of its name: of a folder a hash of its files, else the name as the recipe says it."""
    root = Path(model)
    if not root.is_dir():
        return model
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256_file(str(path))}\0".encode())
    return digest.hexdigest()
