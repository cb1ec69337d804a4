"""Manifests, row by row."""

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.joining import slide_table
from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.errors import InputError


def nowhere(_):
    return None


@pytest.fixture
def manifest(tmp_path):
    def write(text, name="slides.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_own_manifest(manifest, tmp_path):
    path = manifest("path,slide_id,patient_id,mpp,site,stain\na/1.svs,s1,p1,0.25,X,HE\n/data/2.svs,,,,,\n")
    sizes = {tmp_path / "a/1.svs": 7}
    first, second = read_manifest(path, sizes.get).candidates
    assert first.path == tmp_path / "a/1.svs"
    assert (first.nbytes, first.slide_id, first.patient_id, first.mpp, first.site) == (7, "s1", "p1", 0.25, "X")
    assert second.path == Path("/data/2.svs")
    assert (second.nbytes, second.slide_id, second.patient_id, second.mpp, second.site) == (None, "", "", None, "")


def test_tabs_and_a_patient_column_of_another_name(manifest):
    path = manifest("case\tpath\tpatient_id\nc1\ta.svs\tp1\n", "slides.tsv")
    assert [each.patient_id for each in read_manifest(path, nowhere, "case").candidates] == ["c1"]
    assert [each.patient_id for each in read_manifest(path, nowhere).candidates] == ["p1"]


def test_patient_column_that_is_not_there(manifest):
    with pytest.raises(InputError, match="missing column: case"):
        read_manifest(manifest("path\na.svs\n"), nowhere, "case")


def test_every_wrong_cell_is_named(manifest):
    path = manifest('path,slide_id,patient_id,mpp\na,../x,p,0\nb,ok,"p\nq",nan\nc,,,-0.5\nd,<b>,,fine\ne,é,,0.5\n')
    with pytest.raises(InputError) as caught:
        read_manifest(path, nowhere)
    assert [item.split(" is not ")[0] for item in caught.value.offending] == [
        "line 2: slide_id '../x'",
        "line 6: slide_id '<b>'",
        "line 7: slide_id 'é'",
        "line 4: patient_id 'p\\nq'",
        "line 2: mpp '0'",
        "line 4: mpp 'nan'",
        "line 5: mpp '-0.5'",
        "line 6: mpp 'fine'",
    ]


def test_empty_paths_and_no_path_column(manifest):
    with pytest.raises(InputError) as caught:
        read_manifest(manifest("path,x\na,\n,1\n.,1\n\0,1\n"), nowhere)
    assert caught.value.offending == ("line 3: path ''", "line 4: path '.'", "line 5: path '\\x00'")
    with pytest.raises(InputError, match="needs a column path"):
        read_manifest(manifest("file\na.svs\n"), nowhere)


def test_gdc_layout_and_flat_layout(manifest, tmp_path):
    path = manifest("id\tfilename\tmd5\tsize\tstate\nu1\ta.svs\t\t5\treleased\nu2\tb.svs\t\t6\treleased\n", "m.txt")
    as_downloaded = read_manifest(path, nowhere).candidates
    assert [each.path for each in as_downloaded] == [tmp_path / "u1/a.svs", tmp_path / "u2/b.svs"]
    sizes = {tmp_path / "u1/a.svs": 5, tmp_path / "a.svs": 9, tmp_path / "b.svs": 6}
    mixed = read_manifest(path, sizes.get).candidates
    assert [(each.path, each.nbytes) for each in mixed] == [(tmp_path / "u1/a.svs", 5), (tmp_path / "b.svs", 6)]


def test_gdc_names_must_be_plain(manifest):
    path = manifest("id\tfilename\tsize\n..\ta.svs\t5\nu\t../../x\t5\nu\t\t5\n", "m.txt")
    with pytest.raises(InputError) as caught:
        read_manifest(path, nowhere)
    assert caught.value.offending == ("line 2: '..'", "line 3: '../../x'", "line 4: ''")


def test_real_gdc_manifest(shared_data):
    table = slide_table(read_manifest(shared_data("gdc/gdc_manifest.txt"), nowhere).candidates)
    assert len(table.slides) == len(table.missing) == 258
    assert table.slides["patient_id"].nunique() == 252
    assert table.dropped == ()
    assert table.assumed == ()
