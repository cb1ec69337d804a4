"""Features of real tiles when they are resized on the device, against torchvision's own transform of Pillow images.

    KERAS_BACKEND=torch python benchmarks/seen_tiles.py

prints for each side of tiles and way of resizing the smallest cosine of both features of a tile. Tiles are cut from the
slide of this package; the network is kaiko-s16 with random weights (seed 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openslide import OpenSlide
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

import hypoxia_hpc
from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.resolve import build_backbone, resolve_backbone
from hypoxia_hpc.networks.backbones.seen import Seen

NAME = "kaiko-s16"
SLIDE = Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs"
SIDES = (256, 299, 512)
# As UNI, kaiko and Midnight; as Virchow and Hibou; as GigaPath.
WAYS = (("bilinear", 224), ("bicubic", 224), ("bicubic", 256))


def main() -> None:
    backbone = resolve_backbone(ExtractTable(backbone=NAME, weights="random"), 224, None)
    module = build_backbone(backbone).get_layer("timm_network").get_layer("timm").module.network
    for side in SIDES:
        tiles = list(cut(side))
        for interpolation, resize_px in WAYS:
            seen = replace(MODELS[NAME].network.seen, interpolation=interpolation, resize_px=resize_px)
            alike = min(cosine(module, tile, seen) for tile in tiles)
            print(f"{len(tiles)} tiles of {side} px, {interpolation} to {resize_px}: smallest cosine {alike:.9f}")


def cut(side: int) -> Iterator[Image.Image]:
    with OpenSlide(SLIDE) as slide:
        whole = slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")
    corners = ((x, y) for y in range(0, whole.height - side, 3 * side) for x in range(0, whole.width - side, 3 * side))
    yield from (whole.crop((x, y, x + side, y + side)) for x, y in corners)


def cosine(module: Any, tile: Image.Image, seen: Seen) -> float:
    steps = (Resize(seen.resize_px, InterpolationMode(seen.interpolation)), CenterCrop(seen.px), ToTensor())
    theirs = Compose((*steps, Normalize(seen.mean, seen.sd)))(tile)[None]
    ours = seen.of(torch.from_numpy(np.asarray(tile)).permute(2, 0, 1)[None])
    with torch.inference_mode():
        return torch.nn.functional.cosine_similarity(module(ours).double(), module(theirs).double()).item()


if __name__ == "__main__":
    main()
