"""Keras on each backend: which one, how it is started, and what its errors mean."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.networks import runtime
from hypoxia_hpc.networks.runtime import (
    BACKENDS,
    Backend,
    backend_name,
    choose_backend,
    gpu_names,
    is_device_lost,
    is_out_of_memory,
    require_given_gpu,
    start_keras,
    versions,
)

INSTALLED = [name for name in BACKENDS if find_spec(name) is not None]


def python(code: str, **environment: str | None) -> str:
    """What a new Python prints."""
    kept = {name: value for name, value in os.environ.items() if name not in environment}
    given = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={**kept, **given})
    assert done.stderr == b""
    return done.stdout.decode().strip()


CHOOSE = (
    "import sys; from hypoxia_hpc.networks.runtime import backend_name; print(backend_name());"
    "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
)


def test_backend_is_chosen_without_importing_any() -> None:
    assert python(CHOOSE, KERAS_BACKEND=None) == INSTALLED[0]
    assert python(CHOOSE, KERAS_BACKEND="") == INSTALLED[0]
    assert python(CHOOSE, KERAS_BACKEND=INSTALLED[-1]) == INSTALLED[-1]


@pytest.fixture
def before_keras(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(runtime, "_torch_for", "")
    return monkeypatch


def test_unknown_backend_is_refused(before_keras: pytest.MonkeyPatch) -> None:
    before_keras.setenv("KERAS_BACKEND", "openvino")
    with pytest.raises(InputError, match="'openvino', and this suite runs on tensorflow, jax, torch"):
        backend_name()


def test_missing_backend_is_told_with_what_to_install(before_keras: pytest.MonkeyPatch) -> None:
    before_keras.setattr(runtime.importlib.util, "find_spec", lambda _: None)
    before_keras.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MachineError, match="'jax', which is not installed") as caught:
        backend_name()
    assert "pip install 'hypoxia-hpc[jax]'" in caught.value.remedy
    before_keras.delenv("KERAS_BACKEND")
    with pytest.raises(MachineError, match="nothing to run on") as caught:
        backend_name()
    assert "pip install 'hypoxia-hpc[tensorflow]'" in caught.value.remedy


KAIKO = '[extract] backbone = "kaiko-s16"'


@pytest.mark.parametrize(
    ("asked", "torch_for", "installed", "chosen"),
    [
        ("", "", BACKENDS, "tensorflow"),
        ("", "", ("torch", "jax"), "jax"),
        ("torch", "", BACKENDS, "torch"),
        ("", KAIKO, BACKENDS, "torch"),
        ("torch", KAIKO, BACKENDS, "torch"),
    ],
)
def test_a_network_of_pytorch_is_a_reason_to_choose_it(
    asked: str, torch_for: str, installed: tuple[Backend, ...], chosen: Backend
) -> None:
    assert choose_backend(asked, torch_for, installed) == chosen


def test_a_backend_that_does_not_fit_the_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"kaiko-s16\" runs on PyTorch alone, and \$KERAS_BACKEND is 'jax'") as asked:
        choose_backend("jax", KAIKO, BACKENDS)
    assert "unset KERAS_BACKEND" in asked.value.remedy
    with pytest.raises(MachineError, match='kaiko-s16" runs on PyTorch, which is not installed') as missing:
        choose_backend("", KAIKO, ("tensorflow",))
    assert "pip install 'hypoxia-hpc[torch,timm]'" in missing.value.remedy


NEED_TORCH = """
from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.networks.runtime import backend_name, prefer_torch, require_torch, start_keras
prefer_torch("kaiko-s16")
try:
    print(backend_name())
except MachineError as error:
    print(error.problem)
prefer_torch("")
first = start_keras().backend.backend()
try:
    require_torch("kaiko-s16")
    print(first)
except MachineError as error:
    print(error.problem)
"""


def test_keras_that_was_started_on_another_backend_stays_there() -> None:
    chosen, later = python(NEED_TORCH, KERAS_BACKEND=None).splitlines()
    has_torch = "torch" in INSTALLED
    assert chosen == ("torch" if has_torch else "kaiko-s16 runs on PyTorch, which is not installed here")
    first = INSTALLED[0]
    already = f"kaiko-s16 runs on PyTorch, and this Python has started Keras on {first}"
    assert later == ("torch" if first == "torch" else already)


@pytest.mark.parametrize("backend", INSTALLED)
def test_starting_keras_is_quiet_and_sets_its_defaults(backend: str, tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float16", "image_data_format": "channels_first", "backend": "torch"}'
    )
    code = (
        "from hypoxia_hpc.networks.runtime import start_keras; keras = start_keras(); keras.ops.zeros(1);"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format())"
    )
    assert python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND=backend) == f"{backend} float32 channels_last"


def test_threads_are_those_of_the_environment() -> None:
    code = (
        "from hypoxia_hpc.networks.runtime import set_threads, threads_per_operation as told;"
        "cores = told(); set_threads(3); print(cores, told())"
    )
    unset = dict.fromkeys(runtime.THREAD_VARIABLES.values())
    assert python(code, **unset) == f"{len(os.sched_getaffinity(0))} 3"
    variable = runtime.THREAD_VARIABLES[backend_name()]
    assert python(code, **(unset | {variable: "2"})) == "2 2"  # what the user says goes first
    assert python(code, **(unset | {variable: "\u00b2"})).split()[0] == f"{len(os.sched_getaffinity(0))}"


# In a process of its own: another test may have set a seed here.
STARTED = "from hypoxia_hpc.networks.runtime import start_keras; start_keras()"
UNSEEDED = f"""
{STARTED}
import tensorflow as tf
try:
    tf.random.uniform([1])
except RuntimeError as error:
    print(error)
"""


def test_operations_are_deterministic() -> None:
    start_keras()
    if backend_name() == "tensorflow":
        import tensorflow as tf

        assert not tf.config.experimental.tensor_float_32_execution_enabled()
        assert python(UNSEEDED).startswith("Random ops require a seed")
    elif backend_name() == "jax":
        import jax

        assert "--xla_gpu_deterministic_ops=true" in python(f"{STARTED}; import os; print(os.environ['XLA_FLAGS'])")
        assert jax.config.jax_default_matmul_precision == "highest"
    else:
        import torch

        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"


def test_versions_name_keras_and_its_backend() -> None:
    assert {"keras", backend_name()} <= set(versions())
    assert all(version[0].isdigit() for version in versions().values())
    assert all(isinstance(name, str) for name in gpu_names())


@pytest.mark.long
def test_looking_for_gpus_starts_a_backend_quietly() -> None:
    assert python("from hypoxia_hpc.networks.runtime import gpu_names; print(gpu_names())") == str(gpu_names())


# --- errors ------------------------------------------------------------------------------------------------------


def too_much() -> Any:
    """140 TB of zeros on the backend's device."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return tf.zeros((1 << 45,))
    if backend_name() == "jax":
        import jax

        return jax.numpy.zeros((1 << 45,)).block_until_ready()
    import torch

    return torch.zeros(1 << 45)


def test_a_gpu_that_is_given_and_not_seen_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS"):
        monkeypatch.delenv(name, raising=False)
    require_given_gpu()
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    monkeypatch.setattr(runtime, "gpu_names", lambda: ["a GPU"])
    require_given_gpu()
    # As this machine's own backend says where it has none; with a backend and SLURM: tests/cluster/test_chain.py.
    monkeypatch.setattr(runtime, "gpu_names", list)
    with pytest.raises(MachineError, match=rf"\(SLURM_JOB_GPUS=0 on .*{backend_name()} sees none") as caught:
        require_given_gpu()
    assert "[site] gpus = 0" in caught.value.remedy


def test_no_memory_left_is_known_for_what_it_is() -> None:
    start_keras()
    with pytest.raises(Exception, match=r"(?i)memory|OOM") as caught:
        too_much()
    assert is_out_of_memory(caught.value)
    assert not is_device_lost(caught.value)
    assert is_out_of_memory(MemoryError())


def test_other_errors_of_the_backend_are_not_taken_for_it() -> None:
    keras = start_keras()
    with pytest.raises(Exception, match=r"(?i)shape|size|incompatible|dot_general") as caught:
        keras.ops.matmul(keras.ops.zeros((2, 3)), keras.ops.zeros((2, 3)))
    assert not is_out_of_memory(caught.value)
    assert not is_device_lost(caught.value)


# As the backends word them; there is no GPU to take away here.
LOST = [
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: uncorrectable ECC error encountered",
    "INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    "failed to synchronize: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
]
OUT_OF_MEMORY = [
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 96.00GiB.",
    "CUDA error: out of memory",
    "INTERNAL: Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
]


@pytest.mark.parametrize("text", LOST)
def test_lost_devices_are_known_by_what_backends_say(text: str) -> None:
    assert is_device_lost(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError(text))
    assert not is_device_lost(ValueError(text))


@pytest.mark.parametrize("text", OUT_OF_MEMORY)
def test_full_devices_are_known_by_what_backends_say(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_device_lost(RuntimeError(text))
