"""What the report shows: plain values that are collected from a run. No I/O, no formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Float64Array, Int64Array, Json, Label, StageUsage, ThreadSeconds
from hypoxia_hpc.reports.quality import QualityRow


@dataclass(frozen=True, slots=True)
class CohortPatient:
    """One row of ``patients.csv`` with its set of ``split.csv`` (train, valid, test, unlabelled; "" if in none) and its
    ``site``, "" where that is not known."""

    patient_id: str
    label: Label | None
    tumour_type: str
    set_name: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class PatientPrediction:
    """What one model says of a patient: the columns of `Outcome.outputs` (the calibrated probability where there is
    one; the mean where several folds tested the patient) and, of classes, the name of the one that is called.
    ``distance`` from the patients of training, where it was measured, and whether it is beyond theirs."""

    model: str
    set_name: str
    patient_id: str
    label: Label | None
    said: tuple[float, ...]
    n_tiles: int
    call: str = ""
    distance: float | None = None
    is_unlike: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """Training curves of one model, one value per epoch; accuracies in 0..1, empty for a clustering; no valid set:
    empty tuples."""

    head: str
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    valid_loss: tuple[float, ...] = ()
    valid_accuracy: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterShares:
    """Of one clustering (``name``, with its fold where there are more): test patients of class 0 and of class 1, and
    for each cluster, in its order, the mean share (0..1) of the tiles of patients of class 0 and of class 1."""

    name: str
    n_patients: tuple[int, int]
    shares: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RisksShown:
    """The risk of each patient who has one, of one endpoint; above ``cut`` it is called higher."""

    endpoint: str
    by_patient: Mapping[str, float]
    cut: float


@dataclass(frozen=True, slots=True)
class SlideMap:
    """Where tiles of a slide lie: top left ``xy_l0`` int64 (n, 2) and ``side_l0`` (1 or more) in level 0 pixels of
    ``mpp`` µm (None: not known), and the cluster of each (n,). ``group``: of its patient, "" where none is known."""

    slide_id: str
    group: str
    xy_l0: Int64Array
    clusters: Int64Array
    side_l0: float
    mpp: float | None


@dataclass(frozen=True, slots=True)
class PhenotypesShown:
    """``facts``: content of phenotypes.json. ``shares`` (n, k) of the tiles of patients; ``pictures``: of each cluster
    its typical tiles (JPEG), None where there are none; ``places`` (m, 2) and ``clusters`` (m,) of training tiles on a
    plane, by principal components or UMAP (``picture``); ``risks``: of the survival stage, where it made a signature;
    ``maps``: of some slides."""

    facts: Json
    patient_ids: tuple[str, ...]
    shares: Float64Array
    pictures: tuple[bytes | None, ...]
    places: Float64Array
    clusters: Int64Array
    risks: RisksShown | None = None
    maps: tuple[SlideMap, ...] = ()
    picture: Literal["pca", "umap"] = "pca"


@dataclass(frozen=True, eq=False, slots=True)
class SlideOutline:
    """A slide of ``size_l0`` (width, height), and where its kept tiles lie: top left ``xy_l0`` int64 (n, 2) and
    ``side_l0``, in level 0 pixels. Of a patient's images: the sheet that they are laid on."""

    size_l0: tuple[int, int]
    xy_l0: Int64Array
    side_l0: float


@dataclass(frozen=True, slots=True)
class GalleryTile:
    """A tile of a gallery, at ``x_l0``, ``y_l0`` in level 0 pixels (in a patient's images ``image`` names which).
    ``words``: what is said of it; ``truth`` and ``call`` of its patient, "" where there is none. ``picture``: JPEG,
    None where the slide or its store cannot be read, which leaves out ``outline`` too where it is the store."""

    slide_id: str
    patient_id: str
    x_l0: int
    y_l0: int
    words: str
    truth: str = ""
    call: str = ""
    image: str = ""
    picture: bytes | None = field(default=None, repr=False)
    outline: SlideOutline | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gallery:
    """Tiles in their order, the one that stands out most first. ``note`` is a sentence, or empty."""

    name: str
    title: str
    note: str
    tiles: tuple[GalleryTile, ...]


@dataclass(frozen=True, slots=True)
class GalleriesShown:
    """Of what one ``model`` says of the tiles of some patients (``who``, in words). ``unread``: slides without
    pictures, by the reason."""

    model: str
    who: str
    galleries: tuple[Gallery, ...]
    unread: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One slide: tile counts of its store, ``mpp`` in µm per level 0 pixel, ``thumbnail`` as ``draw_kept_tiles`` gives
    it (JPEG), a file of its own. ``name`` is the original name for display. None: the slide was not processed so
    far."""

    slide_id: str
    patient_id: str
    status: str
    name: str = ""
    planned: int | None = None
    kept: int | None = None
    background: int | None = None
    unreadable: int | None = None
    mpp: float | None = None
    mpp_source: str = ""
    thumbnail: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QuarantinedSlide:
    """A slide that a stage set aside: short reason (``no-mpp``), the sentence with the values, what to do about it."""

    slide_id: str
    stage: str
    reason: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of work of one stage, summed over its receipts; ``tiles`` it handled, None where it counts none;
    ``waited`` is the share of its device's time, 0..1, without a tile to compute, ``bytes_read`` from tile stores. A
    thousand slides like these take ``core_hours`` and ``gpu_hours``; None where receipts do not say it. ``threads``:
    seconds of the threads of its slides by what they did, all 0 where receipts do not say it."""

    stage: str
    seconds: float
    tiles: int | None = None
    waited: float | None = None
    bytes_read: int | None = None
    core_hours: float | None = None
    gpu_hours: float | None = None
    threads: ThreadSeconds = field(default_factory=ThreadSeconds)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a search: its values by key, and of its validation patients the figure that the search goes by (the
    headline of the kind of outcome) and the mean loss."""

    settings: Mapping[str, str]
    figure: float
    valid_loss: float
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried for one model, in the order of trying."""

    model: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class FeatureCompute:
    """A way in which the features of ``n_slides`` slides were computed: backend, device and others, by property."""

    n_slides: int
    compute: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LeftOutImage:
    """An image of a patient that is no tiles: its path below the folder of images, which slice of a file of several it
    is ("" where the file is one image), the reason, and what is wrong in words."""

    patient_id: str
    path: str
    slice: str
    reason: str
    problem: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers come from: versions by package, keys by stage, compute by property (of training), run.toml as
    text; and each way in which ``features`` of this name were computed, that of most slides first."""

    versions: Mapping[str, str]
    keys: Mapping[str, str]
    compute: Mapping[str, str]
    config_toml: str
    feature_name: str = ""
    features: tuple[FeatureCompute, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page. ``metrics`` is the content of ``metrics.json``, ``flow`` that of ``flow.json``,
    ``settings`` that of run.toml with defaults. A probability above ``threshold`` is called class 1 where no threshold
    was chosen; ``confidence`` is the coverage of the intervals in 0..1; at most ``max_thumbnails`` are shown.
    ``random_weights``: features come from a random network; ``random_start``: models fine-tuned from one. ``remarks``:
    what is odd about slides that are used all the same, by sentence the ids of the slides. ``others``: runs that stand
    beside this one. ``spent``: what its SLURM jobs had and used, or why that is not known. ``models_note``: what makes
    predictions of another run's models less comparable with those of that run. ``tiles_note``: that tiles are others
    than the network was made for. ``survival``: the content of ``survival.json``, empty where there is none.
    ``left_out``: images of patients that are no tiles. ``galleries``: tiles that stand out, by the lead model.
    ``quality``: of slides, where it was measured."""

    title: str
    metrics: Json
    predictions: tuple[PatientPrediction, ...]
    histories: tuple[Curves, ...]
    patients: tuple[CohortPatient, ...]
    flow: Json
    slides: tuple[SlideRow, ...]
    quarantined: tuple[QuarantinedSlide, ...]
    times: tuple[StageTime, ...]
    provenance: Provenance
    threshold: float
    confidence: float
    random_weights: bool
    max_thumbnails: int
    outcome: Outcome = BINARY
    settings: Json = field(default_factory=dict)
    clusters: tuple[ClusterShares, ...] = ()
    phenotypes: PhenotypesShown | None = None
    searches: tuple[Search, ...] = ()
    random_start: tuple[str, ...] = ()
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    others: tuple[ReportData, ...] = ()
    models_note: str = ""
    tiles_note: str = ""
    spent: tuple[StageUsage, ...] = ()
    why_not_spent: str = ""
    survival: Json = field(default_factory=dict)
    left_out: tuple[LeftOutImage, ...] = ()
    galleries: GalleriesShown | None = None
    quality: tuple[QualityRow, ...] = ()
