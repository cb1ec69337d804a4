"""Native JPEG tiles decoded in batches by nvImageCodec and cuCIM: on a GPU, and by the same calls on the cores."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hypoxia_hpc.bench.environment import graphics
from hypoxia_hpc.records import Int64Array, UInt8Array

Device = Literal["cuda", "cpu"]
CUCIM_BATCH, CUCIM_WORKERS = 256, 16
# As libjpeg-turbo does by default: chroma is interpolated, not repeated.
OPTIONS = ":fancy_upsampling=1"


def nvimagecodec_missing() -> str:
    """What decoding on a GPU needs that is not here; empty where all of it is."""
    if not graphics()[0]:
        return "nvidia-smi shows no GPU here"
    if importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.nvimgcodec"):
        return ""
    return "nvImageCodec is not installed: pip install 'hypoxia-hpc[nvimgcodec]'"


class NvImageCodec:
    """A decoder of whole JPEG streams of one size, whose pixels stay where they were decoded.

    ``is_ycbcr``: how the streams keep their colours. nvImageCodec 0.9 takes all of three components for YCbCr, whatever
    their Adobe marker says: RGB is asked for as the planes that the stream has.
    """

    def __init__(self, *, is_ycbcr: bool, device: Device) -> None:
        from nvidia import nvimgcodec as codec

        kinds = codec.BackendKind
        on_gpu = (kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU)
        self._codec = codec
        self._images: list[Any] = []
        self._decoder = codec.Decoder(
            device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY if device == "cpu" else codec.NVIMGCODEC_DEVICE_CURRENT,
            backends=[codec.Backend(kind) for kind in ((kinds.CPU_ONLY,) if device == "cpu" else on_gpu)],
            options=OPTIONS,
        )
        as_they_are = {"sample_format": codec.SampleFormat.P_UNCHANGED, "color_spec": codec.ColorSpec.UNCHANGED}
        self._params = codec.DecodeParams(**({} if is_ycbcr else as_they_are))

    def decode(self, streams: Sequence[bytes]) -> list[Any]:
        """An image for each stream, in memory that the next call uses again; None where one cannot be decoded. The last
        one is fetched, for which the GPU has to be ready with all."""
        sources = [self._codec.CodeStream(stream) for stream in streams]
        self._images = self._decoder.decode(sources, images=self._images or None, params=self._params)
        if self._images[-1] is not None:
            self._images[-1].cpu()
        return self._images

    def pixels(self, streams: Sequence[bytes]) -> list[UInt8Array | None]:
        """The same in the memory of this process, uint8 (height, width, 3) each."""
        found = (None if image is None else np.array(image.cpu()) for image in self.decode(streams))
        return [one.transpose(1, 2, 0) if one is not None and one.shape[0] == 3 else one for one in found]


def cucim_missing() -> str:
    return "" if importlib.util.find_spec("cucim") else "not installed: pip install cucim-cu12"


def cucim_batches(path: Path, xy_l0: Int64Array, side: int, device: Device) -> Iterator[Any]:
    """Squares of level 0 at int64 (n, 2), read and decoded by cuCIM in batches, without its cache."""
    from cucim import CuImage

    CuImage.cache("nocache")
    yield from CuImage(str(path)).read_region(
        location=xy_l0.tolist(),
        size=(side, side),
        level=0,
        batch_size=CUCIM_BATCH,
        num_workers=CUCIM_WORKERS,
        device=device,
    )


def cucim_pixels(path: Path, xy_l0: Int64Array, side: int, device: Device) -> list[UInt8Array]:
    """The same in the memory of this process, uint8 (side, side, 3) each. A batch's own memory ends with it."""
    return [
        square
        for batch in cucim_batches(path, xy_l0, side, device)
        for square in _in_memory(batch, device).reshape(-1, side, side, 3)
    ]


def _in_memory(batch: Any, device: Device) -> UInt8Array:
    if device == "cpu":
        return np.array(batch)
    import cupy

    pixels: UInt8Array = cupy.asarray(batch).get()
    return pixels
