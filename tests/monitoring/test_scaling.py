"""estimate --slides and --nodes: cohorts that are not there, other settings, simulated nodes."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.cli.text.scaling import SHORT, ahead_text, scaling_text
from hypoxia_hpc.config import RunConfig, preset, render_config
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.monitoring import rates_here, scaling
from hypoxia_hpc.monitoring.alternatives import CohortAhead, cohort_ahead, known_rates, rates_for
from hypoxia_hpc.monitoring.estimate import OwnRates, estimate_run
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.monitoring.scaling import (
    NO_MORE_SLIDES_REMEDY,
    REMEDIES,
    Scale,
    Site,
    largest_efficient,
    paces,
    prepared,
    remedy_for,
    scales,
    todo_ahead,
    todo_of_run,
    work_of,
)
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.like_cohorts import SIZES, slides_like
from hypoxia_hpc.runs.rates import Figure, seconds_per_cost
from hypoxia_hpc.simulation.accounts import SPENT
from hypoxia_hpc.slides.costs import bytes_of_cost, cost_of_bytes
from hypoxia_hpc.stages.submit import plan_submission


def config(**changes: Any) -> RunConfig:
    return preset("hypoxia", changes)


def simulated(
    n: int, nodes: list[int], site: Site | None = None, *, tile: dict[str, Any] | None = None, **slurm: Any
) -> list[Scale]:
    made = config(site={"slurm": slurm}, tile=tile or {})
    place, known = site or Site(), known_rates(made, None, 0)
    return scales(prepared(made, todo_ahead(made, slides_like("TCGA", n), known), known, place), nodes, place)


def ahead(made: RunConfig, n: int) -> CohortAhead:
    return cohort_ahead(made, n, "TCGA", known_rates(made, None, 0))


def test_slides_like_a_cohort_have_its_sizes() -> None:
    slides, sizes = slides_like("TCGA", 2000), SIZES["TCGA"]
    megabytes = [bytes_of_cost(slide.cost) / 1e6 for slide in slides]
    assert statistics.median(megabytes) == pytest.approx(686, rel=0.01)
    assert statistics.mean(megabytes) == pytest.approx(736, rel=0.02)  # that of the files themselves
    assert (sizes.at(0), sizes.at(0.05), sizes.at(1)) == (7.61, 48.3, 2760)
    assert sizes.at(0.025) == pytest.approx((7.61 + 48.3) / 2)
    assert [*slides_like("TCGA", 1)] == [*slides_like("TCGA", 1)]


def test_a_cost_of_bytes_is_that_of_a_header_that_cannot_be_read() -> None:
    assert cost_of_bytes(1e9) == 21_000
    assert bytes_of_cost(cost_of_bytes(1e9)) == pytest.approx(1e9)


def test_what_other_settings_cost() -> None:
    found = ahead(config(), 1000)
    by_settings = {one.settings: one for one in found.alternatives}
    assert [*by_settings] == [
        "as they are",
        'pixels = "none"',
        'codec = "lz4"',
        'codec = "zstd"',
        'codec = "jpeg"',
        "mpp = 0.25 (40x)",
    ]
    plain, none = by_settings["as they are"].stages, by_settings['pixels = "none"'].stages
    assert none[0].nbytes.value < plain[0].nbytes.value / 1000
    assert none[0].files == plain[0].files - 3000
    # The slides are decoded twice.
    assert none[1].core_hours.value - plain[1].core_hours.value == pytest.approx(plain[0].core_hours.value)
    jpeg, fine = by_settings['codec = "jpeg"'].stages, by_settings["mpp = 0.25 (40x)"].stages
    assert jpeg[0].nbytes.value == pytest.approx(plain[0].nbytes.value / 4, rel=0.01)
    assert fine[0].tiles.value == pytest.approx(4 * plain[0].tiles.value)
    assert fine[1].core_hours.value == pytest.approx(4 * plain[1].core_hours.value)


def test_smaller_tiles_are_more() -> None:
    small, usual = (ahead(config(tile={"tile_px": px}), 10) for px in (149, 299))
    tiles = [one.alternatives[0].stages[0].tiles.value for one in (small, usual)]
    assert tiles[0] / tiles[1] == pytest.approx((299 / 149) ** 2)


def test_with_gpus_their_hours_are_told() -> None:
    found = ahead(config(site={"slurm": {"gres": "gpu:1"}}), 100)
    assert found.alternatives[0].stages[1].gpu_hours is not None
    assert "GPU" in "\n".join(ahead_text(found))


def test_every_loss_has_a_name_and_a_remedy_or_none() -> None:
    assert {*REMEDIES} == {*SHORT} == {*SPENT} - {"work"}


def test_what_is_set_already_is_no_remedy() -> None:
    plain, packed = config(), config(tile={"codec": "jpeg"}, site={"slurm": {"image": "/x.sif"}})
    assert "pixels" in remedy_for("bytes", plain, is_spread=False) and "pixels" not in remedy_for(
        "bytes", packed, is_spread=False
    )
    assert "image" in remedy_for("names", plain, is_spread=False) and "image" not in remedy_for(
        "names", packed, is_spread=False
    )
    assert remedy_for("bytes", config(tile={"pixels": "none"}), is_spread=False) == REMEDIES["bytes"]
    assert remedy_for("few", packed, is_spread=False) == REMEDIES["few"]
    assert "with an image" in remedy_for("few", plain, is_spread=False)


def test_where_every_slide_has_a_worker_more_elements_are_no_remedy() -> None:
    [one] = simulated(8, [64], hours=1e-6)
    assert one.is_spread and one.limit in ("few", "uneven")
    assert remedy_for(one.limit, config(), is_spread=one.is_spread) == NO_MORE_SLIDES_REMEDY
    assert not simulated(500, [64], hours=4)[0].is_spread


def test_with_few_elements_more_nodes_gain_nothing() -> None:
    few, many = simulated(500, [4, 64], hours=4), simulated(500, [64], hours=0.1)
    assert few[0].seconds == few[1].seconds
    assert few[1].limit == "few"
    assert many[0].seconds < few[1].seconds
    assert many[0].elements["extract"] > few[0].elements["extract"]


def test_start_up_from_many_files_loads_the_file_system_and_an_image_does_not() -> None:
    without = simulated(2000, [64], hours=0.05)[0]
    image = simulated(2000, [64], hours=0.05, image="/x.sif")[0]
    assert without.losses["names"] > 5 * image.losses["names"]
    assert image.seconds < without.seconds


def test_the_largest_efficient_number_of_nodes() -> None:
    made = config(site={"slurm": {"hours": 0.5}})
    known = known_rates(made, None, 0)
    todo = todo_ahead(made, slides_like("TCGA", 300), known)
    found = prepared(made, replace(todo, remaining={"extract": todo.remaining["extract"]}), known, Site())
    most = largest_efficient(found, Site(), 0.9)
    assert most >= 1
    at, beyond = scales(found, [most, most + 1], Site())
    assert at.efficiency >= 0.9 > beyond.efficiency
    assert largest_efficient(found, Site(), 1.1) == 0


def test_work_is_the_same_at_every_call_and_scatters_around_its_cost() -> None:
    slides = slides_like("TCGA", 3000)
    known = known_rates(config(), None, 0)
    what = (config(), todo_ahead(config(), slides, known), known)
    work = work_of(*what)["tile"]
    assert work == work_of(*what)["tile"]
    ratios = [work[slide.slide_id].seconds / (slide.cost / 1000) for slide in slides]
    assert statistics.mean(ratios) == pytest.approx(1, rel=0.02)
    assert statistics.stdev(ratios) == pytest.approx(scaling.SCATTER, rel=0.1)


def test_elements_that_fit_no_node_are_refused() -> None:
    with pytest.raises(InputError, match="4 cores"):
        simulated(10, [1], Site(cores=2))


def test_without_simpy_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "find_spec", lambda _: None)
    with pytest.raises(MachineError, match="simpy") as caught:
        simulated(10, [1])
    assert "hypoxia-hpc[simulation]" in caught.value.remedy


def test_the_words_of_a_scale() -> None:
    (one,) = simulated(500, [64])
    text = "\n".join(scaling_text([one], Site(), config()))
    assert "too few elements" in text and "lower hours" in text and "10 GB/s" in text
    assert "; what may change it: " in text and "not simulated" in text
    calm = replace(one, losses={"few": 0.001})
    assert "what may change it" not in "\n".join(scaling_text([calm], Site(), config()))


def test_the_command_of_slides_that_are_not_there(hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = hypoxia("estimate", "--slides", "100", "--like", "TCGA", "--nodes", "2", fresh=True)
    assert done.returncode == 0, done.stderr
    assert "100 slides like TCGA" in done.stdout and "Genomic Data Commons" in done.stdout
    answer = json.loads(hypoxia("estimate", "--slides", "100", "--nodes", "2", "--nodes", "4", "--json").stdout)
    assert [one["nodes"] for one in answer["scaling"]] == [2, 4]
    assert answer["alternatives"][0]["rates"]["tiles"]["origin"].startswith("assumed")
    done = hypoxia("estimate")
    assert done.returncode == 2
    assert "neither RUN nor --slides" in done.stderr


def test_the_command_goes_by_the_rates_of_a_run(
    tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]], real_slide: Path
) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(config(tile={"tile_px": 150})))
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\na,{real_slide},p,2000\n")
    assert hypoxia("tile", tmp_path, "--workers", "1").returncode == 0
    answer = json.loads(hypoxia("estimate", tmp_path, "--slides", "50", "--json").stdout)
    assert answer["alternatives"][0]["rates"]["tiles"]["origin"] == "measured on 1 slide"
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\na,{real_slide},p,800\n")
    small = hypoxia("estimate", tmp_path, "--slides", "50").stdout
    assert "note: 1 slide of the run that is done did not count here" in small
    assert "measured on" not in small
    done = hypoxia("estimate", tmp_path, "--nodes", "1")
    assert "simulated: tile and extract on nodes of 32 cores" in done.stdout
    answer = json.loads(hypoxia("estimate", tmp_path, "--nodes", "1", "--json").stdout)
    assert answer["scaling"][0]["elements"] == {"extract": 1}
    run.slides_file.write_text("slide_id,path,patient_id,cost\nb,/no.svs,p,2000\n")
    assert hypoxia("tile", tmp_path, "--workers", "1").returncode == 3
    done = hypoxia("estimate", tmp_path, "--nodes", "1")
    assert "note: nothing is simulated, for no slide is left to do in tile and extract" in done.stderr


def test_slides_of_a_run_that_are_to_do_are_simulated() -> None:
    slides = [Slide(f"s{n}", Path("/x"), "p", 1000) for n in range(10)]
    made, known = config(), known_rates(config(), None, 0)
    todo = replace(todo_ahead(made, slides, known), remaining={"extract": {"s1", "s2"}})
    work = work_of(made, todo, known)
    assert {stage: {*of_stage} for stage, of_stage in work.items()} == {"extract": {"s1", "s2"}}


def test_jobs_of_a_run_are_those_that_submit_would_send(tmp_path: Path, real_slide: Path) -> None:
    """Sized by what submit knows, not by figures of bench, into as many parts as before; files as large as they are."""
    run, slurm = RunDir(tmp_path), {"cpus": 1, "hours": 0.001}
    run.config_file.write_text(render_config(config(extract={"weights": "random"}, site={"slurm": slurm})))
    rows = [f"s{n},{real_slide if n else '/no.svs'},p{n},{1000 + n}" for n in range(24)]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]))
    run.patients_file.write_text("patient_id,label\np0,\n")
    todo = todo_of_run(run, remaining(run, retry=False, only_to_show=True))
    assert todo.nbytes["s1"] == real_slide.stat().st_size
    assert todo.nbytes["s0"] == bytes_of_cost(1000), "of a file that is not there no more is known"
    slow = estimate_run(run, OwnRates(Figure(1.0, 1.0, 1.0, "own"))).rates
    other = prepared(run.config(), replace(todo, pace=paces(run.config(), slow)), slow, Site()).jobs
    jobs = prepared(run.config(), todo, slow, Site()).jobs
    assert [job.request.of for job in jobs] == [job.request.of for job in plan_submission(run, retry=False).jobs]
    assert [job.request.of for job in jobs] != [job.request.of for job in other], "else this would hold of any rates"
    entry = {"stage": "tile", "job_id": "7", "elements": [0], "of": 23, "submitted": "2026-01-01T00:00:00+00:00"}
    (run.root / "slurm" / "jobs").mkdir(parents=True)
    (run.root / "slurm" / "jobs" / "7.json").write_text(json.dumps(entry))
    again = todo_of_run(run, remaining(run, retry=False, only_to_show=True))
    assert again.earlier == {"tile": 23, "extract": None}
    jobs = prepared(run.config(), again, slow, Site()).jobs
    assert jobs[0].request.of == 23
    assert [job.request.of for job in jobs] == [job.request.of for job in plan_submission(run, retry=False).jobs]


@pytest.mark.parametrize(
    ("settings", "fewer"),
    [({"extract": {"backbone": "efficientnet_lite0"}}, True), ({"extract": {"backbone": "vgg16"}}, False)],
)
def test_submit_goes_by_the_network_of_the_run(settings: dict[str, Any], fewer: bool) -> None:
    pace, usual = (seconds_per_cost("extract", [], {}, one).value for one in (config(**settings), config()))
    assert (pace < usual) is fewer
    assert paces(config(**settings), known_rates(config(**settings), None, 0))["extract"].value == pytest.approx(pace)


def test_what_was_measured_with_decoding_is_without_where_pixels_are_kept() -> None:
    made = config(tile={"pixels": "none"})
    known = replace(
        known_rates(made, None, 0),
        tile_seconds=Figure(0.001, 0.001, 0.001, "measured", 9),
        tiles=Figure(0.5, 0.5, 0.5, "measured", 9),
        extract_seconds=Figure(0.082, 0.041, 0.123, "measured", 9),
        decodes=True,
    )
    kept = rates_for(known, made.tile, config().tile)
    assert kept.extract_seconds.value == pytest.approx(0.080)  # a tile is 2 ms of decoding
    assert kept.extract_seconds.origin == "measured, less decoding"
    assert not kept.decodes
    assert rates_for(known, made.tile, made.tile).extract_seconds == known.extract_seconds
    assert rates_for(replace(known, gpu=True), made.tile, config().tile).extract_seconds == known.extract_seconds


def test_rates_of_this_machine_say_so(hypoxia: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    settings = {"tile": {"tile_px": 75}, "extract": {"backbone": "vgg16", "weights": "random", "batch_size": 4}}
    RunDir(tmp_path).config_file.write_text(render_config(config(**settings)))
    (tmp_path / "slides.csv").write_text("slide_id,path,patient_id,cost\na,/no.svs,p,800\n")
    done = hypoxia("estimate", tmp_path, "--slides", "50", "--measure", "--json")
    assert done.returncode == 0, done.stderr
    rates = json.loads(done.stdout)["alternatives"][0]["rates"]
    for name in ("tile_seconds", "extract_seconds"):
        assert rates[name]["origin"].startswith("measured on this machine")
        assert 0 < rates[name]["low"] <= rates[name]["value"] <= rates[name]["high"]
    assert rates["tiles"]["origin"].startswith("assumed")
    done = hypoxia("estimate", tmp_path, "--measure")
    assert done.returncode == 2
    assert "--measure" in done.stderr and "--slides" in done.stderr


def test_what_a_run_has_measured_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_rates(config(), None, 0)
    measured = replace(
        known,
        tile_seconds=replace(known.tile_seconds, slides=3),
        extract_seconds=replace(known.extract_seconds, slides=3),
    )
    monkeypatch.delattr(rates_here, "tile_seconds")
    assert rates_here.measured_here(config(), measured) == measured
