"""patients.csv, split.csv: round trips, and every wrong cell named; the text of slides.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.cohorts.joining import slide_table
from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.splits import SplitRule, members_of, split_members
from hypoxia_hpc.cohorts.tables import (
    patients_csv,
    read_patient_table,
    read_patients,
    read_split,
    slides_csv,
    split_csv,
)
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Patient


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_bytes(text.encode())
        return tmp_path / "t.csv"

    return write


def test_slides_text_is_plain_and_sorted():
    rows = slide_table([Candidate(Path("/d/b.svs"), 5), Candidate(Path("/d/TCGA-E7-A6MF-01Z.svs"), 6, mpp=0.25)]).slides
    expected = (
        "slide_id,path,patient_id,cost,mpp,site,name\n"
        "TCGA-E7-A6MF-01Z,/d/TCGA-E7-A6MF-01Z.svs,TCGA-E7-A6MF,6,0.25,E7,TCGA-E7-A6MF-01Z.svs\n"
        "b,/d/b.svs,b,5,,,b.svs\n"
    )
    assert slides_csv(rows) == slides_csv(rows[::-1]) == expected


def test_patients(table):
    text = "patient_id,label,tumour_type,time\np1,1,LUAD,3\np2,,,\np3, 0 ,LUAD,\n"
    patients = (Patient("p1", 1, "LUAD"), Patient("p2", None, ""), Patient("p3", 0, "LUAD"))
    assert read_patients(table(text)) == patients
    assert read_patients(table("label,patient_id\n1,p1\n")) == (Patient("p1", 1, ""),)


def test_patient_columns_survive(table):
    text = "patient_id,label,=x,tumour_type\na,,'=1,T\nb,1,-0.50,T\n"
    once = patients_csv(read_patient_table(table(text)))
    assert once == text.replace("=x", "'=x")
    assert patients_csv(read_patient_table(table(once))) == once


def test_labels_that_are_numbers_or_missing():
    frame = pd.DataFrame({"tumour_type": ["T", "U"], "score": [-0.5, 1 / 3], "patient_id": ["b", "a"]})
    assert patients_csv(frame.assign(label=pd.array([1, None], dtype="Int64"))) == (
        "patient_id,label,tumour_type,score\na,,U,0.3333333333333333\nb,1,T,-0.5\n"
    )
    assert patients_csv(frame.assign(label=np.array([1, 0]))).splitlines()[1] == "a,0,U,0.3333333333333333"


def test_every_wrong_patient_is_named(table):
    text = "patient_id,label\np1,1\np1,0\np2,1\np2,1\np3,2\np4,NA\n,1\np5,1.0\n"
    with pytest.raises(InputError) as caught:
        read_patients(table(text))
    assert caught.value.offending == (
        "line 8: patient_id '' is empty or not printable",
        "line 6: label '2' is not 0, 1, normoxic, hypoxic or empty",
        "line 7: label 'NA' is not 0, 1, normoxic, hypoxic or empty",
        "patient 'p1' occurs on lines 2, 3 with label '1', '0'",
        "patient 'p2' occurs on lines 4, 5 with label '1', '1'",
    )


def test_missing_columns(table):
    with pytest.raises(InputError) as caught:
        read_patients(table("id,Label\np,1\n"))
    assert caught.value.offending == ("missing column: patient_id",), "names are those of any case"


def test_split_round_trip(table):
    patients = [Patient(f"={i}", i % 2) for i in range(20)] + [Patient("x", None)]
    split = split_members(members_of(patients), SplitRule((0.4, 0.2, 0.4), seed=1)).table
    written = split_csv(split)
    assert written == split_csv(split[::-1])
    assert written.startswith("patient_id,fold,set\n'=0,0,")
    pd.testing.assert_frame_equal(read_split(table(written)), split, check_dtype=False)


def test_every_wrong_split_row_is_named(table):
    text = "patient_id,fold,set\na,0,train\na,1,test\na,0,test\nb,-1,train\nc,0,Train\n,0,valid\n"
    with pytest.raises(InputError) as caught:
        read_split(table(text))
    assert caught.value.offending == (
        "line 7: patient_id '' is empty or not printable",
        "line 5: fold '-1' is not a whole number from 0 to 9999",
        "line 6: set 'Train' is none of train, valid, test, unlabelled",
        "fold and patient '0 a' occurs on lines 2, 4 with set 'train', 'test'",
    )
