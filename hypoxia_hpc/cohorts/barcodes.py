"""TCGA barcodes: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/. And what makes two ids one patient's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hypoxia_hpc.config.text_paths import composed

# TCGA-<site>-<participant>[-<sample><vial>[-<portion>-<slide>]], then a dot, an underscore, a dash or the end. R writes
# dots in place of dashes; a dot may also end a barcode, so what comes behind the patient has the separator before it.
_BARCODE = re.compile(
    r"TCGA[.-](?P<site>[A-Z0-9]{2})(?P<dash>[.-])(?P<participant>[A-Z0-9]{4})"
    r"(?:(?P=dash)(?P<sample>[0-9]{2})[A-Z]?(?:(?P=dash)[0-9]{2}[A-Z]?(?P=dash)(?P<kind>[A-Z]{2})[A-Z0-9]{1,2})?)?"
    r"(?![A-Z0-9])",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?", re.ASCII)
_SEPARATORS = re.compile(r"[\s._-]+")
PREPARATIONS = {"DX": "diagnostic", "TS": "frozen", "BS": "frozen", "MS": "frozen"}


@dataclass(frozen=True, slots=True)
class Barcode:
    """``patient_id``: ``TCGA-XX-XXXX``. ``site``: tissue source site, characters 6-7. ``sample_type``: 1 to 9 tumour,
    10 to 19 normal, 20 and above controls; None where the name is too short for it. ``slide_kind``: DX (diagnostic),
    TS, BS, MS (frozen: top, bottom, middle), or empty."""

    patient_id: str
    site: str
    sample_type: int | None
    slide_kind: str

    @property
    def sample(self) -> str:
        """``tumour``, ``normal``, ``control``, or nothing where it is not known."""
        if self.sample_type is None:
            return ""
        return "tumour" if 1 <= self.sample_type <= 9 else "normal" if 10 <= self.sample_type <= 19 else "control"

    @property
    def preparation(self) -> str:
        """``diagnostic``, ``frozen``, or nothing where it is not known."""
        return PREPARATIONS.get(self.slide_kind, "")

    @property
    def is_tumour(self) -> bool:
        return self.sample == "tumour"

    @property
    def is_normal(self) -> bool:
        return self.sample == "normal"


def parse_barcode(name: str) -> Barcode | None:
    """The barcode that a name begins with (``TCGA-E7-A6MF-01Z-00-DX1.<uuid>.svs``, any case, dashes or dots), or
    None."""
    found = _BARCODE.match(name)
    if found is None:
        return None
    sample = found["sample"]
    return Barcode(
        patient_id=f"TCGA-{found['site']}-{found['participant']}".upper(),
        site=found["site"].upper(),
        sample_type=None if sample is None else int(sample),
        slide_kind=(found["kind"] or "").upper(),
    )


def plain_patient_id(text: str) -> str:
    """The patient of a cell: of a TCGA barcode, whatever it names (patient, sample, slide, aliquot), its
    ``TCGA-XX-XXXX``; another text as it is, composed and without blanks around it."""
    barcode = parse_barcode(text.strip())
    return composed(text.strip()) if barcode is None else barcode.patient_id


def without_case(patient_id: str) -> str:
    """The same for ids that differ only in case or separators (blank, dot, underscore, dash), and for numbers that
    differ in zeros in front (``00123``) or a decimal zero (``123.0``), as spreadsheets and pandas make of them."""
    if number := _NUMBER.fullmatch(patient_id):
        return number[1]
    return _SEPARATORS.sub("-", patient_id.casefold())


def alike(patient_ids: Iterable[str]) -> list[tuple[str, ...]]:
    """The ids of which `without_case` makes the same, together and sorted."""
    found: dict[str, set[str]] = {}
    for each in patient_ids:
        found.setdefault(without_case(each), set()).add(each)
    return sorted(tuple(sorted(same)) for same in found.values() if len(same) > 1)
