"""OpenVINO in place of Keras' backend: the network that was built, converted, on a CPU.

Keras' own OpenVINO backend would need no conversion, but takes 1.3 times (InceptionV3) to 1.6 times (ResNet50) as much
processor time: it does not merge batch normalisation into the convolutions.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
import warnings
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.networks.inference.engines import Engine, aligned_batch
from hypoxia_hpc.networks.runtime import backend_name
from hypoxia_hpc.records import Float32Array, UInt8Array

if TYPE_CHECKING:
    import keras

# Two batches at a time, each on half of the threads: fewer threads wait for each other at the end of every layer.
STREAMS = 2
PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def require_openvino() -> None:
    """Raises MachineError where OpenVINO, or a backend that it can convert from, is not installed."""
    if importlib.util.find_spec("openvino") is None:
        raise MachineError(
            '[site] engine = "openvino", which is not installed',
            remedy="pip install 'hypoxia-hpc[openvino]', or set engine = \"keras\"",
        )
    if backend_name() == "jax" and importlib.util.find_spec("tensorflow") is None:
        raise MachineError(
            '[site] engine = "openvino" converts a network of JAX by way of TensorFlow, which is not installed',
            remedy='run Keras on another backend (KERAS_BACKEND=torch), or set engine = "keras"',
        )


def openvino_engine(model: keras.Model, shape: tuple[int, ...], *, precision: str, threads: int) -> Engine:
    """A network, uint8 ``shape`` (b, px, px, 3) -> float32 (b, d), run by OpenVINO in ``threads`` threads.

    ``precision`` is what it computes in; the network itself has to be float32: bfloat16 is not converted.
    Raises MachineError as :func:`require_openvino`.
    """
    require_openvino()
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": min(STREAMS, threads),
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],  # the default is bfloat16 where the processor has it
        "ENABLE_CPU_PINNING": False,  # several processes would all bind to the first cores
    }
    compiled = core.compile_model(converted(core, model, shape), "CPU", settings)
    requests = _Requests(compiled)
    record = {
        "engine": "openvino",
        "openvino": importlib.metadata.version("openvino"),
        "compiler": "openvino",
    }
    return Engine(aligned_batch, requests.start, requests.fetch, record, in_flight=STREAMS)


def converted(core: Any, model: keras.Model, shape: tuple[int, ...]) -> Any:
    """The network as OpenVINO has it (openvino.Model). Keras converts by way of a file."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        signature = [keras.InputSpec(shape=shape, dtype="uint8")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch.jit.trace, which Keras uses
            model.export(str(path), format="openvino", verbose=False, input_signature=signature)
        return core.read_model(path)


class _Requests:
    """Requests of a compiled network, each for one batch, used again and again."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._free: deque[Any] = deque()

    def start(self, batch: UInt8Array) -> Any:
        import openvino

        request = self._free.pop() if self._free else self._compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
        request.start_async()
        return request

    def fetch(self, request: Any) -> Float32Array:
        request.wait()
        features = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        self._free.append(request)
        return features
