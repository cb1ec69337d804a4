"""slides.csv, patients.csv, split.csv: round trips, and every wrong cell named."""

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
    read_slides,
    read_split,
    slides_csv,
    split_csv,
)
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Patient, Slide


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_bytes(text.encode())
        return tmp_path / "t.csv"

    return write


def test_slides_round_trip_with_hostile_names(table):
    names = ["=cmd|' C calc'!A0.svs", "-1.svs", "@x\r.svs", '"q",\n.svs', "'=y.svs", " é .svs", "<script>.svs"]
    candidates = [
        Candidate(Path("/data/=d") / name, i, f"s{i}", f"p{i}", 0.1 * (i + 1)) for i, name in enumerate(names)
    ]
    written = slides_csv(slide_table(candidates).slides)
    assert read_slides(table(written)) == tuple(
        Slide(each.slide_id, each.path, each.patient_id, i, each.mpp, names[i]) for i, each in enumerate(candidates)
    )


def test_slides_text_is_plain_and_sorted():
    rows = slide_table([Candidate(Path("/d/b.svs"), 5), Candidate(Path("/d/TCGA-E7-A6MF-01Z.svs"), 6, mpp=0.25)]).slides
    expected = (
        "slide_id,path,patient_id,cost,mpp,site,name\n"
        "TCGA-E7-A6MF-01Z,/d/TCGA-E7-A6MF-01Z.svs,TCGA-E7-A6MF,6,0.25,E7,TCGA-E7-A6MF-01Z.svs\n"
        "b,/d/b.svs,b,5,,,b.svs\n"
    )
    assert slides_csv(rows) == slides_csv(rows[::-1]) == expected


def test_relative_paths_are_relative_to_the_table(table, tmp_path):
    (slide,) = read_slides(table("slide_id,path,patient_id,cost\na,../x/a.svs,p,0\n"))
    assert slide == Slide("a", tmp_path / "../x/a.svs", "p", 0, None, "")


def test_every_wrong_slide_is_named(table):
    text = (
        "slide_id,path,patient_id,cost,mpp\n"
        "../a,a.svs,p,1,\n"
        "b,,p,1,\n"
        "B,b.svs,,-1,0\n"
        'c,c.svs,"p\nq",1.5,inf\n'
        ",d.svs,p,100000000001,\n"
        ",e.svs,p,1,\n"
    )
    with pytest.raises(InputError) as caught:
        read_slides(table(text))
    assert [item.replace(" does not", " is").split(" is ")[0] for item in caught.value.offending] == [
        "line 2: slide_id '../a'",
        "line 7: slide_id ''",
        "line 8: slide_id ''",
        "line 4: patient_id ''",
        "line 6: patient_id 'p\\nq'",
        "line 3: path ''",
        "line 4: cost '-1'",
        "line 6: cost '1.5'",
        "line 7: cost '100000000001'",
        "line 4: mpp '0'",
        "line 6: mpp 'inf'",
        "slide id 'b' occurs on lines 3, 4",
    ]


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
    with pytest.raises(InputError) as caught:
        read_slides(table("slide_id\na\n"))
    assert len(caught.value.offending) == 3


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
