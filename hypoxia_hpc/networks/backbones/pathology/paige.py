"""Virchow and Virchow2 of Paige: the class token, and behind it the mean of the patches' tokens."""

from __future__ import annotations

from typing import Any

from hypoxia_hpc.networks.backbones.pathology.record import GATED, NON_COMMERCIAL, FoundationModel, network
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork


def _virchow(called: str, **arguments: Any) -> TimmNetwork:
    return network(
        called,
        "vit_huge_patch14_224",
        tokens="class and mean",
        img_size=224,
        init_values=1e-5,
        mlp_ratio=5.3375,
        global_pool="",
        dynamic_img_size=True,
        mlp_layer="SwiGLUPacked",
        act_layer="silu",
        **arguments,
    )


MODELS = (
    FoundationModel(
        _virchow("virchow"),
        feature_length=2560,
        licence="Apache-2.0",
        gate=GATED,
        repository="paige-ai/Virchow",
        file="pytorch_model.bin",
        paper="Vorontsov et al. 2024, doi:10.1038/s41591-024-03141-0",
        precision="float16",
    ),
    FoundationModel(
        _virchow("virchow2", reg_tokens=4),
        feature_length=2560,
        licence=NON_COMMERCIAL,
        gate=GATED,
        repository="paige-ai/Virchow2",
        paper="Zimmermann et al. 2024, arXiv:2408.00738",
        precision="float16",
        unchecked=("file",),
    ),
)
