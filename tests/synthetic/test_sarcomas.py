"""Synthetic sarcomas: five textures that differ, hospitals that say nothing of them, sets with every class."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.synthetic.sarcomas import (
    CLASSES,
    HOSPITALS,
    IMAGE_PX,
    LEAST_PATIENTS,
    sarcoma_cohort,
    sarcoma_image,
    write_sarcoma_image,
)


def figures(pixels: np.ndarray) -> np.ndarray:
    """Spread of green, spread of red in squares of 16 px, share of dark pixels, steps between neighbours."""
    red, green = pixels[..., 0].astype(float), pixels[..., 1].astype(float)
    squares = red.reshape(14, 16, 14, 16).mean((1, 3))
    return np.array([green.std(), squares.std(), (red < red.mean() - 30).mean(), np.abs(np.diff(red)).mean()])


def test_classes_differ_in_texture_and_hospitals_alone_in_colour() -> None:
    patients = [replace(one, hospital="north") for one in sarcoma_cohort(LEAST_PATIENTS, 3)]
    images = {label: [sarcoma_image(one, 0) for one in patients if one.label == label] for label in CLASSES}
    own = {label: np.array([figures(pixels) for pixels in rows]) for label, rows in images.items()}
    for label, other in itertools.combinations(CLASSES, 2):
        apart = np.abs(own[label].mean(0) - own[other].mean(0)) / (own[label].std(0) + own[other].std(0))
        assert apart.max() > 1.5, (label, other)
    means = {label: np.mean(rows, axis=(0, 1, 2)) for label, rows in images.items()}
    colours = [sarcoma_image(replace(patients[0], hospital=name), 0).mean((0, 1)) for name in HOSPITALS]
    by_class, by_hospital = np.ptp([*means.values()], axis=0).max(), np.ptp(colours, axis=0).max()
    assert by_hospital > 15 and by_class < by_hospital / 2, (by_class, by_hospital)


def test_every_set_has_every_class_and_a_hospital_says_nothing_of_them() -> None:
    patients = sarcoma_cohort(LEAST_PATIENTS, 1)
    assert set(Counter((one.label, one.set_name) for one in patients).values()) == {1}
    many = sarcoma_cohort(900, 1)
    counts = Counter((one.hospital, one.label, one.set_name == "TRAIN") for one in many)
    assert len(counts) == 2 * len(HOSPITALS) * len(CLASSES)
    assert min(counts.values()) > 15
    assert len({one.patient_id for one in many}) == len({image for one in many for image in one.images}) / 6 == 900


def test_patients_of_the_worst_class_live_shorter() -> None:
    many = sarcoma_cohort(900, 2)
    rate = {
        label: sum(one.event for one in own) / sum(one.months for one in own)
        for label in CLASSES
        if (own := [one for one in many if one.label == label])
    }
    log_ratio = np.log(rate["UPS"] / rate["MFS"])
    assert log_ratio == pytest.approx(CLASSES["UPS"].log_hazard - CLASSES["MFS"].log_hazard, abs=0.5)
    assert 0.4 < np.mean([one.event for one in many]) < 0.9


def test_the_bytes_depend_on_patient_and_number_alone(tmp_path: Path) -> None:
    patient = sarcoma_cohort(LEAST_PATIENTS, 4)[0]
    again, other = sarcoma_cohort(LEAST_PATIENTS, 4)[0], sarcoma_cohort(LEAST_PATIENTS, 5)[0]
    files = [tmp_path / f"{name}.png" for name in "abcd"]
    for file, one, number in zip(files, (patient, again, other, patient), (0, 0, 0, 1), strict=True):
        write_sarcoma_image(file, one, number)
    first, same, *others = (file.read_bytes() for file in files)
    assert first == same and first not in others
    with Image.open(files[0]) as image:
        assert (image.size, image.mode) == ((IMAGE_PX, IMAGE_PX), "RGB")
