"""The page is whole, safe whatever the tables say, and the same for the same data."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.reports.page import ReportData, render_report
from hypoxia_hpc.reports.text import clean

SECTIONS = [
    "metrics",
    "patients",
    "training",
    "clusters",
    "cohort",
    "unlabelled",
    "slides",
    "quarantined",
    "time",
    "provenance",
]
VOID = {"meta", "link", "img"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "$\\frac{1}{2}$",
    "NUL\x00and\nnewline\x1b[31m\u202e",
    "</style><style>*{display:none}</style>",
    "]]>--><svg onload=alert(1)>",
    "javascript:alert(1) &lt;b&gt;",
    "caf\udce9.svs",
]
UNDEFINED = dict.fromkeys(["value", "low", "high", "n"])


class Page(HTMLParser):
    """The parsed page: start tags with attributes, all text, and every tag closed by its own."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def renamed(value: Any, rename: Callable[[str], str]) -> Any:
    """Every text that a table, slide, config or machine can bring, renamed; sets and numbers stay."""
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, tuple):
        return tuple(renamed(one, rename) for one in value)
    if isinstance(value, dict):
        return {rename(key): renamed(one, rename) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {"set_name", "metrics", "class_names"}  # sets and classes come with the study, not from a table
        names = [one.name for one in dataclasses.fields(value) if one.name not in kept]
        return dataclasses.replace(value, **{name: renamed(getattr(value, name), rename) for name in names})
    return value


def hostile(data: ReportData, payload: str) -> ReportData:
    models = {f"{payload}{name}": sets for name, sets in data.metrics["models"].items()}
    other: ReportData = renamed(data, lambda name: f"{payload}{name}")
    return dataclasses.replace(other, metrics={"schema": 1, "models": models})


def small(data: ReportData) -> ReportData:
    slides = (*data.slides[:2], *data.slides[-2:])
    return dataclasses.replace(data, slides=slides, histories=data.histories[:1], patients=data.patients[-5:])


@pytest.fixture(scope="module")
def harmless(full_report: ReportData) -> Page:
    return Page(render_report(hostile(small(full_report), "x")))


def check_safe(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "base", "form", "video", "audio", "foreignobject"}
    assert [tag for tag, _ in page.tags].count("style") == 1
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "srcset", "action", "xlink:href"})
    targets = page.attributes("src") + page.attributes("href")
    assert all(re.match(r"#[\w-]+$|data:image/jpeg;base64,|data:,$", target) for target in targets), targets
    assert all(target[1:] in page.attributes("id") for target in targets if target.startswith("#"))
    assert len(set(page.attributes("id"))) == len(page.attributes("id"))


def test_every_section_is_there_in_order(full_report: ReportData, empty_report: ReportData) -> None:
    for data in (full_report, empty_report):
        page = Page(render_report(data))
        assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
        check_safe(page)


def test_what_a_reader_looks_for_is_on_the_page(full_report: ReportData) -> None:
    text = " ".join(Page(render_report(full_report)).text.split())
    for expected in (
        "Patient ROC AUC 0.93 (0.84–1.00) on 24 test patients, model tanh.",  # noqa: RUF001
        "features come from a random network",
        "2 slides of 63 quarantined.",
        "tumour type only baseline 0.580 0.490–0.670",  # noqa: RUF001
        "DEMO-062 tile no-tissue none of 108 tiles has at most 25 % background",
        "deep_kmeans 12 normoxic patients, 12 hypoxic patients",
        "0 41.0 % 22.0 % 1 30.0 % 31.0 % 2 29.0 % 40.0 % 3 0.0 % 7.0 %",
        "40 slides of 63; 23 not shown",
        "60 names",
        "extract 2 min 02 s 62 % 2,990 24 802 MB 3 %",
        "tensorflow 2.21.0",
        "tile_px = 299 # side of a tile",
    ):
        assert expected in text
    assert all(f"TCGA-ZZ-{number:04d}-06" in text for number in range(60)), "every dropped name is there"


def test_thumbnails_are_capped_and_shown(full_report: ReportData) -> None:
    images = [attributes for tag, attributes in Page(render_report(full_report)).tags if tag == "img"]
    assert len(images) == 40
    assert images[0]["alt"] == "Slide DEMO-000-01Z-00-DX1: 42 of 108 tiles kept, drawn on its thumbnail"
    none = Page(render_report(dataclasses.replace(full_report, max_thumbnails=0)))
    assert "img" not in {tag for tag, _ in none.tags} and "thumbnails in [report] is 0" in none.text


def test_empty_parts_say_so(empty_report: ReportData) -> None:
    page = Page(render_report(empty_report))
    text = " ".join(page.text.split())
    assert "No model has been evaluated" in text and "random network" not in text
    sentences = [attributes for _, attributes in page.tags if attributes.get("class") == "empty"]
    assert len(sentences) == 16
    assert "table" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"schema": 1, "models": {}}},
        {"predictions": ()},
        {"patients": ()},
        {"slides": ()},
        {"histories": ()},
        {"times": ()},
        {"metrics": {"schema": 1, "models": {"tanh": {"train": {}, "test": {"tile": {"roc_auc": UNDEFINED}}}}}},
    ],
    ids=lambda changes: "no " + next(iter(changes)),
)  # fmt: skip
def test_each_part_may_be_missing(full_report: ReportData, changes: dict[str, Any]) -> None:
    check_safe(Page(render_report(dataclasses.replace(full_report, **changes))))


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(full_report: ReportData, harmless: Page, payload: str) -> None:
    page = Page(render_report(hostile(small(full_report), payload)))
    check_safe(page)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    # Everywhere the harmless name stands, the hostile one stands, character by character.
    for name in ("demo", "DEMO-061", "CMU-1", "no-mpp", "tanh", "tensorflow", "LUAD", "objective-power"):
        assert page.text.count(clean(payload) + name) == harmless.text.count("x" + name) > 0, name
    labels = [label for label in page.attributes("aria-label") if clean(payload) in label]
    assert len(labels) == len([label for label in harmless.attributes("aria-label") if "xtanh" in label]) + 3


@settings(max_examples=8)
@given(payload=st.text(min_size=1, max_size=30))
def test_any_text_leaves_the_structure_alone(full_report: ReportData, payload: str) -> None:
    data = dataclasses.replace(small(full_report), predictions=(), histories=())
    tags = [tag for tag, _ in Page(render_report(hostile(data, payload))).tags]
    assert tags == [tag for tag, _ in Page(render_report(hostile(data, "x"))).tags]


def test_no_control_character_reaches_the_page(full_report: ReportData) -> None:
    html = render_report(hostile(small(full_report), "a\x00\x07\x85\u202e\r"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)


def test_the_policy_forbids_everything_else(full_report: ReportData) -> None:
    page = Page(render_report(full_report))
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-") and "unsafe" not in policy


def test_same_data_same_bytes(full_report: ReportData) -> None:
    """Also in other processes, whatever order their sets of text have."""
    code = "import sys, conftest; from hypoxia_hpc.reports.page import render_report as r\n"
    code += "sys.stdout.buffer.write(r(conftest.make_full_report()).encode())"
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1])]
    pages = [
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert pages[0] == pages[1] == render_report(full_report).encode()
