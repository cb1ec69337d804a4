"""What init is asked to predict: the options, [outcome] that they make, and what a table with another one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir

NAMES = ("P", "Q", "R", "S", "T", "U")
SUBTYPES = ("LMS", "SS", "UPS")
SUBTYPED = [option for name in SUBTYPES for option in ("--class", name)]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Slides of six patients; their files are not there, which init notes."""
    path = tmp_path / "slides.csv"
    path.write_text("path,patient_id\n" + "".join(f"{name}.svs,{name}\n" for name in NAMES))
    return path


def init(manifest: Path, rows: str, *options: object, name: str = "run") -> RunDir:
    """A run of a table of patients with these rows, each ended by a blank."""
    table = manifest.parent / f"{name}.csv"
    table.write_text(rows.replace(" ", "\n") + "\n")
    run = manifest.parent / name
    app(
        ["init", str(run), "--slides", str(manifest), "--patients", str(table), *map(str, options)],
        standalone_mode=False,
    )
    return RunDir(run)


def said(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The lines of standard output, in words."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_two_classes_by_name(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "patient_id,msi P,MSI Q,mss R,MSS S,MSI T,MSI U,"
    run = init(manifest, rows, "--label-column", "msi", "--class", "MSI", "--class", "MSS", "--positive", "MSI")
    table = run.config().outcome
    assert (table.kind, table.column, table.classes) == ("binary", "label", ("MSS", "MSI"))
    assert [each.label for each in run.patients()] == [1, 0, 0, 1, 1, None]
    lines = said(capsys)
    assert ["tumour", "type", "patients", "MSS", "MSI", "no", "label"] in lines
    assert ["all", "6", "2", "3", "1"] in lines


def test_several_classes(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "patient_id,subtype,tumour_type P,LMS,A Q,ss,A R,UPS,B S,SS,B T,,B U,LMS,B"
    run = init(manifest, rows, "--label-column", "subtype", "--outcome", "classes", *SUBTYPED)
    config = run.config()
    assert (config.outcome.kind, config.outcome.classes) == ("classes", SUBTYPES)
    assert config.train.heads == ("tanh", "logistic", "attention")
    assert [each.label for each in run.patients()] == [0, 1, 2, 1, None, 0]
    lines = said(capsys)
    assert ["tumour", "type", "patients", *SUBTYPES, "no", "label"] in lines
    assert lines[-5:-2] == [
        ["A", "2", "1", "1", "0", "0"],
        ["B", "4", "1", "1", "1", "1"],
        ["all", "6", "2", "2", "1", "1"],
    ]


def test_a_score(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "patient_id;purity P;0,5 Q;-1 R;0.25 S;2 T; U;1e1"
    run = init(manifest, rows, "--label-column", "purity", "--outcome", "score")
    assert run.config().train.heads == ("funnel", "linear", "attention")
    assert [each.label for each in run.patients()] == [0.5, -1.0, 0.25, 2.0, None, 10.0]
    lines = said(capsys)
    assert ["tumour", "type", "patients", "with", "a", "score", "median", "range", "no", "label"] in lines
    assert ["all", "6", "5", "0.5", "-1", "to", "10", "1"] in lines


def test_the_hypoxia_score_itself(manifest: Path) -> None:
    scores = manifest.parent / "scores.txt"
    rows = "".join(f"{name}\t{number}\tA\n" for number, name in enumerate(NAMES))
    scores.write_text(f"patient_id\tBuffa_hypoxia_score_pan_cancer\ttumour_type\n{rows}")
    for name, options in (("score", ["--outcome", "score"]), ("flipped", ["--positive", "normoxic"])):
        run = manifest.parent / name
        app(["init", str(run), "--slides", str(manifest), "--scores", str(scores), *options], standalone_mode=False)
    assert [each.label for each in RunDir(manifest.parent / "score").patients()] == [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]
    flipped = RunDir(manifest.parent / "flipped")
    shown = [flipped.outcome().shown(each.label) for each in flipped.patients() if each.label is not None]
    assert shown == ["normoxic"] * 3 + ["hypoxic"] * 3
    assert [each.label for each in flipped.patients()] == [1, 1, 1, 0, 0, 0]


def test_survival(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "patient_id,months,died,time P,10,1,x Q,3.5,0,x R,7,0,x S,,,x T,2,1,x U,8,,x"
    run = init(manifest, rows, "--outcome", "survival", "--time-column", "months", "--event-column", "died")
    table = run.config().outcome
    assert (table.kind, table.time, table.event) == ("survival", "months", "died")
    assert (run.config().survival.times, run.config().survival.events) == (("months",), ("died",))
    assert [each.label for each in run.patients()] == [(10, 1), (3.5, 0), (7, 0), None, (2, 1), None]
    lines = said(capsys)
    assert ["all", "6", "4", "2", "7", "2"] in lines


def test_a_class_of_the_manifest_by_the_column_of_run_toml(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,patient_id,label\na.svs,P,LMS\nb.svs,Q,UPS\n")
    run = tmp_path / "run"
    app(
        ["init", str(run), "--slides", str(tmp_path / "m.csv"), "--outcome", "classes", *SUBTYPED],
        standalone_mode=False,
    )
    assert [each.label for each in RunDir(run).patients()] == [0, 2]


SURVIVAL = ("--outcome", "survival")
CLASSES = ("--outcome", "classes", *SUBTYPED)
SCORE = ("--outcome", "score")


@pytest.mark.parametrize(
    ("rows", "options", "message", "offending"),
    [
        (
            "patient_id,time,event P,-1,1 Q,5,2 R,6,1 S,ten,0 T,nan,1 U,7,dead",
            SURVIVAL,
            "5 wrong entries",
            [
                "line 2: time '-1', event '1' is not a time of 0 to 1e+06 in time",
                "line 3: time '5', event '2' is not 0 (censored) or 1 (event) in event",
                "line 5: time 'ten', event '0' is not a time of 0 to 1e+06 in time",
                "line 6: time 'nan', event '1' is not a time of 0 to 1e+06 in time",
                "line 7: time '7', event 'dead' is not 0 (censored) or 1 (event) in event",
            ],
        ),
        (
            "patient_id,months,event P,1,1",
            SURVIVAL,
            r"has the columns \['patient_id', 'months', 'event'\]",
            ["missing column: time"],
        ),
        (
            "patient_id,grade P,1",
            ("--outcome", "score", "--label-column", "garde"),
            r"has the columns \['patient_id', 'grade'\]",
            ["missing column: garde"],
        ),
        (
            "patient_id,time,event P,1,1 Q,2,0 P,1,0",
            SURVIVAL,
            "1 wrong entry",
            ["patient 'P' occurs on lines 2, 4 with time '1', '1' and event '1', '0'"],
        ),
        (
            "patient_id,label P,LMS Q,SS P,UPS Q,SS",
            CLASSES,
            "2 wrong entries",
            [
                "patient 'P' occurs on lines 2, 4 with label 'LMS', 'UPS'",
                "patient 'Q' occurs on lines 3, 5 with label 'SS', 'SS'",
            ],
        ),
        (
            "patient_id,label P,LMS Q,<b>SS</b> R,0",
            CLASSES,
            "2 wrong entries",
            [
                "line 3: label '<b>SS</b>' is none of the classes LMS, SS, UPS, nor empty",
                "line 4: label '0' is none of the classes LMS, SS, UPS, nor empty",
            ],
        ),
        (
            "patient_id,label P,1 Q,high R,NA S,inf",
            SCORE,
            "3 wrong entries",
            [
                f"line {line}: label {cell!r} is not a number from -1e+12 to 1e+12, nor empty"
                for line, cell in ((3, "high"), (4, "NA"), (5, "inf"))
            ],
        ),
    ],
)
def test_a_table_that_is_wrong(
    manifest: Path, rows: str, options: tuple[str, ...], message: str, offending: list[str]
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        init(manifest, rows, *options)
    assert (list(caught.value.offending), caught.value.exit_code) == (offending, 2)
    is_of_events = options == SURVIVAL and "missing" not in offending[0]
    assert ("write 1 and 0 in their place" in caught.value.remedy) == is_of_events
    assert not (manifest.parent / "run").exists(), "nothing is made"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--outcome", "colour"), "--outcome 'colour' is not known\nremedy: choose one of: binary, classes, score"),
        (("--outcome", "score", "--class", "a"), "--class: not for --outcome score"),
        (("--time-column", "t", "--event-column", "e"), "--time-column, --event-column: not for --outcome binary"),
        (("--outcome", "classes"), "--outcome classes needs names of classes"),
        (("--outcome", "classes", "--class", "a", "--class", "b"), "three classes or more, got 2"),
        (("--class", "a", "--class", "b", "--class", "c"), "has two classes, got 3"),
        (("--positive", "ill"), "--positive 'ill' is none of the classes normoxic, hypoxic"),
        (("--class", "<script>alert(1)</script>", "--class", "<img src=x>"), "plain text, not HTML, got .*script.*img"),
        (("--class", "a", "--class", "A"), "differ in more than case"),
        ((*SURVIVAL, "--label-column", "event"), "--label-column event names one column, and a follow-up has two"),
        (("--update", *SURVIVAL), "--update changes no entry of run.toml"),
    ],
)
def test_options_that_cannot_be(manifest: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        init(manifest, "patient_id,label,time,event P,1,1,1", *options)
    assert not (manifest.parent / "run").exists()


def test_help_teaches_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["init", "--help"], standalone_mode=True)
    text = capsys.readouterr().out
    for line in (
        "--outcome survival --time-column months --event-column died",
        "binary (one of two",
        "--positive NAME",
    ):
        assert line in text


@pytest.mark.parametrize("pattern", ["{series}/{image}", "{patient}/{patient}", "{patient}{image}", "{who}/{patient}"])
def test_a_pattern_of_images_that_is_none_is_named_as_the_option(tmp_path: Path, pattern: str) -> None:
    arguments = ["init", str(tmp_path / "run"), "--images", str(tmp_path), "--images-pattern", pattern]
    with pytest.raises(InputError, match=r"--images-pattern '.*'") as caught:
        app(arguments, standalone_mode=False)
    assert "{patient}/{series}/{image}" in caught.value.remedy
