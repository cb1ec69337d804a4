"""Starts Keras: quiet, and deterministic. Everything that needs Keras imports it through here."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def start_keras() -> ModuleType:
    """Import Keras without TensorFlow's start-up chatter, with deterministic operations; the module.

    Precision and layout are set, for a user's ~/.keras/keras.json may ask for others.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_startup_log():
        import keras
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return keras  # type: ignore[no-any-return]


def gpu_names() -> list[str]:
    """Device models of the GPUs that TensorFlow sees."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus]


def threads_per_operation() -> int:
    """Threads that TensorFlow gives an operation: $TF_NUM_INTRAOP_THREADS, else one for each core it may use.

    ``tf.config.threading.get_intra_op_parallelism_threads`` says 0 for both.
    """
    wanted = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) else len(os.sched_getaffinity(0))


@contextmanager
def _without_startup_log() -> Iterator[None]:
    """TensorFlow 2.21 logs while it is loaded, before it obeys any log level: hold standard error back, drop those
    lines, pass all others on."""
    if "tensorflow" in sys.modules:
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
