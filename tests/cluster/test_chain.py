"""``submit`` on a live cluster, in an image: from slides to the report, the same bytes as without SLURM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mgmt_runs
import pytest
import sarcoma_runs
from chains import BROKEN, CHAIN, N_SLIDES, SITE, Scheduler, jobs, logs, own, stage
from fault_runs import change_setting, copy_parts, digests, of
from image_folders import write_stained_run
from live_cluster import ENDED, until
from sclc_runs import CHAIN as SCLC_CHAIN
from sclc_runs import make_tiny, write_follow_up

MPI = (
    ("site.slurm", "nodes", "2"),
    ("site.slurm", "ranks", "2"),
    ("site.slurm", "most_elements", "2"),
)


@pytest.fixture(scope="module")
def reference(scheduler: Scheduler) -> dict[str, str]:
    """What the run has to be, made by one command in the same image."""
    run = scheduler.new_run("reference")
    done = scheduler.in_image("run", run)
    assert done.returncode == 3, done.stdout + done.stderr  # 3: the broken slide is in quarantine
    return digests(run)


@pytest.mark.parametrize(
    "settings", [(), pytest.param(MPI, marks=pytest.mark.long)], ids=["arrays", "mpi-over-two-nodes"]
)
def test_the_whole_chain_ends_in_the_same_bytes(
    scheduler: Scheduler, reference: dict[str, str], settings: tuple[tuple[str, str, str], ...]
) -> None:
    run = scheduler.new_run(f"chain-{len(settings)}", settings)
    sent = scheduler.submit(run)
    assert tuple(sent) == CHAIN
    states = scheduler.wait(sent)
    assert {*states.values()} == {"COMPLETED"}, f"{states}\n{logs(run)}"
    assert digests(run) == reference, logs(run)
    assert (run / "report" / "index.html").stat().st_size > 100_000
    told = scheduler.status(run)
    for name, done in (("tile", N_SLIDES), ("extract", N_SLIDES), ("train", 4), ("evaluate", 1), ("report", 1)):
        assert (stage(told, name)["done"], stage(told, name)["todo"]) == (done, 0), told
    assert [(one["slide_id"], one["stage"]) for one in told["quarantined"]] == [(BROKEN, "tile")]
    n_elements = 2 if settings else 4
    assert sent["extract"].count(",") == n_elements - 1  # each waits for its own element of tile
    again = scheduler.hypoxia("submit", run)
    assert again.returncode == 0, again.stderr
    assert len({entry["job_id"] for entry in jobs(run)}) == len(jobs(run)) == len(CHAIN) - 1 + n_elements


def test_ranks_over_two_nodes_make_the_same_tiles_and_features(scheduler: Scheduler, reference: dict[str, str]) -> None:
    """Later stages have no ranks; the whole chain behind these two is for the exhaustive run."""
    run = scheduler.new_run("ranks", MPI)
    sent = scheduler.submit(run, "--upto", "extract")
    assert tuple(sent) == CHAIN[:2]
    states = scheduler.wait(sent)
    assert {*states.values()} == {"COMPLETED"}, f"{states}\n{logs(run)}"
    made = digests(run)
    for part in ("tiles", "features"):
        assert of(made, part) == of(reference, part), logs(run)
    ranks = {json.loads(file.read_text())["rank"] for file in (run / "running").glob("tile-*.json")}
    assert ranks == {0, 1}


def test_a_gpu_that_is_asked_for_and_not_seen_ends_extract(scheduler: Scheduler, reference: dict[str, str]) -> None:
    """Nodes of the cluster have one that no driver knows."""
    run = scheduler.new_run("gpu", (("site.slurm", "gres", '"gpu:1"'), ("site.slurm", "most_elements", "1")))
    copy_parts(run.parent / "reference", run, ["tiles", "receipts/tile"])
    own(scheduler.cluster, run)
    sent = scheduler.submit(run, "--upto", "extract")
    assert tuple(sent) == ("extract",)
    assert {*scheduler.wait(sent).values()} == {"FAILED"}, logs(run)
    assert "a GPU was asked for (CUDA_VISIBLE_DEVICES=0 on" in logs(run) and "[site] gpus = 0" in logs(run)
    change_setting(run, "site", "gpus", "0")
    assert {*scheduler.wait(scheduler.submit(run, "--upto", "extract")).values()} == {"COMPLETED"}, logs(run)
    assert of(digests(run), "features") == of(reference, "features")


def test_later_stages_do_not_run_on_nothing(scheduler: Scheduler) -> None:
    """All elements of tile are cancelled: the rest of the chain ends by itself, and a new submission is whole. None
    runs before all is sent, which may take longer than tile does."""
    run, cluster = scheduler.new_run("cancelled"), scheduler.cluster
    cluster.scontrol("update", "partitionname=normal", "state=down")
    try:
        sent = scheduler.submit(run, "--retry")
    finally:
        cluster.scontrol("update", "partitionname=normal", "state=up")
    until(
        lambda: "RUNNING" in cluster.squeue_states(sent["tile"]).values(), 60, lambda: cluster.explain("tile has begun")
    )
    scheduler.cancel(sent["tile"])
    states = scheduler.wait(sent, 240)
    assert ENDED.issuperset(states.values())
    assert not (run / "metrics.json").exists()
    assert stage(scheduler.status(run), "tile")["todo"] + len(list((run / "tiles").glob("TCGA*"))) >= N_SLIDES
    rest = scheduler.submit(run)
    assert tuple(rest) == CHAIN
    scheduler.cancel(*rest.values())


def test_what_cannot_be_sent_is_refused_in_words(scheduler: Scheduler) -> None:
    cases = {
        (("site.slurm", "partition", '"nowhere"'),): "nowhere",
        (("site.slurm", "account", '"nobody"'),): "account",
        (("site.slurm", "image", '"/no/such.sif"'),): "/no/such.sif",
    }
    for number, (settings, word) in enumerate(cases.items()):
        run = scheduler.new_run(f"refused-{number}", settings)
        done = scheduler.hypoxia("submit", run)
        assert done.returncode in {2, 4}, done.stdout
        assert word in done.stderr and "remedy:" in done.stderr
        assert not jobs(run)
        dry = scheduler.hypoxia("submit", run, "--dry-run")
        assert dry.returncode == 0 and "srun" in dry.stdout, dry.stderr


def test_a_run_in_the_queue_is_not_sent_twice(scheduler: Scheduler) -> None:
    run = scheduler.new_run("queued")
    scheduler.cluster.scontrol("update", "partitionname=normal", "state=down")
    try:
        sent = scheduler.submit(run)
        done = scheduler.hypoxia("submit", run)
        assert done.returncode == 5, done.stdout + done.stderr
        assert "hypoxia-hpc cancel" in done.stderr and sent["tile"] in done.stderr
        told = scheduler.hypoxia("status", run).stdout
        assert "pending" in told.lower()
    finally:
        scheduler.cluster.scontrol("update", "partitionname=normal", "state=up")
        scheduler.cancel(*sent.values())


@pytest.mark.long
def test_the_sclc_study_with_training_from_pixels_ends_in_the_same_bytes(scheduler: Scheduler) -> None:
    """From init to the report, clusters trained on the pixels of tiles."""
    reference, run = (new_sclc_run(scheduler, name) for name in ("sclc-reference", "sclc-chain"))
    # With every core, as jobs have it where SLURM binds them to none: what is trained hangs on the threads.
    done = scheduler.in_image("run", reference, timeout=1200)
    assert done.returncode == 3, done.stdout + done.stderr  # the broken slide
    sent = scheduler.submit(run)
    assert tuple(sent) == SCLC_CHAIN
    states = scheduler.wait(sent, 900)
    assert {*states.values()} == {"COMPLETED"}, f"{states}\n{logs(run)}"
    made = digests(run)
    assert made == digests(reference), logs(run)
    for name in ("models/contrastive_network/", "features/contrastive_network/", "phenotypes/", "survival/"):
        assert of(made, name)
    assert (run / "report" / "index.html").stat().st_size > 100_000
    told = scheduler.status(run)
    assert all(one["todo"] == 0 for one in told["stages"]), told


def new_sclc_run(scheduler: Scheduler, name: str) -> Path:
    """A run of the cohort that init made for the study, tiny, the user's own."""
    cohort, run = scheduler.untouched.parent, scheduler.cluster.folder / name
    patients = scheduler.cluster.folder / f"{name}.csv"
    write_follow_up(cohort / "patients.csv", patients)
    own(scheduler.cluster, patients)
    options = ("--study", "sclc", "--slides", cohort / "slides", "--patients", patients)
    done = scheduler.hypoxia("init", run, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    make_tiny(run)
    for table, entry, value in (*SITE, ("site.slurm", "image", f'"{scheduler.image}"')):
        change_setting(run, table, entry, value)
    own(scheduler.cluster, run)
    return run


@pytest.mark.long
@pytest.mark.parametrize("study", ["mgmt", "sarcoma"])
def test_the_studies_on_images_end_in_the_same_bytes(scheduler: Scheduler, study: str) -> None:
    """From init to the report; the nodes see the folder of images."""
    folder = scheduler.cluster.folder / study
    folder.mkdir()
    run = new_run_on_images(scheduler, study, folder)
    shutil.copytree(run, folder / "alone")
    own(scheduler.cluster, folder)
    done = scheduler.in_image("run", folder / "alone")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = scheduler.submit(run)
    states = scheduler.wait(sent, 900)
    assert {*states.values()} == {"COMPLETED"}, f"{states}\n{logs(run)}"
    assert digests(run) == digests(folder / "alone"), logs(run)
    assert (run / "report" / "index.html").stat().st_size > 100_000
    told = scheduler.status(run)
    assert all(one["todo"] == 0 for one in told["stages"]), told


def new_run_on_images(scheduler: Scheduler, study: str, folder: Path) -> Path:
    run = folder / "run"
    if study == "mgmt":
        images, labels = mgmt_runs.write_cohort(folder, 16, 3)
        sources: tuple[str | Path, ...] = ("--images", images, "--patients", labels)
    else:
        sources = sarcoma_runs.sources(sarcoma_runs.write_cohort(folder))
    own(scheduler.cluster, folder)
    done = scheduler.hypoxia("init", run, "--study", study, *sources)
    assert done.returncode == 0, done.stdout + done.stderr
    (mgmt_runs if study == "mgmt" else sarcoma_runs).make_tiny(run)
    for table, entry, value in (*SITE, ("site.slurm", "image", f'"{scheduler.image}"')):
        change_setting(run, table, entry, value)
    return run


def test_images_in_the_stain_of_their_cohort_are_the_same(scheduler: Scheduler) -> None:
    """Several elements begin at once, and each may be the one that fits the stain."""
    folder = scheduler.cluster.folder / "stained"
    run = write_stained_run(folder / "run")
    network = (("extract", "backbone", '"vgg16"'), ("extract", "weights", '"random"'))
    for table, entry, value in (*SITE, *network, ("site.slurm", "image", f'"{scheduler.image}"')):
        change_setting(run, table, entry, value)
    shutil.copytree(run, folder / "alone")
    own(scheduler.cluster, folder)
    done = scheduler.in_image("tile", folder / "alone")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = scheduler.submit(run, "--upto", "tile")
    assert {*scheduler.wait(sent).values()} == {"COMPLETED"}, logs(run)
    assert "stain.json" in digests(run)
    assert digests(run) == digests(folder / "alone"), logs(run)
