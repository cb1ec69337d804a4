"""Which galleries of tiles there are for a kind of outcome: of whose tiles, by which number, and in which words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.analysis.extremes import ExtremeTile
from hypoxia_hpc.outcomes.binary import Binary
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.reports.data import PatientPrediction
from hypoxia_hpc.reports.text import count_of

SHOWN, OF_PATIENT = 12, 3  # tiles of a gallery; those of them that are of one patient, at most
ATTENDED = -1  # in the place of the number of an output
# The sets whose patients no model shown was trained on, the first that there is, and who they are.
SETS: Mapping[str, str] = {
    "test": "test patient",
    "external": "outside patient",
    "predict": "patient without a label",
    "unlabelled": "patient without a label",
}
BY_FOLDS = ", each by the models of the folds that had them in test"


@dataclass(frozen=True, slots=True)
class Ask:
    """A gallery to be filled: the highest (``sign`` 1) or lowest (-1) tiles, by the number of an output for each
    patient whose tiles may be in it (`ATTENDED`: by attention)."""

    name: str
    title: str
    note: str
    sign: int
    outputs: Mapping[str, int]


def shown_patients(
    rows: Sequence[PatientPrediction], model: str, *, in_folds: bool
) -> tuple[str, dict[str, PatientPrediction]]:
    """The patients whose tiles are shown, in words and by their ids: those of the first of `SETS` that has any."""
    for set_name, who in SETS.items():
        found = {row.patient_id: row for row in rows if row.model == model and row.set_name == set_name}
        if found:
            return f"{count_of(len(found), who)}{BY_FOLDS if in_folds and set_name == 'test' else ''}", found
    return "", {}


def owners(rows: Iterable[PatientPrediction], model: str) -> dict[str, PatientPrediction]:
    """Every patient of whom ``model`` says something, of any set, by id; of a patient in several sets the row of the
    first of `SETS`."""
    order = [*SETS]
    own = [row for row in rows if row.model == model]
    own.sort(key=lambda row: order.index(row.set_name) if row.set_name in SETS else len(order), reverse=True)
    return {row.patient_id: row for row in own}


def slide_words(slide_id: str, owner: PatientPrediction) -> str:
    """A slide, and whether the models have seen its patient, as those of training and validation patients have."""
    who = SETS.get(owner.set_name, "patient whom the models were trained or chosen by")
    return f"slide {slide_id}, of {owner.patient_id}, a {who}".replace("a outside", "an outside")


def extreme_asks(outcome: Outcome, patients: Collection[str]) -> Iterator[Ask]:
    """Highest and lowest of one output; of several classes the surest tiles of each."""
    if isinstance(outcome, NamedClasses) and len(outcome.outputs) > 1:
        for number, name in enumerate(outcome.table.classes):
            yield Ask(f"class-{number}", f"Surest of {name}", "", 1, dict.fromkeys(patients, number))
        return
    what = f"probability of {outcome.positive}" if isinstance(outcome, Binary) else outcome.outputs[0]
    for name, title, sign in (("highest", f"Highest {what}", 1), ("lowest", f"Lowest {what}", -1)):
        yield Ask(name, title, "", sign, dict.fromkeys(patients, 0))


def attention_ask(patients: Collection[str]) -> Ask:
    """The tiles that weigh the most in their patient."""
    note = "By their weight in the patient, as a multiple of the mean of the patient's tiles."
    return Ask("attended", "Most attended", note, 1, dict.fromkeys(patients, ATTENDED))


def error_asks(outcome: Outcome, patients: Mapping[str, PatientPrediction]) -> Iterator[Ask]:
    """What speaks for a wrong call in patients of whom the class is known; nothing where there are no classes."""
    if isinstance(outcome, Binary):
        for truth, (name, words, sign) in enumerate(
            (("false-positives", "highest", 1), ("false-negatives", "lowest", -1))
        ):
            own = {one: 0 for one, row in patients.items() if row.label == truth and is_wrong(outcome, row)}
            title = f"{name.replace('-', ' ').capitalize()}: {outcome.table.classes[truth]}, called otherwise"
            note = f"{count_of(len(own), 'patient')}; the tiles with the {words} probability of {outcome.positive}."
            yield Ask(name, title, note, sign, own)
    elif isinstance(outcome, NamedClasses):
        classes = outcome.table.classes
        calls = {one: classes.index(row.call) for one, row in patients.items() if is_wrong(outcome, row)}
        note = (
            f"{count_of(len(calls), 'patient')}; the tiles with the highest probability of the class that was called."
        )
        yield Ask("wrong", "Called a wrong class", note, 1, calls)


def is_wrong(outcome: Outcome, row: PatientPrediction) -> bool:
    """Whether the class that was called is known to be another one."""
    return row.label is not None and row.call in outcome.table.classes and row.call != outcome.shown(row.label)


def output_name(outcome: Outcome, number: int) -> str:
    """An output as a reader knows it: the class that it is the probability of, or what is predicted."""
    if isinstance(outcome, Binary):
        return outcome.positive
    return outcome.table.classes[number] if isinstance(outcome, NamedClasses) else outcome.outputs[number]


def tile_words(ask: Ask, outcome: Outcome, tile: ExtremeTile) -> str:
    """What the model says of a tile: the number that it was chosen by; beside attention, the output that says most."""
    if ask.outputs[tile.patient_id] != ATTENDED:
        return _output_words(outcome, ask.outputs[tile.patient_id], tile.value)
    outputs = tile.said[: len(outcome.outputs)]
    most = max(range(len(outputs)), key=outputs.__getitem__)
    return f"weight {tile.value:.1f} × mean; {_output_words(outcome, most, outputs[most])}"  # noqa: RUF001


def _output_words(outcome: Outcome, number: int, value: float) -> str:
    digits = ".2f" if isinstance(outcome, NamedClasses) else ".3g"
    return f"{output_name(outcome, number)} {value:{digits}}"
