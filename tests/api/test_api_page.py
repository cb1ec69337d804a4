"""The page on the Python API, run as a reader would: every example, in order, prints what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.synthetic.svs import write_svs

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"
FENCE = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SIDE = 600


class Example(NamedTuple):
    code: str
    line: int
    said: str  # what the page says that it prints


class Followed(NamedTuple):
    """The page after it was followed in a folder: its variables, and what each example printed."""

    folder: Path
    variables: dict[str, Any]
    said: list[str]


def examples() -> list[Example]:
    text = PAGE.read_text(encoding="utf-8")
    found: list[Example] = []
    for fence in FENCE.finditer(text):
        if fence[1] == "python":
            found.append(Example(fence[2], text.count("\n", 0, fence.start(2)), ""))
        else:
            found[-1] = found[-1]._replace(said=fence[2])
    return found


def write_input(folder: Path, real_slide: Path) -> None:
    """slide.svs, slides/ and patients.csv: pieces of the real slide, so dark that glass counts as tissue, and darker
    still where the label is 1."""
    shutil.copy(real_slide, folder / "slide.svs")
    (folder / "slides").mkdir()
    rows = ["patient_id,label"]
    with hx.open_slide(real_slide) as slide:
        for number in range(12):
            column, row = number % 3, number // 3
            pixels = slide.read_region((column * SIDE, 300 + row * SIDE), SIDE)
            label = number % 2
            write_svs(folder / "slides" / f"P{number:02d}.svs", pixels - pixels // (5 - 2 * label), 0.5)
            rows.append(f"P{number:02d},{label}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def followed(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder, before = tmp_path_factory.mktemp("page"), Path.cwd()
    write_input(folder, real_slide)
    variables: dict[str, Any] = {"__name__": "__main__"}
    said = []
    os.chdir(folder)
    try:
        for example in examples():
            heard = io.StringIO()
            code = compile("\n" * example.line + example.code, str(PAGE), "exec")
            with contextlib.redirect_stdout(heard):
                exec(code, variables)  # noqa: S102 - the page is ours
            said.append(heard.getvalue())
        yield Followed(folder, variables, said)
    finally:
        os.chdir(before)


def test_every_example_prints_what_the_page_says(followed: Followed) -> None:
    assert len(followed.said) >= 15
    assert followed.said == [example.said for example in examples()]


def test_the_page_names_all_that_is_exported() -> None:
    text = PAGE.read_text(encoding="utf-8")
    classes_of_results = {
        "Features",
        "Heatmap",
        "Level",
        "RunSlide",
        "Slide",
        "Stopped",
        "View",
        "Submission",
        "Tiles",
        "__version__",
    }
    assert [name for name in hx.__all__ if f"hx.{name}" not in text and name not in classes_of_results] == []


def test_stores_of_a_run_are_what_is_made_in_memory(followed: Followed) -> None:
    run: hx.Run = followed.variables["run"]
    tiles, features = run["P03"].tiles, run["P03"].features
    in_memory = hx.tile(followed.folder / "slides" / "P03.svs", tile_px=75, mpp=2.0)
    assert in_memory.pixels is not None
    assert tiles.pixels is not None
    assert tiles.pixels.shape == in_memory.pixels.shape
    assert len(tiles.pixels) == len(tiles) == len(in_memory)
    assert np.array_equal(tiles.pixels[:], in_memory.pixels[:])
    assert np.array_equal(tiles.pixels[1:4:2], in_memory.pixels[1:4:2])
    assert np.array_equal(tiles.xy_l0, in_memory.xy_l0)
    assert np.array_equal(tiles.background, in_memory.background)
    assert tiles.side_l0 == in_memory.side_l0
    network = followed.variables["network"]
    assert np.array_equal(features.values, hx.extract(in_memory, **network).values)
    assert np.array_equal(features.values, hx.extract(tiles, **network).values)
    assert features.xy_l0 is not None
    assert np.array_equal(features.xy_l0, tiles.xy_l0)


def test_a_damaged_store_is_noticed_when_it_is_read(followed: Followed) -> None:
    tiles = followed.variables["run"]["P05"].tiles
    files = [file for file in (followed.folder / "RUN" / "tiles" / "P05.zarr" / "pixels").rglob("*") if file.is_file()]
    shard = max(files, key=lambda file: file.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    try:
        with pytest.raises(hx.SlideError) as caught:
            tiles.pixels[:1]
        assert caught.value.reason == "damaged-store"
    finally:
        data[100] ^= 1
        shard.write_bytes(data)


def test_frames_of_a_run(followed: Followed) -> None:
    run: hx.Run = followed.variables["run"]
    assert list(run) == [f"P{number:02d}" for number in range(12)]
    slides = run.slides
    assert list(slides.columns) == ["patient_id", "path", "mpp", "cost", "name", "status", "stage", "reason"]
    assert slides.loc["P01", "path"] == str(followed.folder / "slides" / "P01.svs")
    split = hx.split(run.patients, seed=run.config.train.seed)
    sets = run.predictions("patient").set_index("id")["set"]
    assert split.set_index("patient_id")["set"].to_dict() == sets[~sets.index.duplicated()].to_dict()
    metrics = run.metrics
    assert metrics.equals(followed.variables["metrics"])
    tiles = run.predictions("tile")
    tested = tiles[(tiles["model"] == "logistic") & (tiles["set"] == "test")]
    again = hx.evaluate(tested["label"], tested["probability"], tested["patient_id"])
    measured = metrics.query("model == 'logistic' and set == 'test' and level == 'tile'").set_index("metric")
    columns = ["value", "low", "high", "n"]
    found = again.loc[measured.index, columns].to_numpy()
    assert found == pytest.approx(measured[columns].to_numpy(), nan_ok=True)
    assert len(tiles) == run.predictions("slide")["n_tiles"].sum()
    assert {"x_l0", "y_l0", "attention"} <= set(tiles.columns)


def test_a_second_call_does_nothing_again(followed: Followed) -> None:
    run: hx.Run = followed.variables["run"]
    outcome = run.tile(["P02", "P04"], workers=1)
    assert (len(outcome.made), [receipt.name for receipt in outcome.found]) == (0, ["P02", "P04"])
    assert run.train() == ("logistic",)
    assert run.submit(dry_run=True).jobs.empty
