"""Verbs that make what a run begins with: init, labels, normalise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hypoxia_hpc.cli.asked import asked_outcome
from hypoxia_hpc.cli.asked_source import asked_source
from hypoxia_hpc.cli.options import RUN, STOP, OutputFile, Whole, progress, say_blocks
from hypoxia_hpc.cli.terminal import say, tell
from hypoxia_hpc.cli.text.making import labels_text, made_text
from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.config import RunConfig

SCORE_HELP = "Column of the scores, as Winter_hypoxia_score_pan_cancer.  [Buffa]"
SPLIT_HELP = "A split of yours: patient_id, set (train, valid, test)[, fold]; kept in RUN, used as it is."
SAMPLE_HELP = "Take these: tumour, normal, control (by TCGA barcode or GDC sample sheet). Repeatable.  [tumour]"
OUTCOME_HELP = (
    "What is asked of a patient: binary (one of two classes), classes (one of several), score (a number), survival "
    "(how long until an event).  [binary]"
)
CLASS_HELP = "A class by name; once for each, of two the positive one last.  [normoxic, hypoxic]"
POSITIVE_HELP = "Which of two classes is the positive one, by name."
TIME_HELP = "Column of --patients with the time of follow-up; of survival.  [time]"
EVENT_HELP = "Column of --patients with 1 (event) or 0 (censored); of survival.  [event]"
PREPARATION_HELP = "Take these: diagnostic, frozen. Repeatable.  [both]"


IMAGES_HELP = "Folder of images (PNG, JPEG, TIFF, DICOM, NIfTI) in place of slides; a patient's together."
IMAGES_TABLE_HELP = "Whose images they are: patient_ID,Path[,Label,training_set]; without it, the pattern."
PATTERN_HELP = "How paths below --images are made, of {patient} {series} {label} {image}.  [{patient}/{image}]"
SERIES_HELP = "A series of slices that is taken, as FLAIR. Repeatable, in this order.  [all]"
MIDDLE_HELP = "Slices that are taken from the middle of each series.  [all]"


OUTCOME_EXAMPLES = """\b
Two classes by name:  --label-column msi --class MSS --class MSI
Several classes:      --outcome classes --class LMS --class SS --class UPS
A score:              --outcome score --label-column purity; or with --scores
Survival:             --outcome survival --time-column months --event-column died"""


class StudyOption(click.Option):
    """--study, whose help names every study, those of installed packages too; they are looked up for it alone."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from hypoxia_hpc.config.studies.registry import STUDIES

        self.help = "Preset. " + "; ".join(f"{name}: {study.question}" for name, study in STUDIES.items())
        return super().get_help_record(ctx)


@click.command(epilog=OUTCOME_EXAMPLES)
@RUN
@click.option("--study", cls=StudyOption, default="hypoxia", show_default=True, metavar="NAME")
@click.option(
    "--slides",
    type=click.Path(path_type=Path),
    metavar="DIR|CSV",
    help="Folder of slides, or a manifest.",
)
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help=IMAGES_HELP)
@click.option("--images-table", type=click.Path(path_type=Path), metavar="CSV", help=IMAGES_TABLE_HELP)
@click.option("--images-pattern", metavar="PATTERN", help=PATTERN_HELP)
@click.option("--series", multiple=True, metavar="NAME", help=SERIES_HELP)
@click.option("--middle", type=Whole(1, 100_000), metavar="N", help=MIDDLE_HELP)
@click.option("--path-column", metavar="C", help="Column of --images-table with the path of an image.  [Path]")
@click.option("--set-column", metavar="C", help="Column of it with TRAIN, VALID or TEST.  [training_set]")
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE", help="Table of hypoxia scores.")
@click.option("--rule", default="type-median", show_default=True, help="Label rule for --scores (see labels).")
@click.option("--score-column", metavar="C", help=SCORE_HELP)
@click.option("--patients", type=click.Path(path_type=Path), metavar="CSV", help="Table with patient_id,label[,…].")
@click.option("--patient-column", metavar="C", help="Column that names the patient: of the manifest, of --patients.")
@click.option("--label-column", metavar="C", help="Column with class or score: of --patients, else of the manifest.")
@click.option("--outcome", "kind", metavar="KIND", help=OUTCOME_HELP)
@click.option("--class", "classes", multiple=True, metavar="NAME", help=CLASS_HELP)
@click.option("--positive", metavar="NAME", help=POSITIVE_HELP)
@click.option("--time-column", "time", metavar="C", help=TIME_HELP)
@click.option("--event-column", "event", metavar="C", help=EVENT_HELP)
@click.option("--split", type=click.Path(path_type=Path), metavar="FILE", help=SPLIT_HELP)
@click.option("--sample", "samples", multiple=True, metavar="KIND", help=SAMPLE_HELP)
@click.option("--preparation", "preparations", multiple=True, metavar="KIND", help=PREPARATION_HELP)
@click.option("--include", multiple=True, metavar="PATTERN", help="Only these of the folder: '*.svs'. Repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Not these files: '*mask*', 'old/*'. Repeatable.")
@click.option("--update", "is_update", is_flag=True, help="Add what RUN lacks; its rows and its run.toml stay.")
def init(
    run: Path,
    study: str,
    rule: str,
    split: Path | None,
    samples: tuple[str, ...],
    preparations: tuple[str, ...],
    is_update: bool,
    **others: Any,
) -> int:
    """Make a run directory: run.toml, slides.csv, patients.csv; of images in folders also images.csv.

    A manifest is a CSV with a column path and, where known, slide_id, patient_id, mpp, site, md5, label, tumour_type; a
    manifest, sample sheet or metadata JSON of GDC works too. Patients are read from --patient-column, else patient_id,
    else DICOM's PatientID, else the TCGA barcode in the file name. Labels come from --scores or --patients, else from
    the manifest; without any the run serves tile, extract and predict.
    """
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.runs.trainable import why_untrainable
    from hypoxia_hpc.stages.init import init as init_run
    from hypoxia_hpc.stages.init import update as update_run

    asked = {name: others.pop(name) for name in ("kind", "classes", "positive", "time", "event")}
    source = asked_source({**others, "samples": samples, "preparations": preparations})
    changes = _changes(samples, preparations, split) | asked_outcome(**asked, scores=others["scores"])
    known = {"rule": _rule(rule), "progress": progress(), "stop": STOP, **source.others}
    if not is_update:
        config = _preset(study, changes | source.changes, others["slides"])
        made = init_run(RunDir(run), config, source.folder, split=split, **known)
    else:
        _require_no_changes(changes, source.changes)
        made = update_run(RunDir(run), source.folder, of_images=others["images"] is not None, **known)
    say_blocks(made_text(made, run))
    if (why := why_untrainable(RunDir(run))) is not None:
        tell(f"note: train would refuse this run as it is: {why}")
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
    "--score-column",
    metavar="C",
    help=SCORE_HELP,
)
@click.option(
    "-o",
    "output",
    type=OutputFile(),
    metavar="CSV",
    help="Write here, not to the terminal.",
)
def labels(scores: Path, rule: str, score_column: str | None, output: Path | None) -> int:
    """Hypoxia labels from a table of scores, above all the published one (Bhandari et al. 2019, supplementary table 1).

    Writes patient_id,label,score,tumour_type; score is the displacement over the largest one in its tumour type.
    """
    from hypoxia_hpc.cohorts.scores import hypoxia_labels, read_scores
    from hypoxia_hpc.cohorts.tables import patients_csv
    from hypoxia_hpc.stores.commit import committed_file

    if output is not None and output.exists() and output.samefile(scores):
        raise InputError(f"-o {output} is the score table itself", remedy="write the labels to another file")
    made = hypoxia_labels(read_scores(scores, _rule(rule), score_column), _rule(rule), score_column)
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


METHODS_HELP = (
    "macenko: by the plane of the optical densities; vahadane: by sparse concentrations; reinhard: mean and spread of "
    "L*a*b*, needs --to; published: Macenko's as it is passed on, glass included."
)


@click.command(short_help="One image or slide in the stain of another one.")
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE|SLIDE")
@click.argument("output", type=OutputFile(), metavar="OUT")
@click.option(
    "--method",
    default="macenko",
    show_default=True,
    type=click.Choice(["macenko", "vahadane", "reinhard", "published"]),
    help=METHODS_HELP,
)
@click.option(
    "--to",
    "reference",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="IMAGE",
    help="Image whose stain it gets; without it, the published reference.",
)
@click.option(
    "--glass",
    default=220,
    show_default=True,
    type=Whole(1, 255),
    help="A pixel this light or lighter is glass (the tiling rule's white): it stays, and no fit goes by it.",
)
@click.option("--mpp", type=float, metavar="MPP", help="Of a slide, µm per pixel of OUT.  [0.5]")
def normalise(image: Path, output: Path, method: str, reference: Path | None, glass: int, mpp: float | None) -> int:
    """An image of tissue (PNG, JPEG, TIFF) stained with haematoxylin and eosin, or a slide, in another one's stain.

    OUT of an image is a PNG, OUT of a slide a pyramidal TIFF of its whole tiles (OUT.tif).

    The dyes are fitted on the tissue of the image alone, and shown. A fit that cannot be right (no tissue, one dye,
    dyes over 45 degrees from haematoxylin or eosin, ink) changes nothing: exit code 2, and the reason.
    """
    from hypoxia_hpc.cli.text.normalise import normalised_text
    from hypoxia_hpc.stages.normalise import SLIDE_MPP, is_of_slide, normalise_file, normalise_slide

    if is_of_slide(output):
        mpp = SLIDE_MPP if mpp is None else mpp
        slide = normalise_slide(image, output, method, reference, glass, mpp, progress=progress(), stop=STOP)
        say_blocks(normalised_text(slide.source, slide.target))
        say(f"wrote {output}, {slide.size[0]:,} x {slide.size[1]:,} px")
        return 0
    if mpp is not None:
        raise InputError(
            "--mpp is of slides, which are written as TIFF", remedy="name the output OUT.tif, or leave it out"
        )
    made = normalise_file(image, output, method, reference, glass)
    say_blocks(normalised_text(made.source, made.target))
    say(f"wrote {output}")
    return 0


def _changes(samples: tuple[str, ...], preparations: tuple[str, ...], split: Path | None) -> dict[str, Any]:
    """Of run.toml what these options change. Raises InputError for a split that is none."""
    given = {"samples": list(samples), "preparations": list(preparations)}
    cohort = {name: kinds for name, kinds in given.items() if kinds}
    changes: dict[str, Any] = {"cohort": cohort} if cohort else {}
    if split is not None:
        from hypoxia_hpc.cohorts.given_split import read_given

        folds = read_given(split)["fold"].nunique()
        changes["train"] = {"split_file": "given_split.csv", "folds": folds}
    return changes


def _require_no_changes(changes: dict[str, Any], of_source: dict[str, Any]) -> None:
    """Of run.toml, but that it is of images. Raises InputError."""
    if changes or set(of_source.get("source", {})) - {"kind"}:
        raise InputError(
            "--update changes no entry of run.toml",
            remedy="edit run.toml; leave out --sample, --preparation, --split, what --images takes beside its "
            "table, and the options of the outcome",
        )


def _preset(study: str, changes: dict[str, Any], slides: Path | None) -> RunConfig:
    """Raises InputError as `preset`, and for ``slides`` where the study is of images."""
    from hypoxia_hpc.config import preset

    config = preset(study, changes)
    if config.source.kind == "folders" and slides is not None:
        raise InputError(
            f"the study {config.study} is of images in folders, and --slides names slides",
            remedy=f"hypoxia-hpc init RUN --study {config.study} --images DIR",
        )
    return config


def _rule(rule: str) -> Any:
    from hypoxia_hpc.cohorts.scores import LABEL_RULES

    if rule not in LABEL_RULES:
        raise InputError(f"--rule {rule!r} is not known", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    return rule
