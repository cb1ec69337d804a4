"""Run directories whose features are there already, of numbers drawn at random: what tests of training share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from planted import HEADS_OF, KINDS, Planted, planted

from hypoxia_hpc.config import OutcomeTable, preset, render_config
from hypoxia_hpc.outcomes.named import class_of
from hypoxia_hpc.records import Label, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, tile_spec
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.tiles import new_tile_store

D = 8
NAME = "small"
# Heads that are trained in a second.
TRAIN: Mapping[str, Any] = {
    "split": [0.5, 0.25, 0.25],
    "tanh": {"units": 8, "epochs": 3, "batch_size": 32},
    "funnel": {"units": [8, 4], "epochs": 3, "batch_size": 32},
    "attention": {
        "units": 8,
        "attention_units": 4,
        "epochs": 6,
        "learning_rate": 0.01,
        "batch_size": 4,
        "bag_tiles": 16,
        "patience": 3,
    },
}


def make_run(
    folder: Path, train: Mapping[str, Any], *, n_patients: int = 32, difference: float = 2.0, n_unlabelled: int = 1
) -> RunDir:
    """A run of patients of one or two slides, some 20 tiles each, every other one hypoxic: of these, a third of the
    tiles have a first feature that is larger by ``difference`` standard deviations."""
    run = RunDir(folder)
    folder.mkdir(parents=True, exist_ok=True)
    changes = {
        "tile": {"tile_px": 75, "pixels": "none"},
        "extract": {"name": NAME, "weights": "random"},
        "train": {**TRAIN, **train},
        "evaluate": {"bootstrap": 100},
    }
    run.config_file.write_text(render_config(preset("hypoxia", changes)))
    slides, patients = ["slide_id,path,patient_id,cost"], ["patient_id,label,tumour_type"]
    rng = np.random.default_rng(0)
    for number in range(n_patients + n_unlabelled):
        label = number % 2 if number < n_patients else None
        patients.append(f"P{number:02d},{'' if label is None else label},{'ABA'[number % 3]}")
        for part in range(1 + number % 3 % 2):
            slide_id = f"S{number:02d}-{part}"
            slides.append(f"{slide_id},{slide_id}.svs,P{number:02d},1")
            values = rng.normal(1, 1, (int(rng.integers(15, 25)), D))
            values[: len(values) // 3, 0] += difference * (label or 0)
            write_slide(run, slide_id, f"P{number:02d}", values)
    run.slides_file.write_text("\n".join(slides) + "\n")
    run.patients_file.write_text("\n".join(patients) + "\n")
    return run


def make_planted_run(
    folder: Path,
    kind: str,
    effect: float,
    seed: int,
    train: Mapping[str, Any] | None = None,
    n_patients: int = 90,
    letter: str = "P",
) -> RunDir:
    """A run that `init` made, of patients of this kind of outcome with ``effect`` planted in their features, and one
    without a label; heads are those of the kind."""
    folder.mkdir(parents=True)
    patients = list(planted(kind, n_patients, effect, seed, letter))
    asked = KINDS[kind]
    cells = [",".join(["patient_id", "tumour_type", *asked.columns])]
    cells += [f"{one.patient_id},{'AB'[n % 2]},{cells_of(asked, one.label)}" for n, one in enumerate(patients)]
    cells.append("PX,A" + "," * len(asked.columns))
    (folder / "patients.csv").write_text("\n".join(cells) + "\n")
    rows = [f"{one.patient_id}.svs,{one.patient_id}" for one in patients]
    (folder / "slides.csv").write_text("\n".join(["path,patient_id", *rows, "PX.svs,PX"]) + "\n")
    changes = {
        "outcome": asked.model_dump(),
        "tile": {"tile_px": 75, "pixels": "none"},
        "extract": {"name": NAME, "weights": "random"},
        "train": {"split": [0.4, 0.2, 0.4], "clusterings": [], **HEADS_OF, **(train or {})},
        "evaluate": {"bootstrap": 200},
    }
    run = RunDir(folder / "run")
    init(run, preset("hypoxia", changes), folder / "slides.csv", patients=folder / "patients.csv")
    for one in [*patients, Planted("PX", 0, patients[0].values + 0.5)]:
        write_slide(run, one.patient_id, one.patient_id, one.values)
    return run


def cells_of(asked: OutcomeTable, label: Label) -> str:
    """A label as a table has it: classes by name."""
    if asked.kind in ("binary", "classes"):
        return asked.classes[class_of(label)]
    return ",".join(map(str, label)) if isinstance(label, tuple) else str(label)


def write_slide(run: RunDir, slide_id: str, patient_id: str, values: np.ndarray) -> None:
    """Stores of tiles and features (n, d) of a slide, as stages before training leave them."""
    config = run.config()
    slide = Slide(slide_id, run.root / f"{slide_id}.svs", patient_id, 1)
    key = slide_tile_key(config.tile, slide, slide_id)
    xy = np.arange(2 * len(values), dtype=np.int64).reshape(-1, 2)
    with new_tile_store(run.tiles(slide_id), config.tile.tile_px, pixels="none") as store:
        for _ in values:
            store.new_tile()
        spec = config.tile.model_dump(mode="json")
        store.commit(
            xy,
            np.zeros(len(values), dtype=np.float32),
            {"key": key, "spec": spec, "slide": {"fingerprint": slide_id, "size_l0": [9, 9]}, "plan": {"side_l0": 1}},
        )
    write_features(
        run.features(NAME, slide_id),
        values.astype(np.float16),
        xy,
        {"key": extract_key(run_spec(config), key), "spec": run_spec(config), "tile_spec": tile_spec(config.tile)},
    )
