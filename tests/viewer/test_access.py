"""Who may ask: the token for a cookie, the cookie for everything else, and no other host at all."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from hypoxia_hpc.viewer.access import (
    Access,
    access_of,
    cookie_name,
    framed_access_of,
    framing_origin,
    new_secrets,
)

HERE = {"host": "127.0.0.1:8080"}


def test_a_token_becomes_a_cookie_and_the_cookie_opens() -> None:
    own = new_secrets()
    assert len({own.token, own.cookie}) == 2 and min(map(len, (own.token, own.cookie))) == 32
    given = access_of(f"token={own.token}", HERE, own, 8080)
    assert given.status == HTTPStatus.SEE_OTHER
    assert given.set_cookie == f"hypoxia-view-8080={own.cookie}; HttpOnly; SameSite=Strict; Path=/"
    shown = {**HERE, "cookie": f"other=1; {cookie_name(8080)}={own.cookie}"}
    assert access_of("", shown, own, 8080) == Access(HTTPStatus.OK)


@pytest.mark.parametrize(
    ("query", "cookie"),
    [
        ("", ""),
        ("token=", ""),
        ("token=wrong", ""),
        ("token=\u00fc", ""),
        ("token={token}&token={token}", ""),
        ("token={cookie}", ""),
        ("TOKEN={token}", ""),
        ("", "hypoxia-view-8080={token}"),
        ("", "hypoxia-view-8081={cookie}"),
        ("", "hypoxia-view-8080={cookie}x"),
        ("", "hypoxia-view-8080=\u00e9"),
        ("", ";;=,"),
        ("token=wrong", "hypoxia-view-8080={cookie}"),
    ],
)
def test_anything_else_is_401(query: str, cookie: str) -> None:
    own = new_secrets()
    words = {"token": own.token, "cookie": own.cookie}
    headers = {**HERE, "cookie": cookie.format(**words)}
    assert access_of(query.format(**words), headers, own, 8080).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:65535"])
def test_names_of_this_machine(host: str) -> None:
    assert access_of("", {"host": host}, None, 0).status == HTTPStatus.OK


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2"),
        *("localhost:", "localhost:abc", "localhost:123456", "127.0.0.1@evil.example", "[::1", "::1", " localhost"),
    ],
)
def test_any_other_host_is_403_whatever_it_shows(host: str) -> None:
    own = new_secrets()
    headers = {"host": host, "cookie": f"{cookie_name(8080)}={own.cookie}"}
    assert access_of("", headers, own, 8080).status == HTTPStatus.FORBIDDEN
    assert access_of(f"token={own.token}", headers, own, 8080) == Access(HTTPStatus.FORBIDDEN)
    assert access_of("", {"host": host}, None, 0).status == HTTPStatus.FORBIDDEN


def test_other_sites_get_the_page_at_most() -> None:
    image = {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert access_of("", image, None, 0).status == HTTPStatus.FORBIDDEN
    assert access_of("", {**image, "sec-fetch-site": "same-site"}, None, 0).status == HTTPStatus.FORBIDDEN
    assert access_of("", {**image, "sec-fetch-mode": "navigate"}, None, 0).status == HTTPStatus.OK
    assert access_of("", {**image, "sec-fetch-site": "same-origin"}, None, 0).status == HTTPStatus.OK
    assert access_of("", {**image, "sec-fetch-site": "none"}, None, 0).status == HTTPStatus.OK


def test_in_a_frame_the_path_begins_with_the_token() -> None:
    token = new_secrets().token
    assert framed_access_of(f"/{token}/", HERE, token) == Access(HTTPStatus.OK, path="/")
    assert framed_access_of(f"/{token}/slides/1.jpg", HERE, token) == Access(HTTPStatus.OK, path="/slides/1.jpg")
    for path in ("/", f"/{token}", f"/{token}x/", f"/{token[1:]}/", f"//{token}/", "/slides.json", "/\u00fc/", ""):
        assert framed_access_of(path, HERE, token).status == HTTPStatus.UNAUTHORIZED, path
    assert framed_access_of(f"/{token}/", {"host": "evil.example"}, token).status == HTTPStatus.FORBIDDEN
    image = {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert framed_access_of(f"/{token}/", image, token).status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("text", ["https://hub.example", "http://node7:8888", "https://a-b.c.example:443"])
def test_origins_of_pages_that_may_frame(text: str) -> None:
    assert framing_origin(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "https:",
        "hub.example",
        "https://*",
        "https://a.example/",
        "http://a; script-src *",
        "data:",
        "http://a b",
    ],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        framing_origin(text)
