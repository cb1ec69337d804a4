"""Decoding on the GPU, by the same calls on the cores, which is all that a machine without a GPU can do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from needed import NEEDS_TURBOJPEG

from hypoxia_hpc.bench import gpu_decoders
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.bench.case import Place, WrongAnswerError
from hypoxia_hpc.bench.cases import decoding
from hypoxia_hpc.bench.cases.registry import CASES
from hypoxia_hpc.bench.comparison import compared
from hypoxia_hpc.bench.gpu_decoders import NvImageCodec, cucim_pixels, nvimagecodec_missing
from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.slides.openslide_reader import open_slide

NAMES = ("gpu-decoding", "gpu-decoding-ycbcr")


@pytest.fixture
def nvimagecodec() -> None:
    pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")


@pytest.mark.usefixtures("nvimagecodec")
@pytest.mark.parametrize("recipe", ["", "jpeg-20x"])
def test_a_batch_is_decoded_to_the_pixels_of_libjpeg_turbo(recipe: str, tmp_path: Path) -> None:
    """RGB without subsampling and YCbCr with it; more tiles than the real slide has, so that some come twice."""
    with decoding.decoding(Place(tmp_path, tmp_path), recipe=recipe, device="cpu", n=120) as prepared:
        answer = prepared.check()
        prepared.work()
        assert prepared.check() == answer == "every pixel as libjpeg-turbo decodes it"
        assert (prepared.amount, prepared.on_gpu) == (120, False)
        assert prepared.bounds["decoding on all cores"]() is not None


@pytest.mark.usefixtures("nvimagecodec")
def test_a_stream_without_its_tables_is_no_image() -> None:
    native = NativeTiles(REAL_SLIDE)
    found = NvImageCodec(is_ycbcr=False, device="cpu").pixels([native.whole[0], native.data[0]])
    assert [one is None for one in found] == [False, True]


@NEEDS_TURBOJPEG
def test_a_tile_that_turbojpeg_does_not_decode_is_no_fast_bound() -> None:
    native = NativeTiles(REAL_SLIDE).of([0, 1])
    decode = native.decoders()["TurboJPEG, RGBX"]
    decode()
    native.whole[1] = b"\xff\xd8 no JPEG"
    with pytest.raises(WrongAnswerError, match="TurboJPEG does not decode"):
        decode()


def test_tiles_that_were_not_decoded_or_are_another_picture_are_a_wrong_answer() -> None:
    chosen = decoding.chosen_tiles(REAL_SLIDE, 9)
    right = chosen.native.of(chosen.numbers.tolist()).pixels()
    assert decoding.check(chosen, lambda: right) == "every pixel as libjpeg-turbo decodes it"
    rounded = [np.where(one < 255, one + 1, 254).astype(np.uint8) for one in right]
    assert (
        decoding.check(chosen, lambda: rounded)
        == "1.000 gray levels from libjpeg-turbo in the mean of the worst tile, 1 at most"
    )
    with pytest.raises(WrongAnswerError, match="1 of 9 native tiles could not be decoded"):
        decoding.check(chosen, lambda: [None, *right[1:]])
    with pytest.raises(WrongAnswerError, match="another picture"):
        decoding.check(chosen, lambda: [255 - right[0], *right[1:]])


def test_chosen_tiles_lie_in_the_slide_at_their_places() -> None:
    """The real slide has 9 x 12 native tiles that no edge cuts, of 10 x 13."""
    chosen = decoding.chosen_tiles(REAL_SLIDE, 120)
    assert chosen.numbers[[0, 8, 9, 107, 108]].tolist() == [0, 8, 10, 118, 0]
    with open_slide(REAL_SLIDE) as slide:
        region = slide.read_region(tuple(chosen.xy_l0[107].tolist()), 0, chosen.native.size_px)
    expected = np.asarray(region.convert("RGB"))
    found = chosen.native.of([118]).pixels()[0]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_cucim_gives_the_same_tiles() -> None:
    pytest.importorskip("cucim", reason="cuCIM is not installed")
    chosen = decoding.chosen_tiles(REAL_SLIDE, 9)
    found = compared([decoding.cucim(chosen, "cpu")])
    found.works["cuCIM"]()
    assert found.how["cuCIM"] == "every pixel as libjpeg-turbo decodes it; it reads the file, too"
    assert len(cucim_pixels(chosen.path, chosen.xy_l0, 240, "cpu")) == 9


def test_the_cases_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {case.name: case for case in CASES if case.topic == "decoding"}
    assert tuple(cases) == NAMES
    assert all(case.missing is nvimagecodec_missing and not case.is_quick for case in cases.values())
    monkeypatch.setattr(gpu_decoders, "graphics", lambda: ([], ""))
    assert nvimagecodec_missing() == "nvidia-smi shows no GPU here"
    monkeypatch.setattr(gpu_decoders, "graphics", lambda: (["NVIDIA H200"], "580"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert nvimagecodec_missing() == "nvImageCodec is not installed: pip install 'hypoxia-hpc[nvimgcodec]'"
