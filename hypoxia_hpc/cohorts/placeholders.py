"""What tables and headers have in place of a patient's id. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

# In lower case, without anything but letters and digits.
_WORDS = frozenset(
    (
        *("anon", "anonymous", "anonym", "anonymized", "anonymised", "anonymouspatient", "deidentified", "redacted"),
        *("unknown", "unk", "notknown", "na", "nan", "nil", "none", "null", "notavailable", "notapplicable", "missing"),
        *("empty", "removed", "unspecified", "undefined", "noid", "nopatient", "nopatientid", "patientid"),
    )
)

# As Excel shows a long number.
_SHORTENED = re.compile(r"\d([.,]\d+)?E[+-]\d{2,3}", re.ASCII)


def is_shortened(patient_id: str) -> bool:
    """Whether it is a number as a spreadsheet shortens it (``1,23457E+12``): several ids become the same."""
    return _SHORTENED.fullmatch(patient_id) is not None


def placeholders(patient_ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids, one of each slide, that name no patient: a word such as ANONYMOUS, NA or unknown, nothing but
    punctuation, and zeros that several slides have where no other id is a number."""
    counts = Counter(patient_ids)
    plain = {each: "".join(filter(str.isalnum, each.casefold())) for each in counts if each}
    has_numbers = any(text.isdigit() and text.strip("0") for text in plain.values())

    def is_one(each: str, text: str) -> bool:
        return not text or text in _WORDS or (not text.strip("0") and counts[each] > 1 and not has_numbers)

    return frozenset(each for each, text in plain.items() if is_one(each, text))
