"""The name under which packages that add networks know :mod:`hypoxia_hpc.networks.backbones.preprocessing`."""

from hypoxia_hpc.networks.backbones.preprocessing import *  # noqa: F403
