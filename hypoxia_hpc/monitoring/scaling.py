"""estimate --nodes: how long a run takes on N nodes, simulated, and which setting would change it.

What no run can tell is assumed here, each figure with its reason: SLURM, the shared file system, the start of a task.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec

from hypoxia_hpc.config import RunConfig, SlurmTable
from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.monitoring.estimate import Rates, extract_seconds
from hypoxia_hpc.monitoring.remaining import Remaining
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.rates import Figure, product
from hypoxia_hpc.simulation.cluster import Cluster, Controller, FileSystem, StartUp
from hypoxia_hpc.simulation.work import SlideWork, Work
from hypoxia_hpc.slides.costs import bytes_of_cost, bytes_of_files
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.queue import earlier_count
from hypoxia_hpc.slurm.resources import lanes_of, table_of
from hypoxia_hpc.slurm.sizing import chain_of, slide_requests

# A call of sbatch takes a second of a busy controller; 20 starts a second, where SLURM's guide for high throughput has
# 500 for jobs that do nothing; cores go to the next element after 5 s; a requeued job is held for the life of its
# credential, 120 s, and one more; a node is down after SlurmdTimeout, 300 s by default; time limits are looked at every
# 30 s, and the signal before one comes at the last look that is not too late.
CONTROLLER = Controller(submit=1.0, start=0.05, free=5.0, hold=121.0, notice=300.0, early=15.0)
# A middling parallel file system. A vendor's Lustre with 240 clients created 15,000 to 29,000 files a second and
# answered over 400,000 stats (Dell's papers on Lustre solutions, mdtest); most operations here open files.
FILES = FileSystem(bytes_per_second=10e9, bytes_per_second_of_worker=1e9, operations_per_second=30_000)
# From a Python environment on the shared file system; from an image it is the image alone. Seconds: benchmarks/
# start_up.py and the reckoned start of TensorFlow, with as much for the job itself. Operations: files that were opened,
# looked at or made until the first slide (strace on a machine of two cores).
START_UPS = {"tile": StartUp(6.0, 11_700), "extract": StartUp(12.0, 41_500)}
START_UPS_OF_IMAGE = {stage: StartUp(one.seconds, 20) for stage, one in START_UPS.items()}
# Operations on names of a slide, counted likewise: its files are opened, written, synced, renamed, with their folders.
OPERATIONS = {"tile": 315, "extract": 193}
# Level 0 is three quarters of a slide's file.
READ_SHARE = 0.75
# Seconds of a slide against what its cost says: log-normal. JPEG took 22 to 31 ms a megabyte (slides/costs.py).
SCATTER = 0.17
# Looking at a file on a network drive is waiting.
FILE_READERS = 32
CORES = 32
MOST_NODES = 16_384

# What to do about the largest loss. "" where there is nothing to set.
REMEDIES: Mapping[str, str] = {
    "few": "more elements: lower hours, and raise most_elements where that many are reached ([site.slurm])",
    "uneven": "smaller elements: lower hours ([site.slurm])",
    "last": "fewer cpus in an element ([site.slurm]), so that no worker waits for another's last slide",
    "start": "longer elements: raise hours ([site.slurm])",
    "names": "longer elements: raise hours ([site.slurm])",
    "bytes": "nothing in run.toml, the slides have to be read: fewer nodes, or a faster file system",
    "throttle": "raise throttle ([site.slurm])",
    "fit": "elements that fill a node: cpus, times the ranks on it, that divide its cores ([site.slurm])",
    "queue": "longer elements (hours), so that the controller has fewer to start ([site.slurm])",
    "free": "longer elements: raise hours ([site.slurm])",
    "lost": "shorter elements (hours), or more stop_seconds ([site.slurm])",
    "slow": "",
    "dead": "",
}

# The same where run.toml still has something to give.
IMAGE_REMEDY = "an image, so that a task starts from one file ([site.slurm] image)"
FEW_REMEDY = (
    f"{REMEDIES['few']}; with an image, because without one each element reads thousands of files when it starts"
)
NO_MORE_SLIDES_REMEDY = "fewer nodes: every slide has a worker of its own, and more elements gain nothing"
PIXELS_REMEDY = 'fewer bytes: pixels = "none", or codec = "jpeg" ([tile])'


@dataclass(frozen=True, slots=True)
class Scale:
    """A run on ``nodes`` nodes: seconds by the clock of the stages that go slide by slide, elements of each, how often
    some were requeued, the part of all nodes' time that goes into work (``efficiency``), and what the rest is lost to,
    largest first. ``is_spread``: every slide has a worker of its own, in every stage."""

    nodes: int
    seconds: float
    elements: Mapping[str, int]
    requeues: int
    efficiency: float
    losses: Mapping[str, float]
    is_spread: bool

    @property
    def limit(self) -> str:
        """The largest loss, by its name in `simulation.accounts.SPENT`."""
        return next(iter(self.losses), "")


@dataclass(frozen=True, slots=True)
class Site:
    """Nodes alike: ``cores`` and ``gpus`` of each; ``files`` and ``controller`` as assumed, unless told."""

    cores: int = CORES
    gpus: int = 0
    files: FileSystem = FILES
    controller: Controller = CONTROLLER

    def cluster(self, nodes: int, table: SlurmTable) -> Cluster:
        start_ups = START_UPS if table.image is None else START_UPS_OF_IMAGE
        return Cluster(nodes, self.cores, self.gpus, self.controller, self.files, start_ups)


def remedy_for(loss: str, config: RunConfig, *, is_spread: bool) -> str:
    """Which setting of run.toml would lower a loss; "" where none would. ``is_spread``: as of `Scale`."""
    if loss in ("few", "uneven") and is_spread:
        return NO_MORE_SLIDES_REMEDY
    if loss == "names" and config.site.slurm.image is None:
        return IMAGE_REMEDY
    if loss == "few" and config.site.slurm.image is None:
        return FEW_REMEDY
    if loss == "bytes" and config.tile.pixels == "store" and config.tile.codec != "jpeg":
        return PIXELS_REMEDY
    return REMEDIES[loss]


def require_simpy() -> None:
    """Raises MachineError where the library that simulates is not installed."""
    if find_spec("simpy") is None:
        raise MachineError(
            "simulating nodes needs the Python package simpy, which is not installed here",
            remedy="pip install 'hypoxia-hpc[simulation]', or leave --nodes out",
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """The jobs that ``submit`` would send for these slides, and what there is to do for them, by [site.slurm]."""

    slides: Sequence[Slide]
    jobs: Sequence[Job]
    work: Work
    table: SlurmTable

    def on(self, cluster: Cluster) -> Scale:
        """Simulated. Raises MachineError without simpy, InputError for elements that no node has room for."""
        require_simpy()
        from hypoxia_hpc.simulation.run import simulate

        found = simulate(self.jobs, self.slides, self.work, cluster, self.table)
        elements = {job.request.stage: len(job.request.elements or ()) for job in self.jobs}
        requeues = sum(one.requeues for one in found.times.values())
        workers = {stage: n * lanes_of(stage, table_of(stage, self.table))[0] for stage, n in elements.items()}
        is_spread = all(n >= len(self.work[stage]) for stage, n in workers.items())
        return Scale(cluster.nodes, found.seconds, elements, requeues, found.efficiency, found.losses, is_spread)


@dataclass(frozen=True, slots=True)
class Todo:
    """What is to do, and what ``submit`` goes by: all ``slides`` of a run, by stage the ids of those ``remaining``,
    into how many parts an ``earlier`` submission cut all of them, and the ``pace``, as of `slide_requests`.
    ``nbytes``: of each slide's file."""

    slides: Sequence[Slide]
    remaining: Mapping[str, Collection[str]]
    earlier: Mapping[str, int | None]
    pace: Mapping[str, Figure]
    nbytes: Mapping[str, float]


def todo_ahead(config: RunConfig, slides: Sequence[Slide], known: Rates) -> Todo:
    """All of slides that are not there yet, at the rates that ``submit`` knows; their files are as large as their costs
    say, were they JPEG."""
    whole = dict.fromkeys(("tile", "extract"), frozenset(slide.slide_id for slide in slides))
    nbytes = {slide.slide_id: bytes_of_cost(slide.cost) for slide in slides}
    return Todo(slides, whole, dict.fromkeys(whole), paces(config, known), nbytes)


def todo_of_run(run: RunDir, left: Remaining) -> Todo:
    """What is to do of a run in `tile` and `extract`. Raises OSError for records of its jobs that may not be read."""
    slides, stages = run.slides(), [stage for stage in ("tile", "extract") if left.slides.get(stage)]
    with ThreadPoolExecutor(FILE_READERS) as readers:
        sizes = readers.map(bytes_of_files, slides)
        nbytes = {slide.slide_id: n or bytes_of_cost(slide.cost) for slide, n in zip(slides, sizes, strict=True)}
    earlier = {stage: earlier_count(run, stage) for stage in stages}
    return Todo(slides, {stage: left.slides[stage] for stage in stages}, earlier, left.pace, nbytes)


def prepared(config: RunConfig, todo: Todo, rates: Rates, site: Site) -> Prepared:
    """The jobs as ``submit`` would size them, for work at these ``rates``."""
    table = config.site.slurm
    requests = slide_requests(todo.slides, todo.remaining, todo.earlier, todo.pace, table)
    jobs = chain_of(requests, site.controller.max_array_size)
    return Prepared(todo.slides, jobs, work_of(config, todo, rates), table)


def scales(found: Prepared, nodes: Sequence[int], site: Site) -> list[Scale]:
    """Simulated for each number of nodes."""
    return [found.on(site.cluster(n, found.table)) for n in nodes]


def largest_efficient(found: Prepared, site: Site, least: float) -> int:
    """The most nodes of whose time ``least`` or more goes into work, if more nodes never bring more of it; 0 where one
    does not reach it."""

    def reaches(nodes: int) -> bool:
        return scales(found, [nodes], site)[0].efficiency >= least

    low, high = 0, 1
    while high <= MOST_NODES and reaches(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low


def paces(config: RunConfig, rates: Rates) -> dict[str, Figure]:
    """Seconds of a core (of a GPU, where extract has some) per unit of cost, by stage."""
    network = product(rates.tiles, rates.extract_seconds)
    return {"tile": rates.tile_seconds, "extract": extract_seconds(network, rates.tile_seconds, config, rates)}


def work_of(config: RunConfig, todo: Todo, rates: Rates) -> dict[str, dict[str, SlideWork]]:
    """What each slide takes: by its cost, and at random a little more or less, the same at every call."""
    drawn = random.Random(0)  # noqa: S311 - no secret
    factors = {slide.slide_id: math.exp(SCATTER * drawn.gauss(0, 1) - SCATTER**2 / 2) for slide in todo.slides}
    seconds = paces(config, rates)

    def of_slide(slide: Slide, stage: str) -> SlideWork:
        needed = seconds[stage].value * slide.cost * factors[slide.slide_id]
        nbytes = _bytes(stage, config, rates, todo.nbytes[slide.slide_id], slide.cost)
        return SlideWork(slide.slide_id, needed, nbytes, OPERATIONS[stage])

    return {
        stage: {slide.slide_id: of_slide(slide, stage) for slide in todo.slides if slide.slide_id in ids}
        for stage, ids in todo.remaining.items()
    }


def _bytes(stage: str, config: RunConfig, rates: Rates, nbytes: float, cost: int) -> float:
    """Read and written in a stage for a slide whose file has ``nbytes``."""
    of_slide, n_tiles = READ_SHARE * nbytes, rates.tiles.value * cost
    of_tiles = n_tiles * rates.tile_bytes.value
    if stage == "tile":
        return of_slide + of_tiles
    again = of_slide if config.tile.pixels == "none" else of_tiles
    return again + n_tiles * rates.feature_bytes.value
