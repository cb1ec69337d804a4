"""What ``submit`` would send for runs in every state, and what it refuses, without a cluster."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import change_setting, copy_run, finish, make_cohort, start

from hypoxia_hpc.analysis import embedding
from hypoxia_hpc.config import RunConfig, SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import nifti
from hypoxia_hpc.slurm.binds import folders_on_the_way, needed_folders
from hypoxia_hpc.slurm.chain import Part
from hypoxia_hpc.slurm.limits import in_time, remedy_for
from hypoxia_hpc.slurm.queue import sent_jobs
from hypoxia_hpc.slurm.resources import JobRequest
from hypoxia_hpc.stages.submit import _no_nibabel, _no_umap, plan_submission

N_SLIDES = 8
BROKEN = "TCGA-ZZ-9999-01Z-00-DX1.svs"
CHAIN = ["tile", "extract", "train", "evaluate", "report"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight slides, as few as can be trained on, and one that is cut off; nothing done."""
    return make_cohort(tmp_path_factory.mktemp("cohort"), N_SLIDES, BROKEN)


@pytest.fixture(scope="module")
def tiled(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tiles, and the cut one in quarantine."""
    run = copy_run(untouched, tmp_path_factory.mktemp("tiled") / "run")
    finish(start("tile", run), 3)
    return run


@pytest.fixture
def submit(hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line on a machine without SLURM: only this environment's programs are found."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}"}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return hypoxia("submit", *arguments, env=environment)

    return run


def sent(printed: str) -> list[list[str]]:
    """The sbatch lines of a dry run, as bash takes them apart."""
    lines = [line.partition("=$(")[2].removesuffix(")") for line in printed.splitlines() if "=$(sbatch " in line]
    return [shlex.split(line) for line in lines]


def stages(lines: list[list[str]]) -> list[str]:
    return [next(word for word in line if word in CHAIN) for line in lines]


def test_a_run_that_is_not_begun(untouched: Path, submit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    before = sorted(untouched.rglob("*"))
    done = submit(untouched, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = sent(done.stdout)
    assert stages(lines) == CHAIN
    for line, earlier in zip(lines[1:], CHAIN, strict=False):
        assert f"--dependency=afterany:${{{earlier}_0}}" in line
    assert "an element is made for 15 min 00 s of tile, 15 min 00 s of extract, or less: hours in" in done.stdout
    assert sorted(untouched.rglob("*")) == before


def test_only_what_is_not_done(tiled: Path, submit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert stages(sent(submit(tiled, "--dry-run").stdout)) == CHAIN[1:]
    lines = sent(submit(tiled, "--dry-run", "--retry").stdout)
    assert stages(lines) == CHAIN


def test_a_part_of_the_chain(tiled: Path, submit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = submit(tiled, "--dry-run", "--from", "train", "--upto", "evaluate", "--after", "77")
    lines = sent(done.stdout)
    assert stages(lines) == ["train", "evaluate"]
    assert "an element is made for" not in done.stdout
    assert "--dependency=afterok:77" in lines[0]
    assert "--dependency=afterany:${train_0}" in lines[1]
    refused = submit(tiled, "--dry-run", "--from", "training")
    assert refused.returncode == 2
    assert "--from training" in refused.stderr and "tile, extract, train" in refused.stderr


def test_a_part_that_needs_what_is_not_done_is_not_sent(
    tiled: Path, untouched: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for run, first, lacking in (
        (untouched, "extract", f"tile: {N_SLIDES + 1} slides"),
        (tiled, "train", "extract: 8 slides"),
    ):
        refused = submit(run, "--dry-run", "--from", first)
        assert (refused.returncode, refused.stdout) == (5, ""), first
        assert f"{first} cannot be done yet" in refused.stderr and f"- {lacking} to do" in refused.stderr
        assert "remedy: " in refused.stderr and "--after JOBID" in refused.stderr
    assert stages(sent(submit(untouched, "--dry-run", "--from", "train", "--after", "5_3").stdout)) == CHAIN[2:]


def test_a_picture_by_umap_needs_its_library_where_jobs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Path("/images/cpu.sif")
    assert _no_umap("umap", None) == _no_umap("pca", image) == ()
    (note,) = _no_umap("umap", image)
    assert f"where {image} is one of them" in note
    monkeypatch.setattr(embedding, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="umap-learn, which is not installed here"):
        _no_umap("umap", None)
    assert _no_umap("pca", None) == ()


def test_nifti_needs_its_library_where_jobs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Path("/images/cpu.sif")
    volumes, pictures = ([Slide("A", Path("/a"), "A", 1, images=(name,))] for name in ("v.nii.gz", "1.png"))
    assert _no_nibabel(volumes, None) == _no_nibabel(pictures, image) == ()
    (note,) = _no_nibabel(volumes, image)
    assert f"where {image} is one of them" in note
    monkeypatch.setattr(nifti, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="nibabel, which is not installed here"):
        _no_nibabel(volumes, None)
    assert _no_nibabel(pictures, None) == ()


def test_jobs_know_the_run_by_its_real_path(
    tiled: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "link").symlink_to(tiled)
    done = submit(tmp_path / "link", "--dry-run")
    assert f"--chdir={os.path.realpath(tiled)}" in sent(done.stdout)[0]
    assert f"\nRUN={shlex.quote(os.path.realpath(tiled))}\n" in done.stdout


def test_one_slide_that_is_lost_is_one_element(
    tiled: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(tiled, tmp_path / "run", ["tiles", "receipts/tile"])
    change_setting(run, "site.slurm", "hours", "0.000001")
    shutil.rmtree(next((run / "tiles").iterdir()))
    first = sent(submit(run, "--dry-run").stdout)[0]
    assert first[-3:] == ["tile", "1", "0"]
    assert "--array=0" in first


def make_costly(run: Path, milliseconds: int = 1_000_000) -> None:
    """Slides of a quarter of an hour, so that their parts are long enough for more of them."""
    with (run / "slides.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (run / "slides.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "cost": milliseconds} for row in rows)


def test_stages_of_seconds_are_not_cut_finer_for_each_other(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    for entry, value in (("cpus", "1"), ("hours", "0.000001"), ("most_elements", "3")):
        change_setting(run, "site.slurm", entry, value)
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(f"{text}\n[site.slurm.extract]\nhours = 700.0\n")
    done = submit(run, "--dry-run")
    assert stages(sent(done.stdout)) == CHAIN
    assert "extract begins when all of tile has ended, for tile has 3 parts and extract 1" in done.stderr


def test_extract_is_cut_as_tile_is_and_goes_beside_it(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    for entry, value in (("cpus", "1"), ("hours", "0.000001"), ("most_elements", "3")):
        change_setting(run, "site.slurm", entry, value)
    make_costly(run)
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(f"{text}\n[site.slurm.extract]\nhours = 700.0\n")
    done = submit(run, "--dry-run")
    lines = sent(done.stdout)
    assert stages(lines) == ["tile", "extract", "extract", "extract", *CHAIN[2:]]
    for number, line in enumerate(lines[1:4]):
        assert f"--array={number}" in line and f"--dependency=afterany:${{tile_0}}_{number}" in line
        assert line[-3:] == ["extract", "3", "0"]
    assert "begins when all of tile" not in done.stderr
    assert "made for 0 s of tile, 700 h 00 min of extract, or less" in done.stdout
    (run / "run.toml").write_text(f"{text}\n[site.slurm.extract]\nmost_elements = 2\n")
    done = submit(run, "--dry-run")
    assert "--dependency=afterany:${tile_0}" in sent(done.stdout)[1]
    assert "extract begins when all of tile has ended, for tile has 3 parts and extract 2" in done.stderr


def test_what_train_would_refuse_is_not_sent(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """It would be known only after a night of tiling."""
    run = copy_run(untouched, tmp_path / "run")
    table = (run / "patients.csv").read_text()
    (run / "patients.csv").write_text(re.sub(r"(?m)^(TCGA[^,]*),1", r"\1,0", table))
    done = submit(run, "--dry-run")
    assert done.returncode == 2
    assert "hypoxic" in done.stderr and "remedy:" in done.stderr
    assert stages(sent(submit(run, "--dry-run", "--upto", "extract").stdout)) == ["tile", "extract"]


def test_a_run_without_labels_ends_after_extract(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = tmp_path / "run"
    finish(start("init", run, "--slides", untouched.parent / "slides"))
    change_setting(run, "extract", "weights", '"random"')
    assert stages(sent(submit(run, "--dry-run").stdout)) == CHAIN[:2]


def test_without_slurm_or_image_it_says_so_and_writes_nothing(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    done = submit(run)
    assert done.returncode == 4
    assert "sbatch is not on this machine" in done.stderr and "--dry-run" in done.stderr
    change_setting(run, "site.slurm", "image", '"../no such.sif"')
    for options, code in (((), 4), (("--dry-run",), 0)):
        done = submit(run, *options)
        assert done.returncode == code
        assert done.stderr.count(str(tmp_path / "no such.sif")) == 1
    assert stages(sent(done.stdout)) == CHAIN
    assert not (run / "slurm").exists()


def test_weights_that_are_nowhere_are_refused_unless_the_image_may_have_them(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    change_setting(run, "extract", "weights", '"imagenet"')
    change_setting(run, "site", "weights", f'"{tmp_path}"')
    shown = submit(run, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "submit itself needs them here" in shown.stderr
    refused = submit(run)
    assert refused.returncode == 4
    assert "the ImageNet weights of vgg16 are not on this machine" in refused.stderr
    tiles = plan_submission(RunDir(run), retry=False, part=Part("tile", "tile"))
    assert [job.request.stage for job in tiles.jobs] == ["tile"]
    assert tiles.notes == ()
    change_setting(run, "site.slurm", "image", '"cpu.sif"')
    done = submit(run, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "perhaps the image has them" in done.stderr


def test_it_says_that_jobs_will_run_on_pytorch_and_refuses_another_backend(
    untouched: Path, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    change_setting(run, "extract", "backbone", '"kaiko-s16"')
    change_setting(run, "site.slurm", "image", '"/images/gpu-torch.sif"')
    alone = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    alone["PATH"] = f"{Path(sys.executable).parent}"
    done = hypoxia("submit", run, "--dry-run", env=alone)
    assert done.returncode == 0, done.stderr
    said = '[extract] backbone = "kaiko-s16": the jobs of all stages run Keras on PyTorch'
    assert said in " ".join(done.stderr.split())
    assert "/images/gpu-torch.sif has to have it" in " ".join(done.stderr.split())
    refused = hypoxia("submit", run, "--dry-run", env={**alone, "KERAS_BACKEND": "tensorflow"})
    assert refused.returncode == 2
    assert "$KERAS_BACKEND is 'tensorflow'" in refused.stderr and "unset KERAS_BACKEND" in refused.stderr


def test_a_folder_that_the_image_cannot_see_is_refused(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "a,b" / "run")
    change_setting(run, "site.slurm", "image", '"cpu.sif"')
    done = submit(run, "--dry-run")
    assert done.returncode == 2
    assert "a,b" in done.stderr and "comma" in done.stderr


def test_folders_of_links_to_links_and_of_links_among_the_folders(tmp_path: Path) -> None:
    base = tmp_path.resolve()
    for name in ("cohort", "pool/one", "store/2026", "real"):
        (base / name).mkdir(parents=True)
    (base / "real" / "a.svs").touch()
    (base / "store" / "2026" / "a.svs").symlink_to("../../real/a.svs")
    (base / "pool" / "now").symlink_to(base / "store" / "2026")
    (base / "pool" / "one" / "a.svs").symlink_to("../now/a.svs")
    (base / "cohort" / "a.svs").symlink_to(base / "pool" / "one" / "a.svs")
    ways = [base / name for name in ("cohort", "pool/one", "pool", "store/2026", "real")]
    assert folders_on_the_way([base / "cohort" / "a.svs"]) == set(ways)
    (base / "loop").symlink_to("loop")
    assert folders_on_the_way([base / "loop" / "a.svs"]) == {base, base / "loop"}


def test_images_that_are_links_out_of_their_folder_are_seen(tmp_path: Path) -> None:
    for name in ("images/P", "pool"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pool" / "1.png").touch()
    (tmp_path / "images" / "P" / "1.png").symlink_to(tmp_path / "pool" / "1.png")
    slide = Slide("P", tmp_path / "images", "P", 1, images=("P/1.png",))
    config = RunConfig.model_validate({"extract": {"weights": "random"}})
    assert needed_folders(config, [slide]) >= {tmp_path / "images" / "P", tmp_path / "pool"}


def test_a_link_to_links_can_be_opened_where_only_what_is_bound_is_seen(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = tmp_path / "run"
    for name in ("slides", "middle"):
        (tmp_path / name).mkdir()
    for slide in sorted((untouched.parent / "slides").glob("*.svs")):
        (tmp_path / "middle" / slide.name).symlink_to(slide)
        (tmp_path / "slides" / slide.name).symlink_to(tmp_path / "middle" / slide.name)
    finish(start("init", run, "--slides", tmp_path / "slides"))
    slides = RunDir(run).slides()
    assert needed_folders(RunDir(run).config(), slides) >= {
        tmp_path / "slides",
        tmp_path / "middle",
        (untouched.parent / "slides").resolve(),
    }


def test_weights_that_will_be_used_are_seen_by_the_image(
    untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, named, far = tmp_path / "home", tmp_path / "named", tmp_path / "far"
    for folder in (home / ".keras" / "models", named, far):
        folder.mkdir(parents=True)
        (folder / "w.h5").touch()
    (named / "v.h5").symlink_to(far / "w.h5")
    regions = tmp_path / "regions"
    regions.mkdir()
    (regions / "a.geojson").symlink_to(far / "w.h5")
    run = copy_run(untouched, tmp_path / "run")
    change_setting(run, "extract", "weights", '"imagenet"')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("HYPOXIA_HPC_WEIGHTS", raising=False)
    config = RunDir(run).config()
    assert needed_folders(config, []) == {home / ".keras" / "models"}
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(named))
    assert needed_folders(config, []) == {named, far}
    change_setting(run, "site", "weights", f'"{far}"')
    change_setting(run, "tile", "regions", f'"{regions}"')
    assert needed_folders(RunDir(run).config(), []) == {far, regions}


def test_of_many_submissions_at_once_none_loses_what_the_others_sent(tmp_path: Path) -> None:
    """Real processes; one of them is killed while it writes, over and over."""
    code = (
        "import sys; from pathlib import Path; from hypoxia_hpc.runs.directory import RunDir\n"
        "from hypoxia_hpc.slurm.resources import JobRequest, Array\n"
        "from hypoxia_hpc.slurm.chain import Job\n"
        "from hypoxia_hpc.stages.submit import _record\n"
        "array = Array(0, (0, 1)); job = Job(JobRequest('tile', (0, 1), 4, 1, 1, 1, 1, 1, None, None), (array,))\n"
        "print(flush=True); sys.stdin.readline()\n"
        "run, ids = RunDir(Path(sys.argv[1])), range(int(sys.argv[2]), int(sys.argv[3]))\n"
        "[_record(run, job, array, str(n), '') for n in ids]"
    )

    def write(first: int, stop: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, str(tmp_path), str(first), str(stop)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    processes = [write(100, 150), write(200, 250), write(1000, 100_000)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes[:2]] == [0, 0]
    processes[2].kill()
    processes[2].wait()
    sent = [int(one.job_id) for one in sent_jobs(RunDir(tmp_path))]
    assert {*range(100, 150), *range(200, 250)} <= set(sent)
    ours = [job for job in sent if job >= 1000]
    assert sorted(ours) == list(range(1000, 1000 + len(ours)))
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()


def test_a_bind_that_is_not_here_is_told(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    change_setting(run, "site.slurm", "image", '"cpu.sif"')
    change_setting(run, "site.slurm", "binds", f'["{tmp_path}:/here:ro", "/no/such:/there"]')
    done = submit(run, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "/no/such is not on this machine" in done.stderr
    assert f"{tmp_path} is not" not in done.stderr


def test_a_partition_that_leaves_no_time_to_stop_is_refused() -> None:
    request = JobRequest("tile", (0,), 1, 1, 1, 4, 4000, 75, "short,tiny", None)
    table = SlurmTable(stop_seconds=300)
    assert in_time(request, {"short": 30, "tiny": 5}, table).minutes == 30
    for limit in (5, 0):
        with pytest.raises(InputError, match="stop_seconds = 300"):
            in_time(request, {"short": limit, "tiny": limit}, table)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "most_elements"),
        ("Batch job submission failed: Required partition not available (inactive or drain)", "or wait until it is up"),
        ("Invalid account or account/partition combination specified", "sacctmgr show assoc"),
    ],
)
def test_each_refusal_has_its_remedy(said: str, remedy: str) -> None:
    assert remedy in remedy_for(said)


def test_a_controller_that_is_down_is_the_machine_s_fault(untouched: Path, tmp_path: Path) -> None:
    if shutil.which("sbatch") is None:
        pytest.skip("SLURM is not installed")
    conf = tmp_path / "slurm.conf"
    conf.write_text("ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nAuthType=auth/none\n")
    run = copy_run(untouched, tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-m", "hypoxia_hpc", "submit", run],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SLURM_CONF": str(conf)},
        timeout=120,
    )
    assert done.returncode == 4, done.stderr
    assert "SLURM does not answer" in done.stderr and "DOWN" in done.stderr
    assert not (run / "slurm").exists()
