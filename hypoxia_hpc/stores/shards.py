"""One Zarr v3 shard file, written and read chunk by chunk.

zarr-python assembles a whole shard in memory before it writes it; a shard here holds all tiles of a slide (tens of GB),
so the file is streamed: inner chunks one behind the other, and at its end the index.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html (index at the end), each inner
chunk and the index followed by its CRC-32C, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.reading import MOST_SHARD_BYTES, open_plain
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.stores.codecs import Packed

CRC_BYTES = 4
ENTRY_BYTES = 16
# Bytes after which written data is flushed, while the next is computed: the fsync of an 805 MB shard at its end took
# 196 ms without this and 3 ms with it, writing and fsync together 1,200 and 940 ms (medians of 5). Flushed pages leave
# the page cache: a cohort is larger than memory, and fresh pages cost more than used ones (a slide of 294 MB: 1.18 s of
# processor time instead of 1.43).
FLUSH_BYTES = 8 * 2**20
_INDEX_PART = 2**16


class ShardWriter:
    """Writes inner chunks to a new file at ``path``, in C order; keeps only their ends in memory.

    What is written is hashed in a thread meanwhile: SHA-256 (1.8 GB/s on a core with instructions for it) takes longer
    than the write. ``close`` must be called, also after an error; without ``finish`` before, the file is no shard.
    ``hash_seconds`` and ``write_seconds``: of either thread so far.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._sha256 = hashlib.sha256()
        self._hashing = ThreadPoolExecutor(1, "hash")
        self._lengths: list[int] = []
        self._n_bytes = 0
        self._n_flushed = 0
        self.hash_seconds = self.write_seconds = 0.0

    def extend(self, chunks: Sequence[tuple[Packed, bytes]]) -> None:
        """Write the next inner chunks, each with its CRC-32C. Raises OSError."""
        self._lengths += [len(chunk) + len(crc) for chunk, crc in chunks]
        self._write([part for chunk in chunks for part in chunk])

    def finish(self) -> str:
        """Write the index, close the file and return the SHA-256 (hex) of the whole file. Raises OSError."""
        self._write([shard_index(self._lengths)])
        self._file.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """End the thread and close the file, finished or not. Raises OSError."""
        self._hashing.shutdown(cancel_futures=True)
        self._file.close()

    def _write(self, parts: Sequence[Packed]) -> None:
        hashed = self._hashing.submit(self._hash, parts)
        began = time.perf_counter()
        for part in parts:
            self._file.write(part)
            self._n_bytes += len(part)
        if self._n_bytes - self._n_flushed >= FLUSH_BYTES:
            self._start_flush()
        self.write_seconds += time.perf_counter() - began
        hashed.result()

    def _hash(self, parts: Sequence[Packed]) -> None:
        began = time.perf_counter()
        for part in parts:
            self._sha256.update(part)
        self.hash_seconds += time.perf_counter() - began

    def _start_flush(self) -> None:
        """Let the operating system start to write the new data to the disk, without waiting, and drop the data of the
        time before from the page cache."""
        start = max(0, self._n_flushed - FLUSH_BYTES)
        with suppress(OSError):  # only a hint: write and fsync report what cannot be written
            # Starts to write dirty pages and drops clean ones: mostly the second and the first half of this range.
            os.posix_fadvise(self._file.fileno(), start, self._n_bytes - start, os.POSIX_FADV_DONTNEED)
        self._n_flushed = self._n_bytes


class ShardReader:
    """Reads inner chunks of a shard file of ``n_chunks`` chunks, each of ``sizes`` (least, most) bytes without CRC.

    The index is checked whole: its CRC-32C, the lengths, and that the chunks lie one behind the other from the start of
    the file to the index. Raises ValueError where it is not so, OSError.
    """

    def __init__(self, path: Path, n_chunks: int, sizes: tuple[int, int]) -> None:
        self._path = path
        with open_plain(path, MOST_SHARD_BYTES, follow=False) as file:
            self._identity = _identity(file)
            self._offsets = _read_index(file, n_chunks, sizes)

    @contextmanager
    def opened(self) -> Iterator[BufferedReader]:
        """The file, for :meth:`chunk`. Raises ValueError where it is another one than was checked, OSError."""
        with open_plain(self._path, MOST_SHARD_BYTES, follow=False) as file:
            if _identity(file) != self._identity:
                raise ValueError(f"{self._path.name} was changed or replaced after it was opened")
            yield file

    def chunk(self, file: BinaryIO, number: int) -> bytes:
        """Bytes of an inner chunk, without its CRC-32C. Raises ValueError where that is another, OSError."""
        start, stop = self._offsets[number : number + 2]
        file.seek(start)
        data = file.read(stop - start - CRC_BYTES)
        self._compare(data, file, number)
        return data

    def read_chunk(self, file: BufferedReader, number: int, out: UInt8Array) -> None:
        """Read an inner chunk, which is as long as ``out`` (uint8, in one piece), into it. Raises as ``chunk``."""
        file.seek(self._offsets[number])
        file.readinto(out.data)
        self._compare(out, file, number)

    def nbytes(self, first: int, last: int) -> int:
        """Bytes of chunks ``first`` to ``last`` (not included), CRC and all."""
        return int(self._offsets[last] - self._offsets[first])

    def _compare(self, data: Packed | UInt8Array, file: BinaryIO, number: int) -> None:
        if crc32c_of(data) != file.read(CRC_BYTES):
            raise ValueError(f"{self._path.name}: the checksum of chunk {number} is wrong")


def encode_chunk(chunk: NDArray[Any]) -> tuple[memoryview, bytes]:
    """A chunk as the codecs bytes (little-endian, C order) and crc32c store it: its bytes, and their CRC-32C."""
    little_endian = np.ascontiguousarray(chunk, dtype=chunk.dtype.newbyteorder("<"))
    data = little_endian.reshape(-1).view(np.uint8)
    return data.data, crc32c_of(data)


def shard_index(lengths: list[int]) -> bytes:
    """The index of chunks of these lengths in bytes (CRC included) that lie one behind the other.

    Per chunk its offset and length as unsigned 64-bit little-endian, in C order, then the CRC-32C of that.
    """
    index = np.empty((len(lengths), 2), dtype="<u8")
    index[:, 1] = lengths
    index[:, 0] = np.cumsum(index[:, 1]) - index[:, 1]
    entries = index.tobytes()
    return entries + crc32c_of(entries)


def crc32c_of(data: Packed | UInt8Array) -> bytes:
    """CRC-32C (Castagnoli, RFC 3720) of bytes, 4 bytes little-endian."""
    # It refuses a memoryview, and takes an array of the same memory.
    return int(google_crc32c.value(np.frombuffer(data, dtype=np.uint8))).to_bytes(CRC_BYTES, "little")


def _read_index(file: BinaryIO, n_chunks: int, sizes: tuple[int, int]) -> Int64Array:
    """Where each chunk begins and the last one ends, int64 (n_chunks + 1,).

    The index is read part by part, and only as long as it is right: an absurd ``n_chunks`` makes no large array.
    """
    index_start = os.fstat(file.fileno()).st_size - n_chunks * ENTRY_BYTES - CRC_BYTES
    least, most = (size + CRC_BYTES for size in sizes)
    if not n_chunks * least <= index_start <= n_chunks * most:
        raise ValueError(f"the file has not the size of {n_chunks} chunks of {least} to {most} bytes and their index")
    file.seek(index_start)
    crc, end, offsets = 0, 0, [np.zeros(1, dtype=np.int64)]
    for first in range(0, n_chunks, _INDEX_PART):
        entries = file.read(min(_INDEX_PART, n_chunks - first) * ENTRY_BYTES)
        crc = google_crc32c.extend(crc, entries)
        offsets.append(_ends(entries, end, least, most))
        end = int(offsets[-1][-1])
    if end != index_start or crc.to_bytes(CRC_BYTES, "little") != file.read():
        raise ValueError("the shard index is damaged")
    return np.concatenate(offsets)


def _ends(entries: bytes, start: int, least: int, most: int) -> Int64Array:
    """Where the chunks of a part of the index end, the first of them beginning at ``start``."""
    index = np.frombuffer(entries, dtype="<u8").reshape(-1, 2)
    if not ((index[:, 1] >= least) & (index[:, 1] <= most)).all():
        raise ValueError("the shard index is damaged: chunks of impossible length")
    ends = start + np.cumsum(index[:, 1], dtype=np.int64)
    if not (index[:, 0] == np.concatenate([[start], ends[:-1]]).astype(np.uint64)).all():
        raise ValueError("the shard index is damaged: chunks do not lie one behind the other")
    return ends


def _identity(file: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns
