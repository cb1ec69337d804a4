"""How the files of a hub name the tensors of a vision transformer, where that is not as timm does. Pure.

timm keeps query, key and value of a block in one tensor; transformers has three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float32Array

Shape = tuple[int, ...]
BLOCK = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias|gamma)")
POSITIONS, CLASS = "pos_embed", "cls_token"
QKV = ("attention.attention.query", "attention.attention.key", "attention.attention.value")
OUTSIDE = {
    CLASS: "embeddings.cls_token",
    POSITIONS: "embeddings.position_embeddings",
    "reg_token": "embeddings.register_tokens",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}


@dataclass(frozen=True, eq=False)
class HubKeys:
    """timm's names within a block -> the hub's. ``ignored``: names, or their beginnings before a dot, that make no
    feature. ``class_has_place``: the file has a position for the class token, and timm's network has none, for it has
    registers; both are sums that never part."""

    within: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...]
    class_has_place: bool = False

    def of(self, name: str) -> tuple[str, ...]:
        """The names in the file of what makes the tensor of this name in timm, one behind the other."""
        found = BLOCK.fullmatch(name)
        if found is None:
            return (OUTSIDE[name],)
        block, layer, kind = found.groups()
        return tuple(
            f"encoder.layer.{block}.{one}.{'lambda1' if kind == 'gamma' else kind}" for one in self.within[layer]
        )

    def shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Of timm's tensors by name -> of the file's."""
        found: dict[str, Shape] = {}
        for name, shape in shapes.items():
            parts = self.of(name)
            found |= dict.fromkeys(parts, (shape[0] // len(parts), *shape[1:]))
        if self.class_has_place:
            one, n, length = found[OUTSIDE[POSITIONS]]
            found[OUTSIDE[POSITIONS]] = (one, n + 1, length)
        return found

    def tensors(self, names: Mapping[str, Shape], found: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """The file's tensors -> those of these ``names`` in timm."""
        made = {name: np.concatenate([found[one] for one in self.of(name)]) for name in names}
        if self.class_has_place:
            places = found[OUTSIDE[POSITIONS]]
            made |= {CLASS: made[CLASS] + places[:, :1], POSITIONS: np.ascontiguousarray(places[:, 1:])}
        return made


VIT = HubKeys(
    {
        "norm1": ("layernorm_before",),
        "attn.qkv": QKV,
        "attn.proj": ("attention.output.dense",),
        "norm2": ("layernorm_after",),
        "mlp.fc1": ("intermediate.dense",),
        "mlp.fc2": ("output.dense",),
    },
    ignored=("pooler",),
)
_DINOV2 = {
    "norm1": ("norm1",),
    "attn.qkv": QKV,
    "attn.proj": ("attention.output.dense",),
    "ls1": ("layer_scale1",),
    "norm2": ("norm2",),
    "ls2": ("layer_scale2",),
}
_MASK = ("embeddings.mask_token",)
DINOV2 = HubKeys({**_DINOV2, "mlp.fc1": ("mlp.fc1",), "mlp.fc2": ("mlp.fc2",)}, _MASK)
_GATED = {**_DINOV2, "mlp.fc1": ("mlp.weights_in",), "mlp.fc2": ("mlp.weights_out",)}
DINOV2_GATED = HubKeys(_GATED, _MASK)
DINOV2_GATED_REGISTERS = HubKeys(_GATED, _MASK, class_has_place=True)
