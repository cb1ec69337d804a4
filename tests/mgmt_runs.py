"""The mgmt study made tiny: few slices, a small network of random weights, a few passes."""

from __future__ import annotations

from pathlib import Path

from fault_runs import change_setting

from hypoxia_hpc.synthetic.mri import mri_cohort, write_brain

SETTINGS = (
    ("tile", "tile_px", "32"),
    ("extract", "name", '"small"'),
    ("extract", "backbone", '"vgg16"'),
    ("extract", "weights", '"random"'),
    ("extract", "batch_size", "16"),
    ("train", "folds", "1"),
    ("train", "split", "[0.5, 0.25, 0.25]"),
    ("train.relu", "epochs", "2"),
    ("train.attention", "units", "8"),
    ("train.attention", "attention_units", "4"),
    ("train.attention", "bag_tiles", "8"),
    ("train.attention", "epochs", "2"),
    ("evaluate", "bootstrap", "100"),
    ("evaluate", "image_split", "true"),
    ("site", "workers", "1"),
)


def write_cohort(folder: Path, n_patients: int, n_slices: int, difference: float = 0.6) -> tuple[Path, Path]:
    """The folder of images and the table of labels; the last patient lacks a series."""
    brains = mri_cohort(n_patients, difference, 1, n_slices=n_slices)
    for brain in brains:
        write_brain(folder / "images" / brain.patient_id, brain)
    for image in (folder / "images" / brains[-1].patient_id / "T1w").iterdir():
        image.unlink()
    rows = [f"{brain.patient_id},{int(brain.methylated)}" for brain in brains]
    (folder / "labels.csv").write_text("\n".join(["BraTS21ID,MGMT_value", *rows]) + "\n")
    return folder / "images", folder / "labels.csv"


def make_tiny(run: Path) -> None:
    """Of a run that ``init --study mgmt`` made."""
    for table, entry, value in SETTINGS:
        change_setting(run, table, entry, value)
