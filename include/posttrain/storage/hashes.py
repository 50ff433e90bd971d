"""Hashes of texts, values and files."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from posttrain.storage.files import file_system


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a JSON value, whatever the order of its keys. Raises TypeError for anything else: a set has no order."""
    return sha256_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def sha256_file(path: str) -> str:
    """The sha256 of a file's bytes, read in chunks of 1 MiB."""
    fs, name = file_system(path)
    digest = hashlib.sha256()
    with fs.open(name, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
