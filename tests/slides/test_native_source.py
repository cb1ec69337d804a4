"""Reading ahead: whatever is wanted, and in whatever order native tiles are read, they have the same pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hypoxia_hpc.slides import decoders, sources
from hypoxia_hpc.slides.decoders import NativeCodec, Prepared
from hypoxia_hpc.slides.sources import NativeSource
from hypoxia_hpc.slides.tiff import TiffPage, read_tiled_pages
from hypoxia_hpc.synthetic.slides import SyntheticSlide, render_slide
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.cutting import BlockGrid, UnreadableBlockError

Pixels = NDArray[np.uint8]
COLUMNS, ROWS = 6, 5


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 6 x 5 native tiles of 240 px."""
    path = tmp_path_factory.mktemp("slides") / "a.svs"
    write_svs(path, render_slide(SyntheticSlide(4, 0.3, True, (240 * COLUMNS, 240 * ROWS))), 0.5)
    return path


@pytest.fixture(scope="module")
def page(slide: Path) -> TiffPage:
    page = read_tiled_pages(slide)[0]
    assert (page.columns, page.rows) == (COLUMNS, ROWS)
    return page


@pytest.fixture(scope="module")
def truth(slide: Path, page: TiffPage) -> list[Pixels]:
    """Every native tile, read by a source of its own that wants nothing else."""
    nothing = np.zeros(COLUMNS * ROWS, dtype=bool)
    return [read(slide, page, nothing, [number])[0] for number in range(COLUMNS * ROWS)]


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What native tiles were prepared, as they lie in the file."""
    seen: list[bytes] = []
    codec_of = decoders.codec_of

    def recording(page: TiffPage, reduce: int = 1, *, keep_planes: bool = False) -> NativeCodec:
        prepare, decode = codec_of(page, reduce, keep_planes=keep_planes)

        def recorded(data: bytes, start: int, stop: int) -> Prepared:
            seen.append(data[start:stop])
            return prepare(data, start, stop)

        return NativeCodec(recorded, decode)

    monkeypatch.setattr(sources.decoders, "codec_of", recording)
    yield seen


def read(slide: Path, page: TiffPage, selected: NDArray[np.bool_], numbers: list[int]) -> list[Pixels]:
    grid = BlockGrid(0, 0, 240, 240, page.columns, page.rows)
    found = []
    with slide.open("rb") as file:
        source = NativeSource(file.fileno(), page, grid, selected)
        for number in numbers:
            out = np.empty((240, 240, 4), dtype=np.uint8)
            source.read(number, out)
            found.append(out[..., :3])
    return found


NUMBERS = st.integers(0, COLUMNS * ROWS - 1)


@settings(max_examples=60)
@given(selected=st.sets(NUMBERS), numbers=st.lists(NUMBERS, max_size=60), window=st.sampled_from([0, 20_000, 2**18]))
def test_what_is_wanted_changes_no_pixel(
    slide: Path, page: TiffPage, truth: list[Pixels], selected: set[int], numbers: list[int], window: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sources, "WINDOW_BYTES", window)
        found = read(slide, page, np.isin(np.arange(COLUMNS * ROWS), list(selected)), numbers)
    for pixels, number in zip(found, numbers, strict=True):
        np.testing.assert_array_equal(pixels, truth[number])


@pytest.mark.parametrize(("lacking", "readable"), [(0, True), (1, False)])
def test_a_native_tile_may_end_where_the_file_ends(
    slide: Path, page: TiffPage, truth: list[Pixels], tmp_path: Path, lacking: int, readable: bool
) -> None:
    """Read by itself, and with those before it."""
    ends = page.offsets + page.counts
    last = int(ends.argmax())
    cut = tmp_path / "cut.svs"
    cut.write_bytes(slide.read_bytes()[: ends[last] - lacking])
    for numbers in ([last], [last - 2, last - 1, last]):
        if readable:
            found = read(cut, page, np.ones(COLUMNS * ROWS, dtype=bool), numbers)
            np.testing.assert_array_equal(found[-1], truth[last])
        else:
            with pytest.raises(UnreadableBlockError, match="of a file of"):
                read(cut, page, np.ones(COLUMNS * ROWS, dtype=bool), numbers)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is read, and what the kernel is told of: begin and end in the file."""
    seen: list[tuple[int, int]] = []
    pread = os.pread

    def read_and_seen(descriptor: int, n: int, start: int) -> bytes:
        seen.append((start, start + n))
        return pread(descriptor, n, start)

    monkeypatch.setattr(os, "pread", read_and_seen)
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, n, advice: seen.append((start, start + n)))
    return seen


def test_what_is_not_wanted_stays_on_the_disk(slide: Path, page: TiffPage, pieces: list[tuple[int, int]]) -> None:
    """Wanted are native tiles of columns 2 and 3; what lies between them in the file may be told of, nothing else."""
    selected = np.zeros((ROWS, COLUMNS), dtype=bool)
    selected[1:3, 2:4] = True
    numbers = np.flatnonzero(selected).tolist()
    read(slide, page, selected.ravel(), numbers)
    begin, end = page.offsets[numbers].min(), (page.offsets + page.counts)[numbers].max()
    assert pieces
    assert min(start for start, _ in pieces) == begin
    assert max(stop for _, stop in pieces) == end


def test_what_is_asked_again_is_read_ahead_again(slide: Path, page: TiffPage, pieces: list[tuple[int, int]]) -> None:
    """Where there is no room for decoded native tiles they are read a second time, and not one by one."""
    selected = np.ones(COLUMNS * ROWS, dtype=bool)
    read(slide, page, selected, list(range(COLUMNS)) * 3)
    data_pieces = [piece for piece in pieces if piece[1] - piece[0] > page.counts[0]]
    assert len(data_pieces) <= 4  # three times a row, and what the kernel was told


def test_a_damaged_native_tile_does_not_part_those_behind_it(
    slide: Path, page: TiffPage, tmp_path: Path, pieces: list[tuple[int, int]]
) -> None:
    data = bytearray(slide.read_bytes())
    data[page.offsets[1] : page.offsets[1] + 2] = bytes(2)
    broken = tmp_path / "broken.svs"
    broken.write_bytes(data)
    grid, selected = BlockGrid(0, 0, 240, 240, COLUMNS, ROWS), np.ones(COLUMNS * ROWS, dtype=bool)
    out = np.empty((240, 240, 4), dtype=np.uint8)
    with broken.open("rb") as file:
        source = NativeSource(file.fileno(), page, grid, selected)
        source.read(0, out)
        with pytest.raises(UnreadableBlockError):
            source.read(1, out)
        before = len(pieces)
        for number in range(2, COLUMNS):
            source.read(number, out)
    assert len(pieces) - before == 1


def test_native_tiles_are_prepared_once_and_no_unwanted_ones(
    slide: Path, page: TiffPage, prepared: list[bytes]
) -> None:
    """Of each row of native tiles one band of tiles wants some, and the next band the others."""
    selected = np.ones((ROWS, COLUMNS), dtype=bool)
    selected[:, 0] = selected[2] = selected[3, 3] = False
    numbers = np.arange(COLUMNS * ROWS).reshape(ROWS, COLUMNS)
    order = [
        number
        for first in range(ROWS + 1)
        for row, some in ((first, slice(2, 5)), (first - 1, slice(None)))
        if 0 <= row < ROWS
        for number in numbers[row, some][selected[row, some]].tolist()
    ]
    order = list(dict.fromkeys(order))
    read(slide, page, selected.ravel(), order)
    data = slide.read_bytes()
    expected = [data[page.offsets[number] :][: page.counts[number]] for number in order]
    assert sorted(prepared) == sorted(expected)
