"""DICOM for slides that are DICOM: tiles, classes and phenotypes as a segmentation, numbers of tiles as a parametric
map. A pixel of these is a tile, in the frame of reference of the slide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc import __version__
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.exports.qupath import COLOURS
from hypoxia_hpc.exports.slide import File, Format, SlideExport
from hypoxia_hpc.exports.tile_grid import TileGrid, tile_grid
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.slides.dicom_headers import SlidePlane, slide_plane

if TYPE_CHECKING:
    import highdicom as hd

FRAME = 256  # rows and columns
CLUSTER = "cluster"
# Codes of SNOMED CT (CID 7150), and own ones, whose scheme begins with 99 as PS3.16 8.2 has it.
TISSUE, FUNCTION = ("85756007", "SCT", "Tissue"), ("246464006", "SCT", "Function")
OWN_SCHEME = "99HYPOXIAHPC"
LEARNT = ("123110", "DCM", "Artificial Intelligence")
NO_UNIT = ("1", "UCUM", "no units")
MOST_LETTERS, MOST_OF_A_LABEL = 64, 16  # of the types LO and SH


@dataclass(frozen=True, slots=True)
class Segment:
    """Tiles that have something in common: ``tiles`` bool (n,). ``code`` is unique among those of a slide."""

    label: str
    code: str
    category: tuple[str, str, str]
    colour: tuple[int, int, int]
    tiles: NDArray[np.bool_]


def segments_of(slide: SlideExport) -> Iterator[Segment]:
    """All kept tiles, those of each class that is called, and those of each phenotype."""
    yield Segment("tiles", "tiles", TISSUE, COLOURS[-1], np.ones(len(slide.xy_l0), dtype=np.bool_))
    for number, name in enumerate(slide.names):
        if (own := slide.classes == number).any():
            yield Segment(name, f"class-{number}", FUNCTION, COLOURS[number % len(COLOURS)], own)
    clusters = slide.said[CLUSTER].to_numpy() if CLUSTER in slide.said else np.empty(0)
    for number in np.unique(clusters[~np.isnan(clusters)]).astype(int).tolist():
        colour = COLOURS[number % len(COLOURS)]
        yield Segment(f"phenotype {number}", f"phenotype-{number}", TISSUE, colour, clusters == number)


def numbers_of(slide: SlideExport) -> dict[str, Float64Array]:
    """Each number that is known of tiles and is not the name of a group, float64 (n,) with NaN where it is not."""
    return {str(name): slide.said[name].to_numpy(dtype=np.float64) for name in slide.said if name != CLUSTER}


def painted(grid: TileGrid, values: NDArray[Any], empty: float) -> NDArray[Any]:
    """``values`` (n, c) of tiles as a picture (1, rows, columns, c); ``empty`` where no tile is."""
    picture = np.full((1, grid.rows, grid.columns, values.shape[1]), empty, dtype=values.dtype)
    picture[0, grid.at[:, 1], grid.at[:, 0]] = values
    return picture


def _segmentation(slide: SlideExport, folder: Path) -> Iterator[File]:
    plane, grid = _plane_and_grid(slide)
    yield f"{slide.slide.slide_id}.dcm", lambda path: _write_segmentation(slide, plane, grid, path)


def _map(slide: SlideExport, folder: Path) -> Iterator[File]:
    plane, grid = _plane_and_grid(slide)
    if not numbers_of(slide):
        raise SlideError(
            "no-predictions",
            f"no number of a model is known of the tiles of {slide.slide.slide_id}",
            remedy="train and evaluate, or take --to dicom-seg, which has the tiles",
        )
    yield f"{slide.slide.slide_id}.dcm", lambda path: _write_map(slide, plane, grid, path)


def _plane_and_grid(slide: SlideExport) -> tuple[SlidePlane, TileGrid]:
    """Raises SlideError for a slide that is not DICOM, without a place in space, or other than it was tiled."""
    plane = slide_plane(slide.slide.path)
    if plane.size_l0 != slide.size_l0:
        (width, height), (was_wide, was_high) = plane.size_l0, slide.size_l0
        raise SlideError(
            "slide-changed",
            f"{slide.slide.path} has {width:,} x {height:,} px, and had {was_wide:,} x {was_high:,} when it was tiled",
            remedy="tile it again",
        )
    return plane, tile_grid(slide.slide.slide_id, slide.xy_l0, slide.side_l0)


def _write_segmentation(slide: SlideExport, plane: SlidePlane, grid: TileGrid, path: Path) -> None:
    import highdicom as hd

    found = list(segments_of(slide))
    pixels = painted(grid, np.column_stack([one.tiles for one in found]).astype(np.uint8), 0)
    with plane.odd_headers():
        made = hd.seg.Segmentation(
            pixel_array=pixels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_described(number, one) for number, one in enumerate(found, 1)],
            series_number=1,
            content_label="TILES",
            content_description="kept tiles, classes and phenotypes; a pixel is a tile",
            omit_empty_frames=False,
            dimension_organization_type=hd.DimensionOrganizationTypeValues.TILED_FULL,
            **_in_common(slide, plane, grid),
        )
        made.save_as(path)


def _described(number: int, segment: Segment) -> hd.seg.SegmentDescription:
    import highdicom as hd

    algorithm = hd.AlgorithmIdentificationSequence("hypoxia_hpc", hd.sr.CodedConcept(*LEARNT), __version__)
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=_text(segment.label),
        segmented_property_category=hd.sr.CodedConcept(*segment.category),
        segmented_property_type=hd.sr.CodedConcept(segment.code, OWN_SCHEME, _text(segment.label)),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour),
    )


def _write_map(slide: SlideExport, plane: SlidePlane, grid: TileGrid, path: Path) -> None:
    import highdicom as hd

    numbers = numbers_of(slide)
    ranges = {name: _range(values) for name, values in numbers.items()}
    pixels = painted(grid, np.column_stack([*numbers.values()]).astype(np.float32), np.nan)
    with plane.odd_headers():
        made = hd.pm.ParametricMap(
            pixel_array=pixels,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[[_mapping(*one)] for one in enumerate(ranges.items(), 1)],
            voi_lut_transformations=[_window(name, *between) for name, between in ranges.items()],
            series_number=2,
            content_label="NUMBERS_OF_TILES",
            content_description="numbers of each tile; a pixel is a tile",
            **_in_common(slide, plane, grid),
        )
        made.FloatPixelPaddingValue = made.FloatPixelPaddingRangeLimit = float("nan")
        made.save_as(path)


def _range(values: Float64Array) -> tuple[float, float]:
    """0 to 1 where they lie in it, as probabilities do; else from the smallest to the largest."""
    known = values[~np.isnan(values)]
    low, high = float(known.min(initial=0)), float(known.max(initial=1))
    return (low, high) if low < 0 or high > 1 else (0.0, 1.0)


def _mapping(number: int, of: tuple[str, tuple[float, float]]) -> hd.pm.RealWorldValueMapping:
    """Its label is short, and unique by the number."""
    import highdicom as hd

    name, between = of

    return hd.pm.RealWorldValueMapping(
        lut_label=_text(f"{number}: {name}")[:MOST_OF_A_LABEL],
        lut_explanation=_text(name),
        unit=hd.sr.CodedConcept(*NO_UNIT),
        value_range=between,
        slope=1.0,
        intercept=0.0,
    )


def _window(name: str, low: float, high: float) -> hd.VOILUTTransformation:
    import highdicom as hd

    return hd.VOILUTTransformation((low + high) / 2, high - low, _text(name))


def _in_common(slide: SlideExport, plane: SlidePlane, grid: TileGrid) -> dict[str, Any]:
    """What both kinds of files are made with: the source, identity, and the place of pixels."""
    import highdicom as hd

    at_corner = hd.spatial.ImageToReferenceTransformer(plane.position, plane.orientation, plane.spacing_mm)
    first = at_corner((grid.origin_l0 + grid.side_l0 / 2)[np.newaxis])[0]  # the middle of the first pixel
    slide_system = hd.CoordinateSystemNames.SLIDE
    spacing = [grid.side_l0 * mm for mm in plane.spacing_mm]
    return {
        "source_images": plane.headers[:1],
        "further_source_images": plane.headers[1:],
        "series_instance_uid": hd.UID(),
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "hypoxia_hpc",
        "manufacturer_model_name": "hypoxia_hpc export",
        "software_versions": __version__,
        "device_serial_number": slide.attributes.key[:MOST_LETTERS],  # which tiles they are
        "specific_character_set": "ISO_IR 192",
        "pixel_measures": hd.PixelMeasuresSequence(spacing, plane.thickness_mm),
        "plane_positions": [hd.PlanePositionSequence(slide_system, first.tolist(), (1, 1))],
        "tile_pixel_array": True,
        "tile_size": (FRAME, FRAME),
    }


def _text(name: str) -> str:
    """As the type LO takes it: a backslash would part it in two."""
    return "".join(one if one.isprintable() else " " for one in name.replace("\\", "/"))[:MOST_LETTERS]


SEGMENTATION = Format(
    "dicom-seg",
    "DICOM segmentation of tiles, classes and phenotypes: ID.dcm, for slides in DICOM",
    _segmentation,
    has_features=False,
    library="highdicom",
)
MAP = Format(
    "dicom-map",
    "DICOM parametric map of predictions and attention: ID.dcm, for slides in DICOM",
    _map,
    has_features=False,
    library="highdicom",
)
