"""Folders of images as users have them, small: what tests of runs on images share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PX = 16
CLASSES = ("LMS", "SS", "UPS")


def tissue(seed: int, height: int = PX, width: int = PX) -> NDArray[np.uint8]:
    """Uint8 RGB (height, width, 3) without background."""
    return np.random.default_rng(seed).integers(40, 200, (height, width, 3), dtype=np.uint8)


def write_folder(folder: Path) -> Path:
    """Three patients: A has an image that is cut, one that is turned, one in gray of 16 bits; B a palette, a small one,
    a JPEG that ends too soon, text under the name of an image; C white alone."""
    for patient in "ABC":
        (folder / patient).mkdir(parents=True)
    Image.fromarray(tissue(1, 40, 50)).save(folder / "A" / "2.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(tissue(2, 16, 32)).save(folder / "A" / "10.png", exif=exif)
    Image.fromarray(tissue(3)[..., 0].astype(np.uint16) * 257).save(folder / "A" / "deep.tif")
    Image.fromarray(tissue(4)).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "B" / "palette.png")
    Image.fromarray(tissue(5, 9, 12)).save(folder / "B" / "small.png")
    Image.fromarray(tissue(6, 320, 320)).save(folder / "B" / "cut.jpg")
    whole = (folder / "B" / "cut.jpg").read_bytes()
    (folder / "B" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "B" / "text.png").write_text("no image")
    (folder / "B" / "notes.txt").write_text("no image either")
    Image.new("RGB", (PX, PX), "white").save(folder / "C" / "white.png")
    return folder


def write_cohort(folder: Path, n_patients: int = 12) -> Path:
    """Patients of three classes with two images each, and a key table with TRAIN, VALID and TEST beside the folder."""
    folder.mkdir(parents=True)
    rows = ["patient_ID,Path,Label,training_set,is_valid"]
    for number in range(n_patients):
        of_set = ("TRAIN", "TRAIN", "VALID", "TEST")[number // 3 % 4]
        for image in range(2):
            name = f"tile_{number}_{image}.png"
            Image.fromarray(tissue(100 * number + image, 32, 32)).save(folder / name)
            rows.append(f"P{number},{name},{CLASSES[number % 3]},{of_set},{of_set == 'VALID'}")
    table = folder.parent / "key.csv"
    table.write_text("\n".join(rows) + "\n")
    return table
