"""kaiko.ai's models of five sizes, and Midnight-12k."""

from __future__ import annotations

from typing import Any

from hypoxia_hpc.networks.backbones.hub_keys import DINOV2_GATED
from hypoxia_hpc.networks.backbones.pathology.record import OPEN, FoundationModel, network
from hypoxia_hpc.networks.backbones.seen import Seen
from hypoxia_hpc.networks.backbones.timm_networks import Tokens

HALF = (0.5, 0.5, 0.5)
# Of Midnight, too: Resize(224) is bilinear where nothing else is said, and its page says nothing else.
SEEN = Seen(HALF, HALF, interpolation="bilinear")
PAPER = "kaiko.ai 2024, arXiv:2404.15217"


def _sized(called: str, architecture: str, feature_length: int, **arguments: Any) -> FoundationModel:
    return FoundationModel(
        network(called, architecture, seen=SEEN, dynamic_img_size=True, **arguments),
        feature_length=feature_length,
        licence="other, see the page",
        gate=OPEN,
        repository=f"1aurent/{architecture}.kaiko_ai_towards_large_pathology_fms",
        paper=PAPER,
        tile_px=256,
        unchecked=("licence", "mpp"),
    )


def _midnight(called: str, tokens: Tokens, feature_length: int) -> FoundationModel:
    return FoundationModel(
        network(called, "vit_giant_patch14_dinov2", seen=SEEN, tokens=tokens, keys=DINOV2_GATED, img_size=224),
        feature_length=feature_length,
        licence="MIT",
        gate=OPEN,
        repository="kaiko-ai/midnight",
        paper="Karasikov et al. 2025, arXiv:2504.05186",
        precision="float16",
        unchecked=("side of the tiles whose positions the file has (others than 224 px are resized)",),
    )


MODELS = (
    _sized("kaiko-s16", "vit_small_patch16_224", 384),
    _sized("kaiko-s8", "vit_small_patch8_224", 384),
    _sized("kaiko-b16", "vit_base_patch16_224", 768),
    _sized("kaiko-b8", "vit_base_patch8_224", 768),
    # The file has the positions of 518 px; timm makes those of 224 px of them as the network runs.
    _sized("kaiko-l14", "vit_large_patch14_reg4_dinov2", 1024, img_size=518),
    _midnight("midnight-12k", "pooled", 1536),
    _midnight("midnight-12k-mean", "class and mean", 3072),
)
