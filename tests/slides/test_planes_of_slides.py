"""JPEGs kept in planes: the same pixels, decisions and errors as without the TurboJPEG library, from every kind of
JPEG."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import naive
import numpy as np
import pytest
from needed import NEEDS_TURBOJPEG
from numpy.typing import NDArray
from tiff_cases import CASES
from tiff_factory import YCBCR, Case, write_case

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import turbojpeg
from hypoxia_hpc.slides.decoders import PLANES_PX, NativeTileError, Prepared, codec_of
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.sources import NativeSource, find_page
from hypoxia_hpc.slides.tiff import TiffPage, read_tiled_pages
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.synthetic.slides import SyntheticSlide, render_slide
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.cutting import BlockGrid, UnreadableBlockError
from hypoxia_hpc.tiling.kernels import planes

Pixels = NDArray[np.uint8]
JPEGS = [case for case in CASES if case.codec == "jpeg" and case.opens and case.native_levels]
FORMS = {"4:4:4": planes.YCBCR_444, "4:2:2": planes.YCBCR_422, "4:2:0": planes.YCBCR_420}


def form_of(case: Case) -> int:
    """How this case's pixels are to be kept."""
    if case.progressive:
        return planes.PACKED
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


def blocks_of(
    path: Path, page: TiffPage, *, keep_planes: bool, numbers: Sequence[int] | None = None
) -> tuple[list[Pixels | str], set[int]]:
    """What native tiles (all, or those of these numbers in this order) show, or why they do not; and the forms that
    there were."""
    grid = BlockGrid(0, 0, page.tile_width, page.tile_height, page.columns, page.rows)
    # Vectors read some bytes behind a block, and one before.
    memory = np.empty(4 * page.tile_width * page.tile_height + 128, dtype=np.uint8)
    out = memory[64:-64].reshape(page.tile_height, page.tile_width, 4)
    found: list[Pixels | str] = []
    forms = set()
    with path.open("rb") as file:
        selected = np.ones(page.columns * page.rows, dtype=bool)
        source = NativeSource(file.fileno(), page, grid, selected, keep_planes=keep_planes)
        for number in range(page.columns * page.rows) if numbers is None else numbers:
            try:
                form = source.read(number, out)
            except UnreadableBlockError as error:
                found.append(str(error))
            else:
                found.append(packed(out, form))
                forms.add(form)
    return found, forms


@NEEDS_TURBOJPEG
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


def tiled(path: Path, folder: Path, table: TileTable) -> tuple[str, TileWork]:
    """The store's content, and what its receipt would say."""
    work, of = TileStage(RunDir(folder), table), Slide("a", path, "p", 1)
    made = work.make(of, work.key(of), lambda n: None)
    return naive.content(work.target(of)), made


@NEEDS_TURBOJPEG
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
        assert (with_it[1].turbojpeg, without[1].turbojpeg) == (True, False)
        assert with_it[0] == without[0]
        alike = [replace(work, turbojpeg=False, thread_seconds=None) for _, work in (with_it, without)]
        assert alike[0] == alike[1]
        if is_damaged:
            assert with_it[1].counts.unreadable


@NEEDS_TURBOJPEG
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


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc4"])
def test_no_native_tile_is_decoded_with_the_tables_of_another(tmp_path: Path, marker: bytes) -> None:
    """One that has lost its own shows the same whatever was read before it; without Huffman tables that is what the
    standard ones make of it."""
    path = write_case(Case("tables", photometric=YCBCR, subsampling="4:2:0"), tmp_path)
    [page, *_] = read_tiled_pages(path)
    assert isinstance(page, TiffPage)
    data = bytearray(path.read_bytes())
    at = data.index(marker, int(page.offsets[2]))
    data[at + 1] = 0xFE  # a comment now
    path.write_bytes(data)
    for numbers in ((2,), (1, 2), (0, 1, 2, 3, 2)):
        kept, expected = (blocks_of(path, page, keep_planes=keep, numbers=numbers)[0] for keep in (True, False))
        assert isinstance(kept[-1], str) == (marker == b"\xff\xdb")
        for found, reference in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(found, reference)


def preparation(tmp_path: Path, case: Case) -> tuple[Callable[[bytes], Prepared], bytes]:
    """What prepares a native tile of a slide, and the first of them."""
    path = write_case(case, tmp_path)
    [page, *_] = read_tiled_pages(path)
    assert isinstance(page, TiffPage)
    start, n = int(page.offsets[0]), int(page.counts[0])
    prepare = codec_of(page).prepare
    return lambda data: prepare(data, 0, len(data)), path.read_bytes()[start : start + n]


COMMON = Case("common", photometric=YCBCR, subsampling="4:2:0")


@pytest.mark.parametrize(
    "segment",
    [b"\xff\xe0\x00\x04ab", b"\xff\xd0", b"\xff\x01", b"\xff\xdc\x00\x04\x01\x00"],
    ids=["app0", "rst0", "tem", "dnl"],
)
def test_only_plain_headers_are_kept_in_planes(tmp_path: Path, segment: bytes) -> None:
    """Another marker may say something of the colours, or be read otherwise by libjpeg."""
    prepare, data = preparation(tmp_path, COMMON)
    assert prepare(data).form == planes.YCBCR_420
    at = data.index(b"\xff\xc0")
    assert prepare(data[:at] + segment + data[at:]).form == planes.PACKED
    assert prepare(data[:at] + b"\xff\xfe\x00\x04ab" + data[at:]).form == planes.YCBCR_420  # a comment


@pytest.mark.parametrize("between", [b"\xff\xd8", b"\xff\xd9", b"\xff\x00", b"ab"])
def test_a_header_that_is_none_is_damaged(tmp_path: Path, between: bytes) -> None:
    prepare, data = preparation(tmp_path, COMMON)
    at = data.index(b"\xff\xc0")
    with pytest.raises(NativeTileError, match="header is damaged"):
        prepare(data[:at] + between + data[at:])


def test_progressive_jpegs_are_packed(tmp_path: Path) -> None:
    """Where scans are missing, every version of libjpeg-turbo smooths otherwise."""
    prepare, data = preparation(tmp_path, replace(COMMON, name="progressive", progressive=True))
    assert prepare(data).form == planes.PACKED


def test_a_header_that_ends_early_is_damaged_or_packed(tmp_path: Path) -> None:
    prepare, data = preparation(tmp_path, COMMON)
    for end in range(2, data.index(b"\xff\xda") + 16):
        with contextlib.suppress(NativeTileError):
            assert prepare(data[:end]).form in (planes.PACKED, planes.YCBCR_420)


@NEEDS_TURBOJPEG
def test_a_missing_end_marker_is_no_reason_to_decode_twice(tmp_path: Path) -> None:
    path = write_case(COMMON, tmp_path)
    [page, *_] = read_tiled_pages(path)
    assert isinstance(page, TiffPage)
    codec = codec_of(page, keep_planes=True)
    start, n = int(page.offsets[0]), int(page.counts[0])
    data, out = path.read_bytes()[start : start + n], np.empty((page.tile_height, page.tile_width, 4), dtype=np.uint8)
    assert data.endswith(b"\xff\xd9")
    assert codec.decode(codec.prepare(data, 0, n), out) == planes.YCBCR_420
    whole = out.copy()
    assert codec.decode(codec.prepare(data, 0, n - 2), out) == planes.YCBCR_420
    n_samples = page.tile_height * page.tile_width
    np.testing.assert_array_equal(out.ravel()[:n_samples], whole.ravel()[:n_samples])


@NEEDS_TURBOJPEG
def test_a_decoder_does_not_hold_the_blocks(slide: Path) -> None:
    library = turbojpeg.library()
    assert library is not None
    decoder, out = turbojpeg.PlaneDecoder(library), np.zeros((240, 240, 4), dtype=np.uint8)
    decoder.decode(b"", out)
    held = weakref.ref(out)
    del out
    assert held() is None


@NEEDS_TURBOJPEG
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
