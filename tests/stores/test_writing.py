"""Writing tile stores: places for tiles, threads that end, errors that come out, stores without pixels."""

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.integrity import check_store, content_of
from hypoxia_hpc.stores.shards import ShardWriter
from hypoxia_hpc.stores.tiles import TileWriter, new_tile_store, open_tiles, read_pixels

N_TILES = 300


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert {thread.name for thread in threading.enumerate()} & {"pack_0", "write_0", "hash_0"} == set()


def test_a_writer_has_these_threads(tmp_path: Path) -> None:
    with new_tile_store(tmp_path / "a.zarr", 1024) as writer:
        fill(writer, 9)
        # Each starts with its first work, which is what the one before it hands on.
        while not {thread.name for thread in threading.enumerate()} >= {"pack_0", "write_0", "hash_0"}:
            time.sleep(0.001)


def commit(writer: TileWriter, n: int, **spec: str) -> int:
    return writer.commit(np.zeros((n, 2), np.int64), np.ones(n, np.float32), {"key": "k", "spec": spec})


def fill(writer: TileWriter, n: int) -> None:
    for number in range(n):
        writer.new_tile()[:] = number % 251


def test_a_place_is_kept_until_the_next_call(tmp_path: Path) -> None:
    with new_tile_store(tmp_path / "a.zarr", 16) as writer:
        for number in range(N_TILES):
            place = writer.new_tile()
            assert place.shape == (16, 16, 3)
            assert place.dtype == np.uint8
            assert place.flags.c_contiguous
            place[:] = 255
            if number % 50 == 0:
                time.sleep(0.01)  # the threads have nothing left to do meanwhile
            place[:] = number % 251
        nbytes = commit(writer, N_TILES)
    pixels = read_pixels(open_tiles(tmp_path / "a.zarr"), 0, N_TILES)
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.arange(N_TILES)[:, None, None, None] % 251, pixels.shape))
    assert nbytes == sum(path.stat().st_size for path in (tmp_path / "a.zarr").rglob("*") if path.is_file())


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_do_not_depend_on_who_is_slow(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = set()
    append = ShardWriter.extend
    for name, pause in (("a", 0.0), ("b", 0.003)):
        monkeypatch.setattr(ShardWriter, "extend", lambda *given, pause=pause: (time.sleep(pause), append(*given)))
        with new_tile_store(tmp_path / f"{name}.zarr", 20, codec=codec) as writer:
            fill(writer, N_TILES)
            commit(writer, N_TILES, codec=codec)
        contents.add(content_of(tmp_path / f"{name}.zarr"))
    assert len(contents) == 1


@pytest.mark.parametrize("after", [1, 8, 9, 100])
@pytest.mark.parametrize("codec", CODECS)
def test_an_error_of_the_caller_leaves_nothing(tmp_path: Path, codec: str, after: int) -> None:
    with pytest.raises(SlideError), new_tile_store(tmp_path / "a.zarr", 20, codec=codec) as writer:
        fill(writer, after)
        raise SlideError("broken", "the slide broke")
    assert list(tmp_path.iterdir()) == []


def failing(number: int, error: OSError) -> Any:
    """``ShardWriter.extend``, but the call ``number`` raises."""
    extend, left = ShardWriter.extend, [number]

    def call(shard: ShardWriter, chunks: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            left[0] = 1000  # no other call fails
            raise error
        extend(shard, chunks)

    return call


@pytest.mark.parametrize("number", [0, 1, 17])
def test_an_error_of_the_writing_thread_comes_out_of_the_next_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(ShardWriter, "extend", failing(number, OSError(errno.EDQUOT, "Disk quota exceeded")))
    with new_tile_store(tmp_path / "a.zarr", 512) as writer:
        with pytest.raises(MachineError, match="the quota") as caught:
            fill(writer, N_TILES)
        assert "a.zarr" in caught.value.problem
        for _ in range(10):  # and of those after it
            with pytest.raises(MachineError, match="the quota"):
                fill(writer, 200)
        with pytest.raises(MachineError, match="the quota"):
            commit(writer, writer._pixels.n_tiles)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_last_chunk_comes_out_of_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShardWriter, "extend", failing(0, OSError(errno.ENOSPC, "No space left on device")))
    with new_tile_store(tmp_path / "a.zarr", 16) as writer:
        fill(writer, 3)
        with pytest.raises(MachineError, match="the disk is full"):
            commit(writer, 3)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_packing_thread_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagecodecs.zstd_encode", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), new_tile_store(tmp_path / "a.zarr", 256, codec="zstd") as writer:
        fill(writer, N_TILES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("n", "codec"), [(20, "none"), (N_TILES, "none"), (N_TILES, "lz4")])
def test_a_full_disk_says_so_and_gives_its_space_back(small_disk: Path, n: int, codec: str) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    with pytest.raises(MachineError, match="the disk is full") as caught:  # noqa: SIM117
        with new_tile_store(small_disk / "tiles" / "a.zarr", 256, codec=codec) as writer:
            for _ in range(n):
                writer.new_tile()[:] = tile
            commit(writer, n, codec=codec)
    assert "free space there" in caught.value.remedy
    assert list((small_disk / "tiles").iterdir()) == []
    with new_tile_store(small_disk / "tiles" / "a.zarr", 256) as writer:
        fill(writer, 3)
        commit(writer, 3)
    assert check_store(small_disk / "tiles" / "a.zarr") == []


@pytest.mark.parametrize(("tile_px", "most"), [(4096, 3 * 3 * 4096**2), (299, 2**25), (1024, 2**25), (16, 2**25)])
@pytest.mark.parametrize("codec", ["none", "jpeg"])
def test_memory_is_bounded_however_many_tiles(tmp_path: Path, codec: str, tile_px: int, most: int) -> None:
    n = 3 * most // (3 * tile_px**2)
    with new_tile_store(tmp_path / "a.zarr", tile_px, codec=codec) as writer:
        places = {writer.new_tile().__array_interface__["data"][0] for _ in range(min(n, 50_000))}
    assert 2 <= len(places) <= most // (3 * tile_px**2)


def test_a_store_without_pixels(tmp_path: Path) -> None:
    xy, background = np.arange(2 * N_TILES).reshape(-1, 2), np.linspace(0, 1, N_TILES, dtype=np.float32)
    with new_tile_store(tmp_path / "a.zarr", 299, pixels="none", codec="zstd") as writer:
        fill(writer, N_TILES)
        spec = {"pixels": "none", "codec": "zstd"}
        writer.commit(xy, background, {"key": "k", "spec": spec})
    tiles = open_tiles(tmp_path / "a.zarr")
    assert tiles.pixels is None
    np.testing.assert_array_equal(tiles.xy, xy)
    np.testing.assert_array_equal(tiles.background, background)
    assert check_store(tmp_path / "a.zarr") == []
    assert content_of(tmp_path / "a.zarr") == tiles.attributes["content"]
    assert set(zarr.open_group(tmp_path / "a.zarr", mode="r").array_keys()) == {"xy", "background"}
    assert 1 + len(list((tmp_path / "a.zarr").rglob("*"))) == 8


@pytest.mark.parametrize(
    ("made", "spec"),
    [
        ({}, {"pixels": "none"}),
        ({"pixels": "none"}, {}),
        ({"codec": "zstd"}, {"codec": "lz4"}),
        ({"codec": "zstd"}, {}),
        ({}, {"codec": "gzip"}),
        ({}, {"codec": ["none"]}),
        ({}, {"pixels": None}),
    ],
)
def test_attributes_have_to_say_what_the_store_is(tmp_path: Path, made: Any, spec: Any) -> None:
    with pytest.raises(ValueError, match="spec"), new_tile_store(tmp_path / "a.zarr", 16, **made) as writer:
        fill(writer, 3)
        commit(writer, 3, **spec)
    assert list(tmp_path.iterdir()) == []
