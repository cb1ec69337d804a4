"""TCGA barcodes in slide file names: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/."""

from __future__ import annotations

import re
from dataclasses import dataclass

# TCGA-<site>-<participant>[-<sample><vial>[-<portion>-<slide>]], then a dot, an underscore, a dash or the end.
_BARCODE = re.compile(
    r"TCGA-(?P<site>[A-Z0-9]{2})-(?P<participant>[A-Z0-9]{4})"
    r"(?:-(?P<sample>[0-9]{2})[A-Z]?(?:-[0-9]{2}[A-Z]?-(?P<kind>[A-Z]{2})[A-Z0-9]{1,2})?)?(?![A-Z0-9])",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Barcode:
    """``patient_id``: first 12 characters. ``site``: tissue source site, characters 6-7. ``sample_type``: 1 to 9
    tumour, 10 to 19 normal, 20 and above controls; None where the name is too short for it. ``slide_kind``: DX
    (diagnostic), TS, BS, MS (frozen: top, bottom, middle), or empty."""

    patient_id: str
    site: str
    sample_type: int | None
    slide_kind: str

    @property
    def is_tumour(self) -> bool:
        return self.sample_type is not None and 1 <= self.sample_type <= 9

    @property
    def is_normal(self) -> bool:
        return self.sample_type is not None and 10 <= self.sample_type <= 19


def parse_barcode(name: str) -> Barcode | None:
    """The barcode that a file name begins with (``TCGA-E7-A6MF-01Z-00-DX1.<uuid>.svs``, any case), or None."""
    found = _BARCODE.match(name)
    if found is None:
        return None
    sample = found["sample"]
    return Barcode(
        patient_id=name[:12].upper(),
        site=found["site"].upper(),
        sample_type=None if sample is None else int(sample),
        slide_kind=(found["kind"] or "").upper(),
    )
