"""Paths in tables mean the same file to every process; ``tests/test_locale.py`` tries other locales."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypoxia_hpc.config.text_paths import as_named, is_there, may_be_path, path_of_text, shown_name, text_of_path

NAMES = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw)


@given(NAMES)
@example(b"caf\xe9 %41.svs")
@example(b"file:///x")
@example(b"%C3%BC")
def test_every_name_comes_back(raw: bytes) -> None:
    path = Path(os.fsdecode(b"/" + raw))
    text = text_of_path(path)
    assert text.encode().decode() == text
    assert path_of_text(text) == path
    assert may_be_path(text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_name_in_utf8_stands_as_it_is(name: str) -> None:
    assert text_of_path(Path(f"/{name}")) == str(Path(f"/{name}"))
    assert shown_name(name) == name


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///data/caf%E9.svs", "/data/caf\udce9.svs"),
        ("file:///data/%C3%BC%20x.svs", "/data/\u00fc x.svs"),
        ("file://host/x.svs", "file:/host/x.svs"),  # of another machine: a relative path, which names no file
        ("a%E9.svs", "a%E9.svs"),
        ("../b.svs", "../b.svs"),
    ],
)
def test_a_uri_is_a_path(text: str, path: str) -> None:
    assert path_of_text(text) == Path(path)


@pytest.mark.parametrize("text", ["", " ", ".", "a\0b", "file:///a%00b"])
def test_what_names_no_file(text: str) -> None:
    assert not may_be_path(text)


def test_bytes_are_shown_with_backslashes() -> None:
    assert shown_name("caf\udce9 \u00fc.svs") == "caf\\xe9 \u00fc.svs"


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    assert is_there(tmp_path)
    for name in ("x" * 300, "a\0b", "/".join(["d" * 250] * 20)):
        assert not is_there(tmp_path / name)


def test_a_typed_name_is_the_file_s_where_the_locale_is_utf8(tmp_path: Path) -> None:
    assert as_named(tmp_path / "\u00fc.svs") == tmp_path / "\u00fc.svs"
