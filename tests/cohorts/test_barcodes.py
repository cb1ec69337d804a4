"""TCGA barcodes in file names."""

import pytest

from hypoxia_hpc.cohorts.barcodes import Barcode, parse_barcode


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
