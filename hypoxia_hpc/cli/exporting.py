"""Verbs that show results and take them elsewhere: maps, export."""

from __future__ import annotations

from pathlib import Path

import click

from hypoxia_hpc.cli.exits import EXIT_NOT_READY, EXIT_QUARANTINED
from hypoxia_hpc.cli.options import RUN, STOP, existing_run, progress, say_blocks


class FormatOption(click.Option):
    """--to, whose help names every format."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from hypoxia_hpc.exports.registry import FORMATS

        self.help = "; ".join(f"{one.name} - {one.help}" for one in FORMATS.values())
        return super().get_help_record(ctx)


@click.command(short_help="Tiles, features and predictions as files of other tools: QuPath, AnnData, CLAM, ...")
@RUN
@click.option("--to", "name", cls=FormatOption, required=True, metavar="FORMAT")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A new or empty folder, or one of the same export.  [RUN/exports/FORMAT]",
)
@click.option("--model", default="", metavar="HEAD", help="By whose calls tiles are classed.  [the leading one]")
def export(run: Path, name: str, out: Path | None, model: str) -> int:
    """Tiles, features and predictions of RUN as files of other tools, a file or two for each slide.

    \b
    In QuPath, where the slide is open:  hypoxia-hpc export RUN --to qupath
    In scanpy and squidpy:               hypoxia-hpc export RUN --to anndata
    Training by CLAM, TRIDENT, STAMP:    hypoxia-hpc export RUN --to clam

    Coordinates are pixels of level 0, but for STAMP, which has µm. What is there already stays, unless the run has
    other tiles, features or predictions now. Slides that are not done are named; what is done is exported.
    """
    from hypoxia_hpc.cli.text.exporting import exported_text
    from hypoxia_hpc.stages.export import export as export_run

    made = export_run(existing_run(run), name, out, model=model, progress=progress(), stop=STOP)
    say_blocks(exported_text(made, run))
    if made.todo:
        return EXIT_NOT_READY
    return EXIT_QUARANTINED if made.left_out else 0


@click.command(short_help="Heatmaps of predictions and attention on every slide: RUN/maps/.")
@RUN
@click.option("--model", default="", metavar="HEAD", help="Whose predictions are drawn.  [the leading one]")
def maps(run: Path, model: str) -> int:
    """Heatmaps of predictions and attention on every slide, as PNG: RUN/maps/HEAD/ID.png, ID.attention.png.

    Drawn from the stored predictions alone, in the same colours for a whole cohort; what is no tissue is clear.
    Pictures of the same predictions that are there already stay.
    """
    from hypoxia_hpc.cli.text.exporting import mapped_text
    from hypoxia_hpc.stages.maps import maps as draw_maps

    made = draw_maps(existing_run(run), model=model, progress=progress(), stop=STOP)
    say_blocks(mapped_text(made, run))
    return EXIT_NOT_READY if made.left_out else 0
