"""slides.csv: a round trip, and every wrong cell named."""

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.joining import slide_table
from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.slide_table import read_slides
from hypoxia_hpc.cohorts.tables import slides_csv
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide


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


@pytest.mark.parametrize("mpp", ["0_5", "nan", "\u0660.5", "0. 5", "5" * 5000])
def test_no_resolution(table, mpp):
    with pytest.raises(InputError, match="1 wrong cell"):
        read_slides(table(f"slide_id,path,patient_id,cost,mpp\na,a.svs,p,0,{mpp}\n"))


def test_every_missing_column_is_named(table):
    with pytest.raises(InputError) as caught:
        read_slides(table("slide_id\na\n"))
    assert len(caught.value.offending) == 3
