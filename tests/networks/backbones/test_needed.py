"""Which runs need PyTorch, as their run.toml says."""

from __future__ import annotations

import tomllib

import pytest

from hypoxia_hpc.config import parse_config
from hypoxia_hpc.networks.backbones.needed import torch_entry


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("", ""),
        ('[extract]\nbackbone = "resnet50"', ""),
        ('[extract]\nbackbone = "kaiko-s16"', '[extract] backbone = "kaiko-s16"'),
        ('[extract]\nbackbone = "timm:resnet18"', '[extract] backbone = "timm:resnet18"'),
        ('[extract]\nbackbone = "no-such-network"', ""),
        ('[extract]\nbackbone = "imported:kaiko-s16"', ""),
        (
            '[train]\nheads = ["finetune"]\n[train.finetune]\nbackbone = "timm:resnet18"',
            '[train.finetune] backbone = "timm:resnet18"',
        ),
        ('[train]\nheads = ["logistic"]\n[train.finetune]\nbackbone = "timm:resnet18"', ""),
        (
            '[train]\nclusterings = ["contrastive_network"]\n[train.contrastive_network]\nbackbone = "lunit-s8"',
            '[train.contrastive_network] backbone = "lunit-s8"',
        ),
    ],
)
def test_the_entry_that_needs_pytorch(text: str, entry: str) -> None:
    assert torch_entry(parse_config(tomllib.loads(text), source="run.toml")) == entry
