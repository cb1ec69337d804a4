"""Engines run a network: a batch of tiles is started, and its features are fetched when they are ready.

On a GPU ``start`` returns at once, and the copy to the device runs beside the computation of the batch before. On a CPU
it may return only when all is computed. Memory given to ``start`` belongs to the device until ``fetch`` returns: where
possible it is used in place, without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.networks.runtime import backend_name, compiler, gpu_names
from hypoxia_hpc.records import Float32Array, Json, UInt8Array

if TYPE_CHECKING:
    import keras

# Alignment of memory that XLA on the CPU and TensorFlow use in place; other memory they copy.
ALIGNED_BYTES = 64
# Batches that the device has while a thread prepares the next: it computes one, and the other waits for it. With one it
# stands idle from the end of a batch to the start of the next; every further one takes a batch's memory of the device.
IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Engine:
    """``new_batch(shape)`` makes black tiles, uint8, in memory that ``start`` takes as it is; ``start`` a batch, uint8
    (b, px, px, 3) in C order, b always the same; ``fetch`` what that gave: features, float32 (b, d). ``record`` says
    what it is, for `compute`. ``start`` and ``fetch`` may be called in any thread, ``start`` in one at a time.

    ``in_flight``: batches that are best in flight when another one is started, so that the next is ready when one is
    computed; 0 where ``start`` returns when all is computed.
    """

    new_batch: Callable[[tuple[int, ...]], UInt8Array]
    start: Callable[[UInt8Array], Any]
    fetch: Callable[[Any], Float32Array]
    record: Json
    in_flight: int = 0


def keras_engine(model: keras.Model, *, xla: bool) -> Engine:
    """A network on the backend that Keras runs on: uint8 (b, px, px, 3) -> float32 (b, d), traced once for each b."""
    name = backend_name()
    new_batch, start, fetch = _BACKENDS[name](model, compiler(xla))
    record = {"engine": "keras", "compiler": compiler(xla)}
    # On a CPU TensorFlow and PyTorch compute in the calling thread.
    in_flight = IN_FLIGHT if name == "jax" or gpu_names() else 0
    return Engine(new_batch, start, fetch, record, in_flight)


def aligned_batch(shape: tuple[int, ...]) -> UInt8Array:
    """Zeros, uint8, at an address that backends take as it is."""
    memory = np.zeros(math.prod(shape) + ALIGNED_BYTES, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNED_BYTES
    return memory[offset : offset + math.prod(shape)].reshape(shape)


def _float32(features: Any) -> Float32Array:
    return np.asarray(features, dtype=np.float32)


_Parts = tuple[Callable[[tuple[int, ...]], UInt8Array], Callable[[UInt8Array], Any], Callable[[Any], Float32Array]]


def _on_tensorflow(model: keras.Model, compiled: str) -> _Parts:
    import tensorflow as tf

    network = tf.function(lambda pixels: model(pixels, training=False), autograph=False, jit_compile=compiled == "xla")

    def start(batch: UInt8Array) -> Any:
        # tf.constant copies: 0.67 ms for 32 tiles of 299 px, this takes 1 µs.
        return network(tf.experimental.dlpack.from_dlpack(batch.__dlpack__()))

    return aligned_batch, start, lambda features: _float32(features.numpy())


def _on_jax(model: keras.Model, _: str) -> _Parts:
    import jax

    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    network = jax.jit(lambda one, two, pixels: model.stateless_call(one, two, pixels, training=False)[0])

    def start(batch: UInt8Array) -> Any:
        return network(trained, others, jax.device_put(batch))

    return aligned_batch, start, _float32


def _on_torch(model: keras.Model, compiled: str) -> _Parts:
    import torch

    network = torch.compile(model) if compiled == "inductor" else model
    if torch.cuda.is_available():
        return _pinned_batch, _CopiedBeside(network), lambda features: _float32(features.cpu())

    def start(batch: UInt8Array) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(batch), training=False)

    return aligned_batch, start, _float32


def _pinned_batch(shape: tuple[int, ...]) -> UInt8Array:
    import torch

    pixels: UInt8Array = torch.zeros(shape, dtype=torch.uint8, pin_memory=True).numpy()
    return pixels


class _CopiedBeside:
    """A stream for copies alone: without it PyTorch copies and computes one after the other."""

    def __init__(self, network: Any) -> None:
        import torch

        self._network = network
        self._copies = torch.cuda.Stream()

    def __call__(self, batch: UInt8Array) -> Any:
        import torch

        with torch.inference_mode():
            with torch.cuda.stream(self._copies):
                pixels = torch.from_numpy(batch).to("cuda", non_blocking=True)
            computing = torch.cuda.current_stream()
            computing.wait_stream(self._copies)
            pixels.record_stream(computing)
            return self._network(pixels, training=False)


_BACKENDS: dict[str, Callable[[Any, str], _Parts]] = {
    "tensorflow": _on_tensorflow,
    "jax": _on_jax,
    "torch": _on_torch,
}
