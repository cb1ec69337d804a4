"""Tile stores of every codec: read back by this package, zarr-python, zarrs, imagecodecs and Pillow."""

import io
import struct
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import naive
import numpy as np
import openslide
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.integrity import check_store
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles, read_pixels

EXACT = [name for name in CODECS if name != "jpeg"]
TILE_PX = 48


@pytest.fixture(scope="module")
def stained(real_slide: Path) -> Any:
    """Tiles of a real slide, uint8 (41, 48, 48, 3)."""
    with openslide.OpenSlide(real_slide) as slide:
        band = np.asarray(slide.read_region((203, 2503), 0, (41 * TILE_PX, TILE_PX)))[..., :3]
    return np.ascontiguousarray(np.stack(np.split(band, 41, axis=1)))


def write(target: Path, tiles: Any, codec: str) -> Path:
    with new_tile_store(target, tiles.shape[1], codec=codec) as writer:
        for tile in tiles:
            writer.new_tile()[:] = tile
        n = len(tiles)
        spec = {"codec": codec}
        writer.commit(np.zeros((n, 2), np.int64), np.zeros(n, np.float32), {"key": "k", "spec": spec})
    return target


def bytes_of(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def chunks_of(shard: bytes, n_chunks: int) -> list[bytes]:
    """Chunks of a shard by its index, their checksums compared."""
    index = np.frombuffer(shard[-4 - 16 * n_chunks : -4], "<u8").reshape(-1, 2)
    chunks = [shard[int(offset) : int(offset + length)] for offset, length in index]
    assert all(naive.crc32c(chunk[:-4]) == struct.unpack("<I", chunk[-4:])[0] for chunk in chunks)
    return [chunk[:-4] for chunk in chunks]


@pytest.fixture(params=["zarr.core.codec_pipeline.BatchedCodecPipeline", "zarrs.ZarrsCodecPipeline"])
def pipeline(request: pytest.FixtureRequest) -> Iterator[None]:
    """zarr-python's own way to read, and that of zarrs, without its way back to zarr-python's."""
    pytest.importorskip(request.param.partition(".")[0], reason="zarrs is not installed")
    with zarr.config.set({"codec_pipeline.path": request.param, "codec_pipeline.strict": True}):
        yield


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("n", [1, 8, 41])
@pytest.mark.parametrize("codec", EXACT)
def test_other_readers_find_the_same_pixels(tmp_path: Path, stained: Any, codec: str, n: int) -> None:
    store = write(tmp_path / "a.zarr", stained[:n], codec)
    array = zarr.open_array(store / "pixels", mode="r")
    np.testing.assert_array_equal(array[:], stained[:n])
    np.testing.assert_array_equal(array[n // 2 : n // 2 + 3], stained[n // 2 : n][:3])


@given(st.sampled_from(EXACT), st.integers(1, 40), st.integers(1, 24), st.data())
@settings(max_examples=60)
def test_whatever_is_written_is_read(codec: str, n: int, tile_px: int, data: st.DataObject) -> None:
    start, stop = data.draw(st.integers(0, n)), data.draw(st.integers(0, n + 9))
    random = np.random.default_rng(n)
    tiles = random.integers(0, random.choice([2, 256]), (n, tile_px, tile_px, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder, "a.zarr"), tiles, codec)
        assert check_store(store) == []
        np.testing.assert_array_equal(read_pixels(open_tiles(store), start, stop), tiles[start:stop])
        np.testing.assert_array_equal(zarr.open_array(store / "pixels", mode="r")[:], tiles)
        assert bytes_of(write(Path(folder, "b.zarr"), tiles, codec)) == bytes_of(store)


@pytest.mark.parametrize("codec", EXACT)
def test_chunks_of_large_tiles_are_short(tmp_path: Path, codec: str) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (5, 700, 700, 3), dtype=np.uint8)
    store = write(tmp_path / "a.zarr", tiles, codec)
    array = zarr.open_array(store / "pixels", mode="r")
    assert array.chunks == (2, 700, 700, 3)
    np.testing.assert_array_equal(array[:], tiles)
    np.testing.assert_array_equal(read_pixels(open_tiles(store), 1, 5), tiles[1:])


def test_a_jpeg_store_is_one_jpeg_a_tile(tmp_path: Path, stained: Any) -> None:
    store = write(tmp_path / "a.zarr", stained, "jpeg")
    chunks = chunks_of((store / "pixels" / "c.0.0.0.0").read_bytes(), len(stained))
    opened = [Image.open(io.BytesIO(chunk)) for chunk in chunks]
    assert {(image.size, image.mode) for image in opened} == {((TILE_PX, TILE_PX), "RGB")}
    by_pillow = np.stack([np.asarray(image) for image in opened])
    np.testing.assert_array_equal(read_pixels(open_tiles(store), 0, 99), by_pillow)
    assert check_store(store) == []
    assert sum(map(len, chunks)) < stained.nbytes / 2
    assert bytes_of(write(tmp_path / "b.zarr", stained, "jpeg")) == bytes_of(store)


def test_jpeg_changes_pixels_as_little_as_documented(tmp_path: Path, stained: Any) -> None:
    pixels = read_pixels(open_tiles(write(tmp_path / "a.zarr", stained, "jpeg")), 0, len(stained))
    error = pixels.astype(float) - stained
    assert 30 < 10 * np.log10(255**2 / (error**2).mean()) < 36
    alone = read_pixels(open_tiles(write(tmp_path / "b.zarr", stained[7:8], "jpeg")), 0, 1)
    np.testing.assert_array_equal(alone[0], pixels[7])  # whatever its neighbours are


@pytest.mark.long  # Zarr's own door to JPEG needs a newer Python than 3.11; Pillow is the outside truth everywhere
def test_imagecodecs_opens_a_jpeg_store_by_the_name_in_its_document(tmp_path: Path, stained: Any) -> None:
    codecs = pytest.importorskip("imagecodecs.zarr", reason="imagecodecs has Zarr codecs from 2026.5.10, Python 3.12")
    codecs.register_codecs({"jpeg"})
    store = write(tmp_path / "a.zarr", stained, "jpeg")
    array = zarr.open_array(store / "pixels", mode="r")
    np.testing.assert_array_equal(array[:], read_pixels(open_tiles(store), 0, len(stained)))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("value", [0, 255])
def test_noise_and_flat_tiles_stay_within_the_sizes_that_are_let_through(codec: str, value: int) -> None:
    random = np.random.default_rng(0)
    for tiles in (
        np.full((1, 300, 300, 3), value, np.uint8),
        random.integers(0, 256, (1, 300, 300, 3), dtype=np.uint8),
        random.integers(0, 2, (1, 300, 300, 3), dtype=np.uint8) * np.uint8(255),
        random.integers(0, 256, (1, 1, 1, 3), dtype=np.uint8),
    ):
        least, most = CODECS[codec].sizes(tiles.nbytes)
        assert least <= len(CODECS[codec].pack(tiles)) <= most


BOMB = np.zeros(2**28, np.uint8)
BOMBS = {
    "lz4": lambda: imagecodecs.blosc_encode(BOMB.data, compressor="lz4", typesize=1, shuffle="noshuffle"),
    "zstd": lambda: imagecodecs.zstd_encode(BOMB.data, level=1),
    "jpeg": lambda: imagecodecs.jpeg8_encode(BOMB[: 5000 * 5000 * 3].reshape(5000, 5000, 3), level=90),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_chunk_that_is_too_large_unpacked_is_refused_unseen(codec: str) -> None:
    bomb, tiles = bytes(BOMBS[codec]()), np.empty((1, 64, 64, 3), np.uint8)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="a chunk "):
            CODECS[codec].unpack(bomb, tiles)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_no_chunk_of_these_tiles_is_refused(codec: str, stained: Any) -> None:
    tile = stained[:1]
    sound, larger = bytes(CODECS[codec].pack(tile)), bytes(CODECS[codec].pack(np.zeros((1, 64, 64, 3), np.uint8)))
    smaller = bytes(CODECS[codec].pack(np.zeros((1, 16, 16, 3), np.uint8)))
    random = np.random.default_rng(0)
    for wrong in (b"", sound[:3], sound[: len(sound) // 8], larger, smaller, random.bytes(len(sound) - 1)):
        with pytest.raises(ValueError):
            CODECS[codec].unpack(wrong, np.empty_like(tile))
