"""A run directory: where everything lies, and its tables read and checked."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.cohorts.images import with_images
from hypoxia_hpc.cohorts.slide_table import read_slides
from hypoxia_hpc.config import RunConfig, canonical_json, load_config
from hypoxia_hpc.config.paths import COHORT, with_paths
from hypoxia_hpc.evaluation.shape import has_shape
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.records import Json, Patient, Slide

if TYPE_CHECKING:
    from hypoxia_hpc.outcomes.outcome import Outcome

# Of metrics.json: what says of what, and that nothing was changed since.
SEALS = ("schema", "key", "predictions", "content")


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths of a run. ``slide_id`` and feature names are checked where tables and configuration are read, so that no
    path made here leaves the run directory."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / "run.toml"

    @property
    def slides_file(self) -> Path:
        return self.root / "slides.csv"

    @property
    def word(self) -> str:
        """The run directory as a word of a command that can be pasted into a shell."""
        return shlex.quote(str(self.root))

    @property
    def patients_file(self) -> Path:
        return self.root / "patients.csv"

    @property
    def images_file(self) -> Path:
        """Only a run that starts from images in folders has it."""
        return self.root / "images.csv"

    @property
    def flow_file(self) -> Path:
        return self.root / "flow.json"

    @property
    def given_split_file(self) -> Path:
        return self.root / "given_split.csv"

    @property
    def stain_file(self) -> Path:
        """What the stain of slides is made, where the cohort's own is asked for."""
        return self.root / "stain.json"

    @property
    def split_file(self) -> Path:
        return self.root / "split.csv"

    @property
    def split_record_file(self) -> Path:
        return self.root / "split.json"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions"

    @property
    def metrics_file(self) -> Path:
        return self.root / "metrics.json"

    @property
    def quality_file(self) -> Path:
        return self.root / "quality" / "quality.csv"

    @property
    def reference_file(self) -> Path:
        return self.root / "reference.npy"

    @property
    def phenotypes(self) -> Path:
        return self.root / "phenotypes"

    @property
    def survival(self) -> Path:
        return self.root / "survival"

    @property
    def report_file(self) -> Path:
        return self.root / "report" / "index.html"

    def tiles(self, slide_id: str) -> Path:
        return self.root / "tiles" / f"{slide_id}.zarr"

    def features(self, name: str, slide_id: str) -> Path:
        return self.root / "features" / name / f"{slide_id}.zarr"

    def model(self, name: str) -> Path:
        return self.root / "models" / name

    def checkpoint(self, name: str) -> Path:
        return self.root / "checkpoints" / name

    def tensorboard(self, name: str) -> Path:
        return self.root / "logs" / "tensorboard" / name

    def receipts(self, *stage: str) -> Path:
        return self.root.joinpath("receipts", *stage)

    @property
    def running(self) -> Path:
        return self.root / "running"

    def config(self) -> RunConfig:
        """run.toml, the paths in it made absolute: a relative one is relative to the run directory. The reference of
        stain that a cohort agrees on is a file of it."""
        config = with_paths(load_config(self.config_file), self.root)
        if config.tile.stain.reference != COHORT:
            return config
        stain = config.tile.stain.model_copy(update={"reference": str(self.stain_file.absolute())})
        return config.model_copy(update={"tile": config.tile.model_copy(update={"stain": stain})})

    def outcome(self) -> Outcome:
        """What run.toml asks of a patient."""
        from hypoxia_hpc.outcomes.registry import outcome_of

        return outcome_of(self.config().outcome)

    def slides(self) -> tuple[Slide, ...]:
        """The rows of slides.csv, with their images where the run starts from folders. Raises InputError."""
        slides = read_slides(self.slides_file)
        return with_images(slides, self.images_file) if self.images_file.exists() else slides

    def patients(self) -> tuple[Patient, ...]:
        """The rows of patients.csv; none where the run has no such file."""
        from hypoxia_hpc.cohorts.tables import read_patients  # pandas, for which `tile` has no use

        return read_patients(self.patients_file, self.outcome()) if self.patients_file.exists() else ()

    def metrics(self) -> Json | None:
        """The content of metrics.json; None where there is none, or it is not as it was written."""
        try:
            metrics = read_json(self.metrics_file)
        except (FileNotFoundError, ValueError):
            return None
        sound = isinstance(metrics, dict) and has_shape(metrics) and metrics.get("content") == metrics_content(metrics)
        return metrics if sound else None


def metrics_content(metrics: Json) -> str:
    """SHA-256 (hex) of the canonical JSON of everything that was measured; it stands beside that as ``content``. Of
    schema 1 that is ``models``, with ``folds`` where it has them."""
    if metrics.get("schema") == 1:
        models = metrics.get("models")
        measured = {"models": models, "folds": metrics["folds"]} if "folds" in metrics else models
    else:
        measured = {name: value for name, value in metrics.items() if name not in SEALS}
    return hashlib.sha256(canonical_json(measured).encode()).hexdigest()
