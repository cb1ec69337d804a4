"""doctor: what it says of disks, images, clusters and slides."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from hypoxia_hpc.cli.text.doctor import doctor_text
from hypoxia_hpc.config import SiteTable, SlurmTable, TileTable, preset, render_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.monitoring import checks
from hypoxia_hpc.monitoring.checks import Check
from hypoxia_hpc.monitoring.doctor import coarse_doubt, examine_run
from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.plan import plan_tiles

GIB = 2**30


def new_run(root: Path, slides: dict[str, Path], **tables: object) -> RunDir:
    run = RunDir(root)
    root.mkdir(exist_ok=True)
    run.config_file.write_text(render_config(preset("hypoxia", {"extract": {"weights": "random"}, **tables})))
    rows = [f"{name},{path},p,1" for name, path in slides.items()]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    return run


def test_one_tile_and_a_plain_file_are_said_as_that(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((320, 320, 3), np.uint8), tile=(64, 64), photometric="rgb",
        resolution=(20_000, 20_000), resolutionunit=3,
    )  # fmt: skip
    found = {one.name: one for one in examine_run(new_run(tmp_path / "run", {"a": tmp_path / "a.tif"}))}
    assert "1 tile planned, native, not compressed" in found["slide a"].detail


def test_every_slide_with_a_bad_header_is_named(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    (tmp_path / "short.svs").write_bytes(real_slide.read_bytes()[:500])
    slides = {f"good{number}": real_slide for number in range(30)}
    slides |= {"broken": tmp_path / "broken.svs", "short": tmp_path / "short.svs", "gone": tmp_path / "gone.svs"}
    found = list(examine_run(new_run(tmp_path / "run", slides)))
    assert {one.name for one in found if one.verdict == "bad"} == {"slide broken", "slide short", "slide gone"}
    text = "\n".join(doctor_text(found))
    assert "bad, not-a-slide: 2 slides" in text
    assert "bad, missing-file: 1 slide\n" in text
    assert text.count("remedy: check that it was downloaded whole") == 1
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in ("broken  ", "short  ", "gone  "))
    assert "slide good7" not in text
    assert "and 30 slides ok" in text
    assert text.endswith("3 bad")


def test_a_slide_without_a_tile_is_bad(tmp_path: Path) -> None:
    write_svs(tmp_path / "small.svs", np.full((250, 250, 3), 255, np.uint8), 0.5)
    found = {one.name: one for one in examine_run(new_run(tmp_path / "run", {"small": tmp_path / "small.svs"}))}
    assert (found["slide small"].verdict, found["slide small"].reason) == ("bad", "no-tissue")
    assert "no whole tile fits" in found["slide small"].detail
    assert "lower [tile] tile_px" in found["slide small"].remedy


def test_few_slides_are_all_shown(tmp_path: Path, real_slide: Path) -> None:
    text = "\n".join(doctor_text(list(examine_run(new_run(tmp_path / "run", {"good": real_slide})))))
    assert "slide good" in text
    assert text.endswith("nothing bad")


def test_of_many_bad_slides_the_first_of_each_reason_are_shown() -> None:
    found = [Check("cores", "ok", "2")]
    for verdict, n_of in {"bad": 25, "note": 21, "ok": 30}.items():
        reason, remedy = ("no-mpp", "give the slide an mpp") if verdict == "bad" else ("", "")
        found += [
            Check(f"slide {verdict}{n}", verdict, f"first\nsecond of {n}", f"{verdict}{n}", reason, remedy)
            for n in range(n_of)
        ]
    found.append(Check("slide other", "bad", "not there", "other", "missing-file", "bring it back"))
    found.append(Check("slide other", "bad", "not there", "another", "missing-file", "bring it back"))
    text = "\n".join(doctor_text(found))
    assert "… and 1 slide note (--json has all)" in text
    assert "… and 30 slides ok (--json has all)" in text
    assert "\nbad, no-mpp: 25 slides\n" in text
    assert "… and 5 more (--json has all)\nremedy: give the slide an mpp\n" in text
    assert "\nbad, missing-file: 2 slides\n" in text
    assert [text.count(f"remedy: {one}") for one in ("give the slide an mpp", "bring it back")] == [1, 1]
    names = [line.split()[0] for line in text.splitlines() if line.endswith("  first") and line.startswith("bad")]
    assert names == [f"bad{n}" for n in range(20)]
    assert "slide note19" in text
    assert "slide note20" not in text
    assert text.endswith("27 bad")


def test_long_and_wide_ids_leave_the_columns_of_others_where_they_are() -> None:
    found = [
        Check("slide short", "ok", "aperio", "short"),
        Check("slide 肿瘤", "ok", "aperio", "肿瘤"),
        Check("slide " + "x" * 200, "ok", "aperio", "x" * 200),
    ]
    head, rule, short, wide, long, below, *_ = "\n".join(doctor_text(found)).splitlines()
    assert short.index("aperio") == head.index("found") < 30
    assert wide.index("aperio") == short.index("aperio") - 2  # two characters take two places each
    assert long == "slide " + "x" * 200
    assert (below.index("ok"), below.index("aperio")) == (short.index("ok"), short.index("aperio"))
    assert len(rule) == 100


def test_md5_of_slides_are_compared_where_that_is_asked_for(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "cut.svs").write_bytes(real_slide.read_bytes()[:-1])
    slides = {"good": real_slide, "cut": tmp_path / "cut.svs", "gone": tmp_path / "gone.svs", "unsaid": real_slide}
    run = new_run(tmp_path / "run", slides)
    md5 = hashlib.md5(real_slide.read_bytes(), usedforsecurity=False).hexdigest()
    head, *rows = run.slides_file.read_text().splitlines()
    sums = [md5.upper(), md5, md5, ""]
    run.slides_file.write_text("\n".join([f"{head},md5", *map(",".join, zip(rows, sums, strict=True))]) + "\n")
    assert not any(one.name.startswith("md5") for one in examine_run(run))
    found = {one.name: one for one in examine_run(run, md5=True) if one.name.startswith("md5")}
    assert {name: one.verdict for name, one in found.items()} == {"md5 cut": "bad", "md5 gone": "bad", "md5": "note"}
    assert found["md5 cut"].detail.endswith(f"slides.csv has {md5}")
    assert found["md5 cut"].remedy == "download it again"
    assert found["md5"].detail == (
        "1 of 3 slides with the MD5 that slides.csv has; 2 with another one, or not readable: they are bad; "
        "not compared, since slides.csv has no MD5 of them: 1 slide"
    )
    run.slides_file.write_text("\n".join([head, *rows]) + "\n")
    (nothing,) = [one for one in examine_run(run, md5=True) if one.name.startswith("md5")]
    assert (nothing.verdict, nothing.detail) == ("note", "no slide has an MD5 in slides.csv, so nothing was compared")
    run.slides_file.write_text("\n".join([f"{head},md5", f"{rows[0]},x"]) + "\n")
    with pytest.raises(InputError, match="md5 'x' is not 32 digits"):
        run.slides()


def test_a_resolution_that_contradicts_the_objective_is_a_note(tmp_path: Path, real_slide: Path) -> None:
    data = real_slide.read_bytes()
    doubtful, plain = data.replace(b"AppMag = 20", b"AppMag = 40"), data
    assert doubtful != plain
    (tmp_path / "a.svs").write_bytes(doubtful)
    slides = {"doubtful": tmp_path / "a.svs", "plain": real_slide}
    found = {one.name: one for one in examine_run(new_run(tmp_path / "run", slides))}
    assert found["slide doubtful"].verdict == "note"
    assert "0.499 µm/px, and an objective of 40x" in found["slide doubtful"].detail
    assert found["slide plain"].verdict == "ok"


@pytest.mark.parametrize(
    "layout",
    [
        {"rowsperstrip": 16},
        {"rowsperstrip": 640, "planarconfig": "separate"},
        {"tile": (64, 64), "byteorder": ">"},
    ],
    ids=str,
)
def test_a_file_that_ends_behind_its_header_is_bad(tmp_path: Path, layout: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 200, (640, 640, 3)).astype(np.uint8)
    if layout.get("planarconfig"):
        image = np.ascontiguousarray(np.moveaxis(image, 2, 0))
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    options = {"photometric": "rgb", "metadata": None, "resolution": (20_000, 20_000), "resolutionunit": 3, **layout}
    tifffile.imwrite(whole, image, **options)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with tifffile.TiffFile(whole) as file:
        page = file.pages[0]
        ends = [offset + n for offset, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    beyond = sum(end > cut.stat().st_size for end in ends)
    found = {one.name: one for one in examine_run(new_run(tmp_path / "run", {"whole": whole, "cut": cut}))}
    assert found["slide whole"].verdict == "ok", found["slide whole"].detail
    assert found["slide cut"].verdict == "bad"
    assert f"the file ends before {beyond:,} of the {len(ends):,} native tiles" in found["slide cut"].detail


def test_files_that_an_index_names_and_that_are_not_there_are_bad(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Slidedat.ini").write_text("[HIERARCHICAL]\nINDEXFILE=Index.dat\n")
    (tmp_path / "a.mrxs").write_bytes(b"1")
    found = {one.name: one for one in examine_run(new_run(tmp_path / "run", {"m": tmp_path / "a.mrxs"}))}
    assert found["slide m"].verdict == "bad"
    assert found["slide m"].reason == "missing-file"
    assert "Index.dat" in found["slide m"].detail


@pytest.mark.parametrize(
    ("downsamples", "table", "is_doubtful"),
    [
        ((1.0, 4.0, 16.0), {"screen": "fast"}, False),
        ((1.0,), {}, False),
        ((1.0,), {"screen": "fast"}, True),
    ],
)
def test_coarse_levels_that_screen_wants(
    downsamples: tuple[float, ...], table: dict[str, object], is_doubtful: bool
) -> None:
    sizes = tuple((int(60_000 / one), int(60_000 / one)) for one in downsamples)
    pyramid = Pyramid(sizes, downsamples, mpp_x=0.5, mpp_y=0.5)
    tile_table = TileTable.model_validate(table)
    assert bool(coarse_doubt(pyramid, plan_tiles(pyramid, tile_table, None), tile_table)) == is_doubtful


def test_scratch_says_kind_and_room(tmp_path: Path, small_disk: Path) -> None:
    plain = checks.scratch(SiteTable(scratch=str(tmp_path)), tmp_path, [])
    assert plain.name == f"scratch {tmp_path}"
    assert "GiB free" in plain.detail
    memory = checks.scratch(SiteTable(scratch=str(small_disk), stage_slides=True), tmp_path, [1000])
    assert memory.verdict == "note"
    assert "tmpfs is memory" in memory.detail
    full = checks.scratch(SiteTable(scratch=str(small_disk), stage_slides=True, workers=4), tmp_path, [10**6, 2 * GIB])
    assert full.verdict == "bad"
    assert "8.0 GiB are needed" in full.detail


def test_scratch_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = SiteTable(scratch=str(tmp_path / "a" / "b"), stage_slides=True)
    assert checks.scratch(far, tmp_path, []).verdict == "bad"
    assert checks.scratch(far.model_copy(update={"stage_slides": False}), tmp_path, []).verdict == "note"
    made_on_need = SiteTable(scratch=str(tmp_path / "a"), stage_slides=True)
    assert checks.scratch(made_on_need, tmp_path, []).verdict == "ok"
    of_nodes = SiteTable(scratch="$NODE_DISK", stage_slides=True)
    monkeypatch.delenv("NODE_DISK", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert checks.scratch(of_nodes, tmp_path, []).verdict == "note"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    on_node = checks.scratch(of_nodes, tmp_path, [])
    assert on_node.verdict == "bad"
    assert "NODE_DISK" in on_node.detail


def test_disks_that_are_full_of_files(small_disk: Path) -> None:
    assert checks.disk(small_disk).verdict == "note"
    assert "tmpfs" in checks.disk(small_disk).detail
    subprocess.run(["mount", "-o", "remount,nr_inodes=1", small_disk], check=True)
    assert "no inode free" in checks.disk(small_disk).detail


def test_an_image_that_is_missing_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPTAINER_CONTAINER", raising=False)
    assert checks.image(tmp_path / "cpu.sif").verdict == "bad"
    (tmp_path / "cpu.sif").write_bytes(b"no image")
    found = checks.image(tmp_path / "cpu.sif")
    assert found.verdict == "bad"
    assert "apptainer" in found.detail
    monkeypatch.setenv("APPTAINER_CONTAINER", "/images/cpu.sif")
    assert checks.apptainer() == Check("apptainer", "ok", "inside /images/cpu.sif")
    assert checks.image(tmp_path / "cpu.sif").verdict == "note"


def test_singularity_serves_where_apptainer_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    singularity = tmp_path / "bin" / "singularity"
    singularity.write_text("#!/bin/sh\necho singularity-ce version 3.8 $1\n")
    singularity.chmod(0o755)
    (tmp_path / "cpu.sif").touch()
    monkeypatch.setenv("PATH", str(singularity.parent))
    assert checks.apptainer() == Check("apptainer", "ok", "singularity-ce version 3.8 --version")
    assert checks.image(tmp_path / "cpu.sif").detail.endswith("singularity-ce version 3.8 exec")
    monkeypatch.setenv("SINGULARITY_CONTAINER", "/images/cpu.sif")
    assert checks.apptainer().detail == "inside /images/cpu.sif"


def test_a_machine_without_slurm_or_apptainer_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/does/not/exist")
    monkeypatch.delenv("APPTAINER_CONTAINER", raising=False)
    assert checks.slurm(SlurmTable(partition="normal")).verdict == "note"
    assert checks.apptainer().verdict == "note"


def test_a_list_of_partitions_is_looked_at_one_by_one() -> None:
    there = ["gpu", "normal", "urgent"]
    assert checks.missing_partitions(SlurmTable(), there) == []
    assert checks.missing_partitions(SlurmTable(partition="normal,urgent", gpu_partition="gpu"), there) == []
    lacking = SlurmTable.model_validate({"partition": "normal", "train": {"partition": "long,normal"}})
    assert checks.missing_partitions(lacking, there) == ["long"]
    lacking = SlurmTable(partition="normal,slow", gpu_partition="slow,fast")
    assert checks.missing_partitions(lacking, there) == ["slow", "fast"]


def test_weights_that_only_the_image_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(tmp_path))
    slides = {"a": tmp_path / "a.svs"}
    without = new_run(tmp_path / "without", slides, extract={})
    inside = new_run(tmp_path / "inside", slides, extract={}, site={"slurm": {"image": "cpu.sif"}})
    verdicts = [{one.name: one.verdict for one in examine_run(run)}["weights"] for run in (without, inside)]
    assert verdicts == ["bad", "note"]


def test_the_backend_is_named_with_the_entry_that_needs_it(
    tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = new_run(tmp_path / "run", {"a": tmp_path / "a.svs"}, extract={"backbone": "kaiko-s16", "weights": "random"})
    alone = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    found = json.loads(hypoxia("doctor", run.root, "--json", fresh=True, env=alone).stdout)
    (said,) = (one for one in found if one["name"] == "backend")
    if find_spec("torch") is None:
        assert said["verdict"] == "bad" and "kaiko-s16" in said["detail"]
        assert "pip install 'hypoxia-hpc[torch,timm]'" in said["detail"]
    else:
        assert said["detail"].startswith("torch ") and 'for [extract] backbone = "kaiko-s16"' in said["detail"]
    said_by_status = hypoxia("status", run.root).stdout
    assert 'backend of all stages: PyTorch, for [extract] backbone = "kaiko-s16"' in said_by_status
    assert json.loads(hypoxia("status", run.root, "--json").stdout)["backend"] == "torch"


def test_the_mpi_library_is_named_and_ranks_that_do_not_meet_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    found = checks.mpi()
    if found.verdict == "note":
        pytest.skip(found.detail)
    assert found.verdict == "ok"
    monkeypatch.setenv("SLURM_NTASKS", "4")  # an allocation, in which nothing was launched
    assert checks.mpi().verdict == "ok"


def test_libraries_and_openslide_are_here() -> None:
    assert (checks.libraries().verdict, checks.openslide().verdict) == ("ok", "ok")


def test_a_library_that_only_makes_things_faster_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "library", lambda: None)
    assert checks.turbojpeg().verdict == "note"
    assert "libturbojpeg0" in checks.turbojpeg().detail
    monkeypatch.setattr(checks, "library", lambda: SimpleNamespace(_name="libturbojpeg.so.0"))
    assert checks.turbojpeg().verdict == "ok"
    assert "zarr 3." in checks.libraries().detail
