"""Lunit's small network, trained by DINO."""

from __future__ import annotations

from hypoxia_hpc.networks.backbones.pathology.record import OPEN, FoundationModel, network
from hypoxia_hpc.networks.backbones.seen import Seen

SEEN = Seen((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))
MODELS = (
    FoundationModel(
        network("lunit-s8", "vit_small_patch8_224", seen=SEEN, dynamic_img_size=True),
        feature_length=384,
        licence="Lunit's own, non-commercial",
        gate=OPEN,
        repository="1aurent/vit_small_patch8_224.lunit_dino",
        paper="Kang et al. 2023, arXiv:2212.04690",
        unchecked=("interpolation",),
    ),
)
