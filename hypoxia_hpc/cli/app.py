"""The command line: arguments -> one stage. The only place that prints or exits."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hypoxia_hpc import __version__
from hypoxia_hpc.cli.terminal import metrics_table, outcome_line, progress_for, say, table, tell
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, Stopped

if TYPE_CHECKING:
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.predict import Predicted
    from hypoxia_hpc.workers.mpi import Ranks
    from hypoxia_hpc.workers.slide_stage import StageOutcome

EXIT_BUG, EXIT_QUARANTINED, EXIT_NOT_READY, EXIT_STOPPED = 1, 3, 5, 75
# If several apply: 1, 2, 4, 75, 5, 3.
WORST_FIRST = (EXIT_BUG, 2, 4, EXIT_STOPPED, EXIT_NOT_READY, EXIT_QUARANTINED, 0)
MANY_REMEDIES = 20
SECONDS_FOR_THE_FIRST = 2.0

STOP = threading.Event()
RUN = click.argument("run", type=click.Path(path_type=Path, file_okay=False), metavar="RUN")
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="hypoxia-hpc")
def app() -> None:
    """From whole-slide images of tumours to predictions about patients.

    \b
    First look, offline, nothing needed:   hypoxia-hpc demo
    Your own slides:
      hypoxia-hpc init RUN --study hypoxia --slides DIR --scores TABLE
      hypoxia-hpc run RUN
      hypoxia-hpc status RUN

    What to do is in RUN/run.toml; where and which part of it is on the command line. Every command can be stopped
    or killed at any time and given again: what is done is not done twice.

    \b
    Exit codes: 0 all that was asked for is done · 1 a bug · 2 bad usage, configuration or input table
    3 finished, some slides are quarantined · 4 cannot go on here (disk, permission, device)
    5 not ready or not sound · 75 stopped, run again to go on
    """


def per_slide(command: Command) -> Command:
    """The options of stages that go slide by slide."""
    options = [
        click.option("--share", default="0/1", metavar="I/N", help="Part I of N of the slides, 0 <= I < N.  [0/1]"),
        click.option("--slide", "wanted", multiple=True, metavar="ID", help="Only this slide; may be repeated."),
        click.option(
            "--slides-from",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Only the slides named in FILE, one id a line.",
        ),
        click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Worker processes."),
        click.option("--mpi", is_flag=True, help="Deal the slides to the ranks of this MPI job (mpiexec, srun)."),
        click.option("--retry", is_flag=True, help="Try quarantined slides again."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@app.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("hypoxia-demo"), metavar="[DIR]"
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of everything.")
@click.option(
    "--difference",
    type=click.FloatRange(0, 1),
    help="How much larger nuclei and their distance are in hypoxic tumours (logarithm); 0 plants nothing.",
)
@click.option("--patients", default=60, show_default=True, type=click.IntRange(12, 1000), help="Synthetic patients.")
def demo(folder: Path, seed: int, difference: float | None, patients: int) -> int:
    """Make a small cohort of real slide files in DIR and take it down the whole path, offline.

    60 synthetic patients, one pyramidal SVS file each, half of them "hypoxic" by a known difference in texture, and one
    real slide (CMU-1-Small-Region, CC0) of unknown label to predict. Features come from a random network, since no
    trained weights are bundled.
    """
    from hypoxia_hpc.machine.cores import usable_cores
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.demo import demo_config, write_demo_cohort
    from hypoxia_hpc.stages.init import init as init_run

    slides, patients_file = write_demo_cohort(
        folder,
        n_patients=patients,
        difference=difference,
        seed=seed,
        workers=usable_cores(),
        progress=_progress(),
        stop=STOP,
    )
    run_dir = RunDir(folder / "run")
    if not run_dir.config_file.exists():
        init_run(run_dir, demo_config(seed), slides, patients=patients_file)
    code = _whole_path(run_dir)
    say(f"The cohort's slides are in {slides}, the run is {run_dir.root}: try hypoxia-hpc status {run_dir.root}")
    return code


@app.command()
@RUN
@click.option("--study", default="hypoxia", show_default=True, help="Preset: hypoxia.")
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
def init(
    run: Path,
    study: str,
    slides: Path,
    scores: Path | None,
    rule: str,
    patients: Path | None,
    patient_column: str | None,
) -> int:
    """Make a run directory: run.toml, slides.csv, patients.csv.

    A manifest is a CSV with a column path and, where known, slide_id, patient_id, mpp, site; a GDC manifest works too.
    Patients are read from --patient-column, else patient_id, else the TCGA barcode in the file name. Without --scores
    and --patients the run serves tile, extract and predict.
    """
    from hypoxia_hpc.config import preset
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.init import init as init_run

    made = init_run(
        RunDir(run),
        preset(study),
        slides,
        scores=scores,
        patients=patients,
        patient_column=patient_column,
        rule=_rule(rule),
        progress=_progress(),
        stop=STOP,
    )
    if made.labels is not None:
        _say_labels(made.labels)
    by_reason: dict[str, list[str]] = {}
    for name, reason in made.slides.dropped:
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        say(f"dropped {len(names)} slides, {reason}: {_some(names)}")
    for note in made.slides.notes:
        say(f"note: {note}")
    labelled = int((made.patients["label"] != "").sum())
    say(
        f"{run}: {len(made.slides.slides)} slides of {len(made.patients)} patients, {labelled} with a label. "
        f"Look at run.toml, then: hypoxia-hpc run {run} (here) or submit {run} (as SLURM jobs)"
    )
    return 0


@app.command()
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
        _say_labels(made, tell)
    else:
        committed_file(output, text.encode())
        _say_labels(made)
        say(f"wrote {output}")
    return 0


@app.command()
@RUN
@per_slide
def tile(run: Path, **options: Any) -> int:
    """Cut slides into tile stores: RUN/tiles/<slide_id>.zarr."""
    from hypoxia_hpc.stages.tile import tile as tile_stage

    return _slide_stage(tile_stage, run, **options)


@app.command()
@RUN
@per_slide
def extract(run: Path, **options: Any) -> int:
    """Feature vectors of the tiles: RUN/features/<name>/<slide_id>.zarr."""
    from hypoxia_hpc.stages.extract import extract as extract_stage

    return _slide_stage(extract_stage, run, **options)


@app.command()
@RUN
def train(run: Path) -> int:
    """Split the patients and train the top models: RUN/split.csv, RUN/models/."""
    from hypoxia_hpc.stages.train import train as train_stage

    done = train_stage(_existing(run), progress=_progress(), stop=STOP)
    say(f"train: {', '.join(done.made) or 'nothing'} trained now, {', '.join(done.found) or 'nothing'} trained before")
    return 0


@app.command()
@RUN
def evaluate(run: Path) -> int:
    """Predict tiles, slides and patients, and measure: RUN/predictions/, RUN/metrics.json."""
    from hypoxia_hpc.stages.evaluate import evaluate as evaluate_stage

    done = evaluate_stage(_existing(run), progress=_progress(), stop=STOP)
    _say_metrics(done.metrics)
    return 0


@app.command()
@RUN
def report(run: Path) -> int:
    """One self-contained HTML page: RUN/report/index.html."""
    from hypoxia_hpc.stages.report import report as report_stage

    say(f"report: {report_stage(_existing(run), progress=_progress())}")
    return 0


@app.command()
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
    help="Make RUN of these slides first, with the [tile] and [extract] tables of OTHER_RUN.",
)
def predict(run: Path, model_run: Path, slides: Path | None) -> int:
    """Is this tumour hypoxic? The frozen models of another run on new slides; no labels needed.

    \b
    In one command:  hypoxia-hpc predict NEW --slides DIR --model TRAINED_RUN

    Tiles and features that RUN lacks are made first. Refuses when they are made otherwise than in training.
    """
    from hypoxia_hpc.stages.extract import extract as extract_stage
    from hypoxia_hpc.stages.init import init as init_run
    from hypoxia_hpc.stages.predict import predict as predict_stage
    from hypoxia_hpc.stages.predict import refuse_other_run
    from hypoxia_hpc.stages.report import report as report_stage
    from hypoxia_hpc.stages.tile import tile as tile_stage

    other = _existing(model_run)
    if slides is not None:
        init_run(_run_dir(run), other.config(), slides, progress=_progress(), stop=STOP)
    run_dir = _existing(run)
    refuse_other_run(run_dir, other)
    codes = [_slide_stage(stage, run) for stage in (tile_stage, extract_stage)]
    done = predict_stage(run_dir, other, progress=_progress(), stop=STOP)
    _say_predictions(done)
    say(f"report: {report_stage(run_dir, progress=_progress())}")
    return _worst(codes)


@app.command(name="run")
@RUN
def run_all(run: Path) -> int:
    """All stages of the study, here: tile, extract, train, evaluate, report."""
    return _whole_path(_existing(run))


@app.command()
@RUN
@click.option("--dry-run", is_flag=True, help="Print the scripts and the sbatch lines; send and write nothing.")
@click.option("--retry", is_flag=True, help="Try quarantined slides again.")
def submit(run: Path, dry_run: bool, retry: bool) -> int:
    """All stages of the study as SLURM jobs: tile and extract as arrays, then train, evaluate and report.

    \b
    Where and how is in [site.slurm] of RUN/run.toml: image, binds, modules, account,
    partition, gpu_partition, gres, cpus, ranks, hours, throttle and others, each explained.
    How many elements an array has, and the memory and time of each, follow from the slides.

    Each stage begins when the one before has ended. A job that meets its time limit stops before it, requeues itself
    and goes on; of a node that dies only the slides in flight are lost. Given again, submit sends only what is not
    done; while jobs of this run are in the queue it refuses. A run without labels ends after extract.

    \b
    hypoxia-hpc submit RUN --dry-run     what would be sent; needs no SLURM
    hypoxia-hpc submit RUN               send it
    hypoxia-hpc status RUN               look, from anywhere that sees RUN
    """
    from hypoxia_hpc.cli.text.submission import dry_run_text, requests_table
    from hypoxia_hpc.stages.submit import plan_submission
    from hypoxia_hpc.stages.submit import submit as submit_plan

    run_dir = _existing(run)
    plan = plan_submission(run_dir, retry=retry)
    for note in plan.notes:
        tell(f"note: {note}")
    if not plan.jobs:
        say(f"nothing to send: what can be done is done, see hypoxia-hpc status {shlex.quote(str(run))}")
        return 0
    requests = [job.request for job in plan.jobs]
    if dry_run:
        for block in dry_run_text(plan):
            say(f"{block}\n")
        say(requests_table(requests, {}))
        return 0
    sent: dict[str, tuple[str, ...]] = {job.request.stage: job.ids for job in submit_plan(run_dir, plan)}
    say(requests_table(requests, sent))
    ids = " ".join(one for several in sent.values() for one in several)
    say(f"\nlook: hypoxia-hpc status {shlex.quote(str(run))} · logs: {plan.logs} · take back: scancel {ids}")
    return 0


@app.command()
@RUN
@JSON
def status(run: Path, as_json: bool) -> int:
    """How far a run is, who works on it, what SLURM says, and every quarantined slide with its reason."""
    from hypoxia_hpc.cli.text.status import status_text
    from hypoxia_hpc.monitoring.status import run_status

    state = run_status(_existing(run))
    if as_json:
        say(json.dumps(state.as_json(), indent=1))
    else:
        _say_blocks(status_text(state, str(run)))
    return 0


@app.command()
@RUN
@JSON
def estimate(run: Path, as_json: bool) -> int:
    """Files, bytes, core- and GPU-hours that a run still takes, against free space and quota; reads some headers."""
    from hypoxia_hpc.cli.text.estimate import estimate_text
    from hypoxia_hpc.monitoring.estimate import estimate_run

    found = estimate_run(_existing(run))
    if as_json:
        say(json.dumps(found.as_json(), indent=1))
    else:
        _say_blocks(estimate_text(found, str(run)))
    return 0


@app.command()
@RUN
@click.option("--clean", is_flag=True, help="Also delete leftovers of killed jobs that are a day old.")
@JSON
def verify(run: Path, clean: bool, as_json: bool) -> int:
    """Re-read every store and model and compare with what was written. Exit code 5 if anything is not sound."""
    from hypoxia_hpc.monitoring.verify import everything_to_verify
    from hypoxia_hpc.monitoring.verify import verify as verify_all
    from hypoxia_hpc.stores.commit import remove_leftovers

    run_dir = _existing(run)
    run_dir.config()
    progress = _progress()
    n = len(everything_to_verify(run_dir))
    progress.begin("verify", n, n, "stores, models and results")
    checked = []
    for one in verify_all(run_dir):
        checked.append(one)
        progress.item(1)
    progress.end()
    removed = [str(path) for path in remove_leftovers(run)] if clean else []
    bad = [one for one in checked if one.problems]
    if as_json:
        problems = {one.path: list(one.problems) for one in bad}
        say(json.dumps({"checked": len(checked), "problems": problems, "removed": removed}, indent=1))
    elif not bad:
        say(f"verify: {len(checked)} stores, models and results, all sound")
    for path in removed:
        tell(f"removed {path}")
    if bad:
        raise NotReadyError(
            f"{len(bad)} of {len(checked)} stores, models and results are not sound",
            offending=[f"{one.path}: {'; '.join(one.problems)}" for one in bad],
            remedy=f"delete what is named here, then hypoxia-hpc run {run}: only what is missing is made again",
        )
    return 0


@app.command()
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]")
@JSON
def doctor(run: Path | None, as_json: bool) -> int:
    """Is this machine fit, and every slide of RUN? One table; exit code 5 if anything is bad."""
    from hypoxia_hpc.cli.text.doctor import doctor_text
    from hypoxia_hpc.monitoring.doctor import examine_machine, examine_run

    if run is None:
        checks = [*examine_machine()]
    else:
        run_dir = _existing(run)
        checks = [*examine_machine(run_dir.config().site.slurm), *examine_run(run_dir)]
    if as_json:
        say(json.dumps([{"name": one.name, "verdict": one.verdict, "detail": one.detail} for one in checks], indent=1))
    else:
        _say_blocks(doctor_text(checks))
    return EXIT_NOT_READY if any(one.verdict == "bad" for one in checks) else 0


@app.group()
def weights() -> None:
    """Weight files of pretrained networks: fetch them once where there is internet, check them anywhere.

    They lie in [site] weights of a run.toml, else in $HYPOXIA_HPC_WEIGHTS, else in ~/.keras/models. Nothing else
    downloads anything.
    """


@weights.command(name="fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="What run.toml of RUN needs, into its [site] weights.",
)
@click.option("--mirror", metavar="URL", help="Take the files from this folder on a web server of your own.")
def fetch_weights(names: tuple[str, ...], run: Path | None, mirror: str | None) -> int:
    """Fetch the ImageNet weights that keras.applications publishes, each verified by its hash.

    NAMEs are networks as in [extract] backbone; without any, those of the four studies: inception_v3, resnet50, vgg16,
    densenet121. What is there and sound is not fetched again.
    """
    from hypoxia_hpc.networks.backbones.check import STUDIES, imagenet_networks, known_files, weights_folder
    from hypoxia_hpc.networks.backbones.fetch import fetch_files

    config = None if run is None else _existing(run).config()
    wanted = names or (STUDIES if config is None else imagenet_networks(config))
    folder = weights_folder(config)
    done = fetch_files(known_files(wanted), folder, mirror=mirror, progress=_progress(), stop=STOP)
    say(f"{folder}: fetched {', '.join(done.made) or 'nothing'}; sound already: {', '.join(done.found) or 'nothing'}")
    return 0


@weights.command(name="check")
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]")
@JSON
def check_weights(run: Path | None, as_json: bool) -> int:
    """Are the weight files here, and sound? Without network; exit code 5 if any is not.

    Those that RUN needs, else those of the four studies' networks and whatever other known file lies beside them.
    """
    from hypoxia_hpc.networks.backbones.check import check_known, check_run, weights_folder

    found = [*check_known(weights_folder(None))] if run is None else [*check_run(_existing(run).config())]
    if as_json:
        say(json.dumps([asdict(one) for one in found], indent=1))
    else:
        say(table(["network", "status", "file"], [[one.network, one.status, one.told] for one in found]))
    return 0 if all(one.is_fit for one in found) else EXIT_NOT_READY


def _run_dir(run: Path) -> RunDir:
    from hypoxia_hpc.runs.directory import RunDir

    return RunDir(run)


def _existing(run: Path) -> RunDir:
    run_dir = _run_dir(run)
    run_dir.config()
    return run_dir


def _progress(*, speaks: bool = True) -> Any:
    from hypoxia_hpc.progress import NoProgress

    return progress_for(sys.stderr.isatty()) if speaks else NoProgress()


def _rule(rule: str) -> Any:
    from hypoxia_hpc.cohorts.scores import LABEL_RULES

    if rule not in LABEL_RULES:
        raise InputError(f"--rule {rule!r} is not known", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    return rule


def _slide_stage(
    stage: Callable[..., StageOutcome],
    run: Path,
    *,
    share: str = "0/1",
    wanted: Sequence[str] = (),
    slides_from: Path | None = None,
    workers: int | None = None,
    mpi: bool = False,
    retry: bool = False,
) -> int:
    from hypoxia_hpc.workers.allocation import Allocation
    from hypoxia_hpc.workers.shares import choose_slides, parse_share

    def on_rank(ranks: Ranks | None) -> int:
        run_dir = _existing(run)
        ids = [*wanted, *_ids_in(slides_from)] if slides_from is not None else wanted
        allocation = Allocation(parse_share(share), ranks)
        slides = choose_slides(run_dir.slides(), allocation.share, ids)
        progress = _progress(speaks=allocation.rank == 0)
        outcome = stage(
            run_dir, slides, workers=workers, retry=retry, progress=progress, stop=STOP, allocation=allocation
        )
        return _say_outcome(outcome, run) if allocation.rank == 0 else 0

    return _on_all_ranks(on_rank) if mpi else on_rank(None)


def _on_all_ranks(work: Callable[[Ranks], int]) -> int:
    """Do it on every rank of this MPI job; the exit code, the same on all of them. What goes wrong on one of them ends
    them all: those that wait for it would wait for ever."""
    from hypoxia_hpc.stores.commit import machine_errors
    from hypoxia_hpc.workers.mpi import joined_ranks

    ranks = joined_ranks()
    try:
        with machine_errors(Path.cwd()):
            code = work(ranks)
    except Stopped as stopped:  # all of them
        code = _tell_end(stopped) if ranks.rank == 0 else EXIT_STOPPED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the program
        # What is wrong for all of them is said once, by the first.
        heard = ranks.code_of_the_first(SECONDS_FOR_THE_FIRST if ranks.rank else 0)
        code = _tell_end(error, f" on {ranks}") if heard is None else heard
        if heard is None:
            ranks.abort(code)
    return ranks.finalize(code)


def _say_outcome(outcome: StageOutcome, run: Path) -> int:
    """What a stage did; its exit code."""
    say(outcome_line(outcome))
    for bug in outcome.bugs:
        tell(f"internal error on {bug.slide_id}:\n{bug.detail}")
    if outcome.not_ready:
        tell(f"not ready: {_some([receipt.slide_id for receipt in outcome.not_ready])}")
        tell(f"remedy: hypoxia-hpc tile {run}")
    return _worst(
        [
            EXIT_BUG if outcome.bugs else 0,
            EXIT_NOT_READY if outcome.not_ready else 0,
            EXIT_QUARANTINED if outcome.quarantined else 0,
        ]
    )


def _ids_in(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError) as error:
        why = f"is no text in UTF-8 ({error.reason})" if isinstance(error, UnicodeDecodeError) else "does not exist"
        raise InputError(f"--slides-from {file} {why}", remedy="give a text file with one slide id a line") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise InputError(f"--slides-from {file} names no slide", remedy="write one slide id a line")
    return ids


def _whole_path(run_dir: RunDir) -> int:
    from hypoxia_hpc.runs.state import run_spec
    from hypoxia_hpc.stages.evaluate import evaluate as evaluate_stage
    from hypoxia_hpc.stages.extract import extract as extract_stage
    from hypoxia_hpc.stages.report import report as report_stage
    from hypoxia_hpc.stages.tile import tile as tile_stage
    from hypoxia_hpc.stages.train import require_splittable
    from hypoxia_hpc.stages.train import train as train_stage

    has_labels = any(patient.label is not None for patient in run_dir.patients())
    run_spec(run_dir.config())  # weights that are missing are told before hours of tiling
    if has_labels:
        require_splittable(run_dir)
    codes = [_slide_stage(stage, run_dir.root) for stage in (tile_stage, extract_stage)]
    if has_labels:
        train_stage(run_dir, progress=_progress(), stop=STOP)
        _say_metrics(evaluate_stage(run_dir, progress=_progress(), stop=STOP).metrics)
    else:
        say("no patient has a label: nothing to train or evaluate")
    say(f"report: {report_stage(run_dir, progress=_progress())}")
    return _worst(codes)


def _worst(codes: Sequence[int]) -> int:
    return min(codes, key=WORST_FIRST.index, default=0)


def _say_blocks(blocks: Iterable[str]) -> None:
    for block in blocks:
        say(block)


def _say_metrics(metrics: dict[str, Any]) -> None:
    say("")
    say(metrics_table(metrics))
    say("")


def _say_labels(made: Any, write: Callable[[str], None] = say) -> None:
    rows = [
        [str(row.tumour_type), str(row.n), str(row.hypoxic), f"{row.hypoxic / row.n:.0%}"]
        for row in made.counts.itertuples(index=False)
    ]
    total, hypoxic = len(made.table), int(made.table["label"].sum())
    rows.append(["all", str(total), str(hypoxic), f"{hypoxic / total:.0%}"])
    write(table(["tumour type", "patients", "hypoxic", ""], rows))
    write(f"rule {made.rule}: {hypoxic:,} of {total:,} patients are hypoxic")
    if made.set_aside:
        write(f"set aside: {len(made.set_aside)} rows that are further samples of a patient: {_some(made.set_aside)}")


def _say_predictions(done: Predicted) -> None:
    patients = done.patients.sort_values(["id"], kind="stable")
    rows = [
        [str(patient_id), str(model), f"{probability:.3f}", _call(probability, done.threshold), f"{n_tiles:,}"]
        for patient_id, model, probability, n_tiles in zip(
            patients["id"], patients["model"], patients["probability"], patients["n_tiles"], strict=True
        )
    ]
    say("")
    say(table(["patient", "model", "probability", f"called (above {done.threshold:g})", "tiles"], rows))
    say("")


def _call(probability: float, threshold: float) -> str:
    return "hypoxic" if probability > threshold else "normoxic"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MANY_REMEDIES])
    return shown if len(names) <= MANY_REMEDIES else f"{shown} and {len(names) - MANY_REMEDIES} more"


def _on_signal(number: int, _: object) -> None:
    if STOP.is_set():
        raise KeyboardInterrupt
    STOP.set()
    tell(f"{signal.Signals(number).name}: finishing what is under way, then stopping; once more to stop now")


def main() -> None:
    """Run the command line and exit with its code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _on_signal)
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        from hypoxia_hpc.stores.commit import machine_errors

        with machine_errors(Path.cwd()):
            return int(app(standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the program
        return _tell_end(error)


def _tell_end(error: BaseException, where: str = "") -> int:
    """Say what ended the program, and where; its exit code."""
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, (KeyboardInterrupt, click.exceptions.Abort, Stopped)):
        tell(str(error) or f"stopped at once{where}; run the same command again to go on")
        return EXIT_STOPPED
    if isinstance(error, HypoxiaError):
        tell(f"error{where}: {error}")
        return error.exit_code
    traceback.print_exception(error)
    tell(f"This is a bug in hypoxia_hpc{where}, not in your input. Please report it with the lines above.")
    return EXIT_BUG
