"""DICOM slides that say where they lie, and where the pixels of what is derived from them lie on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from slides.dicom_series import rewritten

SLANTED = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]  # as scanners write it: the slide lies on its side


def placed(path: Path, **tags: Any) -> Path:
    """With what a scanner says of patient, study and place."""
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 31.75, 20.5
    groups = pydicom.dcmread(path).SharedFunctionalGroupsSequence
    groups[0].PixelMeasuresSequence[0].SliceThickness = 0.004
    identity = {"PatientName": "Doe^Jane", "PatientID": "ID-7", "StudyDate": "20240102"}
    places = {"ImageOrientationSlide": SLANTED, "TotalPixelMatrixOriginSequence": [origin]}
    places |= {"SharedFunctionalGroupsSequence": groups}
    return rewritten(path, ContainerIdentifier="BLOCK-3", **{**identity, **places, **tags})


def corners_l0(derived: hd.Image, source: Dataset, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Top left corners of these pixels of a derived image, in pixels of the source, by highdicom's geometry of both."""
    spacing = {}
    for image in (derived, source):
        spacing[id(image)] = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    place = {}
    for image in (derived, source):
        origin = image.TotalPixelMatrixOriginSequence[0]
        xyz = [origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem, 0.0]
        place[id(image)] = ([float(one) for one in xyz], image.ImageOrientationSlide, spacing[id(image)])
    to_slide = hd.spatial.ImageToReferenceTransformer(*place[id(derived)])
    to_source = hd.spatial.ReferenceToImageTransformer(*place[id(source)])
    return np.asarray(to_source(to_slide(np.column_stack([columns, rows]).astype(float))))[:, :2]
