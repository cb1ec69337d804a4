"""What train and evaluate take, measured: python benchmarks/resources.py [--json FILE] [--folder DIR]

Makes runs of three sizes with feature stores of random numbers (2,048 x float16, 1.6 GB for the largest, deleted in the
end) and starts each command in a process of its own: seconds of all its cores, the most memory that it had. The
constants of ``cost`` in ``hypoxia_hpc/networks/heads`` come from these figures, and tests hold them to each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.config import RunConfig, preset, render_config
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, tile_spec
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.tiles import new_tile_store

LENGTH, FACTORS = 2048, 64
SIZES = {"small": 20_000, "middle": 100_000, "large": 200_000, "largest": 400_000}
SLIDE_TILES = 1000
# Time is linear in epochs, which "tanh, more epochs" shows; so the large cohort needs few of them.
FEW = {"small": 4, "middle": 2, "large": 1, "largest": 1}
FEW_OF_BAGS = {"small": 20, "middle": 10, "large": 2, "largest": 2}
# Tiles, tiles a slide, batch, epochs with the base frozen and not.
FINETUNED = {
    "small": (48, 4, 8, 1, 1),
    "middle": (96, 6, 16, 1, 1),
    "large": (192, 12, 32, 1, 1),
    "frozen": (192, 12, 64, 2, 0),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One command: what run.toml says beside the defaults, which of its heads and clusterings were not there yet, on
    which cohort of one slide a patient, and what it took."""

    command: str
    size: str
    settings: Mapping[str, Any]
    counted: Sequence[str]
    tiles: int
    slides: int
    core_seconds: float
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """A run with features, whose [train] changes from command to command."""

    run: RunDir
    size: str
    tiles: int
    slides: int
    base: Mapping[str, Any]

    def measured(
        self, command: str, train: Mapping[str, Any], counted: Sequence[str] = (), **tables: Mapping[str, Any]
    ) -> Measured:
        settings = {**self.base, **tables, "train": {"clusterings": [], **train}}
        self.run.config_file.write_text(render_config(preset("hypoxia", settings)))
        took = alone([sys.executable, "-m", "hypoxia_hpc", command, str(self.run.root)])
        names = counted or [*train["heads"], *train.get("clusterings", ())]
        found = Measured(command, self.size, settings, names, self.tiles, self.slides, *took)
        told = f"{found.core_seconds:8.1f} core s {found.seconds:8.1f} s {found.peak_bytes / 1e6:8,.0f} MB"
        print(f"{told}  {command} {self.tiles:,} tiles {train}", flush=True)
        return found


def alone(command: Sequence[str]) -> tuple[float, float, int]:
    """Seconds of all cores, seconds by the clock, and the most bytes of memory of a command."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode())
    return used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss * 1024


# --- cohorts -------------------------------------------------------------------------------------------------------


def features_of(n: int, label: int, random: np.random.Generator, loadings: np.ndarray) -> np.ndarray:
    """As those of a network after ReLU and pooling: none below 0, and most of their spread in few directions."""
    factors = random.normal(0, 1, (n, FACTORS)).astype(np.float32)
    factors[: n // 3, 0] += 2 * label
    noise = random.standard_normal((n, LENGTH), dtype=np.float32)
    return np.abs(factors @ loadings + 0.3 * noise).astype(np.float16)


def make_cohort(folder: Path, size: str) -> Cohort:
    """Patients of one slide of a thousand tiles, every other one hypoxic."""
    random = np.random.default_rng(0)
    loadings = (random.normal(0, 0.4, (FACTORS, LENGTH)) / np.sqrt(1 + np.arange(FACTORS))[:, None]).astype(np.float32)
    base = {"tile": {"pixels": "none"}, "extract": {"weights": "random"}}
    n_slides = SIZES[size] // SLIDE_TILES
    run = new_run(folder, base, n_slides)
    for number, slide in enumerate(run.slides()):
        values = features_of(SLIDE_TILES, number % 2, random, loadings)
        write_slide(run, slide, values, np.zeros((SLIDE_TILES, 0, 0, 3), np.uint8))
    return Cohort(run, size, SIZES[size], n_slides, base)


def make_pixels(folder: Path, size: str) -> Cohort:
    """The same with tiles of random pixels, to fine-tune on."""
    random = np.random.default_rng(0)
    tiles, a_slide, *_ = FINETUNED[size]
    base = {"tile": {"tile_px": 224}, "extract": {"weights": "random"}}
    run = new_run(folder, base, tiles // a_slide)
    for slide in run.slides():
        pixels = random.integers(0, 256, (a_slide, 224, 224, 3), dtype=np.uint8)
        write_slide(run, slide, random.normal(0, 1, (a_slide, 8)).astype(np.float16), pixels)
    return Cohort(run, size, tiles, tiles // a_slide, base)


def new_run(folder: Path, base: Mapping[str, Any], n_slides: int) -> RunDir:
    run = RunDir(folder)
    folder.mkdir(parents=True)
    run.config_file.write_text(render_config(preset("hypoxia", base)))
    names = [f"S{number:05d}" for number in range(n_slides)]
    run.slides_file.write_text(
        "\n".join(["slide_id,path,patient_id,cost", *(f"{name},{name}.svs,P{name},1" for name in names)]) + "\n"
    )
    run.patients_file.write_text(
        "\n".join(["patient_id,label,tumour_type", *(f"P{name},{n % 2},A" for n, name in enumerate(names))]) + "\n"
    )
    return run


def write_slide(run: RunDir, slide: Slide, values: np.ndarray, pixels: np.ndarray) -> None:
    """Stores of tiles and features of a slide, as tile and extract leave them."""
    config: RunConfig = run.config()
    key, spec = slide_tile_key(config.tile, slide, slide.slide_id), run_spec(config)
    xy = np.arange(2 * len(values), dtype=np.int64).reshape(-1, 2)
    with new_tile_store(run.tiles(slide.slide_id), config.tile.tile_px, pixels=config.tile.pixels) as store:
        for one in pixels:
            tile = store.new_tile()
            if config.tile.pixels == "store":
                tile[:] = one
        store.commit(
            xy,
            np.zeros(len(values), dtype=np.float32),
            {
                "key": key,
                "spec": config.tile.model_dump(mode="json"),
                "slide": {"fingerprint": slide.slide_id, "size_l0": [9, 9]},
                "plan": {"side_l0": 1},
            },
        )
    write_features(
        run.features(config.extract.name, slide.slide_id),
        values,
        xy,
        {"key": extract_key(spec, key), "spec": spec, "tile_spec": tile_spec(config.tile)},
    )


# --- parts ---------------------------------------------------------------------------------------------------------


def heads(cohort: Cohort) -> Iterator[Measured]:
    """Every head alone, then all of them evaluated."""
    n = FEW[cohort.size]
    tables: dict[str, dict[str, Any]] = {
        "tanh": {"epochs": n},
        "funnel": {"epochs": n},
        "logistic": {} if cohort.size in ("small", "middle") else {"max_iter": 10},
        "attention": {"epochs": FEW_OF_BAGS[cohort.size], "patience": 1000},
        "deep_kmeans": {"pretrain_epochs": n, "epochs": n},
    }
    names = list(tables)[:4]
    for name in names:
        yield cohort.measured("train", {"heads": [name], name: tables[name]})
    yield linear(cohort)
    # A run has a head; this one is trained already.
    both = {"heads": ["logistic"], "clusterings": ["deep_kmeans"]}
    yield cohort.measured("train", {**both, **tables}, counted=["deep_kmeans"])
    for some in (["logistic", "attention"], names):
        yield cohort.measured("evaluate", {**both, **tables, "heads": some})


def linear(cohort: Cohort) -> Measured:
    """The head for outcomes that the others do not predict; here the class as a score."""
    return cohort.measured("train", {"heads": ["linear"]}, outcome={"kind": "score"})


def variants(cohort: Cohort) -> Iterator[Measured]:
    """On the small cohort: more epochs, other widths, other batches; one head after the other in one process."""
    tried: list[dict[str, Any]] = [
        {"tanh": {"epochs": 12}},
        {"tanh": {"epochs": 4, "units": 512, "batch_size": 100}},
        {"funnel": {"epochs": 4, "units": [512, 128]}},
        {"attention": {"epochs": 40, "units": 256, "attention_units": 128, "bag_tiles": 128, "patience": 1000}},
        {"tanh": {"epochs": 1}, "funnel": {"epochs": 1}, "logistic": {"max_iter": 5}, "attention": {"epochs": 2}},
    ]
    for one in tried:
        yield cohort.measured("train", {"heads": list(one), **one})


def finetuned(cohort: Cohort) -> Iterator[Measured]:
    _, _, batch, frozen, unfrozen = FINETUNED[cohort.size]
    table = {"weights": "random", "batch_size": batch, "frozen_epochs": frozen, "unfrozen_epochs": unfrozen}
    yield cohort.measured("train", {"heads": ["finetune"], "finetune": table})


def parts(folder: Path, sizes: Sequence[str], finetuned_sizes: Sequence[str]) -> Iterator[Measured]:
    """One after the other."""
    for size in sizes:
        cohort = make_cohort(folder / size, size)
        yield from heads(cohort)
        yield from variants(cohort) if size == "small" else ()
    for size in finetuned_sizes:
        yield from finetuned(make_pixels(folder / f"pixels-{size}", size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--folder", type=Path, help="where the stores are made (2 GB)")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="of feature cohorts")
    parser.add_argument("--finetuned", nargs="*", default=list(FINETUNED), help="of tile cohorts")
    wanted = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=wanted.folder) as made:
        for one in parts(Path(made), wanted.sizes, wanted.finetuned):
            found.append(asdict(one))
            if wanted.json:  # each time: it takes long
                wanted.json.write_text(json.dumps({"machine": machine(), "measured": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
