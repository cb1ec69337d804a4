"""Synthetic images of five soft tissue sarcomas in folders, from hospitals that stain in their own ways, with a key
table that says whose each image is and in which set, and a follow-up of the patients.

The classes differ in texture: how dense and how large nuclei are, fibres, contrast. The mean colour of an image is that
of its hospital and patient, whatever the class. A hospital changes both stains of all of its images; it is drawn apart
from the class and the set, so it says nothing of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.synthetic.fields import BACKGROUND_GRAY, EOSIN, HAEMATOXYLIN, to_uint8
from hypoxia_hpc.synthetic.mixtures import LONGEST_MONTHS, MEDIAN_MONTHS, Texture, textured

CLASSES: Mapping[str, Texture] = {
    one.name: one
    for one in (
        Texture("DDLPS", 27.0, 0.22, 0.7, 0.30, 0.10, -0.5),
        Texture("LMS", 25.0, 0.20, 0.8, 0.58, 0.30, 0.0),
        Texture("MFS", 35.0, 0.19, 0.6, 0.22, 0.08, -1.0),
        Texture("SS", 14.0, 0.40, 1.0, 0.32, 0.06, 0.5),
        Texture("UPS", 30.0, 0.33, 0.9, 0.36, 0.14, 1.5),
    )
}
# How strong haematoxylin and eosin are where the images of a hospital are made.
HOSPITALS: Mapping[str, tuple[float, float]] = {"north": (1.0, 1.0), "south": (1.4, 0.75), "west": (0.7, 1.35)}
# Of the patients of each class in turn: every set has every class from the third patient on.
SETS = ("TRAIN", "TEST", "VALID", "TRAIN", "TEST", "TRAIN")
LEAST_PATIENTS = 3 * len(CLASSES)
IMAGE_PX = 224
IMAGES = 6  # of a patient
# Optical density of each stain, in red, green and blue, that the mean colour of an image goes by.
MEAN_DENSITY = np.array([0.22 * HAEMATOXYLIN, 0.38 * EOSIN])
SPACING_SD, EOSIN_SD, STAIN_SD = 0.08, 0.08, 0.05  # natural logarithms, between patients


@dataclass(frozen=True, slots=True)
class SarcomaPatient:
    """``set_name``: TRAIN, VALID or TEST; ``months`` above 0 of follow-up; ``event`` 1, or 0 where it ended before."""

    patient_id: str
    seed: int
    label: str
    hospital: str
    set_name: str
    months: float
    event: int

    @property
    def images(self) -> tuple[str, ...]:
        """Paths below the folder of images."""
        return tuple(f"{self.label}/{self.patient_id}_{number}.png" for number in range(1, IMAGES + 1))


def sarcoma_cohort(n_patients: int, seed: int) -> list[SarcomaPatient]:
    """Patients with the ids S001 and on, the classes in turn; equal arguments give equal patients."""
    rng = np.random.default_rng([seed, n_patients])
    hospitals = rng.permutation(np.resize(list(HOSPITALS), n_patients)).tolist()
    return [_patient(number, hospital, rng) for number, hospital in enumerate(hospitals)]


def _patient(number: int, hospital: str, rng: np.random.Generator) -> SarcomaPatient:
    label, in_class = list(CLASSES)[number % len(CLASSES)], number // len(CLASSES)
    mean = MEDIAN_MONTHS / np.log(2)
    dies = mean * rng.exponential(np.exp(-CLASSES[label].log_hazard))
    leaves = min(2 * mean * rng.exponential(), LONGEST_MONTHS)
    months = max(round(float(min(dies, leaves)), 2), 0.01)
    own, of_set = int(rng.integers(2**63)), SETS[in_class % len(SETS)]
    return SarcomaPatient(f"S{number + 1:03d}", own, label, hospital, of_set, months, int(dies <= leaves))


def write_sarcoma_image(path: Path, patient: SarcomaPatient, number: int) -> None:
    """Write the image of this number (from 0) of a patient as PNG. The bytes depend on patient and number alone.
    Raises OSError."""
    Image.fromarray(sarcoma_image(patient, number)).save(path, "PNG")


def sarcoma_image(patient: SarcomaPatient, number: int) -> UInt8Array:
    """Uint8 RGB (IMAGE_PX, IMAGE_PX, 3)."""
    own = np.random.default_rng(patient.seed)  # equal for all images of the patient
    texture = CLASSES[patient.label]
    spacing, eosin = np.exp(own.normal(scale=(SPACING_SD, EOSIN_SD)))
    stains = np.array(HOSPITALS[patient.hospital]) * np.exp(own.normal(scale=STAIN_SD, size=2))
    changed = texture._replace(spacing_px=texture.spacing_px * spacing, eosin=texture.eosin * eosin)
    pixels = textured(np.random.default_rng([patient.seed, number]), changed, stains, IMAGE_PX).astype(np.float32)
    colour = BACKGROUND_GRAY * np.exp(-stains @ MEAN_DENSITY)
    return to_uint8(pixels + (colour - pixels.mean((0, 1))).astype(np.float32))
