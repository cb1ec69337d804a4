"""The sclc study made tiny: slides of 36 tiles, a network of random weights trained on their pixels for two passes."""

from __future__ import annotations

from pathlib import Path

from fault_runs import change_setting

CHAIN = ("tile", "extract", "train", "evaluate", "phenotypes", "survival", "report")
SETTINGS = (
    ("tile", "tile_px", "32"),
    ("tile", "tissue", '"none"'),
    ("extract", "name", '"small"'),
    ("extract", "backbone", '"vgg16"'),
    ("extract", "weights", '"random"'),
    ("extract", "batch_size", "16"),
    ("train", "heads", '["linear"]'),
    ("train", "clusterings", '["contrastive_network"]'),
    ("train", "folds", "1"),
    ("train", "split", "[0.5, 0.25, 0.25]"),
    ("train.contrastive_network", "backbone", '"vgg16"'),
    ("train.contrastive_network", "weights", '"random"'),
    ("train.contrastive_network", "input_px", "32"),
    ("train.contrastive_network", "clusters", "3"),
    ("train.contrastive_network", "units", "16"),
    ("train.contrastive_network", "epochs", "2"),
    ("train.contrastive_network", "batch_size", "32"),
    ("evaluate", "bootstrap", "100"),
    # A signature of so few patients is none to believe; it is here that one is made.
    ("survival", "screen_p", "1.0"),
    ("survival", "least_carriers", "2.0"),
    ("survival", "events_per_column", "2.0"),
    ("survival", "bootstrap", "20"),
    ("survival", "folds", "2"),
    ("site", "workers", "1"),
)


def write_follow_up(patients: Path, to: Path) -> None:
    """The patients of a table with labels, each with a follow-up."""
    _, *rows = patients.read_text().splitlines()
    ids = [row.split(",")[0] for row in rows]
    made = [f"{patient_id},{4 + 7 * number % 23},{int(number % 4 != 3)}" for number, patient_id in enumerate(ids)]
    to.write_text("\n".join(["patient_id,time,event", *made]) + "\n")


def make_tiny(run: Path) -> None:
    """Of a run that ``init --study sclc`` made."""
    for table, entry, value in SETTINGS:
        change_setting(run, table, entry, value)
