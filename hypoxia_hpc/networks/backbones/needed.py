"""Which entry of run.toml needs PyTorch: networks of timm, and with them foundation models, are modules of it."""

from __future__ import annotations

from collections.abc import Iterator

from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.errors import HypoxiaError
from hypoxia_hpc.networks.backbones.resolve import find_network
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork


def torch_entry(config: RunConfig) -> str:
    """The first entry that names a network of PyTorch, such as ``[extract] backbone = "kaiko-s16"``; empty where none
    does. All stages of the run go by it. Neither Keras nor PyTorch is imported; networks that cannot be found count as
    none, for the stage that builds them says why."""
    named = (f'{table} backbone = "{name}"' for table, name in _named(config) if _is_of_torch(name))
    return next(named, "")


def _named(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Tables of run.toml with a network to be built, and its name."""
    if config.extract.is_made_here:
        yield "[extract]", config.extract.backbone
    for name in config.train.on_pixels:
        yield f"[train.{name}]", getattr(config.train.table_of(name), "backbone", "")


def _is_of_torch(name: str) -> bool:
    try:
        return isinstance(find_network(name), TimmNetwork)
    except HypoxiaError:
        return False
