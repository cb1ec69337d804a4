"""From tiles to slides to patients: the mean probability over all tiles."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd


def pool_tiles(tiles: pd.DataFrame, level: Literal["slide", "patient"]) -> pd.DataFrame:
    """id, patient_id, probability (float64), n_tiles (int64), one row a slide or patient, sorted by id.

    ``tiles`` has one row a tile: slide_id, patient_id, probability (0..1); every tile weighs the same, so a patient's
    probability is the mean over the tiles of all its slides. The order of the rows does not matter, to the last bit.
    """
    codes, ids = pd.factorize(tiles[f"{level}_id"], sort=True)
    values = tiles["probability"].to_numpy(dtype=np.float64)
    order = np.lexsort((values, codes))  # a sum depends on its order: smallest first, for any order of the input
    n_tiles = np.bincount(codes, minlength=len(ids))
    first = order[np.cumsum(n_tiles) - n_tiles]
    return pd.DataFrame(
        {
            "id": np.asarray(ids),
            "patient_id": tiles["patient_id"].to_numpy()[first],
            "probability": np.bincount(codes[order], weights=values[order], minlength=len(ids)) / n_tiles,
            "n_tiles": n_tiles,
        }
    )
