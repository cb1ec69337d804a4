"""The nouns: frozen values that the stages hand to each other. No I/O, little behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt64Array = NDArray[np.uint64]
Paint = Callable[[UInt8Array], None]  # changes pixels in place, uint8 (..., 3), C-contiguous
AnyArray = NDArray[Any]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Json = dict[str, Any]

MOST_COST_MS = 10**11  # of a slide in slides.csv: three years of a core


class ImagePart(NamedTuple):
    """What images.csv says of an image beside its path: its series, the plane of its slices ("" where the run does not
    go by series), and which slices of a file that has several, ``[first, stop)``, or None for a file of one."""

    series: str = ""
    plane: str = ""
    slices: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Slide:
    """One row of ``slides.csv``. ``path`` is absolute, ``cost`` the expected milliseconds of one core to tile
    it, ``mpp`` the manifest's micrometres per level 0 pixel or None, ``name`` the original name for display. Of a
    patient whose images lie in folders, ``path`` is their folder and ``images`` are paths below it, with ``/``;
    ``parts`` say what else is known of each."""

    slide_id: str
    path: Path
    patient_id: str
    cost: int
    mpp: float | None = None
    name: str = ""
    images: tuple[str, ...] = ()
    parts: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What a slide's header says. Sizes are (width, height) in pixels; ``bounds_l0`` is (x, y, width, height) of the
    scanned area in level 0 pixels, or None; ``mpp_x``, ``mpp_y`` in µm per level 0 pixel, or None. ``images``: how many
    images of full resolution the file has, of which this is the largest. ``other_mpp``: what another place in the file
    says instead of ``mpp_x``, None where none does."""

    level_sizes: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    bounds_l0: tuple[int, int, int, int] | None = None
    vendor: str = ""
    images: int = 1
    other_mpp: float | None = None

    @property
    def size_l0(self) -> tuple[int, int]:
        return self.level_sizes[0]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Which squares of which level to read. ``xy_level`` and ``xy_l0`` are int64 (n, 2) top left corners in reading
    order (row by row); ``side_level`` is the side in pixels of ``level``; each square becomes ``tile_px`` pixels wide.
    ``scale`` is target mpp / slide mpp after snapping; ``mpp`` and ``mpp_source`` the resolution it was made from."""

    level: int
    downsample: float
    scale: float
    side_level: int
    tile_px: int
    columns: int
    rows: int
    xy_level: Int64Array
    xy_l0: Int64Array
    mpp: float
    mpp_source: Literal["manifest", "slide", "objective-power", "default_mpp"]
    interpolated: bool

    @property
    def n_tiles(self) -> int:
        return len(self.xy_l0)

    @property
    def side_l0(self) -> float:
        """Side of a tile in level 0 pixels (not rounded)."""
        return self.side_level * self.downsample


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of one slide, opened from its store: ``pixels`` uint8 (n, px, px, 3) readable by slice, or None where the
    store keeps none, ``xy`` int64 (n, 2) top left in level 0 pixels, ``background`` float32 (n,) in 0..1."""

    slide_id: str
    pixels: Any
    xy: Int64Array
    background: Float32Array
    attributes: Json


@dataclass(frozen=True, slots=True)
class Features:
    """Feature vectors of one slide: ``values`` float16 or float32 (n, d), ``xy`` int64 (n, 2) in level 0 pixels."""

    slide_id: str
    values: NDArray[Any]
    xy: Int64Array
    attributes: Json


class Followed(NamedTuple):
    """How long a patient was followed, in the unit of the table, and what ended it: ``event`` 1, or 0 for censored."""

    time: float
    event: int


# What is known of a patient: the number of a class from 0 (of two, 1 is the positive one), a score, a follow-up.
Label = int | float | Followed


@dataclass(frozen=True, slots=True)
class Patient:
    """One row of ``patients.csv``; ``label`` is what [outcome] asks for, None where it is not known."""

    patient_id: str
    label: Label | None
    tumour_type: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """Part ``index`` of ``count`` of the slides of a run, 0 <= index < count."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class TileCounts:
    """Tiles in the plan of a slide, and how many of them were kept, are background, did not decode, are masked."""

    planned: int = 0
    kept: int = 0
    background: int = 0
    unreadable: int = 0
    masked: int = 0


@dataclass(frozen=True, slots=True)
class NativeTiles:
    """Native tiles of a slide's level: how many were read, of how many."""

    read: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class ThreadSeconds:
    """Seconds on the clock of all threads that worked on a slide, by what they did. Threads work at the same time, so
    that the sum may be more than the seconds of the slide.

    ``read``: bytes of the slide or the store, from the file. ``decode``: their pixels, with reading where a library
    does both (OpenSlide, TIFF of other layouts). ``kernel``: deciding, cutting and painting tiles. ``encode``: packing
    and checksums. ``write``: to the disk, fsync and renaming included. ``wait``: of one thread for another one of the
    same slide. ``other``: before and between: opening, planning, masks, the stain; all reading of images in folders.
    """

    read: float = 0.0
    decode: float = 0.0
    kernel: float = 0.0
    encode: float = 0.0
    write: float = 0.0
    wait: float = 0.0
    other: float = 0.0

    def __add__(self, more: ThreadSeconds) -> ThreadSeconds:
        return ThreadSeconds(*(getattr(self, one.name) + getattr(more, one.name) for one in fields(self)))

    def rounded(self) -> ThreadSeconds:
        """To tenths of a millisecond, as receipts have them."""
        return ThreadSeconds(*(round(getattr(self, one.name), 4) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class TileWork:
    """How ``tile`` cut a slide: what read it, in how many threads, and whether TurboJPEG was there. ``remarks``: the
    kinds of what is odd about it (:mod:`hypoxia_hpc.tiling.remarks`). ``left_out``: images of a patient that are no
    tiles, by the reason. ``note`` is for the user, at once. ``thread_seconds`` is None in receipts of before it was
    measured."""

    counts: TileCounts = field(default_factory=TileCounts)
    reader: str = ""
    threads: int = 1
    turbojpeg: bool = False
    native_tiles: NativeTiles = field(default_factory=NativeTiles)
    remarks: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    thread_seconds: ThreadSeconds | None = None


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """How ``extract`` computed a slide: seconds that passed on its device, those of them in which it had no tiles to
    compute, seconds in which the slide waited for another one of its process, and bytes of tiles that were read (None
    where they were read from the slide). ``note`` is for the user, at once. ``thread_seconds``: of the threads that
    read tiles and write features, None in receipts of before; seconds on the device are not among them."""

    threads: int = 1
    device: str = "cpu"
    batch_size: int = 0
    device_seconds: float = 0.0
    waited_seconds: float = 0.0
    queued_seconds: float = 0.0
    bytes_read: int | None = None
    note: str = ""
    thread_seconds: ThreadSeconds | None = None


@dataclass(frozen=True, slots=True)
class SlideSource:
    """The slide that a quarantine is about, by the fingerprint of its file."""

    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class ModelsUsed:
    """The run whose models ``predict`` used, the key of each by its name, what makes their predictions less comparable
    with those of that run, else empty, and where that run lay."""

    model_run: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    path: str = ""


Details = TileWork | ExtractWork | SlideSource | ModelsUsed


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one slide, one model or the whole cohort (``of``) in one stage. Times, hosts and seconds live
    here and nowhere else. ``details`` are what only that stage knows."""

    name: str
    status: Literal["done", "quarantined"]
    key: str
    reason: str = ""
    detail: str = ""
    attempts: int = 1
    rows: int = 0
    seconds: float = 0.0
    bytes: int = 0
    host: str = ""
    finished: str = ""
    details: Details | None = None
    of: Literal["slide", "model", "cohort"] = "slide"


@dataclass(frozen=True, slots=True)
class StageUsage:
    """What the SLURM jobs of a stage that are over had, and what they used of it; None where accounting does not say.

    ``jobs`` elements, each by its last attempt. ``core_seconds``: cores by time on the clock, of which ``cpu_share``
    (0..1) computed. ``memory_asked`` and ``memory_used``: bytes of a node, of the job that used the most;
    ``longest_seconds`` of ``limit_seconds`` is what the longest took. ``gpu_seconds``: GPUs by time, ``gpu_share`` the
    highest utilisation seen (0..1), ``gpu_memory`` the most bytes of a job. ``joules`` are those of the
    ``measured_jobs`` that had all cores of their nodes: of others nodes were shared, and energy is that of nodes.
    """

    stage: str
    jobs: int
    core_seconds: int
    longest_seconds: int
    limit_seconds: int | None = None
    cpu_share: float | None = None
    memory_asked: int | None = None
    memory_used: int | None = None
    gpu_seconds: int = 0
    gpu_share: float | None = None
    gpu_memory: int | None = None
    joules: int | None = None
    measured_jobs: int = 0
