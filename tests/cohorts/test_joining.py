"""Slide ids, patients, what is left out."""

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.joining import COLUMNS, slide_table
from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.config.cohort import CohortTable
from hypoxia_hpc.errors import InputError


def files(*names, nbytes=10):
    return [Candidate(Path("/data") / name, nbytes) for name in names]


def test_a_slide_that_tries_to_leave_the_folder():
    table = slide_table([Candidate(Path("/data/../../x"), 1), Candidate(Path("/data/<b>\n.svs"), 2)])
    assert table.slides["slide_id"].tolist() == ["b--", "x"]
    assert table.slides["name"].tolist() == ["<b>\n.svs", "x"]


def test_rows():
    table = slide_table([*files("TCGA-E7-A6MF-01Z-00-DX1.svs"), Candidate(Path("/data/a.svs"), 3, "A", "p", 0.25, "S")])
    assert tuple(table.slides.columns) == COLUMNS
    first, second = table.slides.to_dict("records")
    assert first == {
        "slide_id": "A",
        "path": "/data/a.svs",
        "patient_id": "p",
        "cost": 3,
        "mpp": 0.25,
        "site": "S",
        "name": "a.svs",
    }
    assert (second["patient_id"], second["site"], second["cost"]) == ("TCGA-E7-A6MF", "E7", 10)
    assert table.slides["mpp"].isna().tolist() == [False, True]
    assert table.notes == ()


def test_only_tumour_samples_stay():
    names = ["TCGA-E7-A6MF-01Z-00-DX1.svs", "TCGA-E7-A6MF-11A-01-TS1.svs", "TCGA-E7-A6MF-20A-01-TS1.svs", "other.svs"]
    table = slide_table(files(*names))
    assert table.slides["name"].tolist() == [names[0], names[3]]
    assert table.dropped == (
        (names[1], "normal sample (TCGA sample type 11), not in [cohort] samples"),
        (names[2], "control sample (TCGA sample type 20), not in [cohort] samples"),
    )


def test_nothing_left():
    with pytest.raises(InputError, match="normal sample"):
        slide_table(files("TCGA-E7-A6MF-11A-01-TS1.svs"))
    with pytest.raises(InputError, match="no slide"):
        slide_table([])


def test_a_name_that_is_not_utf8_stands_in_the_table():
    table = slide_table(files("ok.svs", "caf\udce9.svs", "TCGA-E7-A6MF-11A\udce9.svs"))
    assert table.slides[["slide_id", "path", "name"]].iloc[0].tolist() == [
        "caf-",
        "file:///data/caf%E9.svs",
        "caf\\xe9.svs",
    ]
    assert [name for name, _ in table.dropped] == ["TCGA-E7-A6MF-11A\\xe9.svs"]


def test_ids_that_a_manifest_repeats_and_repeated_paths_are_all_named():
    candidates = [Candidate(Path("/data") / name, 1, slide_id) for name, slide_id in (("1.svs", "a"), ("2.svs", "A"))]
    candidates += [Candidate(Path("/data/x.svs"), 1), Candidate(Path("/data/y/../x.svs"), 1, "other")]
    with pytest.raises(InputError) as caught:
        slide_table(candidates)
    assert caught.value.offending == (
        "path '/data/x.svs' stands in 2 rows",
        "slide id a: '/data/2.svs', '/data/1.svs'",
    )


def test_names_that_give_one_id_get_several_and_a_note():
    table = slide_table(files("a/1.svs", "b/1.tif", "A b.svs", "a-B.svs", "x.svs"))
    assert table.lengthened == ("A-b-68d4ab28", "a-1", "b-1")
    assert table.slides["slide_id"].tolist() == ["A-b-68d4ab28", "a-1", "a-B", "b-1", "x"]
    assert [note for note in table.notes if note.endswith(": 3 (A-b-68d4ab28, a-1, b-1)")]
    beside = slide_table(files("a b.svs"), taken=["a-B"])
    assert beside.slides["slide_id"].tolist() == beside.slides["patient_id"].tolist() == ["a-b.svs"]


def test_the_patient_that_a_run_has_stands_where_nothing_else_names_one():
    names = ("TCGA-E7-A6MF-01Z-00-DX1.svs", "other.svs", "given.svs")
    given = [Candidate(Path("/d") / name, 1, known_patient="P") for name in names]
    given[2] = Candidate(given[2].path, 1, patient_id="Q", known_patient="P")
    table = slide_table(given)
    assert dict(zip(table.slides["name"], table.slides["patient_id"], strict=True)) == dict(
        zip(names, ("TCGA-E7-A6MF", "P", "Q"), strict=True)
    )
    assert table.assumed == ()


def test_a_dropped_slide_collides_with_nothing():
    table = slide_table(files("a/TCGA-E7-A6MF-11A-01-TS1.svs", "b/TCGA-E7-A6MF-11A-01-TS1.svs", "x.svs"))
    assert len(table.slides) == 1


def test_slides_and_patients_without_each_other():
    candidates = [*files("P 1.svs", "TCGA-E7-A6MF-01Z-00-DX1.svs", "lone.svs"), Candidate(Path("/data/gone.svs"), None)]
    table = slide_table(candidates, known_patients={"P 1", "P 2"})
    patients = dict(zip(table.slides["slide_id"], table.slides["patient_id"], strict=True))
    assert patients == {
        "P-1": "P 1",  # the file is named like a known patient
        "TCGA-E7-A6MF-01Z-00-DX1": "TCGA-E7-A6MF",
        "lone": "lone",
        "gone": "gone",
    }
    assert table.assumed == ("gone", "lone")
    assert table.unlabelled == ("TCGA-E7-A6MF", "gone", "lone")
    assert table.without_slide == ("P 2",)
    assert table.missing == ("gone",)
    assert table.slides.set_index("slide_id")["cost"]["gone"] == 0
    assert [note.rpartition(": ")[2] for note in table.notes] == [
        "1 (gone)",
        "2 (gone, lone)",
        "3 (TCGA-E7-A6MF, gone, lone)",
        "1 (P 2)",
    ]
    assert "both training and test" in table.notes[1]


def test_without_a_patients_table_no_patient_is_unlabelled():
    assert slide_table(files("a.svs")).unlabelled == ()


def test_notes_show_five_examples():
    (note,) = slide_table(files(*(f"{i}.svs" for i in range(7)))).notes
    assert note.startswith("slides that name no patient")
    assert note.endswith(": 7 (0, 1, 2, 3, 4, …)")


def test_order_of_files_does_not_matter():
    candidates = files("b.svs", "a.svs", "TCGA-E7-A6MF-11A-01-TS1.svs")
    there, back = slide_table(candidates), slide_table(candidates[::-1])
    assert there.slides.equals(back.slides)
    assert there.dropped == back.dropped


def test_files_of_another_size_than_a_gdc_manifest_says_are_named():
    sizes = {"cut": (5, 9), "whole": (9, 9), "missing": (None, 9), "unknown": (5, None)}
    candidates = [Candidate(Path(f"{name}.svs"), there, nbytes_named=said) for name, (there, said) in sizes.items()]
    table = slide_table(candidates)
    assert table.resized == ("cut",)
    assert any(
        note.startswith("slides whose file has another size") and note.endswith(": 1 (cut)") for note in table.notes
    )


MIXED = ["-01Z-00-DX1.svs", "-01A-01-TS1.svs", "-11A-01-BS1.svs", "-20A-01-MS1.svs", ".svs"]


@pytest.mark.parametrize(
    ("samples", "preparations", "taken"),
    [
        (("tumour",), ("diagnostic", "frozen"), [0, 1, 4]),
        (("tumour",), ("diagnostic",), [0, 4]),
        (("normal", "control"), ("frozen",), [2, 3, 4]),
        (("tumour", "normal", "control"), ("diagnostic", "frozen"), [0, 1, 2, 3, 4]),
    ],
)
def test_samples_and_preparations_are_chosen_and_counted(samples, preparations, taken):
    names = [f"TCGA-E7-A6M{i}{tail}" for i, tail in enumerate(MIXED)]
    table = slide_table(files(*names), None, CohortTable(samples=samples, preparations=preparations))
    assert sorted(table.slides["name"]) == sorted(names[i] for i in taken)
    assert table.counts == {
        "control, frozen": 1,
        "normal, frozen": 1,
        "kind not known": 1,
        "tumour, diagnostic": 1,
        "tumour, frozen": 1,
    }
    found, kept = table.steps
    assert (found.slides, found.patients, kept.slides) == (5, 5, len(taken))
    assert sum(each.n for each in kept.left_out) == 5 - len(taken)


def test_frozen_beside_diagnostic_slides_are_told():
    (note,) = slide_table(files("TCGA-E7-A6MF-01Z-00-DX1.svs", "TCGA-E7-A6MG-01A-01-TS1.svs")).notes
    assert note.startswith("frozen sections beside diagnostic slides")
    assert note.endswith(": 1 (TCGA-E7-A6MG-01A-01-TS1)")


def test_a_barcode_that_contradicts_the_patient_is_named():
    candidates = [
        Candidate(Path("/d/TCGA-E7-A6MF-01Z-00-DX1.svs"), 1, patient_id="tcga.e7.a6mf.01A"),
        Candidate(Path("/d/TCGA-E7-A6MG-01Z-00-DX1.svs"), 1, patient_id="TCGA-E7-A6MH"),
        Candidate(Path("/d/TCGA-E7-A6MI-01Z-00-DX1.svs"), 1, patient_id="P1"),
        Candidate(Path("/d/TCGA-E7-A6MI-01Z-00-DX2.svs"), 1, patient_id="P2"),
        Candidate(Path("/d/TCGA-E7-A6MJ-01Z-00-DX1.svs"), 1, patient_id="P3"),
    ]
    with pytest.raises(InputError, match="barcode is another patient's") as caught:
        slide_table(candidates)
    assert caught.value.offending == (
        "TCGA-E7-A6MG-01Z-00-DX1.svs: patient_id TCGA-E7-A6MH",
        "TCGA-E7-A6MI: under the patients P1, P2",
    )


def test_ids_that_differ_in_case_or_separators_are_all_named():
    candidates = [Candidate(Path(f"/d/{i}.svs"), 1, patient_id=name) for i, name in enumerate(["P-1", "p_1", "q", "r"])]
    with pytest.raises(InputError, match="differ only in case, separators or leading zeros") as caught:
        slide_table(candidates, {"Q", "r"})
    assert caught.value.offending == ("'P-1', 'p_1'", "'Q', 'q'")


def test_file_names_alone_are_no_ids_of_patients():
    assert len(slide_table(files("slide_1.svs", "slide-1.svs")).slides) == 2


def test_a_patient_named_by_a_file_is_held_against_the_tables():
    """Also where the id of the slide got the folder in addition."""
    with pytest.raises(InputError, match="differ only in case, separators or leading zeros") as caught:
        slide_table(files("S00.tif", "a/Case 1.tif", "b/Case 1.tif", "ok.tif"), {"s00", "case-1", "ok"})
    assert caught.value.offending == ("'Case 1', 'case-1'", "'S00', 's00'")


def test_a_file_in_two_rows_is_said_as_that_alone():
    with pytest.raises(InputError, match="files that stand in several rows") as caught:
        slide_table(files("s00.tif", "s00.tif", "b.tif"))
    assert caught.value.offending == ("path '/data/s00.tif' stands in 2 rows",)
    assert caught.value.remedy == "list each file once"


def test_a_barcode_in_any_writing_is_one_patient():
    names = ["TCGA-E7-A6MF-01Z-00-DX1.svs", "tcga.e7.a6mf.01Z.00.DX2.uuid.svs", "TCGA-E7-A6MF.svs"]
    table = slide_table(files(*names), {"TCGA-E7-A6MF"})
    assert set(table.slides["patient_id"]) == {"TCGA-E7-A6MF"}
    assert table.unlabelled == ()
