"""Folders of images as users have them, small: what tests of runs on images share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dyed import OTHER, SLIDE, dyed
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.config import parse_config, render_config

PX = 16
STAINED_PX = 40
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


def write_stained_run(run: Path) -> Path:
    """A run directory of which nothing is done, each patient an image: A, B and C are in training and can be fitted, G,
    of a single green, cannot, T is in test and V in validation. Tiles get the cohort's own stain."""
    (run / "images").mkdir(parents=True)
    for seed, name in enumerate("ABCTV"):
        Image.fromarray(dyed(OTHER if name in "AT" else SLIDE, seed=seed)).save(run / "images" / f"{name}.png")
    green = np.full((STAINED_PX, STAINED_PX, 3), (60, 160, 70), np.uint8)
    green += np.random.default_rng(0).integers(0, 9, green.shape, np.uint8)
    Image.fromarray(green).save(run / "images" / "G.png")
    sets = {"A": "train", "B": "train", "C": "train", "G": "train", "T": "test", "V": "valid"}
    for name, (header, row) in {
        "slides.csv": ("slide_id,path,patient_id,cost", "{0},images,{0},1"),
        "images.csv": ("slide_id,path", "{0},{0}.png"),
        "split.csv": ("patient_id,set", "{0},{1}"),
    }.items():
        (run / name).write_text("\n".join([header, *(row.format(*each) for each in sets.items())]) + "\n")
    tile = {"tile_px": STAINED_PX, "max_background": 0.5, "stain": {"method": "macenko", "reference": "cohort"}}
    changes = {"source": {"kind": "folders"}, "tile": tile, "train": {"split_file": "split.csv"}}
    (run / "run.toml").write_text(render_config(parse_config(changes, source="run.toml")))
    return run
