"""[tile.stain] on slide files: tiles are those of before in other colours, and what cannot be fitted is said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dyed import GLASS, OTHER, dyed
from PIL import Image
from pydantic import ValidationError

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide, Tiles
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import slide_tile_key, tile_spec
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.slides.stain_reference import stain_target
from hypoxia_hpc.stages.tile import TileStage, tile
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.remarks import UNTRUSTED_STAIN
from hypoxia_hpc.tiling.stain.methods import METHODS
from hypoxia_hpc.tiling.stain.reinhard import LabMoments
from hypoxia_hpc.tiling.stain.stains import Stains

PX = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide whose upper fifth is glass, one of a single green, and a reference."""
    folder = tmp_path_factory.mktemp("slides")
    write_svs(folder / "a.svs", dyed(side=620), 0.5)
    green = np.full((620, 620, 3), (60, 160, 70), np.uint8)
    write_svs(folder / "green.svs", green + np.random.default_rng(0).integers(0, 9, green.shape, np.uint8), 0.5)
    Image.fromarray(dyed(OTHER, seed=1)).save(folder / "reference.png")
    return folder


def cut(path: Path, root: Path, **stain: Any) -> Tiles:
    table = TileTable.model_validate({"tile_px": PX, "max_background": 0.5, "stain": stain})
    work, slide = TileStage(RunDir(root), table), Slide("a", path, "p", 1)
    done = work.make(slide, work.key(slide), lambda tiles: None)
    assert tile_state(RunDir(root), table, slide).remarks == done.remarks
    return open_tiles(work.target(slide))


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard"])
def test_tiles_are_those_of_before_in_the_colours_of_the_reference(folder: Path, tmp_path: Path, method: str) -> None:
    before, after = (
        cut(folder / "a.svs", tmp_path / "1"),
        cut(folder / "a.svs", tmp_path / "2", method=method, reference=str(folder / "reference.png")),
    )
    assert np.array_equal(before.xy, after.xy) and np.array_equal(before.background, after.background)
    assert 0 < before.background.max() < 0.5, "glass is among the tiles"
    record = tile_attributes(after.attributes).stain
    kind = LabMoments if method == "reinhard" else Stains
    found, given = (kind(**{k: np.array(v) for k, v in record[name].items()}) for name in ("found", "given"))
    assert record["tiles"] == len(before.xy), "fewer than a sample has"
    expected = read_pixels(before, 0, len(before.xy)).copy()
    METHODS[method].paint(found, given, GLASS)(expected)
    assert np.array_equal(read_pixels(after, 0, len(after.xy)), expected)
    assert not np.array_equal(expected, read_pixels(before, 0, len(before.xy)))
    assert "stain" not in before.attributes


def test_a_slide_whose_fit_cannot_be_right_keeps_its_colours_and_is_named_or_quarantined(
    folder: Path, tmp_path: Path
) -> None:
    green = folder / "green.svs"
    before, after = cut(green, tmp_path / "1"), cut(green, tmp_path / "2", method="macenko")
    assert np.array_equal(read_pixels(before, 0, 9), read_pixels(after, 0, 9))
    held = tile_attributes(after.attributes)
    assert held.remarks == (UNTRUSTED_STAIN,) and held.stain["found"] is None and held.stain["why_not"]
    with pytest.raises(SlideError, match="no stain that can be trusted") as caught:
        cut(green, tmp_path / "3", method="macenko", untrusted="quarantine")
    assert caught.value.reason == "no-stain"


def test_a_reference_counts_by_its_content(folder: Path, tmp_path: Path) -> None:
    slide, other = Slide("a", folder / "a.svs", "p", 1), tmp_path / "other.png"
    tables = [
        TileTable.model_validate({"stain": {"method": "macenko", "reference": str(path)}})
        for path in (folder / "reference.png", other, other)
    ]
    keys = []
    for table, source in zip(tables, (None, folder / "reference.png", folder / "a.svs"), strict=True):
        if source:
            other.write_bytes(source.read_bytes())
        keys.append((slide_tile_key(table, slide, "f"), tile_spec(table)))
    assert keys[0] == keys[1] != keys[2]
    plain = slide_tile_key(TileTable(), slide, "f")
    assert plain == slide_tile_key(TileTable.model_validate({"stain": {}}), slide, "f") != keys[0][0]


def test_a_reference_that_is_of_no_use_is_refused_before_any_slide(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 60), "white").save(tmp_path / "glass.png")
    for name, said in (("glass.png", "stained pixels"), ("missing.png", "missing.png")):
        table = TileTable.model_validate({"stain": {"method": "macenko", "reference": str(tmp_path / name)}})
        with pytest.raises(InputError, match=said) as caught:
            stain_target(table)
        assert "[tile.stain] reference" in str(caught.value)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.toml").write_text('[tile.stain]\nmethod = "macenko"\nreference = "../glass.png"\n')
    slides = [Slide("a", folder / "a.svs", "p", 1)]
    with pytest.raises(InputError, match="stained pixels"):
        tile(RunDir(tmp_path / "run"), slides, workers=1, retry=False, progress=NoProgress(), stop=threading.Event())


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"stain": {"method": "reinhard"}}, "name one as reference"),
        ({"stain": {"reference": "a.png"}}, "of no use"),
        ({"stain": {"method": "macenko"}, "pixels": "none"}, "must have them"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TileTable.model_validate(entries)
