"""Phikon and Phikon-v2 of Owkin, whose files are those of transformers."""

from __future__ import annotations

from dataclasses import replace

from hypoxia_hpc.networks.backbones.hub_keys import DINOV2, VIT
from hypoxia_hpc.networks.backbones.pathology.record import IMAGENET, OPEN, FoundationModel, network

# transformers' image processors resize by bilinear interpolation unless the file beside the model says otherwise.
BILINEAR = replace(IMAGENET, interpolation="bilinear")
LICENCE = "Owkin's own, non-commercial"
MODELS = (
    FoundationModel(
        network("phikon", "vit_base_patch16_224", seen=BILINEAR, keys=VIT, norm_eps=1e-12),
        feature_length=768,
        licence=LICENCE,
        gate=OPEN,
        repository="owkin/phikon",
        paper="Filiot et al. 2023, doi:10.1101/2023.07.21.23292757",
        unchecked=("norm_eps",),
    ),
    FoundationModel(
        network("phikon-v2", "vit_large_patch16_224", seen=BILINEAR, keys=DINOV2, init_values=1e-5),
        feature_length=1024,
        licence=LICENCE,
        gate=OPEN,
        repository="owkin/phikon-v2",
        paper="Filiot et al. 2024, arXiv:2409.09173",
        unchecked=("interpolation",),
    ),
)
