"""One Zarr v3 shard file, written chunk by chunk.

zarr-python assembles a whole shard in memory before it writes it; a shard here holds all tiles of a slide (tens of GB),
so the file is streamed: inner chunks one behind the other, and at its end the index.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html (index at the end), each inner
chunk and the index followed by its CRC-32C, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import UInt8Array

CRC_BYTES = 4


class ShardWriter:
    """Writes inner chunks of one fixed size to a new file at ``path``, in C order; memory: no more than one chunk.

    ``close`` must be called, also after an error; without ``finish`` before, the file is no shard.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._sha256 = hashlib.sha256()
        self._chunk_nbytes = 0
        self.n_chunks = 0

    def append(self, chunk: NDArray[Any]) -> None:
        """Write the next inner chunk. Raises ValueError when its size differs from the first one's, OSError."""
        encoded = encode_chunk(chunk)
        nbytes = sum(len(part) for part in encoded)
        if self.n_chunks and nbytes != self._chunk_nbytes:
            raise ValueError(f"chunk {self.n_chunks} has {nbytes} bytes, those before {self._chunk_nbytes}")
        self._chunk_nbytes = nbytes
        self.n_chunks += 1
        self._write(*encoded)

    def finish(self) -> str:
        """Write the index, close the file and return the SHA-256 (hex) of the whole file. Raises OSError."""
        self._write(shard_index(self.n_chunks, self._chunk_nbytes))
        self._file.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file, finished or not. Raises OSError."""
        self._file.close()

    def _write(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            self._file.write(part)
            self._sha256.update(part)


def encode_chunk(chunk: NDArray[Any]) -> tuple[memoryview, bytes]:
    """A chunk as the codecs bytes (little-endian, C order) and crc32c store it: its bytes, and their CRC-32C."""
    little_endian = np.ascontiguousarray(chunk, dtype=chunk.dtype.newbyteorder("<"))
    data = little_endian.reshape(-1).view(np.uint8)
    return data.data, crc32c_of(data)


def shard_index(n_chunks: int, chunk_nbytes: int) -> bytes:
    """The index of ``n_chunks`` chunks of ``chunk_nbytes`` bytes (CRC included) that lie one behind the other.

    Per chunk its offset and length as unsigned 64-bit little-endian, in C order, then the CRC-32C of that.
    """
    index = np.full((n_chunks, 2), chunk_nbytes, dtype="<u8")
    index[:, 0] = np.arange(n_chunks, dtype=np.uint64) * chunk_nbytes
    entries = index.tobytes()
    return entries + crc32c_of(entries)


def crc32c_of(data: bytes | UInt8Array) -> bytes:
    """CRC-32C (Castagnoli, RFC 3720) of bytes, 4 bytes little-endian."""
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
