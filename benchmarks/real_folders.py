"""Classes of real tiles in folders, from ``init --images`` to metrics.json, in three folds by patient: two public sets.

    python benchmarks/real_folders.py TILES

TILES is a folder with crc_val_he_7k_70/CLASS___NAME.jpg and kather2016/CLASS/NAME.tif (Kather, CC BY 4.0), which are no
part of the package. Each tile counts as a patient of its own, for the sets do not say whose they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from hypoxia_hpc.config import parse_config, render_config
from hypoxia_hpc.runs.directory import RunDir

SETS = {"crc_val_he_7k_70": ("{label}___{patient}", 224), "kather2016": ("{label}/{patient}", 150)}
WEIGHTS = ("imagenet", "random")


def main() -> None:
    """A row of a Markdown table for each set and kind of weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiles", type=Path)
    tiles = parser.parse_args().tiles
    sys.stdout.write("| tiles | features | model | right | mean area under the ROC curves | p against chance |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for name in SETS:
        for weights in WEIGHTS:
            with tempfile.TemporaryDirectory() as folder:
                for row in _rows(tiles / name, weights, Path(folder) / "run"):
                    sys.stdout.write(f"| {name} | `efficientnet_lite0`, {weights} | {' | '.join(row)} |\n")
                    sys.stdout.flush()


def _rows(tiles: Path, weights: str, run: Path) -> list[tuple[str, str, str, str]]:
    pattern, side = SETS[tiles.name]
    labels = sorted({_label(path) for path in tiles.rglob("*.*") if path.is_file()})
    classes = [word for label in labels for word in ("--class", label)]
    _hypoxia("init", run, "--images", tiles, "--images-pattern", pattern, "--outcome", "classes", *classes)
    _set(RunDir(run), side, weights)
    _hypoxia("run", run)
    metrics = json.loads((run / "metrics.json").read_bytes())
    found = []
    for model in (*metrics["chance"], "colour"):
        test = metrics["models"][model]["test"]["patient"]
        p = metrics["chance"].get(model, {}).get("p_holm")
        said = "-" if p is None else f"{p:.1g}"
        found.append((model, *(_shown(test[one]) for one in ("top1", "roc_auc_macro")), said))
    return found


def _set(run: RunDir, side: int, weights: str) -> None:
    changes = {
        "tile": {"tile_px": side, "max_background": 1.0, "large_images": "resize"},
        "extract": {"name": "lite", "backbone": "efficientnet_lite0", "weights": weights},
        "train": {"heads": ["logistic", "tanh"], "clusterings": [], "folds": 3, "split": [0.34, 0.33, 0.33]},
    }
    whole = tomllib.loads(run.config_file.read_text(encoding="utf-8"))
    for table, entries in changes.items():
        whole[table] |= entries
    run.config_file.write_text(render_config(parse_config(whole, source="run.toml")), encoding="utf-8")


def _label(path: Path) -> str:
    return path.name.partition("___")[0] if "___" in path.name else path.parent.name


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f}-{figure['high']:.2f})"


def _hypoxia(*words: object) -> None:
    command = [sys.executable, "-m", "hypoxia_hpc", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - this program


if __name__ == "__main__":
    main()
