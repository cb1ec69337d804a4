"""The page is whole, safe whatever the tables say, and the same for the same data."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
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
from report_data import page_of

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.page import PAGE
from hypoxia_hpc.reports.text import clean

SECTIONS = [
    "metrics",
    "patients",
    "groups",
    "galleries",
    "training",
    "clusters",
    "cohort",
    "unlabelled",
    "slides",
    "quarantined",
    "time",
    "methods",
    "provenance",
]
VOID = {"meta", "link", "img", "input"}
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
        kept = {"set_name", "metrics", "flow", "outcome", "settings", "call"}  # see hostile
        names = [one.name for one in dataclasses.fields(value) if one.name not in kept]
        return dataclasses.replace(value, **{name: renamed(getattr(value, name), rename) for name in names})
    return value


def hostile(data: ReportData, payload: str) -> ReportData:
    """All names of tables, slides and models, and the classes, begin with the payload."""
    models = {f"{payload}{name}": sets for name, sets in data.metrics["models"].items()}
    classes = tuple(f"{payload}{name}" for name in data.outcome.table.classes)
    outcome = dataclasses.replace(data.outcome, table=data.outcome.table.model_copy(update={"classes": classes}))
    other: ReportData = renamed(data, lambda name: f"{payload}{name}")
    predictions = tuple(
        dataclasses.replace(row, call=f"{payload}{old.call}")
        for row, old in zip(other.predictions, data.predictions, strict=True)
    )
    metrics = {
        "schema": 2,
        "models": models,
        "warnings": [{"kind": "x", "text": f"{payload}warned"}],
        "unchecked": [{"check": f"{payload}unmade", "why": f"{payload}why"}],
    }
    left_out = {"kind": f"{payload}kind", "reason": f"{payload}reason", "n": 1, "names": [f"{payload}name"]}
    steps = [{**step, "left_out": [left_out]} for step in data.flow["steps"]]
    flow = {"found": {f"{payload}kind": 1}, "steps": steps, "aside": [left_out]}
    return dataclasses.replace(other, metrics=metrics, outcome=outcome, predictions=predictions, flow=flow)


def small(data: ReportData) -> ReportData:
    slides = (*data.slides[:2], *data.slides[-2:])
    predictions = tuple(row for row in data.predictions if row.model == "tanh")
    return dataclasses.replace(
        data, slides=slides, histories=data.histories[:1], patients=data.patients[-5:], predictions=predictions
    )


@pytest.fixture(scope="module")
def harmless(full_report: ReportData) -> Page:
    return Page(page_of(hostile(small(full_report), "x")))


def check_safe(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"iframe", "object", "embed", "base", "form", "video", "audio", "foreignobject"}
    assert [tag for tag, _ in page.tags].count("style") == [tag for tag, _ in page.tags].count("script") == 1
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "srcset", "action", "xlink:href"})
    targets = page.attributes("src") + page.attributes("href")
    beside = r"thumbnails/\d{4}\.jpg$|galleries/\d{4}\.jpg$|figures/[\w-]+\.(svg|csv)$"
    assert all(re.match(rf"#[\w-]+$|data:,$|{beside}", target) for target in targets), targets
    assert all(target[1:] in page.attributes("id") for target in targets if target.startswith("#"))
    assert len(set(page.attributes("id"))) == len(page.attributes("id"))


def test_every_section_is_there_in_order_and_empty_ones_are_not(
    full_files: dict[str, bytes], empty_report: ReportData
) -> None:
    page = Page(full_files[PAGE].decode())
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    check_safe(page)
    empty = Page(page_of(empty_report))
    assert "section" not in {tag for tag, _ in empty.tags} and "table" not in {tag for tag, _ in empty.tags}
    assert "No model has been evaluated" in empty.text and "random network" not in empty.text
    check_safe(empty)


def test_every_link_leads_to_a_file_of_the_report(full_files: dict[str, bytes]) -> None:
    files = dict(full_files)
    page = Page(files.pop(PAGE).decode())
    targets = page.attributes("src") + page.attributes("href")
    linked = {target for target in targets if not target.startswith(("#", "data:"))}
    assert linked == set(files)
    assert all(content for content in files.values())
    assert {path.partition("/")[0] for path in files} == {"figures", "galleries", "thumbnails"}


def test_what_a_reader_looks_for_is_on_the_page(full_files: dict[str, bytes]) -> None:
    text = " ".join(Page(full_files[PAGE].decode()).text.split())
    for expected in (
        "Is the tumour of a patient hypoxic or normoxic?",
        "ROC AUC 0.93 (0.84–1.00) on 24 test patients, model tanh.",  # noqa: RUF001
        "features come from a random network",
        "2 slides of 63 quarantined.",
        "tumour type alone baseline 0.580 0.490–0.670",  # noqa: RUF001
        "DEMO-061 tile no-mpp DEMO-061.svs states no mpp set [tile] default_mpp",
        "deep_kmeans 12 normoxic patients, 12 hypoxic patients",
        "0 41.0 % 22.0 % 1 30.0 % 31.0 % 2 29.0 % 40.0 % 3 0.0 % 7.0 %",
        "40 slides of 63; 23 not shown",
        "60 names",
        "left out 2 slides : not a tumour",
        "in the run 63 slides 61 patients",
        "extract 2 min 02 s 62 % 2,990 24 802 MB 3 %",
        "tile 12 8.0 87 % 3.1 GB 4 GB 1 h 00 min 2 h 00 min – – 0.10 kWh of 3 jobs",  # noqa: RUF001
        "extract 2 2.0 not known not known – 1 h 00 min – 2.0 50 % not known",  # noqa: RUF001
        "tensorflow 2.21.0",
        "tile_px = 299 # side of a tile",
        "20a Participants: their flow through the study See the flow of slides and patients.",
    ):
        assert expected in text.replace(" : ", ": ").replace("2 slides:", "2 slides :")
    assert all(f"TCGA-ZZ-{number:04d}-06" in text for number in range(60)), "every dropped name is there"


def test_thumbnails_are_capped_and_shown(full_report: ReportData, full_files: dict[str, bytes]) -> None:
    found = [attributes for tag, attributes in Page(full_files[PAGE].decode()).tags if tag == "img"]
    images = [one for one in found if one["src"].startswith("thumbnails/")]
    assert len(images) == 40 and all(image["loading"] == "lazy" for image in images)
    assert images[0]["alt"] == "Slide DEMO-000-01Z-00-DX1: 42 of 108 tiles kept, drawn on its thumbnail"
    assert full_files[images[0]["src"]] == full_report.slides[0].thumbnail
    none = Page(page_of(dataclasses.replace(small(full_report), max_thumbnails=0, galleries=None)))
    assert "img" not in {tag for tag, _ in none.tags}


def test_a_page_of_500_slides_stays_small(large_files: dict[str, bytes]) -> None:
    assert len(large_files[PAGE]) < 5_000_000
    assert sum(name.startswith("thumbnails/") for name in large_files) == 500


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
    check_safe(Page(page_of(dataclasses.replace(small(full_report), **changes))))


def test_what_a_thousand_slides_take_is_said_where_receipts_say_it(full_report: ReportData) -> None:
    said = "A thousand slides like these take, by their receipts: tile 0.19 core-hours; extract 0.57 GPU-hours."
    assert said in Page(page_of(small(full_report))).text
    silent = tuple(dataclasses.replace(one, core_hours=None, gpu_hours=None) for one in full_report.times)
    assert "A thousand slides" not in Page(page_of(dataclasses.replace(small(full_report), times=silent))).text


def test_where_accounting_does_not_answer_the_page_says_so(full_report: ReportData) -> None:
    page = page_of(dataclasses.replace(small(full_report), spent=(), why_not_spent="sacct: <no database>"))
    assert "What its SLURM jobs had and used is not known: sacct: <no database>." in Page(page).text


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(full_report: ReportData, harmless: Page, payload: str) -> None:
    page = Page(page_of(hostile(small(full_report), payload)))
    check_safe(page)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    # Everywhere the harmless name stands, the hostile one stands, character by character.
    names = ("demo", "DEMO-061", "CMU-1", "no-mpp", "tanh", "tensorflow", "LUAD", "objective-power", "warned")
    for name in (*names, "reason", "why"):
        assert page.text.count(clean(payload) + name) == harmless.text.count("x" + name) > 0, name
    # Axes cut a long name, and have it in one line.
    assert page.text.count(clean(payload) + "hypoxic") >= harmless.text.count("xhypoxic") - 3 > 0
    for name in ("aria-label", "alt"):
        told, expected = page.attributes(name), harmless.attributes(name)
        assert len(told) == len(expected) and any(clean(payload) in label for label in told)


@settings(max_examples=8)
@given(payload=st.text(min_size=1, max_size=30))
def test_any_text_leaves_the_structure_alone(full_report: ReportData, payload: str) -> None:
    data = dataclasses.replace(small(full_report), predictions=(), histories=())
    tags = [tag for tag, _ in Page(page_of(hostile(data, payload))).tags]
    assert tags == [tag for tag, _ in Page(page_of(hostile(data, "x"))).tags]


def test_no_control_character_reaches_the_page(full_report: ReportData) -> None:
    html = page_of(hostile(small(full_report), "a\x00\x07\x85\u202e\r"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)


def test_the_policy_forbids_everything_else(full_files: dict[str, bytes]) -> None:
    html = full_files[PAGE].decode()
    page = Page(html)
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    expected = r"default-src 'none'; img-src 'self' file: data:; style-src 'sha256-\S+'; script-src 'sha256-(\S+)'; "
    found = re.match(expected, policy)
    assert found is not None and "unsafe" not in policy
    script = html.partition("<script>")[2].partition("</script>")[0]
    assert found[1] == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_same_data_same_bytes(full_files: dict[str, bytes]) -> None:
    """Also in another process, whatever order its sets of text have."""
    code = "import sys, hashlib, report_data as d\n"
    code += "files = d.report_files(d.make_full_report())\n"
    code += "print(*(f'{hashlib.sha256(data).hexdigest()} {name}' for name, data in files.items()), sep='\\n')"
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
        env={"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
        text=True,
    )
    here = [f"{hashlib.sha256(data).hexdigest()} {name}" for name, data in full_files.items()]
    assert done.stdout.splitlines() == here
