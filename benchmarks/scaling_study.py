"""13,031 slides on 1 to 1,024 nodes, simulated: the tables and curves of SCALING.md.

Each text here is made from figures, so that a part of the page can be made alone and compared with it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import StrictUndefined, Template
from matplotlib.figure import Figure

from hypoxia_hpc.cli.text.scaling import SHORT
from hypoxia_hpc.cli.text.words import duration
from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.errors import some
from hypoxia_hpc.monitoring.alternatives import known_rates
from hypoxia_hpc.monitoring.scaling import (
    OPERATIONS,
    SCATTER,
    START_UPS,
    Prepared,
    Scale,
    Site,
    largest_efficient,
    prepared,
    remedy_for,
    scales,
    todo_ahead,
)
from hypoxia_hpc.reports.plots import DASHES, INK, MUTED, RULE, SERIES
from hypoxia_hpc.runs.like_cohorts import SIZES as SIZES_OF
from hypoxia_hpc.runs.like_cohorts import slides_like
from hypoxia_hpc.runs.rates import mean_of
from hypoxia_hpc.simulation.cluster import Cluster

HERE = Path(__file__).resolve().parent
N_SLIDES = 13_031
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
ASKED = (1, 16, 128, 1024)
LEAST = 0.9
CORES, GPUS = 32, 4
HOURS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
LOSSES_NAMED, LEAST_NAMED = 3, 0.01


@dataclass(frozen=True)
class Case:
    """Settings of run.toml, in words, and the site that they are for."""

    name: str
    slurm: Mapping[str, Any] = field(default_factory=dict)
    tile: Mapping[str, Any] = field(default_factory=dict)
    site: Site = field(default_factory=lambda: Site(CORES))
    slides: int = N_SLIDES

    @property
    def config(self) -> RunConfig:
        return preset("hypoxia", {"tile": dict(self.tile), "site": {"slurm": dict(self.slurm)}})


MANY = {"most_elements": N_SLIDES}
IMAGE = {"image": "/images/cpu.sif"}
ALIKE = {"tile": {"hours": 0.0065}}
NO_PIXELS = {"pixels": "none"}
FASTER = Site(CORES, files=replace(Site().files, bytes_per_second=100e9))
DEFAULTS = Case("as `init` writes them")
TUNED = Case("chosen for many nodes", MANY | IMAGE | ALIKE, NO_PIXELS)
GPU_SITE = Site(CORES, GPUS)
WITH_GPUS = Case('as `init` writes them, `gres = "gpu:1"`', {"gres": "gpu:1"}, site=GPU_SITE)
GPUS_TUNED = Case(
    'chosen for many nodes, `gres = "gpu:1"`',
    {"gres": "gpu:1", "hours": 0.1, "tile": {"hours": 0.05}, "most_elements": N_SLIDES, "image": "/images/gpu.sif"},
    NO_PIXELS,
    GPU_SITE,
)
CURVES = (DEFAULTS, TUNED, WITH_GPUS, GPUS_TUNED)
# What each further setting brings on 1,024 nodes; each row has those of the rows above.
STEPS = (
    DEFAULTS,
    Case("`image`", IMAGE),
    Case("and `most_elements = 13031`", IMAGE | MANY),
    Case('and `[tile] pixels = "none"`', MANY | IMAGE, NO_PIXELS),
    Case("and `[site.slurm.tile] hours = 0.0065`", MANY | IMAGE | ALIKE, NO_PIXELS),
    Case("and a file system of 100 GB/s", MANY | IMAGE | ALIKE, NO_PIXELS, FASTER),
    Case("and `hours = 0.07`", MANY | IMAGE | {"hours": 0.07, "tile": {"hours": 0.0022}}, NO_PIXELS, FASTER),
)
# What disturbs a run, on 128 nodes.
DISTURBED: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("nothing", {}),
    ("each element waits 10 min on average behind jobs of others", {"wait": 600.0}),
    ("one node in sixteen is half as fast", {"slow": dict.fromkeys(range(0, 128, 16), 2.0)}),
    ("each node dies once in 20 hours, and is back after an hour", {"failures_per_node_hour": 0.05}),
)
# Why `hours` is what it is by default: each of these with each of those.
LENGTHS = (4.0, 2.0, 1.0, 0.5, 0.25, 0.1)
LENGTH_SIZES = (1, 4, 16)
BUSY = Site(CORES, controller=replace(Site().controller, wait=600.0))
LENGTH_CASES = (
    DEFAULTS,
    Case("each element waits 10 min on average behind jobs of others", site=BUSY),
    WITH_GPUS,
    Case("1,000 slides", slides=1000),
    Case('1,000 slides, `gres = "gpu:1"`', {"gres": "gpu:1"}, site=GPU_SITE, slides=1000),
)


def scales_of(case: Case, nodes: Sequence[int]) -> list[Scale]:
    return scales(prepared_of(case), nodes, case.site)


def prepared_of(case: Case) -> Prepared:
    slides, config = slides_like("TCGA", case.slides), case.config
    rates = known_rates(config, None, mean_of(slide.cost for slide in slides))
    return prepared(config, todo_ahead(config, slides, rates), rates, case.site)


@cache
def curve(number: int) -> tuple[Scale, ...]:
    return tuple(scales_of(CURVES[number], SIZES))


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> list[str]:
    return [row(cells), row(["---"] * len(cells))]


def losses(one: Scale) -> str:
    named = [(name, share) for name, share in one.losses.items() if share >= LEAST_NAMED][:LOSSES_NAMED]
    return ", ".join(f"{SHORT[name]} {share:.0%}" for name, share in named) or "less than 1 % each"


def elements(one: Scale) -> str:
    return ", ".join(f"{stage} {n:,}" for stage, n in one.elements.items())


def answer_row(case: Case, one: Scale) -> str:
    """A row of the first table: how long, how efficient, what is lost to what, which setting."""
    return row(
        [
            f"{one.nodes:,}",
            duration(one.seconds),
            f"{one.efficiency:.1%}",
            losses(one),
            remedy_for(one.limit, case.config, is_spread=one.is_spread),
        ]
    )


def answers(case: Case) -> list[str]:
    found = [one for one in curve(CURVES.index(case)) if one.nodes in ASKED]
    names = ["nodes", "time", "work", "the rest of the nodes' time", "what may change it"]
    return [*head(names), *(answer_row(case, one) for one in found)]


def efficiency_table() -> list[str]:
    rows = [
        row([f"{n:,}", *(f"{curve(number)[place].efficiency:.1%}" for number in range(len(CURVES)))])
        for place, n in enumerate(SIZES)
    ]
    return [*head(["nodes", *(case.name for case in CURVES)]), *rows]


def largest_table() -> list[str]:
    rows = [row([case.name, f"{n:,}" if n else "none"]) for case, n in zip(CURVES, largest(), strict=True)]
    return [*head(["settings", f"most nodes with {LEAST:.0%} or more"]), *rows]


@cache
def largest() -> tuple[int, ...]:
    return tuple(largest_efficient(prepared_of(case), case.site, LEAST) for case in CURVES)


@cache
def steps() -> tuple[Scale, ...]:
    return tuple(scales_of(case, [1024])[0] for case in STEPS)


def step_table() -> list[str]:
    rows = []
    for case, one in zip(STEPS, steps(), strict=True):
        rows.append(row([case.name, elements(one), duration(one.seconds), f"{one.efficiency:.1%}", losses(one)]))
    return [*head(["settings", "elements", "time", "work", "the rest"]), *rows]


def length_tables() -> list[str]:
    """A table for each case: elements, and the share of work on some nodes, by the hours of an element."""
    names = ["hours", "elements", *(some(n, "node") for n in LENGTH_SIZES)]
    lines = []
    for case in LENGTH_CASES:
        rows = [length_row(replace(case, slurm={**case.slurm, "hours": hours})) for hours in LENGTHS]
        lines += [f"{case.name[0].upper()}{case.name[1:]}:", "", *head(names), *rows, ""]
    return lines[:-1]


def length_row(case: Case) -> str:
    found = scales_of(case, LENGTH_SIZES)
    return row([f"{case.slurm['hours']:g}", elements(found[0]), *(f"{one.efficiency:.1%}" for one in found)])


def disturbed_table() -> list[str]:
    found = prepared_of(TUNED)
    rows = []
    for words, change in DISTURBED:
        one = found.on(_disturbed(TUNED.site.cluster(128, found.table), change))
        rows.append(row([words, duration(one.seconds), f"{one.efficiency:.1%}", f"{one.requeues:,}", losses(one)]))
    return [*head(["what happens", "time", "work", "requeues", "the rest"]), *rows]


def _disturbed(cluster: Cluster, change: Mapping[str, Any]) -> Cluster:
    if "wait" in change:
        return replace(cluster, controller=replace(cluster.controller, wait=change["wait"]))
    return replace(cluster, **change)


def curves_svg() -> str:
    """Time and share of work by nodes, both with logarithmic axes for nodes."""
    settings = {"svg.hashsalt": "hypoxia_hpc", "svg.fonttype": "none", "font.size": 9.0, "axes.linewidth": 0.8}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9.5, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, case in enumerate(CURVES):
            found = curve(number)
            style = {"color": SERIES[number + 1], "linestyle": DASHES[number + 1], "marker": "o", "markersize": 3}
            hours = [one.seconds / 3600 for one in found]
            left.plot(SIZES, hours, label=case.name.replace("`", ""), **style)
            right.plot(SIZES, [100 * one.efficiency for one in found], **style)
        ideal = curve(CURVES.index(TUNED))[0]
        left.plot(
            SIZES,
            [ideal.seconds * ideal.efficiency / 3600 / n for n in SIZES],
            color=MUTED,
            linewidth=0.9,
            label="work alone, cores",
        )
        right.axhline(100 * LEAST, color=MUTED, linewidth=0.9)
        left.set_yscale("log")
        left.set_yticks(HOURS, [f"{one:g}" for one in HOURS])
        for axes, label in ((left, "hours"), (right, "work, % of the nodes' time")):
            axes.set_xscale("log", base=2)
            axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES], rotation=60)
            axes.set_xlabel(f"nodes of {CORES} cores", color=INK)
            axes.set_ylabel(label, color=INK)
            axes.grid(visible=True, color=RULE, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        left.legend(frameon=False, fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def page(validated: Mapping[str, Any] | None) -> str:
    """The whole of SCALING.md."""
    template = Template((HERE / "scaling_page.md").read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    return template.render(**_answers(), **_validation(validated), **assumptions())


def _answers() -> dict[str, Any]:
    defaults, tuned, at = curve(0), curve(1), SIZES.index(1024)
    return {
        "n_slides": f"{N_SLIDES:,}",
        "cores": CORES,
        "gpus": GPUS,
        "least": f"{LEAST:.0%}",
        "slides_each": f"{N_SLIDES / 1024:.1f}",
        "times": _times(defaults),
        "tuned_times": _times(tuned),
        "most": largest()[0],
        "tuned_most": largest()[1],
        "efficiency": f"{defaults[at].efficiency:.1%}",
        "tuned_efficiency": f"{tuned[at].efficiency:.0%}",
        "elements": elements(steps()[0]),
        "last_time": duration(steps()[-1].seconds),
        "answers": _text(answers(DEFAULTS)),
        "tuned_answers": _text(answers(TUNED)),
        "efficiencies": _text(efficiency_table()),
        "largest": _text(largest_table()),
        "steps": _text(step_table()),
        "hours": f"{DEFAULTS.config.site.slurm.hours:g}",
        "most_elements": f"{DEFAULTS.config.site.slurm.most_elements:,}",
        "lengths": _text(length_tables()),
        "disturbed": _text(disturbed_table()),
    }


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _times(found: Sequence[Scale]) -> str:
    return ", ".join(f"{duration(one.seconds)} on {some(one.nodes, 'node')}" for one in found if one.nodes in ASKED)


def _validation(validated: Mapping[str, Any] | None) -> dict[str, Any]:
    if validated is None:
        return {"validation": ""}
    off = [abs(one[name]["off"]) for one in validated["setups"] for name in ("whole", "tile", "extract")]
    return {
        "validation": _text(validation_table(validated["setups"])),
        "start_up": f"{validated['calibrated']['start_up']:.1f}",
        "between": f"{validated['calibrated']['free']:.1f}",
        "n_times": len(off),
        "n_within": sum(one <= validated["tolerance"] for one in off),
        "tolerance": f"{validated['tolerance']:.0%}",
        "most_off": f"{max(off):.0%}",
        "tiling": tiling_text(validated["tiling"]) if "tiling" in validated else "",
    }


def tiling_text(found: Mapping[str, Any]) -> str:
    """Real tiling, in a sentence."""
    return (
        f"Real tiling of {found['slides']} slides, by the rates of {found['known']} others: {found['measured']:.0f} s "
        f"measured, {found['off']:+.0%} simulated."
    )


def assumptions() -> dict[str, Any]:
    """The figures that all of it stands on."""
    cost = mean_of(slide.cost for slide in slides_like("TCGA", N_SLIDES))
    rates = known_rates(DEFAULTS.config, None, cost)
    return {
        "sizes": SIZES_OF["TCGA"].source,
        "mean_seconds": f"{cost / 1000:.1f}",
        "tiles": f"{rates.tiles.times(cost).value:,.0f}",
        "tiles_origin": rates.tiles.origin,
        "tile_seconds": f"{rates.extract_seconds.value:g}",
        "tile_origin": rates.extract_seconds.origin,
        "scatter": f"{SCATTER:.0%}",
        "site": Site(),
        "starts": f"{1 / Site().controller.start:.0f}",
        "operations": OPERATIONS,
        "start_ups": START_UPS,
    }


def validation_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    def cell(one: Mapping[str, float]) -> str:
        return f"{one['measured']:.0f} s, {one['off']:+.0%}"

    names = ["chain", "elements of tile, extract", "starts measured, simulated", "whole", "tile", "extract"]
    return [
        *head(names),
        *(
            row(
                [
                    one["setup"],
                    f"{one['parts']['tile']}, {one['parts']['extract']}",
                    f"{one['starts']['measured']}, {one['starts']['simulated']}",
                    *(cell(one[name]) for name in ("whole", "tile", "extract")),
                ]
            )
            for one in rows
        ),
    ]
