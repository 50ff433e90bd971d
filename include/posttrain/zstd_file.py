"""Reading .zst files to their end, and no further: `zstandard.open` takes a file that was cut off for one that ends there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

READ_BYTES = 1 << 18


class ZstdFile(io.RawIOBase):
    """The unpacked bytes of all frames of a file. Raises EOFError where the last frame is cut off, ZstdError for other damage."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._frame: Any = None
        self._packed = self._unpacked = b""

    @property
    def packed_bytes(self) -> int:
        """How much of the file on the disk has been read."""
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            self._packed = self._packed or self._file.read(READ_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the file ends in the middle of a zstd frame")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._unpacked = self._frame.decompress(self._packed)
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._unpacked))
        buffer[:size], self._unpacked = self._unpacked[:size], self._unpacked[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def open_zstd(path: Path) -> io.BufferedReader:
    return io.BufferedReader(ZstdFile(path), READ_BYTES)
