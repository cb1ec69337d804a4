"""H-optimus-0, H-optimus-1 and H0-mini of Bioptimus."""

from __future__ import annotations

from hypoxia_hpc.networks.backbones.pathology.record import GATED, NON_COMMERCIAL, FoundationModel, network
from hypoxia_hpc.networks.backbones.seen import Seen
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork, Tokens

SEEN = Seen((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))

RESIZING = "interpolation, of tiles that are not of 224 px (public code has both)"


def _giant(called: str) -> TimmNetwork:
    return network(
        called,
        "vit_giant_patch14_reg4_dinov2",
        seen=SEEN,
        img_size=224,
        init_values=1e-5,
        global_pool="token",
        dynamic_img_size=False,
    )


def _mini(called: str, tokens: Tokens) -> TimmNetwork:
    return network(
        called,
        "vit_base_patch14_reg4_dinov2",
        seen=SEEN,
        tokens=tokens,
        img_size=224,
        init_values=1e-5,
        mlp_ratio=5.33334,
        mlp_layer="SwiGLUPacked",
        act_layer="silu",
        dynamic_img_size=True,
    )


def _of_mini(made: TimmNetwork, feature_length: int) -> FoundationModel:
    return FoundationModel(
        made,
        feature_length=feature_length,
        licence=NON_COMMERCIAL,
        gate=GATED,
        repository="bioptimus/H0-mini",
        file="pytorch_model.bin",
        paper="Filiot et al. 2025, arXiv:2501.16239",
        precision="float16",
        unchecked=(RESIZING, "file"),
    )


MODELS = (
    FoundationModel(
        _giant("h-optimus-0"),
        feature_length=1536,
        licence="Apache-2.0",
        gate=GATED,
        repository="bioptimus/H-optimus-0",
        file="pytorch_model.bin",
        paper="Saillard et al. 2024, github.com/bioptimus/releases",
        precision="float16",
        unchecked=(RESIZING, "file"),
    ),
    FoundationModel(
        _giant("h-optimus-1"),
        feature_length=1536,
        licence=NON_COMMERCIAL,
        gate=GATED,
        repository="bioptimus/H-optimus-1",
        paper="Bioptimus 2025, huggingface.co/bioptimus/H-optimus-1",
        precision="float16",
        unchecked=(RESIZING, "file"),
    ),
    _of_mini(_mini("h0-mini", "pooled"), 768),
    _of_mini(_mini("h0-mini-mean", "class and mean"), 1536),
)
