"""What a header tells: a cost that is more for more pixels and bytes, for whatever the file is, and what is odd."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiff_factory import Case, write_case

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.records import MOST_COST_MS
from hypoxia_hpc.slides.costs import Header, read_header, read_headers
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.remarks import CONTRADICTION

TABLE = TileTable()


def slide_cost(path: Path, table: TileTable, mpp: float | None = None) -> int:
    return read_header(path, table, mpp).cost


def noise(side: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)


def glass(side: int) -> NDArray[np.uint8]:
    return np.full((side, side, 3), 240, dtype=np.uint8)


def test_tissue_costs_more_than_glass_and_more_of_it_more(tmp_path: Path) -> None:
    slides = {"small": noise(720), "large": noise(1440), "glass": glass(1440)}
    for name, pixels in slides.items():
        write_svs(tmp_path / f"{name}.svs", pixels, 0.5)
    small, large, empty = (slide_cost(tmp_path / f"{name}.svs", TABLE) for name in slides)
    assert 3.5 * small <= large <= 4.5 * small
    assert empty < large / 5


def test_what_is_not_read_does_not_count(tmp_path: Path) -> None:
    """At a quarter of the resolution the level below is read."""
    write_svs(tmp_path / "a.svs", noise(2400), 0.5)
    assert slide_cost(tmp_path / "a.svs", TileTable(mpp=2.0)) < slide_cost(tmp_path / "a.svs", TABLE) / 4


def test_no_header_claims_more_than_slides_csv_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svs(tmp_path / "a.svs", glass(720), 0.5)
    monkeypatch.setattr("hypoxia_hpc.slides.costs.MS_A_MB_JPEG", 1e15)
    assert slide_cost(tmp_path / "a.svs", TABLE) == MOST_COST_MS


def test_the_manifest_s_mpp_chooses_the_level(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", noise(2400), 0.5)
    assert slide_cost(tmp_path / "a.svs", TABLE, 0.125) < slide_cost(tmp_path / "a.svs", TABLE) / 4


def test_jpeg_2000_costs_more_than_jpeg_and_openslide_by_the_pixel(tmp_path: Path) -> None:
    size = ((1500, 1500),)
    cases = (
        Case("jpeg", levels=size),
        Case("jpeg2000", codec="jp2k-rgb", vendor="aperio", levels=size),
        Case("planar", codec="deflate", levels=size, planar=2),
    )
    paths = [write_case(case, tmp_path) for case in cases]
    jpeg, jpeg2000, openslide = (slide_cost(path, TABLE, 0.5) for path in paths)
    bytes_jpeg, bytes_jpeg2000, _ = (path.stat().st_size for path in paths)
    assert jpeg2000 / bytes_jpeg2000 > 4 * jpeg / bytes_jpeg
    assert openslide == round(36 * 25 * 299**2 / 1e6)


@pytest.mark.parametrize("megabytes", [0, 3])
def test_what_is_no_slide_costs_by_its_bytes(tmp_path: Path, megabytes: int) -> None:
    (tmp_path / "a.svs").write_bytes(b"no slide" * (megabytes * 125_000))
    assert slide_cost(tmp_path / "a.svs", TABLE) == max(1, 21 * megabytes)


def test_what_cannot_be_planned_costs_by_its_bytes_too(tmp_path: Path) -> None:
    path = tmp_path / "coarse.svs"
    write_svs(path, noise(900), 0.5)
    assert slide_cost(path, TABLE, 4.0) == round(21 * path.stat().st_size / 1e6) != slide_cost(path, TABLE)


def test_a_missing_file_and_a_folder_cost_one(tmp_path: Path) -> None:
    assert [slide_cost(path, TABLE) for path in (tmp_path / "gone.svs", tmp_path)] == [1, 1]


def test_costs_come_in_order_and_each_is_counted(tmp_path: Path) -> None:
    slides: list[tuple[Path, float | None]] = []
    for number in range(40):
        path = tmp_path / f"{number}.svs"
        path.write_bytes(bytes(number * 1_000_000))
        slides.append((path, None))
    counted: list[None] = []
    headers = read_headers(slides, TABLE, lambda: counted.append(None), threading.Event())
    assert headers == [Header(max(1, 21 * number), refused="not-a-slide") for number in range(40)]
    assert len(counted) == 40


def test_reading_headers_stops_on_request(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        read_headers([(tmp_path / "a.svs", None)], TABLE, lambda: None, stop)


def test_what_is_odd_is_told_by_the_header(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", noise(720), 0.5)
    assert read_header(tmp_path / "a.svs", TABLE).remarks == ()
    (tmp_path / "b.svs").write_bytes((tmp_path / "a.svs").read_bytes().replace(b"AppMag = 20", b"AppMag = 40"))
    assert read_header(tmp_path / "b.svs", TABLE).remarks == (CONTRADICTION,)
    assert read_header(tmp_path / "b.svs", TABLE, 0.5).remarks == ()  # the manifest says it


def test_why_a_header_is_of_no_use_is_told(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", noise(720), 0.5)
    data = (tmp_path / "a.svs").read_bytes()
    (tmp_path / "b.svs").write_bytes(data.replace(b"MPP = ", b"XXX = ").replace(b"AppMag = ", b"XXXXXX = "))
    assert [read_header(tmp_path / name, TABLE).refused for name in ("a.svs", "b.svs")] == ["", "no-mpp"]
    assert read_header(tmp_path / "b.svs", TABLE, 0.5).refused == ""  # the manifest says it
