"""UNI and UNI2-h of the Mahmood lab."""

from __future__ import annotations

from dataclasses import replace

from hypoxia_hpc.networks.backbones.pathology.record import (
    GATED,
    IMAGENET,
    NON_COMMERCIAL,
    FoundationModel,
    network,
)

BILINEAR = replace(IMAGENET, interpolation="bilinear")
PAPER = "Chen et al. 2024, doi:10.1038/s41591-024-02857-3"
MODELS = (
    FoundationModel(
        network("uni", "vit_large_patch16_224", seen=BILINEAR, init_values=1e-5, dynamic_img_size=True),
        feature_length=1024,
        licence=NON_COMMERCIAL,
        gate=GATED,
        repository="MahmoodLab/UNI",
        file="pytorch_model.bin",
        paper=PAPER,
        tile_px=256,
        precision="float16",
    ),
    FoundationModel(
        network(
            "uni2-h",
            "vit_giant_patch14_224",
            seen=BILINEAR,
            img_size=224,
            patch_size=14,
            depth=24,
            num_heads=24,
            embed_dim=1536,
            mlp_ratio=5.33334,
            init_values=1e-5,
            no_embed_class=True,
            mlp_layer="SwiGLUPacked",
            act_layer="silu",
            reg_tokens=8,
            dynamic_img_size=True,
        ),
        feature_length=1536,
        licence=NON_COMMERCIAL,
        gate=GATED,
        repository="MahmoodLab/UNI2-h",
        file="pytorch_model.bin",
        paper=PAPER,
        tile_px=256,
        precision="bfloat16",
    ),
)
