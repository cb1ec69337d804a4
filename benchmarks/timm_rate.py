"""timm's networks under torch.compile, in a process of their own: python timm_rate.py NAME PX BATCH PRECISION

Reads numbers of batches from standard input, and writes a line when that many are computed. Its input lies on the GPU.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def is_here() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("timm", "torch"))


@contextmanager
def waiting(name: str, px: int, batch: int, precision: str, n_batches: int) -> Iterator[Callable[[], object]]:
    """A function that computes as many batches as it is asked for each time it is called."""
    asked = [sys.executable, __file__, name, str(px), str(batch), precision]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        go, done = process.stdin, process.stdout

        def compute() -> None:
            go.write(f"{n_batches}\n")
            go.flush()
            if not done.readline():
                raise RuntimeError("timm's process ended")

        yield compute
        go.close()


def main() -> None:
    import timm
    import torch

    name, px, batch, precision = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    network = timm.create_model(name, pretrained=False, num_classes=0).eval().cuda()
    network = network.to(memory_format=torch.channels_last, dtype=getattr(torch, precision))
    compiled = torch.compile(network, mode="max-autotune")
    pixels = torch.randint(0, 256, (batch, px, px, 3), dtype=torch.uint8, device="cuda")
    with torch.inference_mode():
        for line in sys.stdin:
            for _ in range(int(line)):
                scaled = (pixels.permute(0, 3, 1, 2).to(getattr(torch, precision)) / 127.5) - 1
                compiled(scaled)
            torch.cuda.synchronize()
            print("done", flush=True)


if __name__ == "__main__":
    main()
