"""Whether there is memory for a network, before it is built, and how fast a CPU computes it, before it starts."""

from __future__ import annotations

import time

import numpy as np

from hypoxia_hpc.errors import MachineError, some

BYTES = 4  # of a weight: they are float32 at each precision
# The network, and beside it the tensors of its file.
COPIES_ON_HOST = 2
# A vision transformer's rate, of what products of large matrices alone would allow: measured 0.72, 0.73 and 0.90 for
# ViT-S/16, B/16 and L/16 with PyTorch 2.14, 8 tiles at a time on two cores of an Intel Xeon (AVX-512).
SHARE_OF_PRODUCTS = 0.75
SIDE, SECONDS = 768, 0.3


def require_room(name: str, n_weights: int, free: int, copies: int, of: str) -> None:
    """Raises MachineError where ``free`` bytes do not hold ``copies`` times the weights."""
    needed = BYTES * n_weights * copies
    if needed > free:
        raise MachineError(
            f"{name} has {n_weights / 1e6:,.0f} million weights and needs {needed / 1e9:.1f} GB of memory to load; "
            f"{free / 1e9:.1f} GB {of} are free",
            remedy="end what else runs there, take a machine or job with more ([site.slurm] memory_gb), or a smaller "
            "network (hypoxia-hpc backbones)",
        )


def products_a_second() -> float:
    """Multiply-adds in float32 that the cores of this process do in products of matrices, as measured now."""
    one = np.ones((SIDE, SIDE), dtype=np.float32)
    np.matmul(one, one)
    n, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS:
        np.matmul(one, one)
        n += 1
    return n * SIDE**3 / took


def rate_in_words(name: str, a_tile: float, a_second: float, n_tiles: int) -> str:
    """A sentence with the rate and the time of ``n_tiles``, by the multiply-adds of a tile and of a second."""
    rate = SHARE_OF_PRODUCTS * a_second / a_tile
    hours = n_tiles / rate / 3600
    time_it_takes = f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return (
        f"{name} on this CPU: about {rate:.2g} tiles a second, so {some(n_tiles, 'tile')} take {time_it_takes}. A GPU "
        'is faster; so is [extract] precision = "bfloat16" on a processor that has it (AMX, AVX-512 BF16)'
    )
