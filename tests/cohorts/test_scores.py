"""Hypoxia labels: the published table where it is there, a small made-up one everywhere."""

import naive
import pandas as pd
import pytest

from hypoxia_hpc.cohorts.scores import INTRA_TYPE, LABEL_RULES, PAN_CANCER, hypoxia_labels, read_scores
from hypoxia_hpc.errors import InputError

ROWS = """\
patient_id\tBuffa_hypoxia_score_pan_cancer\tRagnum_hypoxia_score_pan_cancer\tBuffa_hypoxia_score_intra_tumour_type\ttumour_type
TCGA.AA.0001\t-4\t1\t-2\tAAAA
TCGA.AA.0002\t0\t2\t0\tAAAA
TCGA.AA.0003\t2\t3\t5\tAAAA
TCGA.AA.0003.1\t40\t3\t9\tAAAA
TCGA.BB.0001\t10\t4\t-1\tBBBB
TCGA.BB.0002\t20\t5\t1\tBBBB
TCGA.CC.0001\t7\t5\t0\tCCCC
TCGA.DD.0001.2\t1\t5\t3\tBBBB
"""


@pytest.fixture
def published(shared_data):
    return shared_data("scores/BhandariHypoxiaScores.txt")


@pytest.fixture
def table(tmp_path):
    def write(text=ROWS):
        path = tmp_path / "scores.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_small_table_by_hand(table):
    labels = hypoxia_labels(read_scores(table()), "type-median")
    assert labels.set_aside == ("TCGA.AA.0003.1",)
    assert list(labels.table.columns) == ["patient_id", "label", "score", "tumour_type"]
    assert labels.table.to_numpy().tolist() == [
        ["TCGA-AA-0001", 0, -1.0, "AAAA"],  # median of AAAA without the second sample: 0
        ["TCGA-AA-0002", 0, 0.0, "AAAA"],  # at the median is not above it
        ["TCGA-AA-0003", 1, 0.5, "AAAA"],
        ["TCGA-BB-0001", 0, 0.0, "BBBB"],
        ["TCGA-BB-0002", 1, 1.0, "BBBB"],
        ["TCGA-CC-0001", 0, 0.0, "CCCC"],  # alone in its type: no displacement at all
        ["TCGA-DD-0001", 0, -0.9, "BBBB"],  # no row TCGA.DD.0001: not a second sample
    ]
    assert labels.counts.to_numpy().tolist() == [["AAAA", 3, 1], ["BBBB", 3, 1], ["CCCC", 1, 0]]


def test_second_samples_end_in_a_dot_and_a_digit(table):
    """As R's make.unique writes them; also where the first sample stands below."""
    more = "".join(f"TCGA.BB.000{name}\t1\t1\t1\tBBBB\n" for name in ("1.2", "2.1", "2.3", "4.2", "4"))
    labels = hypoxia_labels(read_scores(table(ROWS + more)))
    assert labels.set_aside == (
        "TCGA.AA.0003.1", "TCGA.BB.0001.2", "TCGA.BB.0002.1", "TCGA.BB.0002.3", "TCGA.BB.0004.2",
    )  # fmt: skip
    assert [name for name in labels.table["patient_id"] if name.startswith("TCGA-BB")] == [
        "TCGA-BB-0001",
        "TCGA-BB-0002",
        "TCGA-BB-0004",
    ]


def test_pan_median_counts_second_samples_in_the_median(table):
    # The median of all eight rows is 4.5, without the second sample it would be 2: other scores.
    labels = hypoxia_labels(read_scores(table(), "pan-median"), "pan-median").table.set_index("patient_id")
    assert labels["label"].tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert labels.loc["TCGA-BB-0001", "score"] == 5.5 / 15.5


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_equals_twin_and_score_goes_with_label(table, rule):
    scores = read_scores(table(), rule)
    scores = scores.astype({PAN_CANCER: float, INTRA_TYPE: float})
    labels = hypoxia_labels(scores, rule).table
    rows = zip(labels["patient_id"], labels["label"], labels["score"], strict=True)
    assert {patient: (label, score) for patient, label, score in rows} == naive.hypoxia_label(scores, rule)
    assert ((labels["score"] > 0) == (labels["label"] == 1)).all()
    assert labels["score"].abs().max() == 1


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_order_of_rows_does_not_matter(table, rule):
    scores = read_scores(table(), rule)
    there, back = hypoxia_labels(scores, rule), hypoxia_labels(scores[::-1], rule)
    pd.testing.assert_frame_equal(there.table, back.table)
    pd.testing.assert_frame_equal(there.counts, back.counts)


@pytest.mark.parametrize(("rule", "hypoxic"), [("type-median", 3634), ("pan-median", 3673), ("intra", 3824)])
def test_published_table(published, rule, hypoxic):
    labels = hypoxia_labels(read_scores(published, rule), rule)
    assert (len(labels.table), labels.table["label"].sum(), len(labels.set_aside)) == (7731, hypoxic, 60)
    assert labels.counts[["n", "hypoxic"]].sum().tolist() == [7731, hypoxic]
    assert len(labels.counts) == 19
    assert labels.table["patient_id"].str.fullmatch(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}").all()
    assert labels.table["score"].between(-1, 1).all()


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_published_table_against_pandas(published, rule):
    frame = pd.read_csv(published, sep="\t")
    overall = frame[PAN_CANCER].median()
    frame = frame[frame["patient_id"].str.len() == 12]
    by_type = frame.groupby("tumour_type")[PAN_CANCER]
    displacement = {
        "type-median": frame[PAN_CANCER] - by_type.transform("median"),
        "pan-median": frame[PAN_CANCER] - overall,
        "intra": frame[INTRA_TYPE],
    }[rule]
    frame["patient_id"] = frame["patient_id"].str.replace(".", "-", regex=False)
    frame["label"] = (displacement > 0) * 1
    frame["score"] = displacement / displacement.groupby(frame["tumour_type"]).transform(lambda x: x.abs().max())
    expected = frame[["patient_id", "label", "score", "tumour_type"]].sort_values("patient_id", ignore_index=True)
    pd.testing.assert_frame_equal(hypoxia_labels(read_scores(published, rule), rule).table, expected, check_dtype=False)


def test_pan_median_nearly_names_the_organ(published):
    counts = hypoxia_labels(read_scores(published, "pan-median"), "pan-median").counts.set_index("tumour_type")[
        "hypoxic"
    ]
    assert (counts["THCA"], counts["PRAD"]) == (0, 4)


def test_every_wrong_cell_is_named(table):
    text = ROWS.replace("\t-4\t", "\t1e999\t").replace("\t20\t", "\tNA\t").replace("\tCCCC", "\t ")
    with pytest.raises(InputError) as caught:
        read_scores(table(text.replace("\t10\t4\t", "\t1_0\tx\t").replace("\t7\t", "\t\t")))
    assert caught.value.offending == (
        f"line 2: {PAN_CANCER} is '1e999', not a number",
        f"line 6: {PAN_CANCER} is '1_0', not a number",
        f"line 7: {PAN_CANCER} is 'NA', not a number",
        f"line 8: {PAN_CANCER} is '', not a number",
        "line 8: tumour_type is empty",
    )


def test_refusals_say_rule_and_remedy(table):
    path = table(ROWS.replace("\t-4\t", "\t\t"))
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert caught.value.problem == f"{path} has 1 wrong cell"
    assert caught.value.remedy == "mend these cells, or leave these rows out"
    with pytest.raises(InputError) as caught:
        hypoxia_labels(read_scores(table(ROWS + "TCGA.BB.0002\t1\t1\t1\tBBBB\n")))
    assert caught.value.problem == "patients that occur in the score table more than once"
    assert caught.value.remedy == "keep one row for each patient"


def test_cells_are_parted_by_any_delimiter(table):
    expected = read_scores(table(ROWS))
    for delimiter in ",;":
        pd.testing.assert_frame_equal(read_scores(table(ROWS.replace("\t", delimiter))), expected)


def test_the_table_is_numbered_and_a_displacement_of_1_counts(table):
    labels = hypoxia_labels(read_scores(table(ROWS.replace("\t10\t", "\t18\t"))), "type-median")
    assert labels.rule == "type-median"
    assert labels.table.index.tolist() == list(range(7))
    assert labels.table["label"].dtype == "int64"
    few = "\n".join([ROWS.split("\n", maxsplit=1)[0], "A\t1\t1\t1\tX", "B\t2\t1\t1\tX", "C\t3\t1\t1\tX"])
    assert hypoxia_labels(read_scores(table(few))).table["score"].tolist() == [-1.0, 0.0, 1.0]


def test_missing_columns(table):
    with pytest.raises(InputError) as caught:
        read_scores(table("patient_id\ttumour_type\nTCGA.AA.0001\tAAAA\n"))
    assert caught.value.offending == (f"missing column: {PAN_CANCER}",)
    with pytest.raises(InputError) as caught:
        read_scores(table("patient_id\tmine\nTCGA.AA.0001\t1\n"), "type-median", "theirs")
    assert caught.value.offending == ("missing column: theirs", "missing column: tumour_type")


def test_repeated_patients_are_named(table):
    # Once as it is, once with dashes: the same patient in the end.
    scores = read_scores(table(ROWS + "TCGA.BB.0002\t1\t1\t1\tBBBB\nTCGA-CC-0001\t1\t1\t1\tAAAA\n"))
    with pytest.raises(InputError) as caught:
        hypoxia_labels(scores)
    assert caught.value.offending == ("TCGA-BB-0002: lines 7, 10", "TCGA-CC-0001: lines 8, 11")


def test_unknown_rule(table):
    with pytest.raises(InputError, match="choose one of: type-median, pan-median, intra"):
        hypoxia_labels(read_scores(table()), "median")


def test_a_table_of_ones_own_with_decimals_and_no_types(table):
    rows = "patient_id;mine\ntcga-aa-0001-01A;0,5\nTCGA.AA.0002.06A;-1,5\nP.3;2\n"
    labels = hypoxia_labels(read_scores(table(rows), "intra", "mine"), "intra", "mine")
    assert labels.table[["patient_id", "label", "score"]].to_numpy().tolist() == [
        ["P.3", 1, 1.0], ["TCGA-AA-0001", 1, 0.25], ["TCGA-AA-0002", 0, -0.75],
    ]  # fmt: skip
    assert (labels.column, labels.unused) == ("mine", ())


def test_every_signature_of_the_published_table_makes_labels(published):
    names = [name for name in pd.read_csv(published, sep="\t").columns if name.endswith("_pan_cancer")]
    assert len(names) == 8
    for name in names:
        labels = hypoxia_labels(read_scores(published, "type-median", name), "type-median", name)
        assert len(labels.table) == 7731
        assert 0.4 < labels.table["label"].mean() < 0.5
        assert len(labels.unused) == 8


def test_scores_over_all_types_are_none_within_one(table):
    with pytest.raises(InputError, match="is over all tumour types"):
        read_scores(table(), "intra", PAN_CANCER)
