"""estimate and the rates behind it: measured where there are receipts, assumed and said so where not."""

from __future__ import annotations

import json
import math
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from feature_runs import make_run

from hypoxia_hpc.cli.text.estimate import estimate_text, too_small_text
from hypoxia_hpc.cli.text.words import amount, within
from hypoxia_hpc.config import RunConfig, preset, render_config
from hypoxia_hpc.machine.disks import Mount, Room
from hypoxia_hpc.monitoring.estimate import (
    RunEstimate,
    cohort_estimates,
    estimate_run,
    extract_estimate,
    rates_of,
    sample,
    tile_estimate,
)
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.monitoring.scaling import paces
from hypoxia_hpc.monitoring.status import run_status
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import ExtractWork, Patient, Receipt, Slide
from hypoxia_hpc.runs import operations
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.rates import (
    TILE_SECONDS,
    Figure,
    device_seconds,
    hours_of_a_thousand,
    measured,
    product,
    ratio,
    raw_tile_bytes,
    seconds_a_tile,
    seconds_per_cost,
    telling,
    with_decoding,
)
from hypoxia_hpc.slurm.resources import lanes_of, table_of
from hypoxia_hpc.stages.extract import extract
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import train

PLANNED = Figure(1.0, 0.5, 2.0, "from headers")
SLIDES = [Slide(f"s{number}", Path(f"/s{number}.svs"), f"p{number}", 1000 * (number + 1)) for number in range(10)]
COSTS = {slide.slide_id: slide.cost for slide in SLIDES}


def done(slide: Slide, **changes: object) -> Receipt:
    receipt = Receipt(
        slide.slide_id, "done", "key", rows=slide.cost // 2, seconds=slide.cost / 500, bytes=slide.cost * 9
    )
    return replace(receipt, **changes)  # type: ignore[arg-type]


def config(**tables: object) -> RunConfig:
    return preset("hypoxia", {"extract": {"weights": "random"}, **tables})


def test_a_ratio_is_that_of_the_sums_within_two_standard_errors() -> None:
    exact = ratio([10.0 * cost for cost in range(1, 11)], list(range(1, 11)))
    assert (exact.value, exact.low, exact.high) == (10, 10, 10)
    spread = ratio([5.0, 15.0] * 50, [1] * 100)
    assert spread.value == 10
    # The deviation is 5, so the standard error of the mean of 100 is 0.5.
    assert spread.high - spread.value == pytest.approx(1.0, rel=0.02)
    assert spread.low == pytest.approx(2 * spread.value - spread.high)
    assert (spread.slides, spread.origin) == (100, "measured on 100 slides")


def test_few_slides_say_little() -> None:
    one = ratio([6.0], [2])
    assert (one.value, one.low, one.high, one.origin) == (3, 1.5, 6, "measured on 1 slide")


def test_only_slides_that_are_done_and_were_timed_count() -> None:
    receipts = [
        done(SLIDES[0]),
        done(SLIDES[1], seconds=0.0),  # written after a kill
        done(SLIDES[2], status="quarantined"),
        Receipt("of another run", "done", "key", seconds=3.0),
    ]
    found = measured(receipts, COSTS, lambda receipt: receipt.seconds)
    assert found is not None
    assert (found.slides, found.value) == (1, 0.002)
    assert measured(receipts[1:], COSTS, lambda receipt: receipt.seconds) is None
    assert measured(receipts, {"s0": 0}, lambda receipt: receipt.seconds) is None


def test_seconds_of_a_core_or_of_a_gpu() -> None:
    on_cores = done(SLIDES[0], seconds=10.0, details=ExtractWork(threads=4))
    on_gpu = done(SLIDES[1], seconds=3.0, details=ExtractWork(threads=8, device="NVIDIA A100"))
    odd = done(SLIDES[2], seconds=3.0)
    assert [device_seconds(one, gpu=False) for one in (on_cores, on_gpu, odd)] == [40, 0, 3]
    assert [device_seconds(one, gpu=True) for one in (on_cores, on_gpu, odd)] == [0, 3, 0]
    lost = done(SLIDES[3], seconds=0.0)
    assert hours_of_a_thousand([on_cores, on_gpu, lost], gpu=False) == pytest.approx(1000 * 40 / 3600)
    assert hours_of_a_thousand([on_cores, on_gpu, lost], gpu=True) == pytest.approx(1000 * 3 / 3600)
    assert hours_of_a_thousand([on_gpu, lost], gpu=False) is None
    assert seconds_per_cost("extract", [on_cores, on_gpu], COSTS, config()).value == 40 / 1000
    assert seconds_per_cost("extract", [on_cores, on_gpu], COSTS, config(), gpu=True).value == 3 / 2000


def test_without_receipts_rates_are_assumed_and_say_so() -> None:
    assert seconds_per_cost("tile", [], COSTS, config()) == TILE_SECONDS
    cores, gpus = (seconds_per_cost("extract", [], COSTS, config(), gpu=gpu) for gpu in (False, True))
    assert gpus.high < cores.value
    for figure in (cores, gpus):
        assert figure.slides == 0
        assert "assumed" in figure.origin
        assert figure.low < figure.value < figure.high


def test_a_run_of_which_nothing_is_done() -> None:
    rates = rates_of(config(), COSTS, {}, {}, PLANNED)
    made = tile_estimate(config(), SLIDES, {}, rates)
    cost = sum(COSTS.values())
    assert made.slides == 10
    assert made.files == 10 * 12
    assert made.tiles.value == pytest.approx(0.4 * cost)
    assert made.nbytes.value == pytest.approx(0.4 * cost * (3 * 299 * 299 + 20))
    assert made.core_hours.value == pytest.approx(cost / 1000 / 3600)
    features = extract_estimate(config(), SLIDES, {}, {}, rates)
    assert (features.slides, features.files, features.gpu_hours) == (10, 90, None)
    assert features.nbytes.value == pytest.approx(0.4 * cost * (2048 * 2 + 16))


def test_a_gpu_is_reckoned_where_one_is_asked_for() -> None:
    with_gpu = config(site={"slurm": {"gres": "gpu:1", "cpus": 8}})
    made = extract_estimate(with_gpu, SLIDES, {}, {}, rates_of(with_gpu, COSTS, {}, {}, PLANNED))
    assert made.gpu_hours is not None
    assert made.core_hours.value == pytest.approx(8 * made.gpu_hours.value)


def test_what_is_done_is_counted_and_measured_and_not_estimated_again() -> None:
    tiled = {slide.slide_id: done(slide) for slide in SLIDES[:6]} | {
        "s6": Receipt("s6", "quarantined", "key", reason="no-tissue")
    }
    extracted = {slide.slide_id: done(slide, seconds=5.0) for slide in SLIDES[:2]}
    rates = rates_of(config(), COSTS, tiled, extracted, PLANNED)
    assert (rates.tiles.value, rates.tiles.slides) == (0.5, 6)
    packed = rates_of(config(tile={"codec": "zstd"}), COSTS, tiled, extracted, PLANNED)
    assert packed.tile_bytes.value == pytest.approx(18)
    assert rates.tile_bytes == raw_tile_bytes(config().tile)  # of raw pixels it is known
    assert rates.feature_bytes.low == rates.feature_bytes.high == 2048 * 2 + 16
    made = tile_estimate(config(), SLIDES, tiled, rates)
    assert (made.slides, made.files) == (3, 36)
    assert made.tiles.value == pytest.approx(0.5 * (8000 + 9000 + 10000))
    features = extract_estimate(config(), SLIDES, tiled, extracted, rates)
    assert features.slides == 4 + 3
    assert features.tiles.value == pytest.approx(0.5 * (3000 + 4000 + 5000 + 6000) + 0.5 * (8000 + 9000 + 10000))


def test_slides_that_cost_less_than_a_tenth_of_the_mean_tell_nothing_of_the_others() -> None:
    tiled = {slide.slide_id: done(slide) for slide in SLIDES[:6]}
    extracted = {slide.slide_id: done(slide) for slide in SLIDES[:2]}
    rates = rates_of(config(), telling(COSTS, 30_001), tiled, extracted, PLANNED)
    assert (rates.tile_seconds.slides, rates.tiles.slides, rates.too_small) == (3, 3, 3)
    assert rates.extract_seconds == seconds_a_tile(config(), gpu=False), "both slides that are extracted are too small"
    told = rates_of(config(), telling(COSTS, 30_000), tiled, extracted, PLANNED)
    assert (told.tile_seconds.slides, told.too_small) == (4, 2)
    none = rates_of(config(), telling(COSTS, 101_000), tiled, extracted, PLANNED)
    assert replace(none, too_small=0) == rates_of(config(), COSTS, {}, {}, PLANNED)
    assert next(iter(too_small_text(told))).startswith("\nnote: 2 slides of the run that are done did not count")
    assert [*too_small_text(rates_of(config(), COSTS, tiled, {}, PLANNED))] == []


def test_small_slides_of_a_run_do_not_count_in_any_of_its_figures(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia", {"tile": {"tile_px": 150}})))
    small = Slide("small", real_slide, "p", 10)
    tile(run, [small], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    rows = [f"{name},{real_slide},p,{cost}" for name, cost in (("small", 10), ("a", 15000), ("b", 16000))]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]))
    found = estimate_run(run)
    assert found.rates.too_small == 1
    assert "headers of 3 slides" in found.rates.tiles.origin
    assert remaining(run, retry=False, only_to_show=True).pace["tile"] == TILE_SECONDS, "submit goes by the same"


def test_decoding_once_more_counts_where_stores_keep_no_pixels() -> None:
    kept, none = config(), config(tile={"pixels": "none"})
    rates = rates_of(none, COSTS, {}, {}, PLANNED)
    cost = sum(COSTS.values())
    hours = extract_estimate(none, SLIDES, {}, {}, rates).core_hours
    network = extract_estimate(kept, SLIDES, {}, {}, rates_of(kept, COSTS, {}, {}, PLANNED)).core_hours
    assert hours.value == pytest.approx(network.value + cost / 1000 / 3600)
    assert paces(none, rates)["extract"].value * cost / 3600 == pytest.approx(hours.value)
    extracted = {slide.slide_id: done(slide) for slide in SLIDES[:6]}
    told = rates_of(none, COSTS, {}, extracted, PLANNED)
    assert paces(none, told)["extract"] == product(told.tiles, told.extract_seconds), "it is in what was measured"


def test_decoding_beside_a_gpu_counts_where_it_takes_longer() -> None:
    network, decoding = Figure(1.0, 0.5, 4.0, "a GPU"), Figure(8.0, 4.0, 24.0, "decoding")
    made = config(tile={"pixels": "none"}, site={"slurm": {"gres": "gpu:1", "cpus": 4}})
    found = with_decoding(network, decoding, made, gpu=True)
    assert (found.value, found.low, found.high) == (2.0, 1.0, 6.0)
    assert with_decoding(network, decoding, config(), gpu=True) == network


@pytest.mark.parametrize("gres", ["lscratch:100", "tmp:5"])
def test_other_resources_than_gpus_leave_the_work_to_cores(gres: str) -> None:
    made = config(site={"slurm": {"gres": gres}})
    assert rates_of(made, COSTS, {}, {}, PLANNED) == rates_of(config(), COSTS, {}, {}, PLANNED)
    assert lanes_of("extract", table_of("extract", made.site.slurm)) == (1, 4)


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd", "jpeg"])
def test_tile_bytes_by_codec(codec: str) -> None:
    figure = raw_tile_bytes(config(tile={"codec": codec}).tile)
    assert figure.low <= figure.value <= figure.high
    assert (figure.origin == "exact") == (codec == "none")


def test_the_sample_is_spread_over_the_costs() -> None:
    many = [Slide(f"s{number}", Path("/x"), "p", number) for number in range(1000)]
    found = sample(many)
    assert len(found) == len({slide.slide_id for slide in found}) == 40
    assert sum(slide.cost for slide in found) / 40 == pytest.approx(500, rel=0.03)
    assert {slide.slide_id for slide in sample(SLIDES)} == set(COSTS)
    assert sample([]) == []


def estimate_of(run_config: RunConfig) -> RunEstimate:
    rates = rates_of(run_config, COSTS, {}, {}, PLANNED)
    stages = (tile_estimate(run_config, SLIDES, {}, rates), extract_estimate(run_config, SLIDES, {}, {}, rates))
    rooms = (Room("free", 10**15, None), Room("quota", 10**15, 100), Room("lfs quota", 10**6, 10**6))
    return RunEstimate(stages, rates, 5500.0, None, Mount("/", "lustre"), rooms, ())


def test_room_in_bytes_and_files() -> None:
    found = estimate_of(config())
    assert [found.is_enough(room) for room in found.rooms] == [True, False, False]
    text = "\n".join(estimate_text(found, "RUN"))
    assert "free: 1 PB, no limit of files: enough" in text
    assert "quota: 1 PB, 100 files: NOT ENOUGH" in text
    assert [room["enough"] for room in found.as_json()["rooms"]] == [True, False, False]


PATIENTS = [Patient(f"p{number}", number % 2) for number in range(10)]


def test_the_stages_after_the_slides_by_the_heads_own_costs() -> None:
    run_config = config(site={"slurm": {"cpus": 4}})
    found = cohort_estimates(run_config, 500, PATIENTS, Figure(1e6, 5e5, 2e6, "test"))
    train, evaluate = found["train"], found["evaluate"]
    names = [*run_config.train.heads, *run_config.train.clusterings]
    for one in (train, evaluate):
        assert [model.name for model in one.models] == names
        assert sum(model.core_hours.value for model in one.models) <= one.core_hours.value
        assert one.core_hours.low < one.core_hours.value < one.core_hours.high
        assert one.hours.value < one.core_hours.value
        assert "without a GPU" in one.core_hours.origin
    assert train.core_hours.value > 3
    # What training holds does not grow with the cohort, what evaluate does.
    assert train.nbytes.high < train.nbytes.low + 1e8
    assert train.nbytes.value < 4e9
    assert evaluate.nbytes.low < evaluate.nbytes.value < evaluate.nbytes.high


def test_what_the_stages_after_the_slides_take_is_shown() -> None:
    whole = cohort_estimates(config(), 500, PATIENTS, Figure(1e6, 5e5, 2e6, "test"))
    unknown = replace(whole["train"], unknown=("foreign",))
    found = replace(estimate_of(config()), cohort=(unknown, whole["evaluate"]))
    text = "\n".join(estimate_text(found, "RUN"))
    assert re.search(r"(?m)^train +[0-9.]+ \([0-9.]+ - [0-9.]+\).* [0-9.]+ GB", text)
    assert re.search(r"(?m)^evaluate ", text)
    assert "what train takes for foreign is not known" in text
    answer = json.loads(json.dumps(found.as_json()))["cohort"]
    assert [one["stage"] for one in answer] == ["train", "evaluate"]
    assert answer[0]["unknown"] == ["foreign"]
    assert {"name", "core_hours", "nbytes"} == set(answer[0]["models"][0])
    assert "as if none was there" not in "\n".join(estimate_text(estimate_of(config()), "RUN"))


def test_stages_after_the_slides_are_estimated_while_they_are_to_do(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"heads": ["logistic"], "clusterings": []})
    before = estimate_run(run)
    assert [one.stage for one in before.cohort] == ["train", "evaluate"]
    assert before.train_bytes == before.cohort[0].nbytes
    train(run, progress=NoProgress(), stop=threading.Event())
    after = estimate_run(run)
    assert [one.stage for one in after.cohort] == ["evaluate"]
    assert after.train_bytes is not None
    run.patients_file.unlink()
    assert estimate_run(run).cohort == ()
    assert estimate_run(run).train_bytes is None


def test_a_network_whose_operations_are_not_known_gets_a_wide_range() -> None:
    configs = [config(extract={"backbone": name, "weights": "random"}) for name in ("densenet121", "efficientnet_b0")]
    known, unknown = (seconds_a_tile(one, gpu=False) for one in configs)
    assert "densenet121" in known.origin
    assert "not known" in unknown.origin
    assert unknown.high / unknown.low > 20 * known.high / known.low


def test_a_network_whose_operations_are_counted_goes_by_them() -> None:
    xception = config(extract={"backbone": "xception", "weights": "random"})
    counted, unknown = (seconds_a_tile(xception, gpu=False, operations=one) for one in (8_400_000_000, None))
    inception = seconds_a_tile(config(), gpu=False)
    assert counted.value == pytest.approx(inception.value * 8.4 / 5.7)
    assert counted.low < counted.value < counted.high
    assert counted.high / counted.low < unknown.high / unknown.low
    assert "by the 8.4 G multiply-adds of xception" in counted.origin
    known = config(extract={"backbone": "resnet50", "weights": "random"})
    assert seconds_a_tile(known, gpu=False, operations=1) == seconds_a_tile(known, gpu=False)


@pytest.mark.parametrize(("backbone", "calls"), [("resnet50", 0), ("mobilenet", 1)])
def test_operations_are_counted_for_networks_without_a_known_cost_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, calls: int
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(operations, "count_operations", lambda name, _: counted.append(name) or 570_000_000)
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(config(extract={"backbone": backbone, "weights": "random"})))
    run.slides_file.write_text("slide_id,path,patient_id,cost\na,a.svs,p,800\n")
    for _ in range(2):
        found = estimate_run(run).rates.extract_seconds.origin
        assert ("0.57 G multiply-adds of mobilenet" in found) == bool(calls)
    assert len(counted) == calls


def test_a_real_run_before_and_after(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    settings = {"tile": {"tile_px": 75}, "extract": {"backbone": "vgg16", "weights": "random"}}
    run.config_file.write_text(render_config(preset("hypoxia", settings)))
    rows = [f"{name},{path},p,{cost}" for name, path, cost in (("a", real_slide, 800), ("b", tmp_path / "gone", 800))]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    before = estimate_run(run)
    assert before.unread == {"b": "missing-file"}
    assert before.stages[0].slides == 1, "what will be quarantined is no work"
    for stage in (tile, extract):
        stage(run, run.slides(), workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    after = estimate_run(run)
    assert [(one.slides, one.files, one.nbytes.value) for one in after.stages] == [(0, 0, 0), (0, 0, 0)]
    # What was estimated of the slide that could be read holds what came.
    store = run.tiles("a")
    nbytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert before.stages[0].nbytes.low / 2 <= nbytes <= before.stages[0].nbytes.high
    inodes = 1 + sum(1 for _ in store.rglob("*")) + 1
    assert before.stages[0].files == inodes
    features = run.features("inception_v3", "a")
    assert before.stages[1].files == (1 + sum(1 for _ in features.rglob("*")) + 1)
    assert after.rates.extract_seconds.slides == after.rates.tile_seconds.slides == 1


def counts_of(run: RunDir) -> list[list[int]]:
    """Slides to do, as estimate and as status say it."""
    return [[one.slides for one in estimate_run(run).stages], [one.todo for one in run_status(run).stages[:2]]]


def test_tiles_are_reckoned_within_regions_and_slides_to_do_are_looked_at_beside_done_ones(
    tmp_path: Path, real_slide: Path
) -> None:
    run, regions = RunDir(tmp_path), tmp_path / "regions"
    regions.mkdir()
    ring = [[0, 0], [600, 0], [600, 900], [0, 900], [0, 0]]
    (regions / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    settings = {"tile": {"regions": str(regions)}, "extract": {"weights": "random"}}
    run.config_file.write_text(render_config(preset("hypoxia", settings)))
    rows = [f"{name},{real_slide},p,800" for name in ("a", "b")]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    before = estimate_run(run)
    assert before.unread == {"b": "no-regions"}
    assert before.stages[0].tiles.value == pytest.approx(0.8 * 2 * 3)  # of 7 x 9 tiles, regions leave 2 x 3
    assert before.stages[0].tiles.high >= 6
    tile(run, run.slides()[:1], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    assert estimate_run(run).unread == {"b": "no-regions"}
    assert estimate_run(run).stages[0].slides == 0


def test_what_was_made_for_another_run_toml_is_to_do_as_status_says(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    settings = {"tile": {"tile_px": 299}, "extract": {"weights": "random"}}
    run.config_file.write_text(render_config(preset("hypoxia", settings)))
    rows = [f"{name},{path},p,800" for name, path in (("a", real_slide), ("b", tmp_path / "gone"))]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    tile(run, run.slides(), workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    assert counts_of(run) == [[0, 1], [0, 1]]
    assert estimate_run(run).rates.tiles.slides == 1
    run.receipts("tile").joinpath("a.json").unlink()
    assert counts_of(run) == [[0, 1], [0, 1]]
    assert estimate_run(run).stages[1].tiles.value > 0
    run.config_file.write_text(render_config(preset("hypoxia", settings | {"tile": {"tile_px": 200}})))
    assert counts_of(run) == [[1, 1], [2, 2]], "one slide will be quarantined again: to do, and no work"
    assert estimate_run(run).rates.tiles.slides == 0


def test_inodes_of_a_store_without_pixels(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia", {"tile": {"pixels": "none"}})))
    slide = Slide("a", real_slide, "p", 800)
    tile(run, [slide], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    inodes = 1 + sum(1 for _ in run.tiles("a").rglob("*")) + 1
    assert tile_estimate(run.config(), [slide], {}, rates_of(run.config(), {"a": 800}, {}, {}, PLANNED)).files == inodes


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (412, "412 B"),
        (999.6, "1 kB"),
        (6_934_000_000_000, "6.93 TB"),
        (0.0012, "0.0012 B"),
        (1e19, "1e+04 PB"),
    ],
)
def test_amounts(number: float, text: str) -> None:
    assert amount(number, "B") == text


def test_ranges_of_figures() -> None:
    assert within(Figure(2e6, 1e6, 3e6, ""), "B") == "2 MB (1 MB - 3 MB)"
    assert within(Figure(5, 5, 5, "")) == "5"
    both = product(Figure(2, 1, 3, "x", 7), Figure(10, 10, 10, "y"))
    assert (both.low, both.value, both.high, both.origin, both.slides) == (10, 20, 30, "x; y", 0)
    assert math.isclose(both.times(0.5).high, 15)


def test_the_command(
    tmp_path: Path, real_slide: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\na,{real_slide},p,800\n")
    done = hypoxia("estimate", tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    assert "assumed: 40 % of the tiles are tissue" in done.stdout
    assert "what is extracted already is not known" in done.stdout
    answer = json.loads(hypoxia("estimate", tmp_path, "--json").stdout)
    assert answer["stages"][0]["files"] == 12
    assert answer["rooms"][0]["enough"] is True
