"""Weights of foundation models from the hub, once and by hand: verified, converted, and only then under their name."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypoxia_hpc.errors import HypoxiaError, InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.converting import write_tensors
from hypoxia_hpc.networks.backbones.fetch import NotFetchedError, UnreachableError
from hypoxia_hpc.networks.backbones.fetched import Origin, fetched_path, read_origin, record_path, write_origin
from hypoxia_hpc.networks.backbones.hub import HubFile, Published, download, hub_endpoint, look_up
from hypoxia_hpc.networks.backbones.pathology.record import FoundationModel
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.weights import SAFETENSORS, file_digests, problems_of_safetensors
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import read_plain
from hypoxia_hpc.stores.commit import committing_file, machine_errors, make_folder, remove_leftovers

MOST_TOKEN_BYTES = 4096
MB = 1_000_000
JOB = "SLURM_JOB_ID"


@dataclass(frozen=True, slots=True)
class Kept:
    """The weights of a model, of ``sha256`` (hex), at ``path``; ``is_new``: they were fetched now."""

    name: str
    path: Path
    sha256: str
    is_new: bool


def read_token(path: Path | None, progress: Progress) -> str:
    """The token in this file, empty without one; says so where others can read the file. Raises InputError where it
    holds none, MachineError where it cannot be read."""
    if path is None:
        return ""
    with machine_errors(path):
        if not path.exists():
            raise InputError(f"--token-file {path} is no file", remedy="write the hub's token into it, chmod 600")
        mode = stat.S_IMODE(path.stat().st_mode)
        text = read_plain(path, MOST_TOKEN_BYTES).decode("ascii", "replace").strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(f"--token-file {path} holds no token", remedy="it is one word, as the hub shows it")
    if mode & 0o077:
        progress.note(f"others on this machine may read the token in {path} (mode {mode:o}): chmod 600 {path}")
    return text


def refuse_in_job() -> None:
    """Raises MachineError in a job: compute nodes are no place to reach out to the internet with a token."""
    if job := os.environ.get(JOB):
        raise MachineError(
            f"weights fetch is never run on a compute node, and this is SLURM's job {job}",
            remedy="run it on a login node, or anywhere with internet, and copy the file and its .json to [site] "
            "weights",
        )


def fetch_models(
    names: Sequence[str], folder: Path, *, token: str, progress: Progress, stop: threading.Event
) -> list[Kept]:
    """Put the weights of these foundation models into ``folder``, as safetensors with a record of their origin. What is
    there and as its record says is kept, what is damaged is replaced.

    Raises:
        InputError: $HF_ENDPOINT is no https URL.
        MachineError: some were not fetched (each with its reason), or this is a job; the folder is read-only.
        Stopped: on request; parts stay, and the same command goes on from there.
    """
    refuse_in_job()
    endpoint = hub_endpoint()
    with machine_errors(folder):
        make_folder(folder)
    remove_leftovers(folder)
    kept: list[Kept] = []
    failed: list[str] = []
    for name in dict.fromkeys(names):
        fetch = _Fetch(MODELS[name], fetched_path(name, folder), endpoint, token, progress, stop)
        try:
            kept.append(fetch.kept())
        except NotFetchedError as error:
            failed.append(f"{name} ({MODELS[name].repository}): {error}")
            if isinstance(error, UnreachableError):
                break
    if failed:
        raise _not_fetched(failed, [one for one in names if one not in {each.name for each in kept}], folder)
    return kept


@dataclass(slots=True)
class _Fetch:
    """One model on its way into the folder."""

    model: FoundationModel
    path: Path
    endpoint: str
    token: str
    progress: Progress
    stop: threading.Event
    _bytes: int = field(default=0, init=False)

    def kept(self) -> Kept:
        if (sha256 := self._sound()) is not None:
            return Kept(self.model.name, self.path, sha256, is_new=False)
        file, known = self._looked_up()
        part = self.path.with_name(f".{self.path.stem}-{known.sha256[:16]}.part")
        self._require_room(file, known, part)
        self._download(file, known, part)
        sha256 = self._moved_in(file, part)
        write_origin(self.path, Origin(sha256, file.repository, file.file, known.sha256, known.commit))
        return Kept(self.model.name, self.path, sha256, is_new=True)

    def _sound(self) -> str | None:
        """The SHA-256 of weights that are there already. A file that another one put there is not replaced."""
        if not self.path.is_file():
            return None
        try:
            origin = read_origin(self.path)
        except NotReadyError as error:
            raise NotFetchedError(f"{error.problem}: {error.remedy}") from error
        if origin is None:
            raise NotFetchedError(
                f"{self.path} is there, without {record_path(self.path).name}, so it is not from here: move it away, "
                "or name it in run.toml with its SHA-256"
            )
        sha256 = file_digests(self.path, ("sha256",))["sha256"]
        return sha256 if sha256 == origin.sha256 else None

    def _looked_up(self) -> tuple[HubFile, Published]:
        """The file that the record names; where the hub has it no more, the one of the other kind."""
        first = HubFile(self.endpoint, self.model.repository, self.model.file)
        try:
            return first, look_up(first, self.token)
        except NotFetchedError as error:
            if not str(error).startswith("404"):
                raise
            other = replace(first, file=next(one for one in FILES if one != first.file))
            return other, look_up(other, self.token)

    def _require_room(self, file: HubFile, known: Published, part: Path) -> None:
        """Before some GB are on their way. Raises MachineError."""
        converted = not file.file.endswith(SAFETENSORS)
        if converted and importlib.util.find_spec("torch") is None:
            raise MachineError(
                f"{file.file} of {file.repository} has to be converted, and PyTorch, which reads it, is not here",
                remedy="pip install 'hypoxia-hpc[timm]', then the same command again",
            )
        needed = known.size * (2 if converted else 1) - (part.stat().st_size if part.exists() else 0)
        free = shutil.disk_usage(part.parent).free
        if needed > free:
            raise MachineError(
                f"{part.parent}: {self.model.name} needs {needed / MB:,.0f} MB, and {free / MB:,.0f} MB are free",
                remedy="free some there, or name another folder in $HYPOXIA_HPC_WEIGHTS",
            )

    def _download(self, file: HubFile, known: Published, part: Path) -> None:
        n = max(1, known.size // MB)
        self.progress.note(f"{file.page}, {file.file}: {known.size / MB:,.1f} MB -> {self.path}")
        self.progress.begin(f"weights fetch {self.model.name}", n, n, "megabyte")
        self._bytes = 0
        if part.exists():
            self._tick(part.stat().st_size)
        try:
            with machine_errors(part):
                download(file, known, part, self.token, tick=self._tick, stop=self.stop)
        finally:
            self.progress.end()
        sha256 = file_digests(part, ("sha256",))["sha256"]
        if sha256 != known.sha256:
            part.unlink()
            raise NotFetchedError(f"its sha256 is {sha256}, and the hub says {known.sha256}; not kept")

    def _tick(self, n: int) -> None:
        before, self._bytes = self._bytes, self._bytes + n
        for _ in range(self._bytes // MB - before // MB):
            self.progress.item(1)

    def _moved_in(self, file: HubFile, part: Path) -> str:
        with committing_file(self.path) as temporary:
            if file.file.endswith(SAFETENSORS):
                part.rename(temporary)
            else:
                self.progress.note(f"{file.file} to safetensors: nothing of it is executed")
                _converted(part, temporary)
            _refuse_no_tensors(temporary)
        part.unlink(missing_ok=True)
        return file_digests(self.path, ("sha256",))["sha256"]


FILES = ("model.safetensors", "pytorch_model.bin")


def _converted(part: Path, temporary: Path) -> None:
    try:
        write_tensors(part, temporary)
    except HypoxiaError as error:
        part.unlink()  # the same bytes would fail again
        raise NotFetchedError(error.problem) from error


def _refuse_no_tensors(path: Path) -> None:
    if problems := problems_of_safetensors(path):
        raise NotFetchedError("; ".join(["it is no file of tensors", *problems]))


def _not_fetched(failed: list[str], missing: Sequence[str], folder: Path) -> MachineError:
    return MachineError(
        f"no weights yet of {', '.join(missing)}",
        offending=failed,
        remedy="the same command again; where there is no internet, run it elsewhere and copy the file and its .json "
        f"into {folder}",
    )
