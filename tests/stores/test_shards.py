"""One shard file, against a twin that builds it in memory and a published check value."""

import hashlib
import os
import struct
import tempfile
import tracemalloc
from contextlib import closing
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.stores.shards import ShardReader, ShardWriter, crc32c_of, encode_chunk


def test_crc_of_the_published_check_string() -> None:
    # RFC 3720, B.4, and the catalogue of parametrised CRC algorithms: CRC-32/ISCSI("123456789") = 0xE3069283
    assert crc32c_of(b"123456789") == bytes.fromhex("839206e3")


@given(st.binary(max_size=200))
def test_crc_equals_the_bitwise_one(data: bytes) -> None:
    assert int.from_bytes(crc32c_of(data), "little") == naive.crc32c(data)


@pytest.mark.parametrize("n_chunks", [1, 2, 7])
def test_shard_equals_the_one_built_in_memory(tmp_path: Path, n_chunks: int) -> None:
    chunks = np.random.default_rng(0).integers(0, 256, (n_chunks, 5, 4), dtype=np.uint8)
    with closing(ShardWriter(tmp_path / "shard")) as writer:
        for chunk in chunks:
            writer.extend([encode_chunk(chunk)])
        sha256 = writer.finish()
    assert sha256 == hashlib.sha256((tmp_path / "shard").read_bytes()).hexdigest()
    assert (tmp_path / "shard").read_bytes() == naive.shard([chunk.tobytes() for chunk in chunks])


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=30))
@settings(max_examples=50)
def test_chunks_of_any_length_are_read_back(chunks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard")
        with closing(ShardWriter(path)) as writer:
            writer.extend([(chunk, crc32c_of(chunk)) for chunk in chunks])
            writer.finish()
        assert path.read_bytes() == naive.shard(chunks)
        reader = ShardReader(path, len(chunks), (1, 60))
        with reader.opened() as file:
            assert [reader.chunk(file, number) for number in reversed(range(len(chunks)))] == chunks[::-1]


LENGTHS = [10, 7, 12]  # of the chunks, CRC included


@pytest.mark.parametrize(
    ("index", "found"),
    [
        ([(0, 10), (10, 7), (17, 12)], ""),
        ([(0, 10), (10, 7), (18, 11)], "one behind the other"),  # a gap
        ([(0, 10), (9, 8), (17, 12)], "one behind the other"),  # overlapping
        ([(10, 7), (0, 10), (17, 12)], "one behind the other"),  # another order
        ([(0, 10), (10, 7), (17, 11)], "index is damaged"),  # a byte before the index
        ([(0, 10), (10, 7), (17, 13)], "impossible length"),  # into the index
        ([(0, 10), (10, 4), (14, 12)], "impossible length"),  # a checksum of nothing
        ([(0, 10), (2**64 - 1, 2**64 - 1), (10, 12)], "impossible length"),  # called missing
        ([(0, 10), (10, 2**64 - 7), (3, 12)], "impossible length"),  # wraps around
    ],
)
def test_an_edited_index_is_found_though_its_checksum_is_right(
    tmp_path: Path, index: list[tuple[int, int]], found: str
) -> None:
    entries = b"".join(struct.pack("<QQ", *entry) for entry in index)
    (tmp_path / "shard").write_bytes(bytes(sum(LENGTHS)) + entries + struct.pack("<I", naive.crc32c(entries)))
    if not found:
        ShardReader(tmp_path / "shard", 3, (1, 8))
        return
    with pytest.raises(ValueError, match=found):
        ShardReader(tmp_path / "shard", 3, (1, 8))


@pytest.mark.parametrize("change", ["time", "file", "size", "nothing"])
def test_a_shard_that_was_changed_after_it_was_checked_is_not_read(tmp_path: Path, change: str) -> None:
    """The same bytes at another time, in another file, or with more behind them."""
    path = tmp_path / "shard"
    path.write_bytes(naive.shard([b"abc"]))
    before = path.stat()
    reader = ShardReader(path, 1, (1, 8))
    if change == "file":
        (tmp_path / "other").write_bytes(path.read_bytes())
        (tmp_path / "other").replace(path)
    elif change == "size":
        path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (change == "time")))
    if change == "nothing":
        with reader.opened() as file:
            assert reader.chunk(file, 0) == b"abc"
        return
    with pytest.raises(ValueError, match="shard was changed or replaced after it was opened"), reader.opened():
        pass


def test_an_absurd_number_of_chunks_makes_no_large_array(tmp_path: Path) -> None:
    with (tmp_path / "shard").open("wb") as file:
        file.truncate(2**42)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="impossible length"):
            ShardReader(tmp_path / "shard", 2**37, (1, 100))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_numbers_are_stored_little_endian_and_in_c_order() -> None:
    numbers = np.arange(6, dtype=">i8").reshape(2, 3)
    data, _ = encode_chunk(numbers)
    assert bytes(data) == np.arange(6, dtype="<i8").tobytes()
    transposed, _ = encode_chunk(numbers.T)
    assert bytes(transposed) == np.array([0, 3, 1, 4, 2, 5], dtype="<i8").tobytes()


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    chunk = np.zeros(2**20, np.uint8)
    tracemalloc.start()
    try:
        with closing(ShardWriter(tmp_path / "shard")) as writer:
            for _ in range(32):
                writer.extend([encode_chunk(chunk)])
            writer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < chunk.nbytes
