"""One shard file, against a twin that builds it in memory and a published check value."""

import tracemalloc
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.stores.shards import ShardWriter, crc32c_of, encode_chunk


def test_crc_of_the_published_check_string() -> None:
    # RFC 3720, B.4, and the catalogue of parametrised CRC algorithms: CRC-32/ISCSI("123456789") = 0xE3069283
    assert crc32c_of(b"123456789") == bytes.fromhex("839206e3")


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_crc_equals_the_bitwise_one(data: bytes) -> None:
    assert int.from_bytes(crc32c_of(data), "little") == naive.crc32c(data)


@pytest.mark.parametrize("n_chunks", [1, 2, 7])
def test_shard_equals_the_one_built_in_memory(tmp_path: Path, n_chunks: int) -> None:
    chunks = np.random.default_rng(0).integers(0, 256, (n_chunks, 5, 4), dtype=np.uint8)
    writer = ShardWriter(tmp_path / "shard")
    for chunk in chunks:
        writer.append(*encode_chunk(chunk))
    writer.finish()
    assert (tmp_path / "shard").read_bytes() == naive.shard([chunk.tobytes() for chunk in chunks])


def test_numbers_are_stored_little_endian_and_in_c_order() -> None:
    numbers = np.arange(6, dtype=">i8").reshape(2, 3)
    data, _ = encode_chunk(numbers)
    assert bytes(data) == np.arange(6, dtype="<i8").tobytes()
    transposed, _ = encode_chunk(numbers.T)
    assert bytes(transposed) == np.array([0, 3, 1, 4, 2, 5], dtype="<i8").tobytes()


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    chunk = np.zeros(2**20, np.uint8)
    writer = ShardWriter(tmp_path / "shard")
    tracemalloc.start()
    try:
        for _ in range(32):
            writer.append(*encode_chunk(chunk))
        writer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < chunk.nbytes
