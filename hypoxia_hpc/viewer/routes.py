"""From the path of a request to what it names. Pure: no path becomes a name of a file."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from hypoxia_hpc.viewer.pyramid import Place

Kind = Literal["page", "slides", "slide", "tile", "thumbnail", "overlay", "galleries", "picture"]
# Files of the page, each by the path it has, and its media type.
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/galleries.js": ("galleries.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/openseadragon.min.js": ("openseadragon.min.js", "text/javascript; charset=utf-8"),
}
# Numbers have few digits, so that none is long to read; 0 is no first digit, so that each tile has one path.
_NUMBER = "(0|[1-9][0-9]{0,6})"
_KEY = "([0-9a-f]{16})"
_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "tile": re.compile(rf"/slides/{_KEY}_files/{_NUMBER}/{_NUMBER}_{_NUMBER}\.jpg", re.ASCII),
    "slide": re.compile(rf"/slides/{_KEY}\.json", re.ASCII),
    "thumbnail": re.compile(rf"/slides/{_KEY}\.jpg", re.ASCII),
    "overlay": re.compile(rf"/overlays/{_KEY}/{_NUMBER}_files/{_NUMBER}/{_NUMBER}_{_NUMBER}\.png", re.ASCII),
    "galleries": re.compile(rf"/galleries/(?:{_KEY}/)?index\.json", re.ASCII),
    "picture": re.compile(rf"/galleries/(?:{_KEY}/)?{_NUMBER}\.jpg", re.ASCII),
}


class Route(NamedTuple):
    """What a path names: the page's file ``name``; or of the slide with this ``key`` its description, its thumbnail, a
    tile at ``place``, of overlay ``number`` the picture at ``place``, its galleries, or picture ``number`` of these;
    without a key the galleries of the cohort."""

    kind: Kind
    name: str = ""
    key: str = ""
    place: Place = Place(0, 0, 0)
    number: int = 0


def route_of(path: str) -> Route | None:
    """What the path of a request, without its query, names; None where it names nothing. It is not decoded: no name
    here has a letter that would be encoded, so that an encoded path names nothing."""
    if path in PAGE:
        return Route("page", PAGE[path][0])
    if path == "/slides.json":
        return Route("slides")
    for kind, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(path):
            key, *digits = found.groups()
            return _numbered(kind, key or "", [int(one) for one in digits])
    return None


def _numbered(kind: Kind, key: str, numbers: list[int]) -> Route:
    """The last three numbers are a place, one before them, or alone, is that of an overlay or a picture."""
    place = Place(*numbers[-3:]) if len(numbers) >= 3 else Place(0, 0, 0)
    return Route(kind, key=key, place=place, number=numbers[0] if len(numbers) in (1, 4) else 0)
