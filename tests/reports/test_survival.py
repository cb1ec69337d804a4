"""The part of the page about survival: what survival.json says is there, whatever it is called, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from report_data import make_empty_report, page_of

from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.evaluation.candidates import Source
from hypoxia_hpc.evaluation.endpoints import discover
from hypoxia_hpc.records import Json
from hypoxia_hpc.reports.page import PAGE, report_files
from hypoxia_hpc.reports.remark import REMARK
from hypoxia_hpc.reports.survival import survival_parts
from reports.test_page import HOSTILE, Page, check_safe


def content_of(name: str = "age", group: str = "I", **settings: Any) -> Json:
    """What `survival` writes of 120 patients with a column that matters, named as said."""
    generator = np.random.default_rng(0)
    values = generator.normal(60, 10, 120)
    dies = generator.exponential(np.exp(-0.08 * (values - 60)))
    table = SurvivalTable(
        of="columns", columns=(name,), adjust=("stage",), subgroups=("stage",), bootstrap=20, **settings
    )
    cells = {
        name: [f"{one:.1f}" for one in values],
        "time": [f"{one + 0.01:.3f}" for one in np.minimum(dies, 2)],
        "event": [str(int(one < 2)) for one in dies],
        "stage": [group if number % 2 else "II" for number in range(120)],
    }
    source = Source(tuple(f"P{number}" for number in range(120)), cells)
    sets = ["discovery" if number % 3 else "test" for number in range(120)]
    made = discover(source, sets, table, 0, 0.95, 0)
    signature = None if made.frozen.signature is None else made.frozen.signature.as_json()
    endpoint = {**made.content, "signature": signature, "candidates": made.frozen.candidates.as_json()}
    return {
        "of": "columns", "time_unit": "months", "model_run": "", "cut": 0.5, "confidence": 0.95,
        "settings": table.model_dump(mode="json"), "endpoints": {"time": endpoint},
    }  # fmt: skip


@pytest.fixture(scope="module")
def content() -> Json:
    return content_of()


def test_what_the_page_shows(content: Json) -> None:
    files = report_files(replace(make_empty_report(), survival=content))
    page = Page(files[PAGE].decode())
    check_safe(page)
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ["survival"]
    for said in ("Kaplan-Meier, test", "Numbers at risk", "discovery, uncorrected", "The risk is made of age"):
        assert said in page.text
    assert f"of {len(REMARK)} items filled in" in page.text
    names = ("survival-time-test", "survival-time-discovery", "forest-time", "subgroups-time-test", "hazards-time")
    assert all(f"figures/{name}.csv" in files for name in names)
    assert files["figures/hazards-time.csv"].decode().splitlines()[1].startswith("age,")


def test_numbers_at_risk_fall_and_begin_with_all(content: Json) -> None:
    for set_name, n in (("test", 40), ("discovery", 80)):
        table = content["endpoints"]["time"]["sets"][set_name]["at_risk"]
        assert table["times"][0] == 0 and table["low"][0] + table["high"][0] == n
        assert all(table[name] == sorted(table[name], reverse=True) for name in ("low", "high"))


def test_names_of_a_table_stay_text() -> None:
    page = Page(page_of(replace(make_empty_report(), survival=content_of(*HOSTILE[:2]))))
    check_safe(page)
    assert all(name in page.text for name in HOSTILE[:1])


def test_where_there_is_no_signature_there_are_no_curves() -> None:
    [part] = survival_parts(content_of(screen_p=1e-300))
    assert part.curves == () and part.sets == () and part.sentences[0] == "No signature: no column passes the screen."
    assert part.hazards is not None and "above 1e-300" in part.hazards.csv()
