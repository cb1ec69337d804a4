"""From a path to what it names: nothing but what is named here, in one spelling each."""

from __future__ import annotations

import pytest

from hypoxia_hpc.viewer.pyramid import Place
from hypoxia_hpc.viewer.routes import PAGE, Route, route_of

KEY = "0123456789abcdef"


def test_what_a_path_names() -> None:
    assert [route_of(path) for path in PAGE] == [Route("page", name) for name, _ in PAGE.values()]
    assert route_of("/slides.json") == Route("slides")
    assert route_of(f"/slides/{KEY}.json") == Route("slide", key=KEY)
    assert route_of(f"/slides/{KEY}.jpg") == Route("thumbnail", key=KEY)
    assert route_of(f"/slides/{KEY}_files/12/3_40.jpg") == Route("tile", key=KEY, place=Place(12, 3, 40))
    assert route_of(f"/overlays/{KEY}/2_files/9/0_4.png") == Route("overlay", key=KEY, place=Place(9, 0, 4), number=2)
    assert route_of("/galleries/index.json") == Route("galleries")
    assert route_of("/galleries/17.jpg") == Route("picture", number=17)
    assert route_of(f"/galleries/{KEY}/index.json") == Route("galleries", key=KEY)
    assert route_of(f"/galleries/{KEY}/0.jpg") == Route("picture", key=KEY)


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "/index.html", "/../page.js", "/./page.js", "/page.js/", "/PAGE.JS", "/page.js\n", "page.js"),
        *("/%70age.js", "/%2e%2e/page.js", "/..%2fetc/passwd", "/slides/../slides.json", "/etc/passwd", "/\\page.js"),
        *(f"/slides/{KEY}", f"/slides/{KEY}.dzi", f"/slides/{KEY[1:]}.json", f"/slides/{KEY.upper()}.json"),
        *(
            f"/slides/{KEY}_files/{place}"
            for place in ("1/2_3", "1/2_3.png", "01/2_3.jpg", "1/-2_3.jpg", "1/2_3_4.jpg")
        ),
        *(
            f"/slides/{KEY}_files/{place}"
            for place in ("1/2_\u0663.jpg", "99999999/0_0.jpg", "1e1/0_0.jpg", "1/2_3.jpg\n")
        ),
        *(f"/overlays/{KEY}/{rest}" for rest in ("", "0.png", "-1_files/9/0_0.png", "00_files/9/0_0.png", "../0.png")),
        *(f"/galleries/{rest}" for rest in ("", "../slides.json", "00.jpg", "1.png", "index.html", f"{KEY}.json")),
        *(f"/galleries/{KEY}/{rest}" for rest in ("", "-1.jpg", "../1.jpg", "%31.jpg", f"{KEY}/1.jpg")),
    ],
)
def test_what_names_nothing(path: str) -> None:
    assert route_of(path) is None
