"""Verbs that show slides and results, and take them elsewhere: preview, quality, maps, gallery, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hypoxia_hpc.cli.exits import EXIT_NOT_READY, EXIT_QUARANTINED
from hypoxia_hpc.cli.options import RUN, STOP, OutputFile, existing_run, progress, say_blocks
from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.stages.maps import Drawn


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


@click.command(short_help="Predictions, attention, phenotypes or tissue on every slide, as PNG: RUN/maps/.")
@RUN
@click.option(
    "--of",
    type=click.Choice(["predictions", "phenotypes", "tissue"]),
    default="predictions",
    show_default=True,
    help="What is drawn.",
)
@click.option("--model", default="", metavar="HEAD", help="Whose predictions are drawn.  [the leading one]")
def maps(run: Path, of: Drawn, model: str) -> int:
    """Maps of every slide as PNG, in the same colours for a whole cohort, drawn from what is stored alone.

    \b
    --of predictions: RUN/maps/HEAD/ID.png, and ID.attention.png where the model weighs tiles
    --of phenotypes:  RUN/maps/phenotypes/ID.png, the cluster of each tile
    --of tissue:      RUN/maps/tissue/ID.png, the kept tiles by the share of them that is tissue

    What is no kept tile is clear. Pictures of the same predictions, phenotypes or tiles that are there stay.
    """
    from hypoxia_hpc.cli.text.exporting import mapped_text
    from hypoxia_hpc.stages.maps import maps as draw_maps

    made = draw_maps(existing_run(run), of=of, model=model, progress=progress(), stop=STOP)
    say_blocks(mapped_text(made, run))
    if made.left_out:
        return EXIT_NOT_READY
    return EXIT_QUARANTINED if made.quarantined else 0


@click.command(short_help="The tiles that stand out, with their pixels and places: a page, RUN/gallery.html.")
@RUN
@click.option("--slide", "wanted", multiple=True, metavar="ID", help="This slide by itself; up to 8.  [the cohort]")
@click.option("--model", default="", metavar="HEAD", help="By whose predictions.  [the leading one]")
@click.option("--out", type=OutputFile(), metavar="FILE", help="The page.  [RUN/gallery.html]")
def gallery(run: Path, wanted: tuple[str, ...], model: str, out: Path | None) -> int:
    """The tiles with the highest and the lowest predictions, of false positives and false negatives, and with the most
    attention: one page, for any browser, with their pixels and their places on the slides.

    \b
    Of a cohort, as in the report:  hypoxia-hpc gallery RUN --model attention
    Of a slide:                     hypoxia-hpc gallery RUN --slide ID

    Of a cohort it shows patients that no model was trained on, with one tile of each, up to three where they are few.
    """
    from hypoxia_hpc.cli.text.exporting import gallery_text
    from hypoxia_hpc.stages.gallery import gallery as make_gallery

    made = make_gallery(existing_run(run), wanted, model=model, page=out, progress=progress())
    say_blocks(gallery_text(made))
    return EXIT_NOT_READY if made.left_out else 0


@click.command(short_help="Which tiles would other settings keep? A page with sliders, before or after tiling.")
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN|SLIDE")
@click.option("--slide", "wanted", multiple=True, metavar="ID", help="Of RUN: this slide; up to 6.  [6, evenly chosen]")
@click.option(
    "--out",
    type=OutputFile(),
    metavar="FILE",
    help="The page.  [RUN/preview.html, or SLIDE.preview.html here]",
)
def preview(source: Path, wanted: tuple[str, ...], out: Path | None) -> int:
    """Which tiles would other settings keep? One page, for any browser, of a run's slides or of one slide file.

    \b
    Before tiling a cohort:    hypoxia-hpc preview RUN
    One slide, without a run:  hypoxia-hpc preview slide.svs

    Sliders of white, max_background and min_tissue decide every tile again, in the browser, and the page shows the
    lines of run.toml to copy. The counts are of a small image of the slide and so are estimates, a few tiles in a
    hundred off; where RUN is tiled already, the exact counts of its tile stores are used as far as they go, and the
    page says of how many tiles. Nothing in RUN is changed.
    """
    from hypoxia_hpc.cli.text.exporting import previewed_text
    from hypoxia_hpc.stages.preview import preview_run, preview_slide

    if source.is_dir():
        made = preview_run(existing_run(source), wanted, out, progress=progress(), stop=STOP)
    elif wanted:
        raise InputError(f"--slide is of a run, and {source} is none", remedy="leave out --slide")
    else:
        made = preview_slide(source, out, progress=progress(), stop=STOP)
    say_blocks(previewed_text(made))
    return EXIT_QUARANTINED if made.left_out else 0


@click.command(short_help="Blur, pens, folds, black borders, stain of every slide, and which stand out.")
@RUN
def quality(run: Path) -> int:
    """Measure blur, pens, folds, black borders, saturation, stain and tissue of every slide: RUN/quality/.

    \b
    The table:              RUN/quality/quality.csv
    What was found where:   RUN/quality/ID.png
    In the report:          hypoxia-hpc report RUN, section Quality, what stands out first

    Slides that stand out of the cohort are named, with the reason. Nothing else changes: no slide or tile is left out,
    and tile stores stay as they are. Each slide is measured once, at about 8 µm/px and, for blur, in 64 squares at 1
    µm/px; given again, it goes on. A slide that cannot be measured is named (exit code 3) and tried again next time;
    what was measured before its file was gone stays, with the reason beside it.
    """
    from hypoxia_hpc.cli.text.exporting import quality_text
    from hypoxia_hpc.stages.quality import quality as measure_quality

    made = measure_quality(existing_run(run), progress=progress(), stop=STOP)
    say_blocks(quality_text(made, run))
    return EXIT_QUARANTINED if made.left_out else 0
