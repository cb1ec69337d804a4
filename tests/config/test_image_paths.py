"""Paths of images as tables and patterns have them are text: they never lead out of the folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hypoxia_hpc.config import parse_config
from hypoxia_hpc.config.image_paths import below, check_pattern, parsed_path
from hypoxia_hpc.errors import InputError

FOLDER = Path("/data/images")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/b.png", "a/b.png"),
        ("./a//b.png", "a/b.png"),
        ("/data/images/a/b.png", "a/b.png"),
        ("..a/b..png", "..a/b..png"),
        ("a\\b.png", "a/b.png"),
        ("a/b\\c.png", "a/b\\c.png"),
        *((text, None) for text in ("..\\b.png", "a\\..\\b.png", "C:\\a\\b.png", "c:/a/b.png")),
        *((text, None) for text in ("", ".", "..", "../b.png", "a/../b.png", "a/../../b.png", "/data/images")),
        *((text, None) for text in ("/data/b.png", "/data/images/../b.png", "/data/images2/b.png", "/")),
        *((text, None) for text in ("a\0.png", "a\n.png", "a\x1b[31m.png", "caf\udce9.png")),
    ],
)
def test_a_path_stays_below_the_folder(text: str, found: str | None) -> None:
    assert below(text, FOLDER) == found


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{patient}/{image}", "P1/a.png", {"patient": "P1", "image": "a"}),
        ("{patient}/{series}/{image}", "00002/FLAIR/Image-1.png", {"patient": "00002", "series": "FLAIR"}),
        ("{label}___{patient}", "TUM___TUM-TCGA-A_1.jpg", {"label": "TUM", "patient": "TUM-TCGA-A_1"}),
        ("{label}/{patient}", "01_TUMOR/a.tif_Row_1_Col_2.tif", {"patient": "a.tif_Row_1_Col_2"}),
        ("{patient}-{image}", "P1-2-3.png", {"patient": "P1", "image": "2-3"}),
        ("tiles (H&E)/{patient}", "tiles (H&E)/P1.png", {"patient": "P1"}),
        ("{patient}/{image}_{series}", "P1/x_flair.nii.gz", {"patient": "P1", "series": "flair"}),
        ("{patient}/{image}", "a.png", None),
        ("{patient}/{image}", "P1/x/a.png", None),
        ("{patient}", "P1/a.png", None),
    ],
)
def test_a_pattern_says_what_a_path_means(pattern: str, path: str, found: dict[str, str] | None) -> None:
    check_pattern(pattern)
    said = parsed_path(pattern, PurePosixPath(path))
    assert said == found if found is None or said is None else found.items() <= said.items()


@pytest.mark.parametrize("pattern", ["{image}", "{patient}{image}", "{patient}/{patient}", "{patient}/{who}", "x"])
def test_a_pattern_that_says_too_little_is_refused(pattern: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config({"source": {"kind": "folders", "pattern": pattern}}, source="run.toml")
    assert "source.pattern" in caught.value.offending[0]


@pytest.mark.parametrize("tile", [{"pixels": "none"}, {"tissue": "otsu"}, {"regions": "drawn"}])
def test_what_only_slides_have_is_not_for_images(tile: dict[str, object]) -> None:
    parse_config({"tile": tile}, source="run.toml")
    with pytest.raises(InputError) as caught:
        parse_config({"source": {"kind": "folders"}, "tile": tile}, source="run.toml")
    assert next(iter(tile)) in caught.value.offending[0]
