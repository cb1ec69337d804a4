"""The tile encoder of Prov-GigaPath."""

from __future__ import annotations

from dataclasses import replace

from hypoxia_hpc.networks.backbones.pathology.record import GATED, IMAGENET, FoundationModel, network

MODELS = (
    FoundationModel(
        network(
            "gigapath",
            "vit_giant_patch14_dinov2",
            seen=replace(IMAGENET, resize_px=256),
            img_size=224,
            patch_size=16,
            embed_dim=1536,
            depth=40,
            num_heads=24,
            mlp_ratio=5.33334,
        ),
        feature_length=1536,
        licence="Apache-2.0, with conditions on its page",
        gate=GATED,
        repository="prov-gigapath/prov-gigapath",
        file="pytorch_model.bin",
        paper="Xu et al. 2024, doi:10.1038/s41586-024-07441-w",
        tile_px=256,
        precision="float16",
    ),
)
