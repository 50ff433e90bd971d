"""The words of all rows on a local disk, to be read again by row number: the search would else hold every text in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from posttrain.duplicates.exact import Rows


def write_words(path: str, texts: Iterable[str]) -> None:
    """Write the texts of one shard to `path` and where each of them begins to `path`.offsets; local files, not an artifact."""
    offsets = [0]
    with open(path, "wb") as f:
        for text in texts:
            offsets.append(offsets[-1] + f.write(text.encode("utf-8", "surrogatepass")))
    with open(f"{path}.offsets", "wb") as f:
        f.write(np.array(offsets, dtype="<i8").tobytes())


@dataclass(frozen=True)
class WordStore:
    """The texts of several shards under one count of rows; `starts` are the first rows of the shards and the end.

    It holds no open file and no text, so that it travels to other processes at no cost.
    """

    paths: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, paths: Iterable[str]) -> WordStore:
        """The store of shards written by `write_words`, in the order of their rows."""
        names = tuple(paths)
        rows = [os.path.getsize(f"{path}.offsets") // 8 - 1 for path in names]
        return cls(names, (0, *np.cumsum(rows).tolist()))

    def __call__(self, rows: Rows) -> list[str]:
        """The texts of the rows, which must ascend."""
        texts: list[str] = []
        cuts = np.searchsorted(rows, self.starts)
        for path, start, begin, end in zip(self.paths, self.starts, cuts, cuts[1:], strict=False):
            if begin == end:
                continue
            offsets = np.memmap(f"{path}.offsets", dtype="<i8", mode="r")
            file = os.open(path, os.O_RDONLY)
            try:
                for row in (rows[begin:end] - start).tolist():
                    first = int(offsets[row])
                    texts.append(os.pread(file, int(offsets[row + 1]) - first, first).decode("utf-8", "surrogatepass"))
            finally:
                os.close(file)
        return texts
