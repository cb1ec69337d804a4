"""What a run promises, as digests: ``python tests/run_digests.py NAME RUN SLIDES`` records those of a run in
``recorded``. NAME is ``small`` (the run of fault_runs.py), ``demo_12`` or ``demo_60`` (demos with random weights).

Times, hosts, paths and versions of libraries are left out; so is the page of the report, which holds times.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

from hypoxia_hpc.config import canonical_json

RECORDED = Path(__file__).parent / "recorded"
REAL = "CMU-1-Small-Region"
# Of a model and of metrics, what follows from the numbers that a device made; everything else is the same everywhere.
NUMBERS_OF_MODELS, SAME_OF_METRICS = ("history", "content", "compute"), ("schema", "key", "outcome", "unchecked")
Record = dict[str, Any]


def recorded_files(name: str) -> tuple[Path, Path]:
    """Where the digests and the sampled features of a recorded run are."""
    return RECORDED / f"{name}.json", RECORDED / f"{name}_features.npy"


def record(run: Path, slides: Path) -> Record:
    """Digests of a run by path: of what is the same ``everywhere``, and of what is the same ``on_this_compute``;
    the settings of run.toml as values, and what the slides were."""
    return {
        "settings": tomllib.loads((run / "run.toml").read_text()),
        "slides": {path.name: _file(path) for path in sorted(slides.iterdir())},
        "everywhere": {**_tables(run), **_tile_stores(run), **_keys(run)},
        "on_this_compute": {**_features(run), **_models(run), **_predictions(run)},
        "compute": compute(run),
    }


def compute(run: Path) -> Record:
    """What the bits of features and models depend on: the records of both, libraries of numbers, kinds of vectors."""
    import scipy

    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    model = json.loads((run / "models" / "tanh" / "model.json").read_text())
    return {
        "features": _attributes(next((run / "features").glob("*/*.zarr")))["compute"],
        "models": model["compute"],
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "scipy": scipy.__version__,
        "vectors": sorted(flag for flag in flags if flag.startswith(("amx", "avx", "fma", "sse4"))),
    }


def sampled_features(run: Path) -> np.ndarray:
    """The first feature vector of the real slide, if there, and of first, middle and last patient; float16 (n, d)."""
    (extractor,) = (run / "features").iterdir()
    stores = sorted(extractor.iterdir())
    patients = [one for one in stores if one.stem != REAL]
    sampled = [one for one in stores if one.stem == REAL] + [patients[n] for n in (0, len(patients) // 2 - 1, -1)]
    groups = (zarr.open_group(store, mode="r") for store in sampled)
    return np.stack([np.asarray(group["features"][0]) for group in groups])


def _tables(run: Path) -> Record:
    slides = pd.read_csv(run / "slides.csv", dtype=str).drop(columns="path")
    plain = {name: _file(run / name) for name in ("patients.csv", "split.csv")}
    return {"slides.csv": _text(slides.to_csv(index=False)), **plain}


def _tile_stores(run: Path) -> Record:
    return {_name(run, store): _store(store) for store in sorted((run / "tiles").iterdir())}


def _features(run: Path) -> Record:
    return {_name(run, store): _store(store) for store in sorted((run / "features").glob("*/*.zarr"))}


def _keys(run: Path) -> Record:
    """Keys, and whatever else stands in a result that no device has a part in."""
    found = {f"key of {_name(run, store)}": _attributes(store)["key"] for store in (run / "features").glob("*/*.zarr")}
    for name, made in _model_records(run):
        found[f"{name} but for its numbers"] = _json({k: v for k, v in made.items() if k not in NUMBERS_OF_MODELS})
    metrics = json.loads((run / "metrics.json").read_text())
    found["metrics.json but for its numbers"] = _json({name: metrics[name] for name in SAME_OF_METRICS})
    for path in sorted((run / "receipts").rglob("*.json")):
        receipt = json.loads(path.read_text())
        found[_name(run, path)] = _json({name: receipt.get(name) for name in ("key", "status", "reason", "rows")})
    return dict(sorted(found.items()))


def _models(run: Path) -> Record:
    weights = {_name(run, path): _file(path) for path in sorted((run / "models").glob("*/weights.safetensors"))}
    return {**weights, **{name: _json(made) for name, made in _model_records(run)}}


def _model_records(run: Path) -> Iterator[tuple[str, Record]]:
    for path in sorted((run / "models").glob("*/model.json")):
        made = json.loads(path.read_text())
        yield _name(run, path), {name: value for name, value in made.items() if name != "software"}


def _predictions(run: Path) -> Record:
    """Tables by their bytes; of Parquet the rows, for its bytes depend on the version of its writer."""
    folder = run / "predictions"
    tables = {_name(run, path): _file(path) for path in sorted(folder.glob("*.csv"))}
    rows = {
        _name(run, path): _text(pd.read_parquet(path).to_csv(index=False)) for path in sorted(folder.glob("*.parquet"))
    }
    return {**tables, **rows, "metrics.json": _file(run / "metrics.json")}


def _store(store: Path) -> str:
    """Of every file of a Zarr group below its arrays, and of its attributes but for the versions of libraries."""
    files = {_name(store, path): _file(path) for path in store.glob("*/*")}
    return _json({"files": files, "attributes": {k: v for k, v in _attributes(store).items() if k != "software"}})


def _attributes(store: Path) -> Record:
    attributes: Record = json.loads((store / "zarr.json").read_text())["attributes"]
    return attributes


def _name(run: Path, path: Path) -> str:
    return path.relative_to(run).as_posix()


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return _text(canonical_json(value))


if __name__ == "__main__":
    name, run, slides = sys.argv[1:]
    digests, features = recorded_files(name)
    digests.write_text(json.dumps(record(Path(run), Path(slides)), indent=1) + "\n")
    np.save(features, sampled_features(Path(run)))
