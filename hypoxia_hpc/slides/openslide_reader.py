"""Read slides with OpenSlide: the header as a ``Pyramid``, the planned squares as bands of pixels, a thumbnail.

The contract: a reader only obeys a plan. Whatever goes wrong in the file becomes a ``SlideError`` with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Json, Pyramid, TilePlan, UInt8Array

if TYPE_CHECKING:
    from openslide import OpenSlide

# Decoded native tiles that neighbouring bands share stay in OpenSlide's cache (its own default is 32 MiB, less than
# one row of native tiles of a large slide).
CACHE_BYTES = 128 * 2**20
# One read_region call: 8 Mpx are 32 MiB as RGBA.
MOST_PX_A_READ = 8 * 2**20


def openslide_versions() -> Json:
    """Versions of the library and of its binding. Raises ImportError or OSError where it cannot be loaded."""
    import openslide

    return {"openslide": openslide.__library_version__, "openslide-python": openslide.__version__}


@contextmanager
def open_slide(path: Path) -> Iterator[OpenSlide]:
    """An OpenSlide handle, closed afterwards.

    Raises:
        SlideError: ``missing-file``, ``no-permission``, ``not-a-slide``, or ``unreadable`` when the file breaks
            while it is being read (the handle is dead from then on).
    """
    import openslide

    try:
        if not path.exists():
            raise SlideError("missing-file", f"{path} does not exist", remedy="bring it back, or mend slides.csv")
        if not path.is_file():  # to open a pipe would wait for ever
            raise SlideError("not-a-slide", f"{path} is no plain file", remedy="mend its path in slides.csv")
        slide = openslide.OpenSlide(str(path))
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except openslide.OpenSlideUnsupportedFormatError:
        raise SlideError(
            "not-a-slide",
            f"{path}: no format that OpenSlide knows",
            remedy="check that it was downloaded whole (size, md5), or leave it out",
        ) from None
    except openslide.OpenSlideError as error:
        raise SlideError("not-a-slide", f"{path}: {error}", remedy="fetch the file again, or leave it out") from None
    try:
        slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
        yield slide
    except openslide.OpenSlideError as error:
        raise SlideError("unreadable", f"{path}: {error}", remedy="fetch the file again, or leave it out") from None
    finally:
        slide.close()


def read_pyramid(slide: OpenSlide) -> Pyramid:
    """What the header says; numbers that are no positive finite numbers count as not said."""
    import openslide

    properties = slide.properties
    return Pyramid(
        level_sizes=tuple(slide.level_dimensions),
        downsamples=tuple(slide.level_downsamples),
        mpp_x=_positive(properties, openslide.PROPERTY_NAME_MPP_X),
        mpp_y=_positive(properties, openslide.PROPERTY_NAME_MPP_Y),
        objective_power=_positive(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        bounds_l0=_bounds(properties),
        vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, ""),
    )


def _number(properties: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(properties[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _positive(properties: Mapping[str, str], name: str) -> float | None:
    value = _number(properties, name)
    return value if value is not None and value > 0 else None


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    import openslide

    x, y = (_number(properties, name) for name in (openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y))
    width = _positive(properties, openslide.PROPERTY_NAME_BOUNDS_WIDTH)
    height = _positive(properties, openslide.PROPERTY_NAME_BOUNDS_HEIGHT)
    if x is None or y is None or width is None or height is None:
        return None
    return int(x), int(y), int(width), int(height)


def read_bands(slide: OpenSlide, plan: TilePlan) -> Iterator[tuple[slice, UInt8Array]]:
    """The squares of a plan, some of one row at a time, in the plan's order.

    Yields:
        The indices of the squares in the plan and their pixels side by side, uint8 (side_level, n · side_level, 4),
        straight alpha, C-contiguous and writable.
    """
    side = plan.side_level
    # Where OpenSlide interpolates, every square is read from its own corner, as whoever checks a tile would read it.
    per_read = 1 if plan.interpolated else max(1, MOST_PX_A_READ // side**2)
    for row in range(plan.rows):
        for column in range(0, plan.columns, per_read):
            first = row * plan.columns + column
            n = min(per_read, plan.columns - column)
            x_l0, y_l0 = (int(value) for value in plan.xy_l0[first])
            image = slide.read_region((x_l0, y_l0), plan.level, (n * side, side))
            yield slice(first, first + n), np.array(image)


def read_thumbnail(slide: OpenSlide, largest_px: int) -> UInt8Array:
    """The whole slide, uint8 (height, width, 3), its longer side at most ``largest_px``."""
    return np.asarray(slide.get_thumbnail((largest_px, largest_px)).convert("RGB"))
