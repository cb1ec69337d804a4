"""The verb that measures this machine: bench."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hypoxia_hpc.cli.options import STOP, OutputFile, progress, say_blocks
from hypoxia_hpc.cli.terminal import say
from hypoxia_hpc.errors import InputError, some

if TYPE_CHECKING:
    from hypoxia_hpc.bench.records import Record

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
    """Measure the suite on this machine, offline, in less than five minutes on two cores.

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
            remedy=f"write it behind {name}; hypoxia-hpc bench {name} --help shows which there are",
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
    from hypoxia_hpc.bench.records import append_records, default_history, record_of
    from hypoxia_hpc.bench.running import default_folder, measure_all
    from hypoxia_hpc.cli.text.bench import figures_text

    cases, there = chosen(only), folder or default_folder()
    measured = measure_all(cases, there, progress=progress(), stop=STOP)
    where, kept_in = environment(there), history or default_history()
    records = [record for one in measured if (record := record_of(one, where)) is not None]
    append_records(kept_in, records)
    if json_file is not None:
        _write_json(json_file, records)
    say_blocks(figures_text(measured, where, kept_in))
    return 0


def _write_json(path: Path, records: list[Record]) -> None:
    from hypoxia_hpc.stores.commit import committed_file

    committed_file(path, (json.dumps([asdict(one) for one in records], indent=1) + "\n").encode())


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
    from hypoxia_hpc.bench.records import default_history, read_records
    from hypoxia_hpc.stores.commit import committed_file

    records = read_records(history or default_history())
    if not records:
        raise InputError("the history file is empty", remedy="hypoxia-hpc bench appends figures to it")
    committed_file(output, history_page(records).encode())
    say(f"wrote {output}: {some(len(records), 'figure')}")
    return 0
