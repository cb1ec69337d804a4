"""What is known of a foundation model: the network, and what its makers say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypoxia_hpc.networks.backbones.hub_keys import HubKeys
from hypoxia_hpc.networks.backbones.preprocessing import IMAGENET_MEAN, IMAGENET_SD
from hypoxia_hpc.networks.backbones.seen import Seen
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork, Tokens
from hypoxia_hpc.networks.backbones.weights import SAFETENSORS

IMAGENET = Seen(IMAGENET_MEAN, IMAGENET_SD)
OPEN = "open to all"
GATED = "gated: log in at the hub, agree to the terms on the model's page, wait until the makers let you in"
# Public code that loads these models: architecture, arguments, tokens, resizing, mean and deviation, precision; the
# licences that it names.
ENCODERS = "github.com/mahmoodlab/TRIDENT, trident/patch_encoder_models/load.py"
LICENCES = "github.com/rendeirolab/lazyslide-models, src/lazyslide_models/vision"
MEAN = "-mean"
NON_COMMERCIAL = "CC-BY-NC-ND-4.0"


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """A network with its record. ``feature_length`` values a tile; ``mpp`` µm/px and ``tile_px`` of the tiles that its
    makers recommend; ``precision`` as they run it. ``repository`` and ``file`` are those of the hub. ``unchecked``:
    what no public code or page that could be read confirms, ``checked``: where the rest was read."""

    network: TimmNetwork
    feature_length: int
    licence: str
    gate: str
    repository: str
    paper: str
    file: str = "model.safetensors"
    mpp: float = 0.5
    tile_px: int = 224
    precision: str = "float32"
    unchecked: tuple[str, ...] = ()
    checked: tuple[str, ...] = (ENCODERS, LICENCES)

    @property
    def name(self) -> str:
        return self.network.called

    @property
    def weights_name(self) -> str:
        """What their file is called here. Models that differ in the tokens of their feature alone have one file."""
        return f"{self.name.removesuffix(MEAN)}{SAFETENSORS}"


def network(
    called: str,
    architecture: str,
    *,
    seen: Seen = IMAGENET,
    tokens: Tokens = "pooled",
    keys: HubKeys | None = None,
    **arguments: Any,
) -> TimmNetwork:
    """The network of a record; ``arguments`` go to timm."""
    made = tuple(sorted(arguments.items()))
    return TimmNetwork(architecture, made, called=called, seen=seen, tokens=tokens, keys=keys)
