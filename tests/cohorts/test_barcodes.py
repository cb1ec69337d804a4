"""TCGA barcodes in file names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.barcodes import Barcode, alike, parse_barcode, plain_patient_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TCGA-E7-A6MF-01Z-00-DX1.766edac4.svs", Barcode("TCGA-E7-A6MF", "E7", 1, "DX")),
        ("TCGA-E7-A6MF-01A-02-BS2.svs", Barcode("TCGA-E7-A6MF", "E7", 1, "BS")),
        ("TCGA-E7-A6MF-01A-01-TSA.svs", Barcode("TCGA-E7-A6MF", "E7", 1, "TS")),
        ("TCGA-E7-A6MF-11A-01-MS1.svs", Barcode("TCGA-E7-A6MF", "E7", 11, "MS")),
        ("TCGA-E7-A6MF-20A.svs", Barcode("TCGA-E7-A6MF", "E7", 20, "")),
        ("TCGA-E7-A6MF.svs", Barcode("TCGA-E7-A6MF", "E7", None, "")),
        ("tcga-e7-a6mf-06z-00-dx1_x.SVS", Barcode("TCGA-E7-A6MF", "E7", 6, "DX")),
        ("TCGA-E7-A6MF", Barcode("TCGA-E7-A6MF", "E7", None, "")),
        ("tcga.e7.a6mf", Barcode("TCGA-E7-A6MF", "E7", None, "")),
        ("TCGA.E7.A6MF.01Z.00.DX1.766edac4.svs", Barcode("TCGA-E7-A6MF", "E7", 1, "DX")),
        ("TCGA-E7-A6MF.11edac4f-1.svs", Barcode("TCGA-E7-A6MF", "E7", None, "")),
        ("TCGA-E7-A6MF-01A-11R-A32Y-13", Barcode("TCGA-E7-A6MF", "E7", 1, "")),
    ],
)
def test_barcodes(name, expected):
    assert parse_barcode(name) == expected


@pytest.mark.parametrize(
    "name", ["", "slide.svs", "TCGA-E7-A6M.svs", "TCGA-E7-A6MFX.svs", "x-TCGA-E7-A6MF-01Z-00-DX1.svs", "TCGA-É7-A6MF"]
)
def test_no_barcode(name):
    assert parse_barcode(name) is None


@pytest.mark.parametrize(
    ("sample", "is_tumour", "is_normal"),
    [(0, False, False), (1, True, False), (9, True, False), (10, False, True), (19, False, True), (20, False, False)],
)
def test_sample_types(sample, is_tumour, is_normal):
    barcode = parse_barcode(f"TCGA-E7-A6MF-{sample:02d}A-01-TS1.svs")
    assert barcode is not None
    assert (barcode.is_tumour, barcode.is_normal) == (is_tumour, is_normal)


def test_without_sample_type_it_is_neither():
    barcode = parse_barcode("TCGA-E7-A6MF.svs")
    assert barcode is not None
    assert not barcode.is_tumour
    assert not barcode.is_normal


def test_real_file_names(shared_data):
    names = [line.split("\t")[1] for line in shared_data("gdc/gdc_manifest.txt").read_text().splitlines()[1:]]
    barcodes = [parse_barcode(name) for name in names]
    assert all(each is not None and each.slide_kind == "DX" and each.is_tumour for each in barcodes)
    assert len(barcodes) == 258
    assert len({each.patient_id for each in barcodes if each}) == 252


TAILS = [
    "",
    "-01A",
    "-01Z-00-DX1",
    "-01A-11R-A32Y-13",
    "-01Z-00-DX1.766edac4-c5a8-45ef-aff6-73e308c1f442.svs",
    "_x.svs",
]


@given(st.from_regex(r"\A[A-Z0-9]{2}-[A-Z0-9]{4}\Z"), st.sampled_from(TAILS), st.booleans(), st.booleans())
def test_whatever_is_behind_it_a_patient_is_one(name, tail, dots, lower):
    text = f"TCGA-{name}{tail}"
    text = text.replace("-", ".") if dots else text
    assert plain_patient_id(f" {text.lower() if lower else text}\t") == f"TCGA-{name}"


@pytest.mark.parametrize("text", ["P-1", "TCGA-E7", "TCGA-E7-A6MFX", "xTCGA-E7-A6MF", "TCGA_E7_A6MF", ""])
def test_other_ids_stay_as_they_are(text):
    assert plain_patient_id(text) == text


@pytest.mark.parametrize(
    ("name", "sample", "preparation"),
    [
        ("TCGA-E7-A6MF-01Z-00-DX1.svs", "tumour", "diagnostic"),
        ("TCGA-E7-A6MF-06A-01-TS1.svs", "tumour", "frozen"),
        ("TCGA-E7-A6MF-11A-01-BS1.svs", "normal", "frozen"),
        ("TCGA-E7-A6MF-20A-01-MS1.svs", "control", "frozen"),
        ("TCGA-E7-A6MF.svs", "", ""),
    ],
)
def test_samples_and_preparations(name, sample, preparation):
    barcode = parse_barcode(name)
    assert barcode is not None
    assert (barcode.sample, barcode.preparation) == (sample, preparation)


def test_ids_that_differ_in_case_or_separators_are_found():
    assert alike(["P-01", "p_01", "P.01", "P 01", "P01", "P-001", "q", "Q", "q"]) == [
        ("P 01", "P-01", "P.01", "p_01"),
        ("Q", "q"),
    ]
    assert alike(["1-11", "11-1", "111"]) == []
