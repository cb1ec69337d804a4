"""What several verbs have on their command line, and what it becomes."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hypoxia_hpc.cli.terminal import PlainProgress, progress_for, say
from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.runs.directory import RunDir

# Set by the first signal: stages end where nothing is lost.
STOP = threading.Event()
RUN = click.argument("run", type=click.Path(path_type=Path, file_okay=False), metavar="RUN")
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
Command = TypeVar("Command", bound=Callable[..., Any])
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_JOB = re.compile(r"[1-9][0-9]{0,17}(_[0-9]{1,9})?")


class Whole(click.IntRange):
    """A whole number in the digits 0-9. Python takes 1_000, blanks and digits of other scripts, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{value!r} is not a whole number; write it in the digits 0-9 alone", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A number in the digits 0-9, with a decimal point. Python takes 1_000, blanks and nan, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            self.fail(f"{value!r} is not a number; write it in the digits 0-9, with a decimal point", param, ctx)
        return super().convert(value, param, ctx)


class JobId(click.types.StringParamType):
    """A job of SLURM, or one element of an array."""

    name = "jobid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not _JOB.fullmatch(value):
            self.fail(f"{value!r} is no job; write JOBID, or JOBID_INDEX for one element of an array", param, ctx)
        return value


class OutputFile(click.Path):
    """A file that is written as a whole and takes the place of an older one: a plain file, or none yet. In the place of
    anything else (/dev/stdout, /dev/null, a pipe) it would stay for all programs of the machine. What a symbolic link
    leads to may be such a thing, too, and may change: it is not followed."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        option = param.opts[0] if param else "the output"
        if str(value) == "-":
            raise InputError(f"{option} -: it is written to a file alone", remedy="name a file")
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if what := _no_plain_file(os.lstat(value).st_mode):
                raise InputError(
                    f"{option} {value} is no plain file, and a file would take its place: {what}",
                    remedy="name another file, or the one that a link leads to",
                )
        return super().convert(value, param, ctx)


def _no_plain_file(mode: int) -> str:
    """What it is; empty for a plain file, and for a folder, of which click speaks."""
    if stat.S_ISLNK(mode):
        return "it is a symbolic link"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "it is a pipe or a device"


def per_slide(command: Command) -> Command:
    """The options of stages that go slide by slide."""
    options = [
        click.option("--share", default="0/1", metavar="I/N", help="Part I of N of the slides, 0 <= I < N.  [0/1]"),
        click.option("--slide", "wanted", multiple=True, metavar="ID", help="Only this slide; may be repeated."),
        click.option(
            "--slides-from",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Only the slides named in FILE, one id a line.",
        ),
        click.option("--workers", type=Whole(1, 1024), metavar="N", help="Worker processes."),
        click.option("--mpi", is_flag=True, help="Deal the slides to the ranks of this MPI job (mpiexec, srun)."),
        click.option("--retry", is_flag=True, help="Try quarantined slides again."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def existing_run(run: Path) -> RunDir:
    """The run there; Keras will be started on the backend that its networks need. Raises InputError where there is
    none, or its run.toml is bad."""
    from hypoxia_hpc.networks.backbones.needed import torch_entry
    from hypoxia_hpc.networks.runtime import prefer_torch
    from hypoxia_hpc.runs.directory import RunDir

    run_dir = RunDir(run)
    if entry := torch_entry(run_dir.config()):
        prefer_torch(entry)
    return run_dir


def progress() -> PlainProgress:
    """A bar on a terminal, else a line now and then."""
    return progress_for(sys.stderr.isatty())


def say_json(found: Any) -> None:
    """The answer to --json."""
    say(json.dumps(found, indent=1))


def say_blocks(blocks: Iterable[str]) -> None:
    """Each on lines of its own."""
    for block in blocks:
        say(block)


def trained_run(run: Path) -> RunDir:
    """The run that models come from. Raises InputError where there is none."""
    from hypoxia_hpc.runs.directory import RunDir

    file = RunDir(run).config_file
    if not file.exists():
        raise InputError(
            f"{file} does not exist, so --model {run} is no run directory", remedy="name a run that was trained"
        )
    return existing_run(run)
