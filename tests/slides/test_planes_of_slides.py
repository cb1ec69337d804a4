"""JPEGs kept in planes: the same pixels, decisions and errors as without the TurboJPEG library, from every kind of
JPEG."""

from __future__ import annotations

import ctypes
from operator import attrgetter
from pathlib import Path

import naive
import numpy as np
import pytest
from numpy.typing import NDArray
from tiff_cases import CASES
from tiff_factory import YCBCR, Case, write_case

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.codecs import PLANES_PX
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.sources import NativeSource, find_page
from hypoxia_hpc.slides.svs import write_svs
from hypoxia_hpc.slides.synthetic import SyntheticSlide, render_slide
from hypoxia_hpc.slides.tiff import TiffPage, read_tiled_pages
from hypoxia_hpc.stages.tile import TileWork
from hypoxia_hpc.tiling import planes
from hypoxia_hpc.tiling.cutting import BlockGrid, UnreadableBlockError

Pixels = NDArray[np.uint8]
JPEGS = [case for case in CASES if case.codec == "jpeg" and case.opens and case.native_levels]
FORMS = {"4:4:4": planes.YCBCR_444, "4:2:2": planes.YCBCR_422, "4:2:0": planes.YCBCR_420}
IS_HERE = turbojpeg.library() is not None
needs_library = pytest.mark.skipif(not IS_HERE, reason="the TurboJPEG library (libturbojpeg0) is not on this machine")


def form_of(case: Case) -> int:
    """How this case's pixels are to be kept."""
    if case.photometric == YCBCR:
        return FORMS.get(case.subsampling, planes.PACKED)
    return planes.RGB  # whatever the tag says of subsampling, the factory's JPEGs of RGB have none


def packed(out: Pixels, form: int) -> Pixels:
    """RGB of a block, uint8 (h, w, 3)."""
    height, width = out.shape[:2]
    if form == planes.PACKED:
        return out[..., :3].copy()
    rgb, rows = np.empty((height, width, 3), dtype=np.uint8), np.empty(planes.nbytes_of_rows(width), dtype=np.uint8)
    for y in range(height):
        at, to = out.ctypes.data, rgb[y].ctypes.data
        planes.unpack_run(at, form, width, height, 0, y, width, rows.ctypes.data, False, to)
    return rgb


def blocks_of(path: Path, page: TiffPage, *, keep_planes: bool) -> tuple[list[Pixels | str], set[int]]:
    """What every native tile shows, or why it does not; and the forms that there were."""
    grid = BlockGrid(0, 0, page.tile_width, page.tile_height, page.columns, page.rows)
    # Vectors read some bytes behind a block, and one before.
    memory = np.empty(4 * page.tile_width * page.tile_height + 128, dtype=np.uint8)
    out = memory[64:-64].reshape(page.tile_height, page.tile_width, 4)
    found: list[Pixels | str] = []
    forms = set()
    with path.open("rb") as file:
        source = NativeSource(file.fileno(), page, grid, keep_planes=keep_planes)
        for number in range(page.columns * page.rows):
            try:
                form = source.read(number, out)
            except UnreadableBlockError as error:
                found.append(str(error))
            else:
                found.append(packed(out, form))
                forms.add(form)
    return found, forms


@needs_library
@pytest.mark.parametrize("case", JPEGS, ids=attrgetter("name"))
def test_planes_have_the_pixels_of_the_packing_decoder(case: Case, tmp_path: Path) -> None:
    path = write_case(case, tmp_path)
    pages = read_tiled_pages(path)
    with opened_slide(path) as opened:
        page = find_page(pages, opened.pyramid, case.native_levels[0])
    assert isinstance(page, TiffPage)
    kept, forms = blocks_of(path, page, keep_planes=True)
    expected, packed_forms = blocks_of(path, page, keep_planes=False)
    assert packed_forms == {planes.PACKED}
    assert forms - {planes.PACKED} == {form_of(case)} - {planes.PACKED}, "who is kept in planes has changed"
    for number, (found, reference) in enumerate(zip(kept, expected, strict=True)):
        np.testing.assert_array_equal(found, reference, err_msg=f"native tile {number}")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planes") / "a.svs"
    write_svs(path, render_slide(SyntheticSlide(3, 0.4, True, (1800, 1500))), 0.5)
    return path


def damaged(path: Path, target: Path) -> Path:
    """A copy some of whose native tiles are damaged: flipped bits, an end that is missing, zeros, another subsampling's
    frame."""
    [page, *_] = read_tiled_pages(path)
    assert not isinstance(page, str)
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(1)
    for number in range(3, page.columns * page.rows, 4):
        start, n = int(page.offsets[number]), int(page.counts[number])
        kind = number // 4 % 4
        if kind == 0:
            for place in rng.integers(start + n // 2, start + n - 2, 5).tolist():
                data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[start + n - 2 : start + n] = b"\0\0"
        elif kind == 2:
            data[start + n // 2 : start + n] = bytes(n - n // 2)
        else:
            place = data.index(b"\xff\xc0", start, start + n)
            data[place + 11] = 0x41
    target.write_bytes(data)
    return target


def tiled(path: Path, folder: Path, table: TileTable) -> tuple[str, Json]:
    """The store's content, and what its receipt would say."""
    work, of = TileWork(RunDir(folder), table), Slide("a", path, "p", 1)
    extra = work.make(of, work.key(of), lambda n: None)
    return naive.content(work.target(of)), extra


@needs_library
@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("screen", ["off", "exact", "fast"])
def test_stores_are_the_same_without_the_library(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: str, is_damaged: bool
) -> None:
    path = damaged(slide, tmp_path / "a.svs") if is_damaged else slide
    for tile_px, mpp in ((299, 0.5), (100, 0.5), (64, 0.7), (110, 1.0)):
        table = TileTable(tile_px=tile_px, mpp=mpp, screen=screen, max_unreadable=1.0)
        with_it = tiled(path, tmp_path / f"with-{tile_px}", table)
        monkeypatch.setattr(turbojpeg, "library", lambda: None)
        without = tiled(path, tmp_path / f"without-{tile_px}", table)
        monkeypatch.undo()
        assert with_it == without
        if is_damaged:
            assert with_it[1]["counts"]["unreadable"]


@needs_library
def test_damaged_native_tiles_fail_for_the_same_reasons(slide: Path, tmp_path: Path) -> None:
    path = damaged(slide, tmp_path / "a.svs")
    [page, *_] = read_tiled_pages(path)
    assert isinstance(page, TiffPage)
    kept, forms = blocks_of(path, page, keep_planes=True)
    expected, _ = blocks_of(path, page, keep_planes=False)
    assert planes.YCBCR_420 in forms
    assert {type(one) for one in expected} == {str, np.ndarray}
    for found, reference in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(found, reference)


@needs_library
def test_a_decoder_survives_what_is_no_jpeg(slide: Path) -> None:
    library = turbojpeg.library()
    assert library is not None
    decoder, out = turbojpeg.PlaneDecoder(library), np.zeros((240, 240, 4), dtype=np.uint8)
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", bytes(100), slide.read_bytes()[:5000]):
        assert not decoder.decode(data, out)


def test_a_machine_without_the_library_packs(monkeypatch: pytest.MonkeyPatch, slide: Path) -> None:
    monkeypatch.setattr(turbojpeg, "NAMES", ("libno-such-library.so.0",))
    assert turbojpeg.library.__wrapped__() is None
    monkeypatch.setattr(turbojpeg, "library", lambda: None)
    [page, *_] = read_tiled_pages(slide)
    assert isinstance(page, TiffPage)
    assert page.tile_width % PLANES_PX == 0
    _, forms = blocks_of(slide, page, keep_planes=True)
    assert forms == {planes.PACKED}


def test_a_library_of_another_kind_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of that name that lacks the functions."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert turbojpeg.library.__wrapped__() is None
