"""Some tiles of every labelled patient, and what `evaluate` makes of them where it is asked to."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from feature_runs import NAME, make_run

from hypoxia_hpc.models import tile_sample as module
from hypoxia_hpc.models.tile_sample import tile_sample
from hypoxia_hpc.monitoring.verify import verify_notes
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features

STOP = threading.Event()


def test_tiles_of_labelled_patients_alone_evenly_spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = load_cohort(make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=8))
    labelled = {name: each.label for name, each in cohort.patients.items() if each.label is not None}
    slides = [state.slide for state in cohort.done if state.slide.patient_id in labelled]
    monkeypatch.setattr(module, "MOST_TILES", 3 * len(slides))
    tiles, features = tile_sample(cohort, stage="evaluate", progress=NoProgress(), stop=STOP)
    assert tiles["patient_id"].value_counts().to_dict() == {
        name: 3 * sum(slide.patient_id == name for slide in slides) for name in labelled
    }
    assert tiles["label"].tolist() == [labelled[name] for name in tiles["patient_id"]]
    first = min(slides, key=lambda slide: slide.patient_id)
    stored = open_features(cohort.run.features(NAME, first.slide_id)).values
    assert all((row == stored).all(axis=1).any() for row in features[:3])
    assert len(np.unique(features[:3], axis=0)) == 3


def test_evaluate_shows_it_where_it_is_asked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=20)
    train(run, progress=NoProgress(), stop=STOP)
    plain = evaluate(run, progress=NoProgress(), stop=STOP).metrics
    assert "image_split" not in plain
    assert verify_notes(run) == []
    run.config_file.write_text(run.config_file.read_text().replace("image_split = false", "image_split = true"))
    found = evaluate(run, progress=NoProgress(), stop=STOP).metrics
    assert found["warnings"][0]["kind"] == "image-split"
    assert found["image_split"]["by_image"] > 0.5
    assert found["models"] == plain["models"]
    assert found["lead"] == plain["lead"]
    [note] = verify_notes(run)
    assert "the same patients are in training and test" in note
