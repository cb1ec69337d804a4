"""``run.toml``: one table per stage, validated and frozen, with a preset per study; and the keys made from it.

An unknown key is an error that lists the valid ones with their defaults. `[site]` says where and how fast, never what:
it enters no key.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator, model_validator
from pydantic_core import ErrorDetails

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Json

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f]+$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# Goes into scripts, quoted: one line, nothing that a terminal would obey.
Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=LINE_PATTERN)]
Head = Literal["tanh", "funnel", "logistic", "attention", "finetune"]
HEADS: tuple[Head, ...] = get_args(Head)
FEATURE_HEADS: tuple[Head, ...] = ("tanh", "funnel", "logistic", "attention")
# The name of a network: of this package, of keras.applications, of an entry point, or timm's behind "timm:".
NETWORK_PATTERN = r"^(timm:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class Table(BaseModel):
    """A table of run.toml: frozen, closed to keys it does not know and to values of another type ("299", true); lists
    alone, TOML's arrays, become tuples."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class TileTable(Table):
    """[tile]: how a slide is cut (the tiling rule)."""

    tile_px: int = Field(299, ge=16, le=4096, description="side of a tile in pixels at the target resolution")
    mpp: float = Field(0.5, gt=0, le=100, description="target resolution, µm per pixel (0.5 is 20x)")
    max_background: Fraction = Field(0.25, description="a tile with a larger share of background pixels is dropped")
    white: int = Field(220, ge=1, le=255, description="a pixel this light or lighter (0..255) is background")
    default_mpp: float | None = Field(
        None, gt=0, le=100, description="µm per pixel for slides that say nothing; without it they are quarantined"
    )
    reduce: Literal["area", "decoder"] = Field(
        "area", description='"area": exact averaging; "decoder": JPEG and JPEG 2000 decode at 1/2, 1/4, 1/8 (faster)'
    )
    screen: Literal["off", "exact", "fast"] = Field(
        "exact", description='decode less: "exact" same result as "off"; "fast" also trusts a coarse level'
    )
    tissue: Literal["none", "otsu", "watershed"] = Field(
        "none", description="tissue mask on a coarse level, beside the background rule"
    )
    min_tissue: Fraction = Field(0.5, description="least share of a tile that the tissue mask covers")
    regions: str | None = Field(
        None, min_length=1, description="folder of QuPath GeoJSON files <slide_id>.geojson, relative to this file"
    )
    regions_rule: Literal["include", "exclude"] = Field(
        "include", description="keep what lies in the regions, or what lies outside"
    )
    min_region: Fraction = Field(0.5, description="least share of a tile inside (exclude: outside) the regions")
    max_unreadable: Fraction = Field(
        0.01, description="a slide with a larger share of tiles that do not decode is quarantined"
    )
    pixels: Literal["store", "none"] = Field(
        "store", description='"none": keep coordinates only, extract reads the pixels from the slide again'
    )
    codec: Literal["none", "lz4", "zstd", "jpeg"] = Field(
        "none", description='how the store packs pixels; "jpeg" (quality 90) changes them'
    )


class ExtractTable(Table):
    """[extract]: tiles to feature vectors."""

    name: Name = Field("inception_v3", description="features/<name>/: choose another to keep two sets side by side")
    backbone: str = Field(
        "inception_v3",
        pattern=NETWORK_PATTERN,
        description="network without its top, average-pooled: inception_v3, resnet50, vgg16, densenet121, another of "
        "keras.applications, one that an installed package adds, or timm:NAME",
    )
    weights: str = Field(
        "imagenet",
        min_length=1,
        description='"imagenet" (the known file, from [site] weights), a .weights.h5 or .safetensors path, or "random"',
    )
    weights_sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="SHA-256 of the file when weights is a path"
    )
    seed: int = Field(0, ge=0, lt=2**63, description='seed of weights = "random"')
    batch_size: int = Field(32, ge=1, le=4096, description="tiles per step; the shape is fixed, the last batch padded")
    dtype: Literal["float16", "float32"] = Field("float16", description="stored type of the features")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description='"bfloat16": matrix products in 16 bits; faster where the device has them, not the same bits',
    )
    xla: bool = Field(False, description="let XLA compile the network; changes the last bits of the features")

    @model_validator(mode="after")
    def _hash_goes_with_path(self) -> ExtractTable:
        is_path = self.weights not in ("imagenet", "random")
        if is_path and self.weights_sha256 is None:
            raise ValueError("weights names a file, so weights_sha256 must give its SHA-256 (run sha256sum FILE)")
        if not is_path and self.weights_sha256 is not None:
            raise ValueError(f'weights_sha256 is for a file; with weights = "{self.weights}" remove it')
        return self


Balance = Literal["sample", "weight", "none"]
BALANCE_DESCRIPTION = (
    '"sample": the smaller class is drawn as often as the larger; "weight": its loss counts more; "none": as they come'
)
PATIENCE_DESCRIPTION = (
    "stop when the loss on validation patients has not fallen for so many epochs, and keep the best; default: never"
)


class TanhTable(Table):
    """[train.tanh]: Dense 2048, BatchNorm, tanh, Dropout, Dense 2 softmax; cross-entropy."""

    units: int = Field(2048, ge=1, le=65536, description="width of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.001, gt=0, description="SGD learning rate")
    momentum: float = Field(0.8, ge=0, lt=1, description="SGD momentum")
    epochs: int = Field(75, ge=1, le=100000, description="passes over the balanced training tiles")
    batch_size: int = Field(500, ge=2, le=1000000, description="tiles per step")
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)


class FunnelTable(Table):
    """[train.funnel]: 2048-1024-512-100, each BatchNorm, ReLU, Dropout, then one sigmoid; mean squared error."""

    units: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (2048, 1024, 512, 100), min_length=1, strict=False, description="widths of the hidden layers"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.1, gt=0, description="SGD learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, Nesterov")
    epochs: int = Field(100, ge=1, le=100000, description="passes over the balanced training tiles")
    batch_size: int = Field(500, ge=2, le=1000000, description="tiles per step")
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)


class LogisticTable(Table):
    """[train.logistic]: standardised features, L2-penalised logistic regression, balanced class weights."""

    c: float = Field(0.01, gt=0, description="inverse strength of the L2 penalty")
    max_iter: int = Field(1000, ge=1, le=1000000, description="most iterations of L-BFGS")


class AttentionTable(Table):
    """[train.attention]: gated-attention multiple-instance learning, one bag of tiles a patient (Ilse et al. 2018)."""

    units: int = Field(512, ge=1, le=65536, description="width of a tile's embedding")
    attention_units: int = Field(256, ge=1, le=65536, description="width of the gated attention")
    dropout: float = Field(0.25, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.0002, gt=0, description="AdamW learning rate")
    weight_decay: float = Field(0.0001, ge=0, description="AdamW weight decay")
    epochs: int = Field(50, ge=1, le=100000, description="passes over the balanced training patients")
    batch_size: int = Field(4, ge=1, le=4096, description="patients per step")
    bag_tiles: int = Field(
        512,
        ge=2,
        le=1000000,
        description="tiles of a patient in a step, drawn anew each time; all of them when predicting",
    )
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int = Field(
        10,
        ge=1,
        le=100000,
        description="stop when the loss on validation patients has not fallen for so many epochs; the best is kept",
    )


class FinetuneTable(Table):
    """[train.finetune]: a whole network on tiles: a new top on the frozen base first, then all of it."""

    backbone: str = Field("resnet50", pattern=NETWORK_PATTERN, description="network, named as in [extract]")
    weights: str = Field("imagenet", min_length=1, description="what it begins with, as in [extract]")
    weights_sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="SHA-256 of the file when weights is a path"
    )
    input_px: int = Field(224, ge=16, le=4096, description="side that tiles are resized to, on the device")
    frozen_epochs: int = Field(4, ge=0, le=100000, description="passes over the training tiles with the base frozen")
    unfrozen_epochs: int = Field(0, ge=0, le=100000, description="passes after those, with nothing frozen")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description='"sgd" (momentum 0.9, Nesterov) or "adamw"')
    learning_rate: float = Field(0.01, gt=0, description="largest learning rate while the base is frozen")
    unfrozen_learning_rate: float = Field(0.001, gt=0, description="largest learning rate when nothing is frozen")
    schedule: Literal["constant", "one-cycle", "step"] = Field(
        "constant",
        description='"one-cycle": up and down in each of the two phases; "step": a tenth after each third of it',
    )
    batch_size: int = Field(200, ge=2, le=65536, description="tiles per step")
    flips: bool = Field(True, description="mirror tiles and turn them by quarters, at random")
    colour_jitter: float = Field(
        0.0, ge=0, le=1, description="largest random change of brightness, contrast and saturation"
    )
    stain_jitter: float = Field(0.0, ge=0, le=1, description="largest random change of haematoxylin and eosin")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description='"bfloat16": mixed precision, weights stay float32'
    )
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)

    @model_validator(mode="after")
    def _trains_at_all(self) -> FinetuneTable:
        if self.frozen_epochs + self.unfrozen_epochs == 0:
            raise ValueError("frozen_epochs and unfrozen_epochs are both 0: nothing would be trained")
        if (self.weights not in ("imagenet", "random")) != (self.weights_sha256 is not None):
            raise ValueError("weights_sha256 goes with weights = a path, and with nothing else")
        return self


class DeepKMeansTable(Table):
    """[train.deep_kmeans]: clusters of tiles: an autoencoder with k-means in its code space, trained jointly."""

    clusters: int = Field(10, ge=2, le=1000, description="number of clusters")
    units: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (512,), strict=False, description="widths of the encoder's hidden layers; the decoder mirrors them"
    )
    code: int = Field(32, ge=1, le=4096, description="width of the code")
    weight: float = Field(0.1, gt=0, description="weight of the clustering loss beside the reconstruction")
    learning_rate: float = Field(0.001, gt=0, description="Adam learning rate")
    pretrain_epochs: int = Field(
        5, ge=1, le=100000, description="passes with reconstruction alone, before k-means begins"
    )
    epochs: int = Field(10, ge=1, le=100000, description="passes with both losses")
    batch_size: int = Field(256, ge=2, le=1000000, description="tiles per step")


class Grid(Table):
    """Values to try, a list for each key of a head's table. One that is empty is not searched."""


def _grid_of(table: type[Table]) -> Any:
    """The type of the grid of a head's table: each value is checked as one of that table is."""
    entries: dict[str, Any] = {}
    for name, info in table.model_fields.items():
        value: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        entries[name] = (tuple[value, ...], Field((), min_length=1, strict=False, description=info.description))
    return create_model(f"{table.__name__}Grid", __base__=Grid, __doc__="values to try", **entries)


MOST_POINTS = 64  # of one head's grid
TanhGrid, FunnelGrid = _grid_of(TanhTable), _grid_of(FunnelTable)
LogisticGrid, AttentionGrid = _grid_of(LogisticTable), _grid_of(AttentionTable)


class SearchTable(Table):
    """[train.search]: lists of values to try, judged by validation patients alone.

    ``[train.search.tanh]`` with ``units = [512, 2048]`` and ``momentum = [0.8, 0.9]`` trains that head four times and
    keeps the one whose validation patients have the largest ROC AUC.
    """

    tanh: TanhGrid = TanhGrid()  # type: ignore[valid-type]
    funnel: FunnelGrid = FunnelGrid()  # type: ignore[valid-type]
    logistic: LogisticGrid = LogisticGrid()  # type: ignore[valid-type]
    attention: AttentionGrid = AttentionGrid()  # type: ignore[valid-type]

    def points(self, head: str) -> list[Json]:
        """Every combination of a head's values, the last key of its table varying fastest; none without a grid."""
        tried = self._tried(head)
        return [dict(zip(tried, point, strict=True)) for point in itertools.product(*tried.values())] if tried else []

    def n_points(self, head: str) -> int:
        tried = self._tried(head)
        return math.prod(map(len, tried.values())) if tried else 0

    def _tried(self, head: str) -> dict[str, tuple[Any, ...]]:
        return {name: values for name, values in getattr(self, head, ()) if values}


class TrainTable(Table):
    """[train]: the split and the top models. Everything is fitted on training patients only."""

    heads: tuple[Head, ...] = Field(
        ("tanh", "funnel", "logistic", "attention"),
        min_length=1,
        strict=False,
        description=f"models to train: {', '.join(HEADS)}",
    )
    clusterings: tuple[Literal["deep_kmeans"], ...] = Field(
        ("deep_kmeans",), max_length=1, strict=False, description='clusters of tiles: "deep_kmeans" or nothing'
    )
    folds: int = Field(
        1, ge=1, le=100, description="above 1: cross-validation by patient, each patient in the test set once"
    )
    split: tuple[Fraction, Fraction, Fraction] = Field(
        (0.70, 0.15, 0.15), strict=False, description="shares of patients for train, valid, test"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the split and of the training")
    tanh: TanhTable = TanhTable()
    funnel: FunnelTable = FunnelTable()
    logistic: LogisticTable = LogisticTable()
    attention: AttentionTable = AttentionTable()
    finetune: FinetuneTable = FinetuneTable()
    deep_kmeans: DeepKMeansTable = DeepKMeansTable()
    search: SearchTable = SearchTable()

    @field_validator("heads")
    @classmethod
    def _heads_once(cls, heads: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(heads)) != len(heads):
            raise ValueError(f"each head at most once, got {list(heads)}")
        return heads

    @field_validator("split")
    @classmethod
    def _split_sums_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(split) - 1) > 1e-6 or split[0] == 0 or split[2] == 0:
            raise ValueError(f"three shares that sum to 1, train and test above 0; got {list(split)}")
        return split

    @model_validator(mode="after")
    def _searches_what_can_be_tried(self) -> TrainTable:
        problems = [problem for head in SearchTable.model_fields for problem in self._wrong_points(head)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _wrong_points(self, head: str) -> list[str]:
        n_points = self.search.n_points(head)
        problems = []
        if n_points and head not in self.heads:
            problems.append(f"search.{head}: heads does not list {head}")
        if n_points and not self.split[1]:
            problems.append(f"search.{head}: no validation patients to judge by, split[1] is 0")
        if n_points > MOST_POINTS:
            problems.append(f"search.{head}: {n_points:,} points, at most {MOST_POINTS}")
        return problems

    def settings_of(self, head: str, point: Json) -> Table:
        """The table of a head with the values of a search's point in it. Raises ValidationError."""
        table: Table = getattr(self, head)
        return type(table).model_validate({**table.model_dump(), **point})


class EvaluateTable(Table):
    """[evaluate]: predictions and metrics."""

    threshold: Fraction = Field(0.5, description="a probability above this is called hypoxic")
    bootstrap: int = Field(2000, ge=100, le=1000000, description="resamplings of patients for the intervals")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the resampling")


class ReportTable(Table):
    """[report]: what the page shows."""

    thumbnails: int = Field(100, ge=0, le=10000, description="slides shown with their kept tiles drawn on them")


class SlurmTable(Table):
    """[site.slurm]: what ``submit`` asks SLURM for. Nothing in it is a shell command."""

    image: Word | None = Field(
        None, description="Apptainer image to run in; default: the Python environment that submit runs in"
    )
    binds: tuple[Word, ...] = Field((), strict=False, description='folders the image sees, "/data" or "/data:/mnt"')
    modules: tuple[Word, ...] = Field((), strict=False, description="environment modules to load before anything else")
    account: Word | None = Field(None, description="account to charge")
    qos: Word | None = Field(None, description="quality of service")
    partition: Word | None = Field(None, description="partition of stages that need no GPU")
    gpu_partition: Word | None = Field(None, description="partition of extract and train; default: partition")
    gres: Word | None = Field(None, description='what extract and train ask for, as "gpu:1"; default: no GPU')
    nodes: int = Field(1, ge=1, le=1024, description="nodes of one array element")
    ranks: int = Field(1, ge=1, le=65536, description="MPI ranks of one array element; 1: no MPI")
    mpi: Word = Field("pmi2", description="srun --mpi: how ranks find each other (see srun --mpi=list)")
    cpus: int = Field(4, ge=1, le=1024, description="cores of one rank, one worker each")
    memory_gb: float | None = Field(None, gt=0, le=65536, description="memory of one rank; default: by its workers")
    hours: float = Field(4.0, gt=0, le=720, description="how long one array element should take")
    most_elements: int = Field(1000, ge=1, le=1000000, description="most elements of an array")
    throttle: int | None = Field(None, ge=1, description="most elements that run at once")
    stop_seconds: int = Field(
        300, ge=10, le=65535, description="time before the limit at which a job stops and requeues"
    )
    most_requeues: int = Field(10, ge=0, le=1000, description="most times that one element is requeued")

    @model_validator(mode="after")
    def _a_rank_for_every_node(self) -> SlurmTable:
        if self.nodes > self.ranks:
            raise ValueError(f"nodes = {self.nodes} needs as many ranks or more, and ranks = {self.ranks}")
        return self


class SiteTable(Table):
    """[site]: this machine. Enters no key: changing it never makes work again."""

    workers: int | None = Field(None, ge=1, le=1024, description="worker processes of tile; default: one per core")
    weights: str | None = Field(
        None, description="folder of weight files; default: $HYPOXIA_HPC_WEIGHTS, else ~/.keras/models"
    )
    scratch: str | None = Field(
        None, min_length=1, description='folder on a disk of the node itself; $NAMES are filled in, as "$TMPDIR"'
    )
    gpus: int | None = Field(
        None, ge=1, le=64, description="GPUs of a node that extract uses, one process each; default: one process"
    )
    engine: Literal["keras", "openvino"] = Field(
        "keras",
        description='what runs the network in extract: Keras, or "openvino" (faster on Intel and AMD CPUs)',
    )
    checkpoint_minutes: float = Field(10.0, gt=0, le=1440, description="how often training writes down where it is")
    stage_slides: bool = Field(False, description="copy each slide to scratch before it is read, and delete it after")
    slurm: SlurmTable = SlurmTable()


class RunConfig(Table):
    """The whole of run.toml."""

    study: Literal["hypoxia"] = Field("hypoxia", description="preset that the defaults come from")
    tile: TileTable = TileTable()
    extract: ExtractTable = ExtractTable()
    train: TrainTable = TrainTable()
    evaluate: EvaluateTable = EvaluateTable()
    report: ReportTable = ReportTable()
    site: SiteTable = SiteTable()

    @model_validator(mode="after")
    def _finetune_has_pixels_and_a_name(self) -> RunConfig:
        if "finetune" not in self.train.heads:
            return self
        if self.tile.pixels == "none":
            raise ValueError(
                '[train] heads has "finetune", which goes by the pixels of tiles: set [tile] pixels = "store", or take '
                "it out of heads"
            )
        if self.extract.name.split(".")[0] == "finetune":
            raise ValueError(
                f'[extract] name = "{self.extract.name}" is where the head "finetune" keeps its own: choose another'
            )
        return self


# A preset is what a study changes of the defaults above. The hypoxia study is the defaults.
PRESETS: Mapping[str, Json] = {"hypoxia": {}}


def preset(study: str, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """The frozen configuration of a study, with ``changes`` (nested tables) on top. Raises InputError."""
    if study not in PRESETS:
        raise InputError(
            f"study {study!r} is not one of the presets", remedy=f"choose one of: {', '.join(sorted(PRESETS))}"
        )
    return parse_config({"study": study, **(changes or {})}, source=f"preset {study}")


def load_config(path: Path) -> RunConfig:
    """Read and validate a run.toml. Raises InputError that names every wrong key or value."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist, so {path.parent} is no run directory",
            remedy=f"make one: hypoxia-hpc init {path.parent} --study hypoxia --slides DIR",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}", remedy="mend the line named above") from None
    return parse_config(raw, source=str(path))


def parse_config(raw: Mapping[str, Any], *, source: str) -> RunConfig:
    """Validate nested tables, the study's preset below them. Raises InputError."""
    study = raw.get("study", "hypoxia")
    merged = _merge(PRESETS.get(study, {}) if isinstance(study, str) else {}, raw)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        problems = [_explain(one) for one in error.errors() if not _follows(one)]
        raise InputError(
            f"{source} has {len(problems)} wrong {'entry' if len(problems) == 1 else 'entries'}",
            offending=problems,
            remedy="mend or remove these entries; an entry left out takes its default",
        ) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _merge(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


# pydantic's words for these are of Python; {names} are those of its error.
_WORDS = {
    "tuple_type": "must be a list, in square brackets",
    "too_short": "the list needs {min_length} or more, and has {actual_length}",
    "too_long": "the list takes {max_length} at most, and has {actual_length}",
    "missing": "the list is too short, a value is missing",
    "string_too_short": "must not be empty",
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "model_type": "must be a table",
}
_PATTERN_WORDS = {
    NAME_PATTERN: "must be letters, digits, dots, hyphens and underscores, 128 at most, a letter or digit first",
    NETWORK_PATTERN: "must be the name of a network: letters, digits, dots, hyphens, underscores; timm: may come first",
    SHA256_PATTERN: "must be the 64 digits 0-9 and a-f that sha256sum FILE prints",
    LINE_PATTERN: "must be one line, without control characters",
}
_HUB_WORDS = (
    'timm: takes the name of an architecture of timm, as in "timm:vit_large_patch16_224", and nothing is fetched from '
    'a hub: name its weights by weights = "FILE.safetensors", a file on this machine'
)


def _follows(error: ErrorDetails) -> bool:
    """A list too short for the sole reason that values in it are wrong, which are told themselves."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _worded(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        asks_a_hub = error["input"].startswith(("timm:", "hf-hub:", "hf_hub:"))
        pattern = context["pattern"]
        return _HUB_WORDS if asks_a_hub and pattern == NETWORK_PATTERN else _PATTERN_WORDS[pattern]
    if error["type"] in _WORDS:
        return _WORDS[error["type"]].format_map(context)
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _explain(error: ErrorDetails) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location) or "run.toml"
    if error["type"] == "extra_forbidden":
        table, title = _table_at(location[:-1])
        valid = ", ".join(_valid_entries(table))
        return f"{name}: unknown key; valid keys {title} with their defaults: {valid}"
    message = _worded(error)
    if isinstance(error["input"], (str, int, float, bool, list)):
        return f"{name} = {toml_value(error['input'])}: {message}"
    return f"{name}: {message}"


def _table_at(location: list[str]) -> tuple[type[BaseModel], str]:
    table: type[BaseModel] = RunConfig
    for part in location:
        inner = table.model_fields[part].annotation
        assert isinstance(inner, type) and issubclass(inner, BaseModel)  # noqa: S101 - unknown keys live in tables only
        table = inner
    return table, f"of [{'.'.join(location)}]" if location else "at the top"


def _valid_entries(table: type[BaseModel]) -> list[str]:
    entries = []
    for name, info in table.model_fields.items():
        if isinstance(info.default, Table):
            entries.append(f"[{name}]")
        else:
            entries.append(f"{name} (no default)" if info.default is None else f"{name} = {toml_value(info.default)}")
    return entries


def toml_value(value: object) -> str:
    """A TOML literal for a string, number, boolean or sequence of them (JSON's spelling is valid TOML for these, except
    that of the control character DEL)."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def render_config(config: RunConfig) -> str:
    """The text of a run.toml that states every key, each with its meaning as a comment."""
    lines = ["# What this run does. Where and which part of it is on the command line.", ""]
    lines += _render_table(config, "")
    return "\n".join(lines) + "\n"


def _render_table(table: Table, path: str) -> list[str]:
    lines: list[str] = []
    inner: list[str] = []
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if _is_not_searched(table, value):
            continue
        if isinstance(value, Table):
            inner_path = f"{path}.{name}" if path else name
            summary = (type(value).__doc__ or "").strip().split("\n", maxsplit=1)[0].split(": ", maxsplit=1)[-1]
            inner += ["", f"[{inner_path}]  # {summary}", *_render_table(value, inner_path)]
        else:
            entry = f"# {name} =" if value is None else f"{name} = {toml_value(value)}"
            lines.append(f"{entry:<36}  # {info.description}")
    return lines + inner


def _is_not_searched(table: Table, value: object) -> bool:
    return not value if isinstance(table, Grid) else isinstance(value, Grid) and value == type(value)()


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def stage_key(stage: str, rule: int, table: Mapping[str, Any], inputs: object) -> str:
    """SHA-256 (hex) of the canonical JSON of stage, rule version, that stage's table in full, keys of its inputs."""
    text = canonical_json({"stage": stage, "rule": rule, "table": table, "inputs": inputs})
    return hashlib.sha256(text.encode()).hexdigest()
