"""Stain normalisation of tiles against others and against its bounds, in one run: python benchmarks/stain.py

One core, a 299 px tile of the real slide of the package. Each answer is checked. torchstain is asked where it is
installed (pip install torchstain); Vahadane's method is rendered with scikit-learn's dictionary learning, as StainTools
does it with another library.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from figures import ratio
from sklearn.decomposition import DictionaryLearning

from hypoxia_hpc.bench.cases.stain import GLASS, TILE_PX, copy_bytes, tile
from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.bench.rounds import busy, median_seconds, on_one_core, paired
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.tiling.kernels.stain import recolour
from hypoxia_hpc.tiling.stain.density import density_table, stained
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, WHITE, fit_published, published
from hypoxia_hpc.tiling.stain.recolouring import colours, recoloured
from hypoxia_hpc.tiling.stain.stains import Stains, angle_degrees, ordered
from hypoxia_hpc.tiling.stain.vahadane import fit_vahadane

ROUNDS, FEWER_ROUNDS, REPEATS = 15, 5, 20  # a dictionary takes half a minute
RESULT = Path(__file__).with_suffix(".json")
Work = Callable[[], object]


def macenko(rgb: UInt8Array) -> UInt8Array:
    stains = fit_published(rgb).found
    return published(rgb, _found(stains))


def vahadane(rgb: UInt8Array) -> UInt8Array:
    return recoloured(rgb, colours(_found(fit_vahadane(rgb, WHITE, GLASS).found), REFERENCE), GLASS)


def dictionary_directions(rgb: UInt8Array) -> np.ndarray:
    """Vahadane's directions as StainTools finds them: dictionary learning with the paper's 0.1 over all tissue."""
    densities = density_table(WHITE)
    pixels = stained(rgb, densities, GLASS).pixels
    rows = np.stack([densities[pixels[:, c], c] for c in range(3)], axis=1)
    learning = DictionaryLearning(
        2, alpha=0.1, fit_algorithm="cd", positive_code=True, positive_dict=True, max_iter=20, random_state=0
    )
    return ordered(learning.fit(rows).components_.T)


def dictionary_vahadane(rgb: UInt8Array) -> UInt8Array:
    """Fit by dictionary learning, concentrations of every pixel by least squares, plain NumPy."""
    directions = dictionary_directions(rgb)
    densities = -np.log(np.maximum(rgb.reshape(-1, 3), 1) / WHITE)
    concentrations = np.linalg.lstsq(directions, densities.T, rcond=None)[0]
    scaled = concentrations * (REFERENCE.strongest / np.percentile(concentrations, 99, axis=1))[:, None]
    light = WHITE[:, None] * np.exp(-REFERENCE.directions @ scaled)
    return np.clip(np.rint(light.T), 0, 255).astype(np.uint8).reshape(rgb.shape)


def _found(stains: Stains | None) -> Stains:
    assert stains is not None  # noqa: S101
    return stains


def applying(rgb: UInt8Array) -> dict[str, Work]:
    """Application alone, and the bound, each ``REPEATS`` times."""
    new = colours(_found(fit_macenko(rgb, WHITE, GLASS).found), REFERENCE)
    pixels, out = rgb.reshape(-1, 3), np.empty((TILE_PX**2, 3), np.uint8)

    def repeated(work: Work) -> Work:
        return lambda: [work() for _ in range(REPEATS)]

    return {
        "application": repeated(lambda: recolour(pixels, new.fields, new.colours, GLASS, out)),
        "read and write": repeated(lambda: copy_bytes(pixels, out)),
    }


def whole(rgb: UInt8Array) -> dict[str, Work]:
    """Fit and application of a tile."""
    works: dict[str, Work] = {
        "Macenko": lambda: macenko(rgb),
        "Vahadane": lambda: vahadane(rgb),
        "Vahadane by dictionary learning": lambda: dictionary_vahadane(rgb),
    }
    if importlib.util.find_spec("torchstain"):
        from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer

        theirs = NumpyMacenkoNormalizer()
        works["Macenko by torchstain"] = lambda: theirs.normalize(rgb, stains=False)[0]
        difference = np.abs(macenko(rgb).astype(int) - theirs.normalize(rgb, stains=False)[0])
        assert difference.max() <= 1, difference.max()  # noqa: S101
    return works


def main() -> None:
    rgb = tile()
    ours, theirs = _found(fit_vahadane(rgb, WHITE, GLASS).found).directions, dictionary_directions(rgb)
    apart = [angle_degrees(ours[:, dye], theirs[:, dye]) for dye in range(2)]
    for work in (*applying(rgb).values(), *whole(rgb).values()):
        work()  # compiled
    with on_one_core():
        laps = paired(applying(rgb), ROUNDS) | paired(whole(rgb), FEWER_ROUNDS)
    figures = {
        "application_tiles_per_second": REPEATS / median_seconds(laps["application"]),
        "application_share_of_read_and_write": ratio(laps, "read and write", "application"),
        "macenko_milliseconds": 1000 * median_seconds(laps["Macenko"]),
        "vahadane_milliseconds": 1000 * median_seconds(laps["Vahadane"]),
        "vahadane_times_dictionary_learning": ratio(laps, "Vahadane by dictionary learning", "Vahadane"),
        "vahadane_degrees_from_dictionary_learning": max(apart),
        "busy": busy(laps),
    }
    if "Macenko by torchstain" in laps:
        figures["macenko_times_torchstain"] = ratio(laps, "Macenko by torchstain", "Macenko")
    for name, figure in figures.items():
        print(f"{name:45}{figure:10.2f}")
    RESULT.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
