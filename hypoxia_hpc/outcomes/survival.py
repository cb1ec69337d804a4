"""How long a patient was followed, and whether the event came then. A prediction is a risk: the logarithm of a hazard,
up to a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hypoxia_hpc.analysis.follow_up import median_follow_up
from hypoxia_hpc.errors import some
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.score import fifths, number_in
from hypoxia_hpc.records import Followed, Label

LONGEST = 1e6
EVENTS = {"0": 0, "0.0": 0, "0,0": 0, "1": 1, "1.0": 1, "1,0": 1}


@dataclass(frozen=True)
class Survival(Outcome):
    """kind = "survival"."""

    kind = "survival"
    link = "identity"
    label_types = MappingProxyType({"time": "Float64", "event": "Int64"})

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("risk",)

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.table.time,)

    def parse(self, cells: Sequence[str]) -> Label | None:
        time, event = cells
        if time == "" or event == "":
            return None
        if event not in EVENTS:
            raise ValueError(f"is not 0 (censored) or 1 (event) in {self.table.event}")
        rule = f"is not a time of 0 to {LONGEST:g} in {self.table.time}"
        return Followed(number_in(time, 0.0, LONGEST, rule), EVENTS[event])

    @property
    def hint(self) -> str:
        return (
            f"; {self.table.event} is 1 for the event and 0 for censored: where it has 2 and 1, or words as DECEASED "
            "and LIVING, write 1 and 0 in their place"
        )

    def shown(self, label: Label) -> str:
        followed = followed_of(label)
        return f"{followed.time:.6g} {'event' if followed.event else 'censored'}"

    @property
    def balance_columns(self) -> tuple[str, ...]:
        return ("with a follow-up", "events", "median follow-up")

    def balance(self, labels: Sequence[Label]) -> list[str]:
        followed = [followed_of(label) for label in labels]
        events = [one.event for one in followed]
        median = median_follow_up([one.time for one in followed], events)
        shown = "" if not followed else "not reached" if median is None else f"{median:.4g}"
        return [f"{len(followed):,}", f"{sum(events):,}", shown]

    def untrainable(self, labels: Sequence[Label]) -> str:
        followed = [followed_of(label) for label in labels]
        n_events = sum(one.event for one in followed)
        if n_events and len(followed) > 1:
            return ""
        events = some(n_events, "event")
        return f"have {events} among {len(followed)}; one event or more, of two patients or more, is needed"

    def strata(self, labels: Sequence[Label]) -> list[str]:
        followed = [followed_of(label) for label in labels]
        times = fifths([one.time for one in followed])
        return [f"{one.event} {fifth}" for one, fifth in zip(followed, times, strict=True)]


def followed_of(label: Label) -> Followed:
    """Time and event. Raises TypeError for a label of another kind of outcome."""
    if not isinstance(label, Followed):
        raise TypeError(f"{label!r} is no follow-up")
    return label
