"""Networks without their top: uint8 tiles in, one feature vector a tile out, preprocessing inside.

`resolve_backbone` decides which network with which weights, without Keras; `build_backbone` builds that network.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import HypoxiaError, InputError
from hypoxia_hpc.networks.backbones import applications, efficientnet_lite, timm_networks
from hypoxia_hpc.networks.backbones.fetched import fetched_file
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS, refuse_not_built
from hypoxia_hpc.networks.backbones.precision import asked_precision, used_precision
from hypoxia_hpc.networks.backbones.preprocessing import Preprocess
from hypoxia_hpc.networks.backbones.registry import (
    Network,
    installed_networks,
    load_entry,
    not_a_network,
    unknown_network,
)
from hypoxia_hpc.networks.backbones.timm_networks import TimmNetwork
from hypoxia_hpc.networks.backbones.weights import KnownFile, find_weights, require_unchanged
from hypoxia_hpc.networks.runtime import compiler, start_keras

if TYPE_CHECKING:
    import keras

RANDOM, IMAGENET = "random", "imagenet"

# Virchow's: jobs ask for memory by it.
MOST_IMPORTED = 2560


@dataclass(frozen=True, slots=True)
class Backbone:
    """Which network, for which tiles, with which weights, at which precision (as `precision.asked_precision` has it).

    ``weights_digest`` is the SHA-256 (hex) of the file at ``weights_path``, or ``random:<rule>:<seed>`` where there is
    none. ``published``: the file is the one that the network's makers publish.
    """

    name: str
    tile_px: int
    feature_length: int
    weights_digest: str
    weights_path: Path | None
    seed: int = 0
    precision: str = "float32"
    xla: bool = False
    published: bool = False


def own_networks() -> dict[str, Network]:
    """The networks that this package knows, by name: those of keras.applications, and its own."""
    return {**applications.NETWORKS, **efficientnet_lite.NETWORKS}


def known_networks() -> dict[str, Network | TimmNetwork]:
    """Those, and foundation models of pathology."""
    return {**own_networks(), **{name: one.network for name, one in MODELS.items()}}


def network_names() -> list[str]:
    """Every network that is known here by name; those of timm come on top."""
    return sorted({*known_networks(), *installed_networks()})


def find_network(name: str) -> Network | TimmNetwork:
    """The network of this name: our own, of keras.applications, a foundation model, of an installed package, or of
    timm. Raises InputError (unknown, known twice, or its module fails), MachineError (what it needs is missing)."""
    if name.startswith(timm_networks.PREFIX):
        return timm_networks.timm_network(name.removeprefix(timm_networks.PREFIX))
    entries, own = installed_networks().get(name, []), known_networks()
    if not entries:
        if name not in own:
            refuse_not_built(name)
            raise unknown_network(name, network_names())
        return own[name]
    found = load_entry(name, entries, taken=name in own)
    if not isinstance(found, Network | TimmNetwork):
        raise not_a_network(name, entries[0], found)
    return found


def useless_networks() -> dict[str, str]:
    """Why networks of installed packages cannot be used, by name."""
    found = {}
    for name in installed_networks():
        try:
            find_network(name)
        except HypoxiaError as error:
            found[name] = "; ".join([error.problem, *error.offending])
    return found


def feature_length(name: str, tile_px: int) -> int:
    """Values of a feature vector, whatever the weights. Of imported features, and of networks of timm on a machine
    without it, as many as usual ones have at most: a login node plans jobs for an image. Raises what
    :func:`find_network` does, and InputError where the network does not take tiles of this size."""
    if name in MODELS:
        return MODELS[name].feature_length
    without_timm = name.startswith(timm_networks.PREFIX) and importlib.util.find_spec("timm") is None
    if without_timm or name.startswith(IMPORTED):
        return MOST_IMPORTED
    return find_network(name).length_at(name, tile_px)


def resolve_backbone(table: ExtractTable, tile_px: int, weights_dir: Path | None) -> Backbone:
    """The network that [extract] names, its weights found and checked. Keras is not imported (timm is, for its
    networks).

    A path in ``table.weights`` is used as it stands: the caller has made it absolute. ``weights_dir`` is `[site]
    weights`; without it $HYPOXIA_HPC_WEIGHTS, else ~/.keras/models. Raises InputError (network, tile size, or a file
    that is no weights file), MachineError (no such file, timm is missing), NotReadyError (another hash than expected).
    """
    network = find_network(table.backbone)
    length = network.length_at(table.backbone, tile_px)
    if table.weights == RANDOM:
        path, digest, published = None, network.random_digest(table.seed), False
    else:
        found = find_weights(table, known_file(table, network, weights_dir), network.suffixes, weights_dir)
        path, digest, published = found.path, found.sha256, found.published
    if network.rule != 1:
        digest = f"{digest}:rule-{network.rule}"
    return Backbone(
        table.backbone, tile_px, length, digest, path, table.seed, asked_precision(table), table.xla, published
    )


def known_file(table: ExtractTable, network: Network | TimmNetwork, weights_dir: Path | None) -> KnownFile | None:
    """The file of `weights = "imagenet"`: the one that the network's makers publish, or of a foundation model the one
    that weights fetch put into ``weights_dir``. None where no file is known. Raises what ``fetched_file`` does."""
    if network.known is None and table.backbone in MODELS and table.weights == IMAGENET:
        return fetched_file(table.backbone, weights_dir)
    return network.known


def build_backbone(backbone: Backbone) -> keras.Model:
    """The network: uint8 RGB (b, tile_px, tile_px, 3) -> float32 (b, feature_length), average-pooled.

    Weights only are read, never a whole model. ``predict_on_batch`` runs it without XLA, except on JAX, which has
    nothing else. By default Keras may switch XLA on, which changes features by up to 1e-2. `engines` compiles it as
    ``backbone.xla`` says. Raises InputError where the weights are those of another network.
    """
    keras = start_keras()
    inner, preprocess = build_inner(backbone)
    pixels = keras.Input((backbone.tile_px, backbone.tile_px, 3), dtype="uint8", name="pixels")
    features = keras.ops.cast(inner(preprocess(keras, pixels)), "float32")
    model = keras.Model(pixels, features, name=re.sub(r"[^A-Za-z0-9_]", "_", backbone.name))
    model.trainable = False
    model.compile(jit_compile=compiler(xla=False) != "none")
    return model


@dataclass(frozen=True, slots=True)
class BackboneBuilder:
    """:func:`build_backbone` of one backbone. Builders of equal backbones are equal, which partial functions are not: a
    process that is asked for the same network again has it already."""

    backbone: Backbone

    def __call__(self) -> keras.Model:
        return build_backbone(self.backbone)


def build_inner(backbone: Backbone) -> tuple[keras.Model, Preprocess]:
    """The network with its weights, trainable, and the function that turns pixels into its input.

    ``preprocess(keras, pixels)`` takes RGB pixels of 0..255, uint8 or float, and gives float32; the model takes that
    (b, tile_px, tile_px, 3), and gives (b, feature_length) in the precision it computes in. Raises InputError where the
    weights are those of another network, MachineError where the file changed after it was resolved.
    """
    keras = start_keras()
    network = find_network(backbone.name)
    with _precision(keras, used_precision(backbone.precision)):
        inner = network.build(backbone.tile_px)
    if tuple(inner.output_shape) != (None, backbone.feature_length):
        raise InputError(
            f"the network {backbone.name} gives {inner.output_shape}, not (None, {backbone.feature_length})",
            remedy="mend feature_length where it is registered, or let it end in a vector for each tile",
        )
    if backbone.weights_path is None:
        network.fill(inner, backbone.seed)
    else:
        sha256 = backbone.weights_digest.partition(":")[0]
        require_unchanged(backbone.weights_path, sha256)
        network.load(inner, backbone.weights_path, backbone.name, published=backbone.published)
        require_unchanged(backbone.weights_path, sha256)  # the file may have changed while it was read
    return inner, network.preprocess


@contextmanager
def _precision(keras: Any, precision: str) -> Iterator[None]:
    """Layers made here compute in that precision; their weights are float32 always."""
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")
