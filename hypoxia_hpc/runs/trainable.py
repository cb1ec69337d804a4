"""Whether a run's patients can be trained on: what its tables, and files and stores as far as they are there, tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypoxia_hpc.cohorts.barcodes import alike
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.cohort import FITTED, Cohort, lacking, patients_with_slides, sets_by_fold
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.identity import Owners, equal_slides, shared_slides
from hypoxia_hpc.runs.split import split_of_run


def refuse_untrainable(run: RunDir) -> None:
    """What tables and files tell of it: raises InputError for patients whom no split serves, and for equal files under
    two of them."""
    slides = run.slides()
    patients = patients_with_slides(slides, run.patients())
    split = split_of_run(run, run.config(), list(patients.values()))
    lacks = lacking(sets_by_fold(split.table), patients, run.outcome())
    refuse(
        "patients on whom no model can be trained",
        [what for name, what in lacks if name == FITTED[0]],
        "give more labelled patients, or change [train] split",
    )
    refuse_leaks(patients, equal_slides([slide for slide in slides if patients[slide.patient_id].label is not None]))


def why_untrainable(run: RunDir) -> InputError | None:
    """What ``refuse_untrainable`` raises; None where it does not, and where no patient has a label, so that nothing is
    to be trained."""
    if all(patient.label is None for patient in run.patients()):
        return None
    try:
        refuse_untrainable(run)
    except InputError as error:
        return error
    return None


def refuse_shared_slides(cohort: Cohort) -> None:
    """Raises what ``refuse_leaks`` raises; who has no label is in no set, and leaks into none."""
    slides = [state.slide for state in cohort.done if cohort.patients[state.slide.patient_id].label is not None]
    refuse_leaks(cohort.patients, shared_slides(cohort.run, slides, cohort.config.extract.name))


def refuse_leaks(patients: Collection[str], shared: Sequence[Owners]) -> None:
    """Raises InputError where one slide is under two patients (``shared``), or one patient under two ids: they could be
    in training and test."""
    refuse(
        f"slides that are in slides.csv under more than one patient (the same file, or the same pixels): {len(shared)}",
        [" and ".join(f"{patient_id} ({slide_id})" for patient_id, slide_id in found) for found in shared],
        "keep each slide under the patient it is of; what is no slide of its own, such as a mask, is left out: delete "
        "its row in slides.csv, or begin a run with init --exclude",
    )
    refuse(
        "patients whose ids differ only in case, separators or leading zeros, so that one patient may count as several",
        [", ".join(map(repr, same)) for same in alike(patients)],
        "write each patient's id in one way in slides.csv and patients.csv",
    )
