"""Tile stores, read back by zarr-python and by this package."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.stores.integrity import check_store, content_of, store_attributes, store_key
from hypoxia_hpc.stores.tiles import TileWriter, new_tile_store, open_tiles, read_pixels, read_pixels_into

MOST_INODES = 14


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def slide_of(n: int, tile_px: int = 20, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (n, tile_px, tile_px, 3), dtype=np.uint8)
    return pixels, random.integers(0, 2**40, (n, 2)), random.random(n, dtype=np.float32)


def fill(writer: TileWriter, pixels: Any) -> None:
    for tile in pixels:
        writer.new_tile()[:] = tile


def write(target: Path, slide: tuple[Any, Any, Any], key: str = "k", codec: str = "none") -> None:
    pixels, xy, background = slide
    with new_tile_store(target, pixels.shape[1], codec=codec) as writer:
        fill(writer, pixels)
        writer.commit(xy, background, {"key": key, "counts": {"kept": len(pixels)}, "spec": {"codec": codec}})


def bytes_of(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100])
def test_any_zarr_reader_opens_it(tmp_path: Path, n: int) -> None:
    pixels, xy, background = slide = slide_of(n)
    write(tmp_path / "a.zarr", slide)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert {name: array.dtype.str for name, array in group.arrays()} == {
        "pixels": "|u1",
        "xy": "<i8",
        "background": "<f4",
    }
    for name, values in {"pixels": pixels, "xy": xy, "background": background}.items():
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr" / name, mode="r")[:], values)
    assert group.attrs["counts"] == {"kept": n}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100])
def test_reading_back(tmp_path: Path, n: int) -> None:
    pixels, xy, background = slide = slide_of(n)
    write(tmp_path / "s-1.zarr", slide)
    tiles = open_tiles(tmp_path / "s-1.zarr")
    assert tiles.slide_id == "s-1"
    np.testing.assert_array_equal(read_pixels(tiles, 0, n), pixels)
    np.testing.assert_array_equal(tiles.xy, xy)
    np.testing.assert_array_equal(tiles.background, background)
    assert store_key(tmp_path / "s-1.zarr") == "k"
    assert store_attributes(tmp_path / "s-1.zarr") == tiles.attributes
    assert check_store(tmp_path / "s-1.zarr") == []


@given(st.data())
@settings(max_examples=40)
def test_any_shape_and_any_slice(data: st.DataObject) -> None:
    n, tile_px = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 24))
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    slide = slide_of(n, tile_px)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "a.zarr"), Path(folder, "b.zarr")
        write(first, slide)
        write(second, slide)
        assert bytes_of(first) == bytes_of(second)
        assert check_store(second) == []
        np.testing.assert_array_equal(read_pixels(open_tiles(second), start, stop), slide[0][start:stop])


@given(st.data())
@settings(max_examples=40)
def test_pixels_go_into_place_whatever_is_there(data: st.DataObject) -> None:
    """Rows that were asked for are right, and of the others no more are touched than is said."""
    n, tile_px = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 8))
    codec = data.draw(st.sampled_from(["none", "lz4"]))
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    out = np.full((stop - start + data.draw(st.integers(0, 20)), tile_px, tile_px, 3), 77, np.uint8)
    slide = slide_of(n, tile_px)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.zarr")
        write(path, slide, codec=codec)
        written = read_pixels_into(open_tiles(path), start, stop, out)
    assert stop - start <= written <= len(out)
    np.testing.assert_array_equal(out[: stop - start], slide[0][start:stop])
    assert (out[written:] == 77).all()
    assert not out[stop - start : written].any() or stop < n


def test_pixels_do_not_go_where_they_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", slide_of(9))
    tiles = open_tiles(tmp_path / "a.zarr")
    for start, stop, shape in ((0, 3, (2, 20, 20, 3)), (8, 10, (8, 20, 20, 3)), (0, 3, (3, 21, 20, 3))):
        with pytest.raises(IndexError, match="do not go into"):
            read_pixels_into(tiles, start, stop, np.empty(shape, np.uint8))
    assert tiles.pixels.nbytes(3, 9) == 2 * (8 * 20 * 20 * 3 + 4)
    assert tiles.pixels.nbytes(8, 9) == 8 * 20 * 20 * 3 + 4


def test_inodes_do_not_depend_on_the_number_of_tiles(tmp_path: Path) -> None:
    for n in (1, 1000):
        write(tmp_path / f"{n}.zarr", slide_of(n, tile_px=4))
        inodes = 1 + len(list((tmp_path / f"{n}.zarr").rglob("*")))
        assert inodes == 11
        assert inodes + 1 <= MOST_INODES  # and the receipt


def test_content_is_what_sha256sum_says(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    write(store, slide_of(9))
    shell = "find * -mindepth 1 -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", shell], cwd=store, capture_output=True, text=True, check=True).stdout
    assert open_tiles(store).attributes["content"] == printed.split()[0] == content_of(store)
    assert content_of(store) == naive.content(store)


def test_content_tells_a_change_of_any_array(tmp_path: Path) -> None:
    pixels, xy, background = slide_of(9)
    slides = [(pixels, xy, background), (pixels ^ 1, xy, background), (pixels, xy + 1, background)]
    slides += [(pixels, xy, background / 2), (pixels[:8], xy[:8], background[:8])]
    contents = set()
    for number, slide in enumerate(slides):
        write(tmp_path / f"{number}.zarr", slide)
        contents.add(content_of(tmp_path / f"{number}.zarr"))
    assert len(contents) == len(slides)


def test_the_same_key_stays_and_another_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    first, second = slide_of(3), slide_of(5, seed=1)
    write(target, first, key="one")
    write(target, second, key="one")
    np.testing.assert_array_equal(read_pixels(open_tiles(target), 0, 9), first[0])
    write(target, second, key="two")
    np.testing.assert_array_equal(read_pixels(open_tiles(target), 0, 9), second[0])
    assert names(tmp_path) == ["a.zarr"]


def test_no_commit_leaves_nothing(tmp_path: Path) -> None:
    with new_tile_store(tmp_path / "tiles" / "a.zarr", 20) as writer:
        fill(writer, slide_of(20)[0])
    assert names(tmp_path / "tiles") == []
    with pytest.raises(RuntimeError, match="slide broke"), new_tile_store(tmp_path / "tiles" / "a.zarr", 20) as writer:
        fill(writer, slide_of(20)[0])
        raise RuntimeError("slide broke")
    assert names(tmp_path / "tiles") == []


@pytest.mark.parametrize(
    ("xy", "background", "attributes"),
    [
        (np.zeros((2, 2), np.int64), np.zeros(3, np.float32), {"key": "k"}),
        (np.zeros((3, 2), np.int32), np.zeros(3, np.float32), {"key": "k"}),
        (np.zeros((3, 2), np.int64), np.zeros(3, np.float64), {"key": "k"}),
        (np.zeros((3, 2), np.int64), np.zeros(2, np.float32), {"key": "k"}),
        (np.zeros((3, 2), np.int64), np.zeros(3, np.float32), {}),
        (np.zeros((3, 2), np.int64), np.zeros(3, np.float32), {"key": "k", "content": "mine"}),
        (np.zeros((3, 2), np.int64), np.zeros(3, np.float32), {"key": "k", "mpp": float("nan")}),
    ],
)
def test_what_does_not_fit_the_tiles_is_refused(tmp_path: Path, xy: Any, background: Any, attributes: Any) -> None:
    with pytest.raises(ValueError), new_tile_store(tmp_path / "a.zarr", 20) as writer:
        fill(writer, slide_of(3)[0])
        writer.commit(xy, background, attributes)
    assert names(tmp_path) == []


def test_no_tiles_at_all_are_refused(tmp_path: Path) -> None:
    _, xy, background = slide_of(3)
    for pixels in ("store", "none"):
        with (
            pytest.raises(ValueError, match="n above 0"),
            new_tile_store(tmp_path / "a.zarr", 20, pixels=pixels) as writer,
        ):
            writer.commit(xy[:0], background[:0], {"key": "k", "spec": {"pixels": pixels}})
    assert names(tmp_path) == []
