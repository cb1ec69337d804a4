"""The command line: arguments to one stage, words to the terminal, an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from functools import cache
from pathlib import Path

import click

from hypoxia_hpc import __version__
from hypoxia_hpc.cli import backbones, bench, checking, cluster, exporting, importing, making, paths, planning, viewing
from hypoxia_hpc.cli.exits import EXIT_MACHINE, tell_end, worst
from hypoxia_hpc.cli.options import STOP
from hypoxia_hpc.cli.scaling import scaling
from hypoxia_hpc.cli.stages import stage_verb
from hypoxia_hpc.cli.terminal import begin_streams, end_streams, lost_reader, tell
from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.runs.stages import registry, stages

# Of a sentence in the list of verbs, in letters: it wraps, and is not cut.
LONGEST = 200

bench.bench.add_command(scaling)


@cache
def families() -> dict[str, tuple[click.Command, ...]]:
    """The verbs under their headings."""
    return {
        "Make a run": (paths.demo, making.init, making.labels, making.normalise, importing.import_features),
        "Work through it": (paths.run_all, paths.predict),
        "One stage at a time": tuple(map(stage_verb, stages())),
        "On a cluster": (
            *(planning.estimate, cluster.submit, cluster.status, cluster.cancel),
            *(cluster.site, cluster.slurm, cluster.image),
        ),
        "Look, and take it elsewhere": (
            *(viewing.view, exporting.preview, exporting.quality),
            *(exporting.maps, exporting.gallery, exporting.export),
        ),
        "Checks": (checking.doctor, checking.verify, bench.bench, checking.weights, backbones.backbones),
    }


class Verbs(click.Group):
    """The verbs in the order in which a user needs them, under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [str(verb.name) for family in families().values() for verb in family]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = {verb.name: verb for family in families().values() for verb in family}.get(cmd_name)
        if found is None and cmd_name in registry().useless:
            ctx.fail(f"the stage {cmd_name!r} of an installed package cannot be used: {registry().useless[cmd_name]}")
        return found

    def invoke(self, ctx: click.Context) -> object:
        """At a broken pipe click ends without a word; that is right for its own pages alone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            if frame.f_globals["__name__"].startswith("click."):
                raise
            return tell_end(error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, family in families().items():
            with formatter.section(heading):
                formatter.write_dl([(str(verb.name), verb.get_short_help_str(LONGEST)) for verb in family])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="hypoxia-hpc")
def app() -> None:
    """From whole-slide images of tumours to predictions about patients.

    \b
    First look, offline, nothing needed:   hypoxia-hpc demo
    Your own slides:
      hypoxia-hpc init RUN --study hypoxia --slides DIR --scores TABLE
      hypoxia-hpc run RUN                  here, or on a cluster: hypoxia-hpc submit RUN
      hypoxia-hpc status RUN

    What to do is in RUN/run.toml; where and which part of it is on the command line. Every command can be stopped
    or killed at any time and given again: what is done is not done twice.

    \b
    Exit codes: 0 all that was asked for is done · 1 a bug · 2 bad usage, configuration or input table
    3 finished, some slides are quarantined · 4 cannot go on here (disk, permission, device)
    5 not ready or not sound · 75 stopped, run again to go on
    """


def _on_signal(number: int, _: object) -> None:
    if STOP.is_set():
        raise KeyboardInterrupt
    STOP.set()
    tell(f"{signal.Signals(number).name}: finishing what is under way, then stopping; once more to stop now")


def main() -> None:
    """Run the command line and exit with its code."""
    begin_streams()
    _use_utf8()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _on_signal)
    code = _exit_code()
    sys.exit(code if end_streams() else worst([code, EXIT_MACHINE]))


def _use_utf8() -> None:
    """The same names and tables in every locale: in another one than UTF-8, Python starts again in its UTF-8 mode,
    in which paths are the bytes that they are on the disk."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:  # deleted, or on a file system that is gone
        raise MachineError(
            f"the working directory is not there any more ({error.strerror})",
            remedy="cd to one that is there, then run the same command again",
        ) from None


def _exit_code() -> int:
    try:
        from hypoxia_hpc.stores.commit import machine_errors

        with machine_errors(_working_directory()):
            return int(app(standalone_mode=False) or 0)
    except SystemExit:  # click ends so where its page of help is not read
        if lost_reader(sys.stdout):
            return 0
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the program
        return tell_end(error)
