"""The verb that tells what is to come: estimate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hypoxia_hpc.cli.options import JSON, Whole, existing_run, say_blocks, say_json
from hypoxia_hpc.cli.terminal import tell
from hypoxia_hpc.errors import InputError, MachineError

if TYPE_CHECKING:
    from hypoxia_hpc.config import RunConfig
    from hypoxia_hpc.monitoring.estimate import OwnRates
    from hypoxia_hpc.monitoring.scaling import Scale, Site
    from hypoxia_hpc.records import Json, Slide
    from hypoxia_hpc.runs.directory import RunDir


@click.command(short_help="What a run, or N slides, would take: files, bytes, hours; on how many nodes.")
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]")
@click.option(
    "--slides", "n_slides", type=Whole(1, 1_000_000), metavar="N", help="Not the slides of RUN, but N slides."
)
@click.option("--like", type=click.Choice(["TCGA"]), default="TCGA", help="How large these are.  [TCGA]")
@click.option("--nodes", type=Whole(1, 16_384), multiple=True, metavar="N", help="Simulate N nodes; may be repeated.")
@click.option("--cores", type=Whole(1, 1024), default=32, metavar="N", help="Cores of a node.  [32]")
@click.option("--gpus", type=Whole(0, 64), default=0, metavar="N", help="GPUs of a node.  [0]")
@click.option("--measure", is_flag=True, help="With --slides: measure here what no run tells.")
@JSON
def estimate(
    run: Path | None,
    n_slides: int | None,
    like: str,
    nodes: tuple[int, ...],
    cores: int,
    gpus: int,
    measure: bool,
    as_json: bool,
) -> int:
    """Files, bytes, core- and GPU-hours that a run still takes, against free space and quota; reads some headers.

    With --slides: those of N slides that are not there yet, with the settings of RUN; without RUN, with those of init
    --study hypoxia. Rates are those of the slides of RUN (not of slides much smaller than the mean), else what
    hypoxia-hpc bench has recorded on a machine of this kind, else assumed; --measure measures the seconds of tiling and
    of the network here. Each figure says where it is from. Other settings of [tile] stand beside.

    \b
    With --nodes: how long tile and extract take on N nodes, by a simulation of the
    jobs that submit would send: of how many elements, what part of the nodes' time is work,
    what the rest is lost to, and which setting changes that. Needs hypoxia-hpc[simulation].

    \b
    hypoxia-hpc estimate RUN
    hypoxia-hpc estimate --slides 13031 --like TCGA
    hypoxia-hpc estimate RUN --slides 13031 --nodes 16 --nodes 128 --cores 64
    """
    from hypoxia_hpc.monitoring.scaling import Site, require_simpy
    from hypoxia_hpc.runs.like_cohorts import slides_like

    if nodes:
        require_simpy()
    run_dir, site = None if run is None else existing_run(run), Site(cores, gpus)
    if n_slides is not None:
        return _ahead(run_dir, slides_like(like, n_slides), like, nodes, site, measure=measure, as_json=as_json)
    if measure:
        raise InputError("--measure is given, and --slides is not", remedy="add --slides N, or leave --measure out")
    if run_dir is None:
        raise InputError("neither RUN nor --slides is given", remedy="name a run, or how many slides: --slides 1000")
    return _of_run(run_dir, str(run), nodes, site, as_json=as_json)


def _ahead(
    run: RunDir | None,
    slides: Sequence[Slide],
    like: str,
    nodes: tuple[int, ...],
    site: Site,
    *,
    measure: bool,
    as_json: bool,
) -> int:
    from hypoxia_hpc.cli.text.scaling import ahead_text, scaling_text
    from hypoxia_hpc.config import preset
    from hypoxia_hpc.monitoring.alternatives import cohort_ahead, known_rates
    from hypoxia_hpc.monitoring.rates_here import measured_here
    from hypoxia_hpc.monitoring.scaling import prepared, scales, todo_ahead
    from hypoxia_hpc.runs.rates import mean_of
    from hypoxia_hpc.runs.survey import survey_run

    config = preset("hypoxia") if run is None else run.config()
    survey = None if run is None else survey_run(run)
    known = known_rates(config, survey, mean_of(slide.cost for slide in slides))
    here = _recorded(config).instead_of_assumed(known)
    rates = measured_here(config, here) if measure else here
    found = cohort_ahead(config, len(slides), like, rates)
    scaled = scales(prepared(config, todo_ahead(config, slides, known), rates, site), nodes, site) if nodes else []
    return _say(found.as_json(), ahead_text(found), scaled, scaling_text(scaled, site, config), as_json=as_json)


def _of_run(run: RunDir, root: str, nodes: tuple[int, ...], site: Site, *, as_json: bool) -> int:
    from hypoxia_hpc.cli.text.estimate import estimate_text
    from hypoxia_hpc.cli.text.scaling import run_alternatives_text, scaling_text
    from hypoxia_hpc.monitoring.alternatives import run_alternatives
    from hypoxia_hpc.monitoring.estimate import estimate_run
    from hypoxia_hpc.monitoring.remaining import remaining
    from hypoxia_hpc.monitoring.scaling import prepared, scales, todo_of_run

    config = run.config()
    found = estimate_run(run, _recorded(config))
    others = run_alternatives(run, found)
    todo = todo_of_run(run, remaining(run, retry=False, only_to_show=True)) if nodes else None
    scaled = scales(prepared(config, todo, found.rates, site), nodes, site) if todo and todo.remaining else []
    if nodes and not scaled:
        tell("note: nothing is simulated, for no slide is left to do in tile and extract; --slides N asks for others")
    answer = found.as_json() | {"alternatives": [asdict(one) for one in others]}
    blocks = chain(estimate_text(found, root), run_alternatives_text(others, len(run.slides()) - len(found.unread)))
    return _say(answer, blocks, scaled, scaling_text(scaled, site, config), as_json=as_json)


def _recorded(config: RunConfig) -> OwnRates:
    """Rates of this machine from the history of bench; a history that cannot be read is named, and not used."""
    from hypoxia_hpc.bench.own_rates import own_rates
    from hypoxia_hpc.bench.records import default_history
    from hypoxia_hpc.monitoring.estimate import OwnRates
    from hypoxia_hpc.slurm.resources import gpus_of, table_of

    gpu = gpus_of(table_of("extract", config.site.slurm).gres) > 0
    try:
        return own_rates(config, default_history(), gpu=gpu)
    except (InputError, MachineError) as error:
        tell(f"note: figures of bench are not used: {error.problem}; what they would tell is assumed")
        return OwnRates()


def _say(
    found: Json, blocks: Iterable[str], scaled: Sequence[Scale], of_scales: Iterable[str], *, as_json: bool
) -> int:
    if as_json:
        say_json(found | ({"scaling": [asdict(one) for one in scaled]} if scaled else {}))
        return 0
    say_blocks(blocks)
    if scaled:
        say_blocks(of_scales)
    return 0
