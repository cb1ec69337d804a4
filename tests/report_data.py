"""Realistic reports, one of each kind of outcome, and an empty one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hypoxia_hpc.config.loading import parse_config
from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.records import Followed, Json, StageUsage
from hypoxia_hpc.reports.data import (
    ClusterShares,
    CohortPatient,
    Curves,
    FeatureCompute,
    GalleriesShown,
    Gallery,
    GalleryTile,
    PatientPrediction,
    Point,
    Provenance,
    QuarantinedSlide,
    ReportData,
    Search,
    SlideOutline,
    SlideRow,
    StageTime,
)
from hypoxia_hpc.reports.page import PAGE, report_files
from hypoxia_hpc.reports.thumbnails import draw_kept_tiles

TYPES = ("KIRC", "LUAD", "HNSC", "BRCA", "SKCM")
SETTINGS: Json = parse_config({"study": "hypoxia"}, source="the test").model_dump(mode="json")
SKILL = {"tanh": 1.6, "funnel": 1.0, "logistic": 1.3}


def _patients() -> tuple[CohortPatient, ...]:
    sets = ["train"] * 24 + ["valid"] * 12 + ["test"] * 24
    rows = [
        CohortPatient(f"DEMO-{i:03d}", i % 2, TYPES[i * 7 % 5], name, f"hospital {i % 3}")
        for i, name in enumerate(sets)
    ]
    return (*rows, CohortPatient("CMU-1", None, "", "unlabelled"))


def _predictions(patients: tuple[CohortPatient, ...]) -> tuple[PatientPrediction, ...]:
    rng = np.random.default_rng(3)
    rows = []
    for model, skill in SKILL.items():
        for patient in patients:
            score = rng.normal(skill * (2 * bool(patient.label) - 1), 1.4)
            probability = float(1 / (1 + np.exp(-score)))
            call = BINARY.called((probability,), 0.5)
            row = PatientPrediction(
                model, patient.set_name, patient.patient_id, patient.label, (probability,), 48, call
            )
            rows.append(row)
    return tuple(rows)


def _metric(value: float, half: float, n: int) -> dict[str, float | int | None]:
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half), "n": n}


def _metrics() -> dict[str, object]:
    models: dict[str, object] = {}
    for model, best in (("tanh", 0.93), ("funnel", 0.81), ("logistic", 0.9), ("tumour-type", 0.58)):
        names = ("roc_auc", "accuracy", "f1_0", "f1_1", "f1_micro", "f1_macro")
        models[model] = {
            set_name: {
                level: {name: _metric(best - 0.02 * i - drop, 0.09 + drop, n) for i, name in enumerate(names)}
                for level, drop, n in (
                    ("patient", 0.0, patients),
                    ("slide", 0.01, patients),
                    ("tile", 0.06, 48 * patients),
                )
            }
            for set_name, patients in (("train", 24), ("valid", 12), ("test", 24))
        }
    return {"schema": 1, "models": models}


def _thumbnail(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = np.full((96, 128, 3), 242, dtype=np.uint8)
    pixels[20:80, 24:104] = rng.normal((196, 140, 190), 14, (60, 80, 3)).clip(0, 255).astype(np.uint8)
    xy = np.array([(x, y) for y in range(600, 2400, 300) for x in range(900, 3000, 300)], dtype=np.int64)
    return draw_kept_tiles(pixels, (3840, 2880), xy, 299.0)


def _slides(patients: tuple[CohortPatient, ...]) -> tuple[SlideRow, ...]:
    rows = [
        SlideRow(
            f"{patient.patient_id}-01Z-00-DX1",
            patient.patient_id,
            "done",
            name=f"{patient.patient_id}-01Z-00-DX1.svs",
            planned=108,
            kept=42 + i % 17,
            background=66 - i % 17,
            unreadable=0,
            mpp=0.25 if i % 3 else 0.2527,
            mpp_source="slide" if i % 3 else "objective-power",
            thumbnail=_thumbnail(i),
        )
        for i, patient in enumerate(patients)
    ]
    bad = [SlideRow("DEMO-061", "DEMO-061", "quarantined"), SlideRow("DEMO-062", "DEMO-062", "quarantined")]
    return (*rows[:-1], *bad, rows[-1])


def _galleries() -> GalleriesShown:
    outline = SlideOutline((3840, 2880), np.array([[900, 600], [1200, 600]], dtype=np.int64), 299.0)
    tiles = (
        GalleryTile("S1", "P1", 900, 600, "hypoxic 0.99", "normoxic", "hypoxic", "", _thumbnail(1), outline),
        GalleryTile("<b>S2</b>", "P2", 1200, 600, "hypoxic 0.98", "hypoxic", "hypoxic"),
    )
    gallery = Gallery("highest", "Highest probability of hypoxic", "A note.", tiles)
    return GalleriesShown("tanh", "24 test patients", (gallery,), {"slide-gone": ("<b>S2</b>",)})


def _history(head: str, epochs: int, pace: float) -> Curves:
    rng = np.random.default_rng(epochs)
    fall = np.exp(-pace * np.arange(epochs))
    loss = 0.1 + 0.6 * fall + rng.normal(0, 0.01, epochs)
    valid_loss = 0.3 + 0.45 * fall + rng.normal(0, 0.02, epochs)
    return Curves(head, tuple(loss), tuple(1 - 0.6 * loss), tuple(valid_loss), tuple(1 - 0.7 * valid_loss))


FLOW: Json = {
    "schema": 1,
    "found": {"tumour, diagnostic": 63, "normal, frozen": 2},
    "steps": [
        {"step": "found", "slides": 65, "patients": 63, "left_out": []},
        {
            "step": "in the run",
            "slides": 63,
            "patients": 61,
            "left_out": [
                {"kind": "slide", "reason": "not a tumour", "n": 2, "names": ["TCGA-XX-0001-11A", "TCGA-XX-0002-11A"]}
            ],
        },
        {
            "step": "with a label",
            "slides": 62,
            "patients": 60,
            "left_out": [{"kind": "patient", "reason": "no label", "n": 1, "names": ["CMU-1"]}],
        },
    ],
    "aside": [
        {"kind": "file", "reason": ".txt", "n": 3, "names": []},
        {
            "kind": "score row",
            "reason": "second sample of a patient in the score table",
            "n": 60,
            "names": [f"TCGA-ZZ-{i:04d}-06" for i in range(60)],
        },
    ],
}


def make_full_report() -> ReportData:
    """60 labelled patients, one unlabelled, 63 slides of which two are quarantined."""
    patients = _patients()
    return ReportData(
        title="demo",
        metrics=_metrics(),
        predictions=_predictions(patients),
        histories=(_history("tanh", 75, 0.08), _history("funnel", 100, 0.05), Curves("logistic", (), ())),
        patients=patients,
        flow=FLOW,
        slides=_slides(patients),
        quarantined=(
            QuarantinedSlide(
                "DEMO-061",
                "tile",
                "no-mpp",
                "DEMO-061.svs states no mpp",
                "set [tile] default_mpp",
            ),
            QuarantinedSlide("DEMO-062", "tile", "no-tissue", "none of 108 tiles has at most 25 % background"),
        ),
        times=(
            StageTime("tile", 41.7, 6588, core_hours=0.19),
            StageTime("extract", 122.4, 2990, 0.0312, 801_927_000, gpu_hours=0.57),
            StageTime("train", 31.2, 1152),
            StageTime("evaluate", 2.31),
        ),
        spent=(
            StageUsage("tile", 12, 28800, 3600, 7200, 0.87, 4 * 10**9, 3_100_000_000, joules=360_000, measured_jobs=3),
            StageUsage("extract", 2, 7200, 3600, gpu_seconds=7200, gpu_share=0.5, gpu_memory=10**9),
        ),
        provenance=Provenance(
            versions={
                "hypoxia_hpc": "0.1.0",
                "python": "3.11.2",
                "numpy": "2.4.1",
                "tensorflow": "2.21.0",
                "keras": "3.15.0",
            },
            keys={"tile": "3f" * 32, "extract": "a1" * 32, "train/tanh": "0c" * 32},
            compute={"device": "CPU, 2 threads", "precision": "float32", "batch shape": "32 × 299 × 299 × 3"},  # noqa: RUF001
            feature_name="inception_v3",
            features=(
                FeatureCompute(40, {"backend": "tensorflow", "engine": "keras", "device": "NVIDIA A100"}),
                FeatureCompute(21, {"backend": "tensorflow", "engine": "openvino", "device": "cpu"}),
            ),
            config_toml='study = "hypoxia"\n\n[tile]\ntile_px = 299  # side of a tile\nmpp = 0.5\n',
        ),
        threshold=0.5,
        confidence=0.95,
        random_weights=True,
        max_thumbnails=40,
        settings=SETTINGS,
        clusters=(ClusterShares("deep_kmeans", (12, 12), ((0.41, 0.22), (0.3, 0.31), (0.29, 0.4), (0.0, 0.07))),),
        searches=(
            Search(
                "tanh",
                (
                    Point({"units": "2048", "momentum": "0.8"}, 0.9212, 0.4111, is_chosen=True),
                    Point({"units": "512", "momentum": "0.8"}, 0.9001, 0.4222, is_chosen=False),
                ),
            ),
            Search("logistic", (Point({"c": "0.1"}, 0.8543, 0.5333, is_chosen=True),)),
        ),
        random_start=("finetune",),
        galleries=_galleries(),
    )


def make_large_report() -> ReportData:
    """500 slides of 500 test patients."""
    full, rng = make_full_report(), np.random.default_rng(0)
    slides = tuple(
        replace(full.slides[i % 50], slide_id=f"TCGA-AA-{i:04d}-01Z-00-DX1", name=f"{'x' * 60}.svs") for i in range(500)
    )
    patients = tuple(CohortPatient(f"TCGA-AA-{i:04d}", i % 2, "COAD", "test", f"{i % 36:02d}") for i in range(500))
    predictions = []
    for head in ("tanh", "attention"):
        for one in patients:
            said = (float(rng.uniform()),)
            call = BINARY.called(said, 0.5)
            predictions.append(PatientPrediction(head, "test", one.patient_id, one.label, said, 999, call))
    return replace(
        full, slides=slides, patients=patients, predictions=tuple(predictions), histories=(), max_thumbnails=500
    )


def make_empty_report() -> ReportData:
    """A run in which nothing has happened."""
    return ReportData(
        title="empty",
        metrics={"schema": 1, "models": {}},
        predictions=(),
        histories=(),
        patients=(),
        flow={},
        slides=(),
        quarantined=(),
        times=(),
        provenance=Provenance({}, {}, {}, ""),
        threshold=0.5,
        confidence=0.95,
        random_weights=False,
        max_thumbnails=40,
    )


def page_of(data: ReportData) -> str:
    """The page of a report."""
    return report_files(data)[PAGE].decode()


def make_report_of(kind: str, n: int = 40) -> ReportData:
    """A report of this kind of outcome, with a planted effect, no slides and no training."""
    table = OutcomeTable(kind=kind, classes=("naïve", "basal", "luminal") if kind == "classes" else ("cold", "hot"))
    outcome = outcome_of(table)
    rng = np.random.default_rng(5)
    strengths = rng.normal(size=n)
    labels = [_label(outcome, strength, i) for i, strength in enumerate(strengths)]
    patients = tuple(
        CohortPatient(f"P{i:02d}", label, TYPES[i % 2], "test", f"site {i % 3}") for i, label in enumerate(labels)
    )
    predictions = tuple(
        _said(outcome, head, patient, strength + rng.normal(0, 0.5))
        for head in ("attention", "linear")
        for patient, strength in zip(patients, strengths, strict=True)
    )
    found = {name: _metric(0.7, 0.1, n) for name in METRICS_OF[kind]}
    metrics = {"schema": 2, "models": {head: {"test": {"patient": found}} for head in ("attention", "linear")}}
    empty = make_empty_report()
    return replace(
        empty, title=kind, metrics=metrics, predictions=predictions, patients=patients, outcome=outcome,
        settings=SETTINGS,
    )  # fmt: skip


METRICS_OF = {
    "binary": ("roc_auc", "average_precision", "accuracy", "chosen_accuracy"),
    "classes": ("roc_auc_macro", "roc_auc_0", "roc_auc_1", "roc_auc_2", "top1"),
    "score": ("spearman", "r2", "mae"),
    "survival": ("harrell", "uno"),
}


def _label(outcome: Outcome, strength: float, index: int) -> int | float | Followed:
    return {
        "binary": int(strength > 0),
        "classes": int(np.digitize(strength, (-0.4, 0.4))),
        "score": float(strength),
        "survival": Followed(float(np.exp(-strength)) * 100, int(index % 3 > 0)),
    }[outcome.kind]


def _said(outcome: Outcome, head: str, patient: CohortPatient, strength: float) -> PatientPrediction:
    powers = np.exp(-np.abs(strength - np.array((-1.0, 0.0, 1.0))))
    said = {
        "binary": (float(1 / (1 + np.exp(-strength))),),
        "classes": tuple(float(one) for one in powers / powers.sum()),
        "score": (float(strength),),
        "survival": (float(strength),),
    }[outcome.kind]
    call = outcome.called(said, 0.5)
    return PatientPrediction(head, patient.set_name, patient.patient_id, patient.label, said, 48, call)
