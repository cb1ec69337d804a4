"""The name under which packages that add networks know :mod:`hypoxia_hpc.networks.backbones.registry`."""

from hypoxia_hpc.networks.backbones.registry import *  # noqa: F403
