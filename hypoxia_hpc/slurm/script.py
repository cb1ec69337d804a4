"""The text of job scripts and the arguments of sbatch. Pure; every value is quoted, none may hold a line break."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from hypoxia_hpc.config import SiteTable, SlurmTable
from hypoxia_hpc.config.site_file import VARIABLE
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.stages import stages_of
from hypoxia_hpc.slurm.queue import SACCT_FIELDS
from hypoxia_hpc.slurm.resources import Array, JobRequest, index_ranges, table_of

HEAD = """#!/bin/bash
# Made by hypoxia-hpc submit, which sends it: STAGE, number of parts, first part of the array.

STAGE=$1 SHARES=${2:-} FIRST=${3:-0}"""
# The part of the time between signal and limit after which what has not stopped by itself is stopped at once.
PATIENCE = 0.8
# Entries of [site.slurm] that are options of sbatch by the same name.
_PASSED_ON = (
    *("account", "qos", "constraint", "reservation", "exclude", "nodelist", "licenses", "nice"),
    *("mail_type", "mail_user", "comment", "export", "hint"),
)
_NAMES = re.compile(r"(\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}))")


def job_body() -> str:
    """What every job does, in bash: the scripts in slurm/ source the same file."""
    return files("hypoxia_hpc.slurm").joinpath("job.bash").read_text(encoding="utf-8")


def job_script(
    run: Path,
    program: str,
    image: Path | None,
    folders: Sequence[str],
    site: SiteTable,
    *,
    retry: bool,
    site_file: Path | None = None,
) -> str:
    """The script of all jobs of a run. Its arguments: the stage and, for one that goes slide by slide, the number of
    parts and the first part of the array.

    ``program`` is hypoxia-hpc as the job finds it, in the image where there is one; ``folders`` are to be seen in the
    image beside the binds of [site.slurm]. The jobs read the ``site_file`` that submit reads, or none.
    """
    table = site.slurm
    settings = {
        "RUN": str(run),
        "RETRY": "yes" if retry else "",
        "HYPOXIA_PROGRAM": program,
        "HYPOXIA_IMAGE": str(image) if image is not None else "",
        "HYPOXIA_BINDS": ",".join([*table.binds, *folders]),
        "HYPOXIA_MODULES": " ".join(table.modules),
        "HYPOXIA_MPI": table.mpi,
        "HYPOXIA_PATIENCE": str(int(PATIENCE * table.stop_seconds)),
        "HYPOXIA_REQUEUES": str(table.most_requeues),
        "HYPOXIA_SACCT": ",".join(SACCT_FIELDS),
        "HYPOXIA_ON_CORES": " ".join(stage.name for stage in stages_of("slide") if stage.device == "cpu"),
    }
    lines = [f"{name}={shlex.quote(_one_line(name, value))}" for name, value in settings.items()]
    scratch = quoted_with_names(_one_line("[site] scratch", site.scratch or ""))
    named = shlex.quote(_one_line("site file", str(site_file or "")))
    return "\n".join([HEAD, *lines, f"HYPOXIA_SCRATCH={scratch}", f"export {VARIABLE}={named}", "", job_body()])


def quoted_with_names(text: str) -> str:
    """Quoted for bash, but for ``$NAME`` and ``${NAME}``, which the job's environment fills in."""
    parts = _NAMES.split(text)
    return "".join(
        f'"{part}"' if number % 2 else shlex.quote(part) if part else "" for number, part in enumerate(parts)
    )


def sbatch_arguments(
    request: JobRequest,
    array: Array | None,
    most: int | None,
    run: Path,
    submission: str,
    dependency: str | None,
    table: SlurmTable,
) -> list[str]:
    """What follows ``sbatch``. ``most`` elements run at once; logs lie in a folder that is named by the submission."""
    table = table_of(request.stage, table)
    name = "%A_%a" if array is not None else "%j"
    log = str(run / "slurm" / "logs" / submission).replace("%", "%%") + f"/{request.stage}-{name}.out"
    options_by_name: Mapping[str, str | int | None] = {
        "job-name": f"{request.stage}-{run.name}",
        "chdir": str(run),
        "output": log,
        "open-mode": "append",
        "signal": f"B:USR1@{table.stop_seconds}",
        **{entry.replace("_", "-"): getattr(table, entry) for entry in _PASSED_ON},
        "exclude": ",".join(filter(None, [table.exclude, *request.exclude])) or None,
        "partition": request.partition,
        "gres": request.gres,
        "nodes": request.nodes,
        "ntasks": request.ranks,
        "cpus-per-task": request.cpus,
        **memory_option(request),
        "time": request.minutes,
        "array": None if array is None else index_ranges(array.indices) + ("" if most is None else f"%{most}"),
        "dependency": dependency,
    }
    part = [str(request.of), str(array.first)] if array is not None else []
    fixed = ["--parsable", "--requeue", "--kill-on-invalid-dep=yes"]
    return [*fixed, *_options(options_by_name), str(run / "slurm" / "job.sbatch"), request.stage, *part]


def _options(values: Mapping[str, str | int | None]) -> list[str]:
    return [f"--{name}={_one_line(name, str(value))}" for name, value in values.items() if value is not None]


def memory_option(request: JobRequest) -> dict[str, str]:
    """The option of sbatch that asks for the memory of a request, as its site takes it; none where it takes none."""
    if request.memory == "none":
        return {}
    if request.memory == "per-node":
        return {"mem": f"{request.memory_mb}M"}
    cores = request.cpus * math.ceil(request.ranks / request.nodes)
    return {"mem-per-cpu": f"{math.ceil(request.memory_mb / cores)}M"}


def _one_line(name: str, value: str) -> str:
    if not value.isprintable():
        raise InputError(f"{name} {value!r} holds a line break or a control character", remedy="rename it")
    return value


def bound_folders(folders: Collection[Path]) -> list[str]:
    """The fewest folders that hold all of these and lie at least two levels deep, where they do: a whole first level,
    such as /opt, would hide what the image has there."""
    groups: dict[tuple[str, ...], Path] = {}
    for folder in sorted(folders):
        top = folder.parts[:3]
        groups[top] = _common(groups[top], folder) if top in groups else folder
    return [str(folder) for folder in groups.values() if not any(other in folder.parents for other in groups.values())]


def _common(one: Path, other: Path) -> Path:
    while one != other and one not in other.parents:
        one = one.parent
    return one


def refuse_unusable(run: Path, seen: Sequence[str], table: SlurmTable) -> None:
    """Raises InputError naming every value that a program on the way would take apart. ``seen`` are the folders that an
    image must see under their own names."""
    wrong = (
        [f"run directory {run}: a backslash, which sbatch does not take in names of logs"] if "\\" in str(run) else []
    )
    wrong += [
        f"folder {folder}: a comma or colon, which apptainer --bind splits at"
        for folder in seen
        if set(folder) & {",", ":"}
    ]
    wrong += [f"[site.slurm] binds {bind!r}: a comma" for bind in table.binds if "," in bind]
    wrong += [f"[site.slurm] modules {name!r}: a space" for name in table.modules if " " in name]
    if wrong:
        raise InputError(
            f"{len(wrong)} {'name' if len(wrong) == 1 else 'names'} cannot be passed on to a job",
            offending=wrong,
            remedy="rename the folder, or reach it through a symbolic link; give binds and modules one entry each",
        )
