"""Arrow columns of texts and of numbers, to and from NumPy, by their bytes.

`pyarrow.array` and `Array.to_numpy` import pandas to see whether they have to do with it: half a second of every new process,
a third of the time in which all eval sets are indexed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_BYTES = 2**31 - 1
"""Of all texts of one array: Arrow's `string` counts them in 32 bits."""


def string_array(texts: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The texts as an Arrow column; several chunks where one cannot hold them.

    Raises UnicodeEncodeError for a text that UTF-8 cannot hold, as pyarrow does.
    """
    encoded = [text.encode() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    if len(ends) and ends[-1] > MOST_BYTES:
        return pa.chunked_array([pa.array(texts, pa.string())])
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def number_array(numbers: npt.NDArray[Any]) -> pa.Array:
    """The numbers as an Arrow column of their own type, which shares their memory."""
    values = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def numbers_of(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """The numbers of an Arrow column without nulls; of one array, as they lie in its memory."""
    if isinstance(column, pa.ChunkedArray):
        parts = [numbers_of(chunk) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.zeros(0, column.type.to_pandas_dtype())
    kind, (_, data) = np.dtype(column.type.to_pandas_dtype()), column.buffers()
    return np.frombuffer(data, kind, len(column), column.offset * kind.itemsize) if len(column) else np.zeros(0, kind)
