"""Starts Keras on one of its backends: quiet, and deterministic. Everything that needs Keras imports it through here.

What a backend needs of its own lives here: its settings, the names of its devices, its threads, its kinds of error.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Literal, cast, get_args

from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.machine.gpus import given_gpus

Backend = Literal["tensorflow", "jax", "torch"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)  # the first that is installed is the default
# Each backend reads its own when it starts. PJRT_NPROC is JAX's, for its CPU; PyTorch goes by OpenMP's.
THREAD_VARIABLES: dict[Backend, str] = {
    "tensorflow": "TF_NUM_INTRAOP_THREADS",
    "jax": "PJRT_NPROC",
    "torch": "OMP_NUM_THREADS",
}
# Flags of XLA, for JAX and for what TensorFlow compiles. An unknown flag ends the process; both know these two.
XLA_DETERMINISM = "--xla_gpu_deterministic_ops=true --xla_gpu_exclude_nondeterministic_ops=true"
# Sums of cuBLAS repeat only with workspaces of fixed size, says PyTorch's page on reproducibility.
CUBLAS_WORKSPACE = ":4096:8"

# The entry of run.toml, or the network, that only PyTorch can run; empty: none. See `prefer_torch`.
_torch_for = ""

_OUT_OF_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY|CUDA error: out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|can't allocate memory"
)
_THREADS = re.compile(r"[1-9][0-9]{0,5}")
_DEVICE_LOST = re.compile(
    r"CUDA_ERROR_(?!OUT_OF_MEMORY)|CUDA error: (?!out of memory)|uncorrectable ECC|GPU is lost|fallen off the bus"
    r"|CU(BLAS|DNN)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)"
)


def backend_name() -> Backend:
    """The backend that Keras runs on, or will, as :func:`choose_backend` decides. Imports none of them, and raises what
    it does."""
    if "keras" in sys.modules:
        return cast(Backend, sys.modules["keras"].backend.backend())
    installed = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
    return choose_backend(os.environ.get("KERAS_BACKEND", ""), _torch_for, installed)


def choose_backend(asked: str, torch_for: str, installed: Collection[Backend]) -> Backend:
    """PyTorch where something needs it (``torch_for`` names what), else ``asked``, which is $KERAS_BACKEND, else the
    first of tensorflow, jax and torch that is ``installed``. Pure. Raises InputError (``asked`` is no backend, or not
    the one that is needed), MachineError (what it has to be is not installed)."""
    if asked and asked not in BACKENDS:
        raise InputError(
            f"$KERAS_BACKEND is {asked!r}, and this suite runs on {', '.join(BACKENDS)}",
            remedy="export KERAS_BACKEND=tensorflow (or jax, torch), or unset it",
        )
    refuse_other_backend(asked, torch_for)
    if torch_for and "torch" not in installed:
        raise MachineError(
            f"{torch_for} runs on PyTorch, which is not installed here",
            remedy="pip install 'hypoxia-hpc[torch,timm]', or use the image of hypoxia-hpc image gpu-torch",
        )
    if torch_for:
        return "torch"
    found = [name for name in BACKENDS if name in installed and asked in ("", name)]
    if found:
        return found[0]
    if asked:
        raise MachineError(
            f"$KERAS_BACKEND is {asked!r}, which is not installed",
            remedy=f"pip install 'hypoxia-hpc[{asked}]', or unset KERAS_BACKEND",
        )
    raise MachineError(
        f"Keras has nothing to run on: none of {', '.join(BACKENDS)} is installed",
        remedy="pip install 'hypoxia-hpc[tensorflow]' (or [jax], [torch])",
    )


def refuse_other_backend(asked: str, torch_for: str) -> None:
    """Raises InputError where $KERAS_BACKEND is ``asked`` and only PyTorch can run what ``torch_for`` names."""
    if torch_for and asked not in ("", "torch"):
        raise InputError(
            f"{torch_for} runs on PyTorch alone, and $KERAS_BACKEND is {asked!r}",
            remedy="unset KERAS_BACKEND: PyTorch is then chosen by itself, for all stages of such a run",
        )


def prefer_torch(torch_for: str) -> None:
    """From now on Keras is started on PyTorch, for what ``torch_for`` names; empty: as if nothing needed it. A Keras
    that runs already stays as it is."""
    global _torch_for  # noqa: PLW0603 - what Keras runs on is a property of the process, as $KERAS_BACKEND is
    _torch_for = torch_for


def needs_torch() -> str:
    """What :func:`prefer_torch` was given last."""
    return _torch_for


def require_torch(torch_for: str) -> None:
    """Keras runs on PyTorch, or will. Raises what :func:`choose_backend` does, and MachineError where it was started on
    another backend."""
    if (name := backend_name()) != "torch" and "keras" not in sys.modules:
        prefer_torch(torch_for)
        name = backend_name()
    if name != "torch":
        raise MachineError(
            f"{torch_for} runs on PyTorch, and this Python has started Keras on {name}",
            remedy="start a new Python for it, with KERAS_BACKEND unset",
        )


def start_keras() -> ModuleType:
    """Import Keras without start-up chatter, with deterministic operations and float32 that is no TF32; the module.

    Precision and layout are set, because a user's ~/.keras/keras.json may set others. Raises what :func:`backend_name`
    does.
    """
    name = backend_name()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = name
        _prepare(name)
    with _without_startup_log(name):
        import keras
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    _SETTLE[name]()
    return keras  # type: ignore[no-any-return]


def _prepare(name: Backend) -> None:
    """Set the environment that the backend reads when it is imported."""
    if name == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
        return
    os.environ["XLA_FLAGS"] = f"{XLA_DETERMINISM} {os.environ.get('XLA_FLAGS', '')}".strip()
    if name == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _settle_tensorflow() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _settle_jax() -> None:
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")


def _settle_torch() -> None:
    import torch

    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.backends.cuda.matmul.fp32_precision = "ieee"


_SETTLE = {"tensorflow": _settle_tensorflow, "jax": _settle_jax, "torch": _settle_torch}


def compiler(xla: bool) -> str:
    """The compiler of a network when [extract] sets ``xla``: "xla", "inductor" or "none". JAX always uses
    XLA; PyTorch has ``torch.compile`` in its place."""
    name = backend_name()
    if name == "jax":
        return "xla"
    return {"tensorflow": "xla", "torch": "inductor"}[name] if xla else "none"


def versions() -> dict[str, str]:
    """Versions of Keras and its backend, by the names of their packages."""
    names = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}[backend_name()]
    return {name: importlib.metadata.version(name) for name in ("keras", *names)}


def gpu_names() -> list[str]:
    """Device models of the GPUs that the backend sees. Starts it."""
    start_keras()
    return _GPU_NAMES[backend_name()]()


@contextmanager
def data_parallel(batch_size: int) -> Iterator[None]:
    """Networks that are built within are trained on all devices together, each with an equal part of every batch, as
    far as the backend does that by itself: JAX does, where the batch can be divided so; others use one device."""
    keras = start_keras()
    devices = keras.distribution.list_devices() if backend_name() == "jax" else []
    if len(devices) < 2 or batch_size % len(devices):
        yield
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def require_given_gpu() -> None:
    """Raises MachineError where SLURM (or the user) gave this process a GPU and the backend sees none, so that hours
    would be spent on the CPU while the GPU waits. Starts the backend where one was given."""
    given = given_gpus(os.environ)
    if given and not gpu_names():
        raise MachineError(
            f"a GPU was asked for ({given} on {platform.node()}), and {backend_name()} sees none",
            remedy="is [site.slurm] image one for GPUs (hypoxia-hpc image gpu or gpu-torch), does nvidia-smi answer "
            "there, does its driver fit? [site] gpus = 0 says that this work is to run without",
        )


def _tensorflow_gpus() -> list[str]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus]


def _jax_gpus() -> list[str]:
    import jax

    return [device.device_kind for device in jax.local_devices() if device.platform == "gpu"]


def _torch_gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


_GPU_NAMES = {"tensorflow": _tensorflow_gpus, "jax": _jax_gpus, "torch": _torch_gpus}


def set_threads(n: int) -> None:
    """Give an operation ``n`` threads, unless the environment says how many. Before the backend is imported."""
    os.environ.setdefault(THREAD_VARIABLES[backend_name()], str(n))


def threads_per_operation() -> int:
    """Threads that the backend gives an operation: as the environment says, else one for each core it may use.

    ``tf.config.threading.get_intra_op_parallelism_threads`` says 0 for both.
    """
    configured = os.environ.get(THREAD_VARIABLES[backend_name()], "")
    return int(configured) if _THREADS.fullmatch(configured) else len(os.sched_getaffinity(0))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that the device (or the machine) has no memory left. A smaller batch may fit."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}:
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def is_device_lost(error: BaseException) -> bool:
    """Whether the GPU is lost, or in a state that only a new process repairs."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    of_backend = isinstance(error, RuntimeError) or "OpError" in kinds
    return of_backend and not is_out_of_memory(error) and _DEVICE_LOST.search(str(error)) is not None


@contextmanager
def _without_startup_log(name: Backend) -> Iterator[None]:
    """TensorFlow 2.21 logs while it is loaded, before it obeys any log level: hold standard error back, drop those
    lines, pass all others on."""
    if name != "tensorflow" or "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not _is_startup_log(line)))


def _is_startup_log(line: bytes) -> bool:
    return line.startswith((b"WARNING: All log messages before absl", b"I0000 ", b"W0000 "))
