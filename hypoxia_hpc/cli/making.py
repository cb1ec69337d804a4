"""Verbs that make what a run begins with: init, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hypoxia_hpc.cli.options import RUN, STOP, progress, say_blocks
from hypoxia_hpc.cli.terminal import say, tell
from hypoxia_hpc.cli.text.making import labels_text, made_text
from hypoxia_hpc.errors import InputError

SAMPLE_HELP = "Take these: tumour, normal, control (by TCGA barcode or GDC sample sheet). Repeatable.  [tumour]"
PREPARATION_HELP = "Take these: diagnostic, frozen. Repeatable.  [both]"


class StudyOption(click.Option):
    """--study, whose help names every study, those of installed packages too; they are looked up for it alone."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from hypoxia_hpc.config.studies.registry import STUDIES

        self.help = "Preset. " + "; ".join(f"{name}: {study.question}" for name, study in STUDIES.items())
        return super().get_help_record(ctx)


@click.command()
@RUN
@click.option("--study", cls=StudyOption, default="hypoxia", show_default=True, metavar="NAME")
@click.option(
    "--slides",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|CSV",
    help="Folder of slides, or a manifest.",
)
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE", help="Published hypoxia score table.")
@click.option("--rule", default="type-median", show_default=True, help="Label rule for --scores (see labels).")
@click.option("--patients", type=click.Path(path_type=Path), metavar="CSV", help="Table with patient_id,label[,…].")
@click.option("--patient-column", metavar="C", help="Column of the manifest that names the patient.")
@click.option("--sample", "samples", multiple=True, metavar="KIND", help=SAMPLE_HELP)
@click.option("--preparation", "preparations", multiple=True, metavar="KIND", help=PREPARATION_HELP)
@click.option("--include", multiple=True, metavar="PATTERN", help="Only these of the folder: '*.svs'. Repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Not these files: '*mask*', 'old/*'. Repeatable.")
def init(
    run: Path,
    study: str,
    slides: Path,
    scores: Path | None,
    rule: str,
    patients: Path | None,
    patient_column: str | None,
    samples: tuple[str, ...],
    preparations: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> int:
    """Make a run directory: run.toml, slides.csv, patients.csv.

    A manifest is a CSV with a column path and, where known, slide_id, patient_id, mpp, site, md5; a manifest, sample
    sheet or metadata JSON of GDC works too.
    Patients are read from --patient-column, else patient_id, else DICOM's PatientID, else the TCGA barcode in the file
    name. Without --scores and --patients the run serves tile, extract and predict.
    """
    from hypoxia_hpc.config import preset
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.init import init as init_run

    made = init_run(
        RunDir(run),
        preset(study, _cohort(samples, preparations)),
        slides,
        scores=scores,
        patients=patients,
        patient_column=patient_column,
        include=include,
        exclude=exclude,
        rule=_rule(rule),
        progress=progress(),
        stop=STOP,
    )
    say_blocks(made_text(made, run))
    return 0


@click.command(short_help="Hypoxia labels from the published score table.")
@click.argument("scores", type=click.Path(path_type=Path, dir_okay=False), metavar="SCORES")
@click.option(
    "--rule",
    default="type-median",
    show_default=True,
    help="type-median: above the median of the tumour type; pan-median: above the median of all; "
    "intra: the intra-tumour-type score above 0.",
)
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CSV",
    help="Write here, not to the terminal.",
)
def labels(scores: Path, rule: str, output: Path | None) -> int:
    """Hypoxia labels from the published score table (Bhandari et al. 2019, supplementary table 1).

    Writes patient_id,label,score,tumour_type; score is the displacement over the largest one in its tumour type.
    """
    from hypoxia_hpc.cohorts.scores import hypoxia_labels, read_scores
    from hypoxia_hpc.cohorts.tables import patients_csv
    from hypoxia_hpc.stores.commit import committed_file

    if output is not None and output.exists() and output.samefile(scores):
        raise InputError(f"-o {output} is the score table itself", remedy="write the labels to another file")
    made = hypoxia_labels(read_scores(scores), _rule(rule))
    text = patients_csv(made.table)
    if output is None:
        say(text.rstrip("\n"))
        for block in labels_text(made):
            tell(block)
    else:
        committed_file(output, text.encode())
        say_blocks(labels_text(made))
        say(f"wrote {output}")
    return 0


def _cohort(samples: tuple[str, ...], preparations: tuple[str, ...]) -> dict[str, Any]:
    """Of run.toml what these options change."""
    given = {"samples": list(samples), "preparations": list(preparations)}
    return {"cohort": {name: kinds for name, kinds in given.items() if kinds}}


def _rule(rule: str) -> Any:
    from hypoxia_hpc.cohorts.scores import LABEL_RULES

    if rule not in LABEL_RULES:
        raise InputError(f"--rule {rule!r} is not known", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    return rule
