"""The verb that measures this machine: bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hypoxia_hpc.cli.options import STOP, OutputFile, progress, say_blocks
from hypoxia_hpc.cli.terminal import say
from hypoxia_hpc.errors import InputError, some

if TYPE_CHECKING:
    from hypoxia_hpc.bench.measuring import Measurement

FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Work there: it says which disk is measured.  [~/.cache/hypoxia_hpc]",
)
HISTORY = click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where figures are kept, a JSON line each.  [~/.local/share/hypoxia_hpc/bench.jsonl]",
)


@click.group(invoke_without_command=True, short_help="How fast is the suite on this machine, and against which bound?")
@click.option("--list", "is_list", is_flag=True, help="Show all cases, and do nothing.")
@click.option("--only", multiple=True, metavar="CASE", help="This case, or those of a topic; may be repeated.")
@click.option(
    "--json",
    "json_file",
    type=OutputFile(),
    metavar="FILE",
    help="Also write the figures of this time there.",
)
@FOLDER
@HISTORY
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> int:
    """Measure the suite on this machine, offline, in less than five minutes on two idle
    cores.

    \b
    Every quick case:                    hypoxia-hpc bench
    What there is, and its bounds:       hypoxia-hpc bench --list
    One topic, or one case:              hypoxia-hpc bench --only readers --only inception_v3
    On another disk:                     hypoxia-hpc bench --folder DIR
    All figures so far, as a page:       hypoxia-hpc bench report

    Each case has a bound: what has to be done in any case, as decoding the slide or reading the memory. Case and bound
    take turns in every round, so that what else runs on the machine slows both. The share of the bound is what to
    compare, between machines and between versions; rates need a quiet machine. An answer that differs from another
    way to get it is an error, and its time is not shown.

    Figures are appended to the history file, with the kind of machine, the versions and the commit, and without names
    of hosts, users or files.
    """
    if context.invoked_subcommand:
        _refuse_before(context)
        return 0
    return _list() if options["is_list"] else _measure(**options)


def _refuse_before(context: click.Context) -> None:
    """Options before the name of a subcommand would not reach it. Raises InputError."""
    sources = {param: context.get_parameter_source(str(param.name)) for param in context.command.params}
    given = [param.opts[0] for param, source in sources.items() if source == click.core.ParameterSource.COMMANDLINE]
    if given:
        name = context.invoked_subcommand
        raise InputError(
            f"{', '.join(given)} before {name}: {name} takes options behind its name alone",
            remedy=f"hypoxia-hpc bench {name} --help shows which there are",
        )


def _list() -> int:
    from hypoxia_hpc.bench.cases.registry import CASES
    from hypoxia_hpc.cli.text.bench import cases_text

    say(cases_text(CASES))
    return 0


def _measure(
    *, only: tuple[str, ...], json_file: Path | None, folder: Path | None, history: Path | None, **_: object
) -> int:
    from hypoxia_hpc.bench.cases.registry import chosen
    from hypoxia_hpc.bench.environment import environment
    from hypoxia_hpc.bench.keeping import Kept
    from hypoxia_hpc.bench.records import default_history, record_of
    from hypoxia_hpc.bench.running import default_folder, measure_all
    from hypoxia_hpc.cli.text.bench import figures_text

    cases, there = chosen(only), folder or default_folder()
    where, kept = environment(there), Kept(history or default_history(), json_file)
    kept.require_places()
    measured: list[Measurement] = []

    def keep(one: Measurement) -> None:
        measured.append(one)
        kept.add(record_of(one, where))

    try:
        measure_all(cases, there, keep, progress=progress(), stop=STOP)
    finally:  # whatever ends it, what was measured before is shown
        say_blocks(figures_text(measured, where, kept.history, len(kept.records)))
    return 0


@bench.command(short_help="All figures of the history file as one HTML page.")
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    default=Path("bench.html"),
    metavar="FILE",
    help="Where the page is written.  [bench.html]",
)
@HISTORY
def report(output: Path, history: Path | None) -> int:
    """All figures of the history file as one HTML page: machine by machine the newest of each case, its share of the
    bound, other packages beside it, and rates over commits. It needs no other file and no internet.

    \b
    hypoxia-hpc bench report -o bench.html
    Figures of several machines:   cat laptop.jsonl node.jsonl > all.jsonl
                                   hypoxia-hpc bench report --history all.jsonl
    """
    from hypoxia_hpc.bench.page import history_page
    from hypoxia_hpc.bench.records import default_history, left_out_lines, read_history, require_apart
    from hypoxia_hpc.stores.commit import committed_file

    figures = history or default_history()
    require_apart(figures, output)
    found = read_history(figures)
    left_out = left_out_lines(found.left_out)
    committed_file(output, history_page(found.records, left_out).encode())
    say(f"wrote {output}: {some(len(found.records), 'figure')}")
    say_blocks(f"left out: {line}" for line in left_out)
    return 0
