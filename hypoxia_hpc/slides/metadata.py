"""What a TIFF file says about its images beside their pixels: OME-XML, PerkinElmer's XML, and the size of a pixel.

XML from a file is read with a limit on its length and without document types, so that it can define no entities.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from hypoxia_hpc.slides.tiff import FilePage

# Micrometres of the units of length of OME-XML (2016-06) and of TIFF's tag of the unit. Units that are no length, as
# "pixel" and "reference frame", are left out.
MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "pm": 1e-6,
    "Å": 1e-4,
    "in": 25_400.0,
}
UNITS_OF_TIFF = {2: 25_400.0, 3: 10_000.0}
RED_GREEN_BLUE = (("red", "r"), ("green", "g"), ("blue", "b"))
SIDE_IMAGES = ("label", "macro", "thumbnail", "overview")
QPI = "PerkinElmer-QPI-ImageDescription"
_JSON_SHAPE = re.compile(r'"shape"\s*:\s*\[([0-9, ]{1,200})\]', re.ASCII)
_TRUNCATED = re.compile(r'^\s*\{.*"truncated"\s*:\s*true', re.DOTALL)
_IMAGEJ_IMAGES = re.compile(r"ImageJ=.*?^images=([0-9]{1,9})\s*$", re.DOTALL | re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One Image of an OME-XML. ``channels`` are their names in lower case; ``planes`` the pages of channel 0, 1, ...;
    ``bits`` the significant bits, 0 where they are not said; ``elsewhere``: its planes lie in other files."""

    name: str
    size: tuple[int, int]
    mpp: tuple[float | None, float | None]
    channels: tuple[str, ...]
    planes: tuple[int, ...]
    sections: int
    bits: int
    elsewhere: bool

    @property
    def is_side_image(self) -> bool:
        return any(word in self.name.lower() for word in SIDE_IMAGES)

    @property
    def rgb_planes(self) -> tuple[int, ...]:
        """The pages of red, green and blue, where the channels are named so; else nothing."""
        order = [index for names in RED_GREEN_BLUE for index, name in enumerate(self.channels) if name in names]
        return tuple(self.planes[index] for index in order) if len(order) == len(self.planes) == 3 else ()


@dataclass(frozen=True, slots=True)
class QpiPage:
    """What PerkinElmer's XML says of a page of a .qptiff: ``kind`` is FullResolution, ReducedResolution, Thumbnail,
    Overview or Label, ``mpp`` the µm per pixel of the whole scan, ``objective_power`` that of its objective."""

    kind: str
    mpp: float | None
    objective_power: float | None

    @property
    def is_side_image(self) -> bool:
        return self.kind.lower() in SIDE_IMAGES


def read_qpi(text: str) -> QpiPage | None:
    """What a page's description in PerkinElmer's XML says; None where it is something else."""
    root = parse_xml(text) if f"<{QPI}" in text else None
    if root is None or _tag(root) != QPI:
        return None
    # As Bio-Formats' VectraReader reads it; in the profile of the scan it stands below one more element.
    mpp = _number(root.findtext("ScanProfile//PixelSizeMicrons", ""))
    power = _number(root.findtext("Objective", "").strip().lower().removesuffix("x"))
    return QpiPage(root.findtext("ImageType", "").strip(), mpp, power)


def images_behind(text: str, width: int, height: int, samples: int) -> int:
    """How many images lie behind each other in the one page that has this description, in JSON as tifffile writes it
    (``shape``, ``truncated``), or in lines as ImageJ does (``images=``); 1 where it says nothing of the kind."""
    said = _JSON_SHAPE.search(text) if _TRUNCATED.search(text) else None
    if said is not None:
        values = math.prod(int(side) for side in said[1].split(",") if side.strip())
        return values // max(1, width * height * samples)
    said = _IMAGEJ_IMAGES.match(text)
    return int(said[1]) if said is not None else 1


def parse_xml(text: str) -> ElementTree.Element | None:
    """The root of an XML text; None where it is none, or has a document type."""
    if not text.lstrip().startswith("<") or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - no document type, so no entities
    except (ElementTree.ParseError, ValueError):
        return None


def read_ome(text: str) -> list[OmeImage]:
    """The images of an OME-XML; none where the text is something else."""
    root = parse_xml(text)
    if root is None or _tag(root) != "OME":
        return []
    images: list[OmeImage] = []
    first = 0
    for image in root:
        for pixels in image if _tag(image) == "Image" else ():
            if _tag(pixels) == "Pixels":
                images.append(_ome_image(image.get("Name", ""), pixels, first))
                first = max(first, *images[-1].planes) + 1
    return images


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _ome_image(name: str, pixels: ElementTree.Element, first: int) -> OmeImage:
    """``first``: the page of its first plane, where no TiffData says another one."""
    channels = [child for child in pixels if _tag(child) == "Channel"]
    data = [child for child in pixels if _tag(child) == "TiffData"]
    pages = [_whole(child, "IFD", -1) for child in sorted(data, key=lambda child: _whole(child, "FirstC", 0))]
    samples = max([1, *(_whole(child, "SamplesPerPixel", 1) for child in channels)])
    sections = max(1, _whole(pixels, "SizeZ", 1)) * max(1, _whole(pixels, "SizeT", 1))
    n_planes = min(1024, max(1, _whole(pixels, "SizeC", 1) // samples))
    if len(pages) == n_planes and min(pages) >= 0:
        planes = tuple(pages)
    else:
        start = pages[0] if len(pages) == 1 and pages[0] >= 0 else first
        planes = tuple(range(start, start + n_planes))
    return OmeImage(
        name=name,
        size=(_whole(pixels, "SizeX", 0), _whole(pixels, "SizeY", 0)),
        mpp=(_micrometres(pixels, "X"), _micrometres(pixels, "Y")),
        channels=tuple(child.get("Name", "").strip().lower() for child in channels),
        planes=planes,
        sections=sections,
        bits=_whole(pixels, "SignificantBits", 0),
        elsewhere=len({uuid.get("FileName") for child in data for uuid in child if _tag(uuid) == "UUID"}) > 1,
    )


def _whole(element: ElementTree.Element, name: str, default: int) -> int:
    text = element.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default


def _micrometres(pixels: ElementTree.Element, axis: str) -> float | None:
    unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), math.nan)
    size = _number(pixels.get(f"PhysicalSize{axis}", ""))
    return None if size is None else _positive(size * unit)


def _number(text: str) -> float | None:
    """Above 0 and finite, else None."""
    try:
        return _positive(float(text))
    except ValueError:
        return None


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None


def mpp_of(page: FilePage, ome: OmeImage | None) -> tuple[float | None, float | None]:
    """µm per pixel along x and y: what the OME-XML says, else what the tags of the resolution say, else what the XML of
    PerkinElmer says, else None."""
    if ome is not None and None not in ome.mpp:
        return ome.mpp
    per_x, per_y, unit = page.resolution
    length = UNITS_OF_TIFF.get(unit, 0.0)
    x, y = (_positive(length / per_unit) if per_unit else None for per_unit in (per_x, per_y))
    if (x is None or y is None) and (qpi := read_qpi(page.description)) is not None:
        return qpi.mpp, qpi.mpp
    return x, y


def other_mpp_of(page: FilePage, ome: OmeImage | None) -> float | None:
    """µm per pixel along x as the next place says it that :func:`mpp_of` does not take: the tags of the resolution
    beside an OME-XML, the XML of PerkinElmer beside the tags; None where none says another value."""
    taken, qpi = mpp_of(page, ome)[0], read_qpi(page.description)
    others = (mpp_of(page, None)[0], None if qpi is None else qpi.mpp)
    return next((other for other in others if other not in (None, taken)), None)
