"""Networks without their top: uint8 tiles in, one feature vector a tile out, preprocessing inside.

`resolve_backbone` decides which weights, without Keras; `build_backbone` makes the network of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.initialisation import RANDOM_RULE, random_kernel
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.networks.weights import find_weights

if TYPE_CHECKING:
    import keras

# ResNet50 adds 16 branches to its trunk. Each enters with 1/4 of its amplitude, so that the mean square grows by no
# more than (1 + 1/16)^16 < e; at full amplitude features came out near 150 with a maximum above 1,300.
RESIDUAL_END = "_3_conv"
RESIDUAL_SCALE = np.float32(0.25)


@dataclass(frozen=True, slots=True)
class Backbone:
    """Which network, for which tiles, with which weights. ``weights_digest`` is the SHA-256 (hex) of the file at
    ``weights_path``, or ``random:<rule>:<seed>`` where there is none."""

    name: str
    tile_px: int
    feature_length: int
    weights_digest: str
    weights_path: Path | None

    @property
    def is_random(self) -> bool:
        return self.weights_path is None


@dataclass(frozen=True, slots=True)
class _Network:
    """``half_range`` is about the largest size of a preprocessed pixel value."""

    application: str
    feature_length: int
    min_px: int
    half_range: int
    known_file: str
    known_md5: str


# The files that Keras publishes for its own applications; md5 as in keras.applications.
NETWORKS = {
    "inception_v3": _Network(
        "InceptionV3",
        2048,
        75,
        1,
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "resnet50": _Network(
        "ResNet50",
        2048,
        32,
        128,
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "vgg16": _Network(
        "VGG16",
        512,
        32,
        128,
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
}


def resolve_backbone(table: ExtractTable, tile_px: int, weights_dir: Path | None) -> Backbone:
    """Which network [extract] asks for, its weights found and checked; Keras is not imported.

    A path in ``table.weights`` is used as it stands: the caller has made it absolute. ``weights_dir`` is `[site]
    weights`; without it $HYPOXIA_HPC_WEIGHTS, else ~/.keras/models. Raises InputError (tile size, or a file that is
    no weights file), MachineError (no such file), NotReadyError (another hash than expected).
    """
    network = NETWORKS[table.backbone]
    if tile_px < network.min_px:
        raise InputError(
            f"[tile] tile_px = {tile_px} is too small for {table.backbone}, which takes {network.min_px} px and more",
            remedy=f"set tile_px to {network.min_px} or more, or choose another [extract] backbone",
        )
    if table.weights == "random":
        return Backbone(table.backbone, tile_px, network.feature_length, f"random:{RANDOM_RULE}:{table.seed}", None)
    path, digest = find_weights(table, network.known_file, network.known_md5, weights_dir)
    return Backbone(table.backbone, tile_px, network.feature_length, digest, path)


def build_backbone(backbone: Backbone) -> keras.Model:
    """The network: uint8 RGB (b, tile_px, tile_px, 3) -> float32 (b, feature_length), average-pooled.

    Weights only are read, never a whole model. Compiled with ``jit_compile=False``: left to itself
    ``predict_on_batch`` may switch XLA on, which moves features by up to 1e-2. Raises InputError where the weights
    are those of another network.
    """
    keras = start_keras()
    network = NETWORKS[backbone.name]
    side = (backbone.tile_px, backbone.tile_px, 3)
    inner = getattr(keras.applications, network.application)(
        include_top=False, weights=None, input_shape=side, pooling="avg"
    )
    if backbone.weights_path is None:
        _fill_at_random(inner, int(backbone.weights_digest.rpartition(":")[2]), network.half_range)
    else:
        _load_weights(inner, backbone.weights_path, backbone.name)
    pixels = keras.Input(side, dtype="uint8", name="pixels")
    model = keras.Model(pixels, inner(_PREPROCESSING[backbone.name](keras, pixels)), name=backbone.name)
    model.trainable = False
    model.compile(jit_compile=False)
    return model


def _scale_to_one(keras: Any, pixels: Any) -> Any:
    """0..255 -> -1..1 (keras.applications.inception_v3.preprocess_input)."""
    return keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)


def _subtract_mean(keras: Any, pixels: Any) -> Any:
    """RGB -> BGR less ImageNet's mean (keras.applications.resnet50 and vgg16 preprocess_input)."""
    bgr = keras.ops.flip(keras.ops.cast(pixels, "float32"), axis=-1)
    return bgr - np.array([103.939, 116.779, 123.68], dtype=np.float32)


_PREPROCESSING: dict[str, Callable[[Any, Any], Any]] = {
    "inception_v3": _scale_to_one,
    "resnet50": _subtract_mean,
    "vgg16": _subtract_mean,
}


def _load_weights(inner: keras.Model, path: Path, name: str) -> None:
    """Load the file, and make sure that it filled every weight: Keras warns of a layer it does not find, and leaves
    that one as it was."""
    for weight in inner.weights:
        weight.assign(np.full(weight.shape, np.nan, dtype=np.float32))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            inner.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise _wrong_weights(path, name, [str(error).split("\n", maxsplit=1)[0]]) from error
    left = [weight.path for weight in inner.weights if not np.isfinite(weight.numpy()).all()]
    if left:
        raise _wrong_weights(path, name, [f"nothing finite for {weight}" for weight in left])


def _wrong_weights(path: Path, name: str, problems: list[str]) -> InputError:
    return InputError(
        f"{path} does not hold the weights of {name} without its top",
        culprits=problems,
        remedy="name the weights file of this network ([extract] backbone), saved with include_top=False",
    )


def _fill_at_random(inner: keras.Model, seed: int, half_range: int) -> None:
    """Every convolution from its own stream of ``seed``, the first one's weights divided by ``half_range``.
    BatchNormalization stays as built: mean 0, variance 1."""
    convolutions = [layer for layer in inner.layers if hasattr(layer, "kernel")]
    for index, layer in enumerate(convolutions):
        kernel = random_kernel(tuple(layer.kernel.shape), seed, index)
        if index == 0:
            kernel /= np.float32(half_range)
        if layer.name.endswith(RESIDUAL_END):
            kernel *= RESIDUAL_SCALE
        layer.kernel.assign(kernel)
