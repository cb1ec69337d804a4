"""Staging: slides are read from a copy on scratch, and nothing of it stays or shows."""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypoxia_hpc.config import RunConfig, SiteTable, preset, render_config
from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.slides.fingerprint import fingerprint
from hypoxia_hpc.stages.extract import extract
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.workers.scratch import NEW_SECONDS, scratch_folder, staged, staging
from hypoxia_hpc.workers.slide_stage import StageOutcome


def run_with(root: Path, scratch: Path | None, **tables: object) -> RunDir:
    """A run in ``root`` that stages its slides in ``scratch``, or does not."""
    site = {"stage_slides": scratch is not None, **({"scratch": str(scratch)} if scratch else {})}
    root.mkdir()
    config: RunConfig = preset("hypoxia", {"site": site, **tables})
    RunDir(root).config_file.write_text(render_config(config))
    return RunDir(root)


def take_through(stage: Callable[..., StageOutcome], run: RunDir, *slides: Slide) -> StageOutcome:
    return stage(run, slides, workers=1, retry=False, progress=NoProgress(), stop=threading.Event())


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def abandon(folder: Path) -> str:
    """A copy of a slide whose process was killed, as it lies there later; its name."""
    with staging(folder) as scratch:
        assert scratch is not None
        name = f"{scratch.prefix}left"
    (folder / name).mkdir()
    (folder / name / "slide.svs").write_bytes(b"x" * 100)
    os.utime(folder / name, (time.time() - 2 * NEW_SECONDS,) * 2)
    return name


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_stores_have_the_same_bytes_with_and_without_staging(tmp_path: Path, scratch: Path, real_slide: Path) -> None:
    slide = Slide("one", real_slide, "patient", 1)
    runs = [run_with(tmp_path / "bare", None), run_with(tmp_path / "staged", scratch)]
    for run in runs:
        assert len(take_through(tile, run, slide).made) == 1
    assert files_below(runs[0].tiles("one")) == files_below(runs[1].tiles("one"))
    assert list(scratch.iterdir()) == []


@pytest.mark.long  # 22 s of processors; the slide is staged as for tile, which the test above shows
def test_extract_reads_a_staged_slide_where_its_tiles_keep_no_pixels(
    tmp_path: Path, scratch: Path, real_slide: Path
) -> None:
    slide = Slide("one", real_slide, "patient", 1)
    tables = {
        "tile": {"pixels": "none", "tile_px": 75, "mpp": 2.0},
        "extract": {"backbone": "vgg16", "weights": "random"},
    }
    runs = [run_with(tmp_path / "bare", None, **tables), run_with(tmp_path / "staged", scratch, **tables)]
    for run in runs:
        take_through(tile, run, slide)
        assert len(take_through(extract, run, slide).made) == 1
    name = runs[0].config().extract.name
    assert files_below(runs[0].features(name, "one")) == files_below(runs[1].features(name, "one"))
    assert list(scratch.iterdir()) == []


def test_all_files_of_a_slide_are_staged(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"header")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"pixels" * 1000)
    (tmp_path / "a" / "Slidedat.ini").write_bytes(ini := b"[HIERARCHICAL]\nINDEXFILE=Data0000.dat\n")
    (tmp_path / "a" / "note.txt").write_bytes(b"no part of the slide")
    with staging(scratch) as area, staged(tmp_path / "a.mrxs", area) as copy:
        assert copy.is_relative_to(scratch)
        assert files_below(copy.parent) == {
            "a.mrxs": b"header",
            "a/Data0000.dat": b"pixels" * 1000,
            "a/Slidedat.ini": ini,
        }
        assert fingerprint(copy) == fingerprint(tmp_path / "a.mrxs")
    assert list(scratch.iterdir()) == []


def test_a_file_larger_than_a_block_is_copied_whole(tmp_path: Path, scratch: Path) -> None:
    slide = tmp_path / "large.svs"
    slide.write_bytes(os.urandom(17 * 2**20 + 5))
    with staging(scratch) as area, staged(slide, area) as copy:
        assert copy.read_bytes() == slide.read_bytes()


def test_the_copy_goes_when_the_slide_is_bad_and_the_reason_names_the_slide(tmp_path: Path, scratch: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    run = run_with(tmp_path / "run", scratch)
    assert len(take_through(tile, run, Slide("bad", bad, "patient", 1)).quarantined) == 1
    receipt = read_receipt(run.receipts("tile"), "bad")
    assert receipt is not None
    assert str(bad) in receipt.detail
    assert str(scratch) not in receipt.detail
    assert list(scratch.iterdir()) == []


def test_a_slide_that_is_gone_is_quarantined_not_the_machine_s_fault(tmp_path: Path, scratch: Path) -> None:
    gone = tmp_path / "gone.svs"
    with staging(scratch) as area, pytest.raises(SlideError, match="not exist") as caught, staged(gone, area):
        pass
    assert caught.value.reason == "missing-file"
    assert list(scratch.iterdir()) == []


def test_a_full_scratch_says_so_and_a_rerun_goes_on(
    tmp_path: Path, small_disk: Path, scratch: Path, real_slide: Path
) -> None:
    slide = Slide("one", real_slide, "patient", 1)
    (small_disk / "other").write_bytes(b"x" * 2_000_000)
    run = run_with(tmp_path / "run", small_disk)
    with pytest.raises(MachineError) as caught:
        take_through(tile, run, slide)
    said = str(caught.value)
    assert f"scratch {small_disk}" in said
    assert f"needs {real_slide.stat().st_size:,} bytes" in said
    assert "are free" in said and "remedy" in said
    assert [path.name for path in small_disk.iterdir()] == ["other"]
    assert not list((tmp_path / "run").glob("tiles/*"))
    run.config_file.write_text(run.config_file.read_text().replace(str(small_disk), str(scratch)))
    assert len(take_through(tile, run, slide).made) == 1


def test_a_scratch_that_fills_up_while_a_slide_is_copied(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = tmp_path / "large.svs"
    slide.write_bytes(b"x" * 4 * 2**20)
    # As between two workers: both saw room, and the other one has taken it since.
    monkeypatch.setattr("hypoxia_hpc.workers.scratch.free_bytes", lambda _: 10**12)
    with staging(small_disk) as area, pytest.raises(MachineError, match="is full"), staged(slide, area):
        pass
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("wrong", ["file", "missing/deeper"])
def test_a_scratch_that_cannot_be_used_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=rf"scratch {tmp_path / wrong} .* cannot be used"), staging(tmp_path / wrong):
        pass


def test_a_scratch_without_permission(tmp_path: Path, scratch: Path) -> None:
    if os.getuid() == 0:
        ran = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", scratch], capture_output=True, check=False)
        if ran.returncode:
            pytest.skip(f"root writes everywhere, and may not mount here: {ran.stderr.decode().strip()}")
    else:
        scratch.chmod(0o500)
    try:
        slide = tmp_path / "a.svs"
        slide.write_bytes(b"x")
        with staging(scratch) as area, pytest.raises(MachineError, match="cannot be used"), staged(slide, area):
            pass
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", scratch], check=True)


def test_the_last_part_of_the_folder_is_made(tmp_path: Path) -> None:
    with staging(tmp_path / "new") as area:
        assert area is not None
        assert area.folder.is_dir()


def test_names_in_scratch_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_DISK", "/node/disk")
    assert scratch_folder(SiteTable(scratch="$NODE_DISK/slides"), tmp_path) == Path("/node/disk/slides")
    assert scratch_folder(SiteTable(scratch="${NODE_DISK}"), tmp_path) == Path("/node/disk")
    assert scratch_folder(SiteTable(scratch="here"), tmp_path) == tmp_path / "here"
    monkeypatch.delenv("NODE_DISK")
    with pytest.raises(MachineError, match=r"NODE_DISK.*not set"):
        scratch_folder(SiteTable(scratch="$NODE_DISK/slides"), tmp_path)


def test_a_job_stages_in_its_own_temporary_folder_where_that_lies_in_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk" / "job-7"))
    assert scratch_folder(SiteTable(scratch=str(tmp_path / "disk")), tmp_path) == tmp_path / "disk" / "job-7"
    assert scratch_folder(SiteTable(scratch=str(tmp_path / "other")), tmp_path) == tmp_path / "other"
    assert scratch_folder(SiteTable(), tmp_path) == tmp_path / "disk" / "job-7"


def test_what_killed_jobs_left_is_removed_by_the_next_one(scratch: Path) -> None:
    abandon(scratch)
    with staging(scratch):
        assert list(scratch.iterdir()) == []


def test_what_is_new_or_of_another_host_or_no_folder_of_ours_stays(tmp_path: Path, scratch: Path) -> None:
    new = scratch / abandon(scratch)
    os.utime(new)
    elsewhere = scratch / abandon(scratch).replace(platform.node(), "another-host")
    shutil.copytree(new, elsewhere)
    os.utime(elsewhere, (0, 0))
    (tmp_path / "precious").mkdir()
    link = scratch / f"{new.name}-link"
    link.symlink_to(tmp_path / "precious")
    (scratch / "others").mkdir()
    with staging(scratch):
        left = {path.name for path in scratch.iterdir()}
    assert left >= {new.name, elsewhere.name, link.name, "others"}
    assert (tmp_path / "precious").is_dir()


def job_folder(disk: Path, name: str) -> Path:
    """What a job that crashed leaves: a copy of a slide, and other things."""
    folder = disk / name
    folder.mkdir(mode=0o700)
    (folder / "n1-0.pid").write_text("4711")
    abandon(folder)
    return folder


@pytest.mark.parametrize("own", ["hypoxia-8", "."])
def test_copies_of_crashed_jobs_are_removed_by_a_later_one(tmp_path: Path, scratch: Path, own: str) -> None:
    crashed = [job_folder(scratch, f"hypoxia-{number}") for number in (7, 123456)]
    with staging(scratch / own):
        assert [list(folder.iterdir()) for folder in crashed] == [[folder / "n1-0.pid"] for folder in crashed]


def test_what_other_jobs_hold_or_others_own_or_links_point_at_stays(tmp_path: Path, scratch: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(b"x")
    (scratch / "hypoxia-7").mkdir()
    elsewhere = job_folder(tmp_path, "hypoxia-1")
    (scratch / "hypoxia-2").symlink_to(elsewhere)
    kept = [elsewhere, job_folder(scratch, "hypoxia-results")]
    if os.getuid() == 0:
        kept.append(job_folder(scratch, "hypoxia-3"))
        os.chown(kept[-1], 12345, 12345)
    with staging(scratch / "hypoxia-7") as area, staged(slide, area) as copy:
        os.utime(copy.parent, (0, 0))
        with staging(scratch / "hypoxia-8"):
            assert copy.exists()
            assert [len(list(folder.rglob("slide.svs"))) for folder in kept] == [1] * len(kept)


def _hold(folder: Path, slide: Path, pipe: object) -> None:
    with staging(folder) as area, staged(slide, area) as copy:
        pipe.send(str(copy))  # type: ignore[attr-defined]
        time.sleep(600)


def test_a_copy_in_use_stays_until_its_worker_is_killed(tmp_path: Path, scratch: Path) -> None:
    slide = tmp_path / "a.svs"
    slide.write_bytes(b"x")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_hold, args=(scratch, slide, theirs), daemon=True)
    worker.start()
    try:
        copy = Path(ours.recv())
        os.utime(copy.parent, (0, 0))
        with staging(scratch):
            assert copy.exists()
    finally:
        worker.kill()
        worker.join()
    assert copy.exists()
    with staging(scratch):
        assert not copy.exists()
    assert list(scratch.iterdir()) == []
