"""A network for tiles to fine-tune: augmentation, resizing and preprocessing inside, a base, a new top.

The base runs in inference mode, also while it is trained: its BatchNormalization keeps the statistics that it came
with, so that training and prediction compute the same, also with small batches
(https://keras.io/guides/transfer_learning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hypoxia_hpc.config import ExtractTable, FinetuneTable
from hypoxia_hpc.networks.backbones.loading import settle_constants
from hypoxia_hpc.networks.backbones.preprocessing import Preprocess
from hypoxia_hpc.networks.backbones.resolve import build_inner, resolve_backbone
from hypoxia_hpc.networks.data.augmentation import SHAPES, Strengths, augment, draws, resize
from hypoxia_hpc.networks.data.tile_stream import ReadTiles, TileSource, one_after_another
from hypoxia_hpc.networks.heads.loop import Logs
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.networks.heads.saved import damaged, load_model
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.records import Float32Array, UInt8Array

if TYPE_CHECKING:
    import keras

LEAST_PROBABILITY = 1e-7  # as Keras clips them in its cross-entropy


class PredictingNetwork(Protocol):
    """``predicting`` says something of tiles, uint8 (b, tile_px, tile_px, 3); ``base`` is a part of it."""

    @property
    def base(self) -> keras.Model: ...

    @property
    def predicting(self) -> keras.Model: ...


@dataclass(frozen=True, slots=True)
class TileNetwork:
    """One set of weights, four ways in. ``base``: preprocessed pixels -> (b, d). ``features``: pixels uint8 (b,
    tile_px, tile_px, 3) -> the base's, float32 (b, d). ``training``: pixels and random numbers by name -> logits
    float32 (b, k) of k classes. ``predicting``: pixels -> probabilities float32 (b, k). ``mean`` and ``scale`` (d,)
    standardise features on their way to the top."""

    base: keras.Model
    features: keras.Model
    training: keras.Model
    predicting: keras.Model
    mean: keras.Variable
    scale: keras.Variable

    @property
    def tile_px(self) -> int:
        return int(self.predicting.input_shape[1])

    def trained(self, *, unfrozen: bool) -> list[keras.Variable]:
        """Freeze the base or not; the weights that are trained then."""
        self.base.trainable = unfrozen
        return list(self.training.trainable_variables)


def build_network(
    table: FinetuneTable, base: keras.Model, preprocess: Preprocess, tile_px: int, n_classes: int = 2
) -> TileNetwork:
    """``base`` with a new Dense behind it, a unit for each class. Its weights begin at 0: a last layer learns from
    there as well, and no noise in its weights moves the layers before it once they are unfrozen."""
    keras = start_keras()
    inferring, standardised = _in_inference_mode(base), _standardisation(base.output_shape[-1])
    top = keras.layers.Dense(n_classes, dtype="float32", kernel_initializer="zeros", name="top")
    pixels = keras.Input((tile_px, tile_px, 3), dtype="uint8", name="pixels")
    drawn = {name: keras.Input(SHAPES[name], name=name) for name in draws(strengths(table), 1, 0, 0)}
    resized = resize(pixels, tile_px, table.input_px)
    plain = inferring(preprocess(keras, resized))
    augmented = inferring(preprocess(keras, augment(resized, drawn))) if drawn else plain
    models = (
        keras.Model(pixels, plain),
        keras.Model({"pixels": pixels, **drawn}, top(standardised(augmented))),
        keras.Model(pixels, keras.ops.softmax(top(standardised(plain)))),
    )
    for model in (models[0], models[2]):
        model.compile(jit_compile=compiler(xla=False) != "none")
    return TileNetwork(base, *models, standardised.mean, standardised.scale)


def strengths(table: FinetuneTable) -> Strengths:
    return Strengths(table.flips, table.colour_jitter, table.stain_jitter, table.light_jitter, table.cutout)


def _in_inference_mode(base: keras.Model) -> keras.layers.Layer:
    """``base`` as a layer that always runs in inference mode and gives float32. A functional network does not pass on
    the ``training=False`` that it was built with, although the guide says so (Keras 3.15)."""
    keras = start_keras()

    class InferenceMode(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.base = base

        def call(self, pixels: Any) -> Any:
            return keras.ops.cast(self.base(pixels, training=False), "float32")

    return InferenceMode()


def _standardisation(length: int) -> keras.layers.Layer:
    """(x - mean) / scale of float32 (b, length), both of them weights that no optimizer moves."""
    keras = start_keras()

    class Standardisation(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.mean = self.add_weight(shape=(length,), initializer="zeros", trainable=False, name="mean")
            self.scale = self.add_weight(shape=(length,), initializer="ones", trainable=False, name="scale")

        def call(self, features: Any) -> Any:
            return (features - self.mean) / self.scale

    return Standardisation()


def standardise(network: TileNetwork, pixels: UInt8Array, batch_size: int) -> None:
    """Set mean and scale to those of the base's features of these tiles, uint8 (n, tile_px, tile_px, 3)."""
    values = _in_batches(network.features, lambda start, stop: pixels[start:stop], len(pixels), batch_size)
    scale = values.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0  # a feature that never changes stays 0
    network.mean.assign(values.mean(axis=0, dtype=np.float64).astype(np.float32))
    network.scale.assign(scale.astype(np.float32))


def predict(network: PredictingNetwork, read: ReadTiles, n: int, batch_size: int) -> Float32Array:
    """Probabilities of all classes or clusters, float32 (n, k), of the ``n`` tiles that ``read(start, stop)`` gives."""
    return _in_batches(network.predicting, read, n, batch_size)


def watched(network: TileNetwork, sources: Sequence[TileSource], batch_size: int) -> Logs:
    """Mean cross-entropy ``valid_loss`` and ``valid_accuracy`` over all tiles of these sources."""
    labels = np.repeat([source.label for source in sources], [source.n for source in sources])
    probabilities = predict(network, one_after_another(sources), len(labels), batch_size)
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "valid_loss": float(-np.log(np.maximum(right, LEAST_PROBABILITY)).mean()),
        "valid_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
    }


def _in_batches(model: keras.Model, read: ReadTiles, n: int, batch_size: int) -> Float32Array:
    """The outputs of a network for tiles, float32 (n, ...), in batches of one shape."""
    px = model.input_shape[1]
    batch = np.zeros((batch_size, px, px, 3), dtype=np.uint8)
    parts = []
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        batch[: stop - start] = read(start, stop)
        parts.append(np.asarray(model.predict_on_batch(batch))[: stop - start])
    return np.concatenate(parts)


def weights_of(network: PredictingNetwork) -> Arrays:
    """All weights, by their number."""
    return {f"{index:05d}": np.asarray(weight) for index, weight in enumerate(network.predicting.get_weights())}


def set_weights(network: PredictingNetwork, arrays: Arrays) -> None:
    """Put trained weights in. Raises ValueError where they are those of another network."""
    network.predicting.set_weights([arrays[name] for name in sorted(arrays)])
    settle_constants(network.base)


def load_finetuned(folder: Path, tile_px: int) -> keras.Model:
    """The network of a model's folder: tiles uint8 (b, tile_px, tile_px, 3) -> probabilities float32 (b, k).

    The pretrained weights need not exist any more. Raises NotReadyError where the folder holds no sound model."""
    found = load_model(folder)
    table = FinetuneTable.model_validate(found.record.settings)
    any_weights = ExtractTable(backbone=table.backbone, weights="random", precision=table.precision)
    base, preprocess = build_inner(resolve_backbone(any_weights, table.input_px, None))
    network = build_network(table, base, preprocess, tile_px, len(found.record.asked.table.classes))
    try:
        set_weights(network, found.arrays)
    except ValueError as error:
        raise damaged(folder, error) from None
    network.predicting.trainable = False
    return network.predicting
