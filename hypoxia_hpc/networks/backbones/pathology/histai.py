"""Hibou-B and Hibou-L of HistAI: DINOv2 with four registers and gated layers, in files of transformers."""

from __future__ import annotations

from hypoxia_hpc.networks.backbones.hub_keys import DINOV2_GATED_REGISTERS
from hypoxia_hpc.networks.backbones.pathology.record import GATED, OPEN, FoundationModel, network
from hypoxia_hpc.networks.backbones.seen import Seen
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork

SEEN = Seen((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
PAPER = "Nechaev et al. 2024, arXiv:2406.05074"


def _hibou(called: str, architecture: str, mlp_ratio: float) -> TimmNetwork:
    return network(
        called,
        architecture,
        seen=SEEN,
        keys=DINOV2_GATED_REGISTERS,
        img_size=224,
        init_values=1e-5,
        mlp_ratio=mlp_ratio,
        mlp_layer="SwiGLUPacked",
        act_layer="silu",
    )


# The width of a gated layer is two thirds of four times the network's, rounded up to a multiple of 8; there are two.
MODELS = (
    FoundationModel(
        _hibou("hibou-b", "vit_base_patch14_reg4_dinov2", 2 * 2048 / 768),
        feature_length=768,
        licence="Apache-2.0",
        gate=OPEN,
        repository="histai/hibou-b",
        paper=PAPER,
        unchecked=("gate", "names in the file"),
    ),
    FoundationModel(
        _hibou("hibou-l", "vit_large_patch14_reg4_dinov2", 2 * 2736 / 1024),
        feature_length=1024,
        licence="Apache-2.0",
        gate=GATED,
        repository="histai/hibou-L",
        paper=PAPER,
        unchecked=("gate", "names in the file"),
    ),
)
