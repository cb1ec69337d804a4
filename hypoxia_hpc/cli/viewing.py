"""The verb that shows slides in a browser: view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hypoxia_hpc.cli.exits import EXIT_QUARANTINED
from hypoxia_hpc.cli.options import STOP, Whole, progress, say_blocks
from hypoxia_hpc.cli.terminal import say

if TYPE_CHECKING:
    from hypoxia_hpc.viewer.shown import Shown

IDLE_MINUTES = 60


@click.command(short_help="Slides in your browser, with heatmaps, attention and phenotypes over them.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN|FOLDER")
@click.option("--port", type=Whole(0, 65535), metavar="N", help="Serve on this port of the loopback; 0: a free one.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the page with all it shows into a new or empty folder, for where no server may run.",
)
@click.option("--slide", "wanted", multiple=True, metavar="ID", help="With --export: only this slide; may be repeated.")
def view(run: Path, port: int | None, folder: Path | None, wanted: tuple[str, ...]) -> int:
    """Slides of a run, or of a folder, in your browser: zoom to every pixel, with what the models say of each tile
    over it.

    \b
    On a login node, seen by you alone:     hypoxia-hpc view RUN
      and on your own computer:             the line that it prints, ssh -N -L 8080:...
    On your own computer:                   hypoxia-hpc view RUN --port 0
    Slides without a run:                   hypoxia-hpc view SLIDES --port 0
    As files, to send or put on a web site: hypoxia-hpc view RUN --export DIR

    Without --port it serves on a socket that is yours alone. With it, the link that is printed holds a secret: keep it
    to yourself. Nothing is written, and nothing but the slides shown can be asked for. Ctrl-C ends it, and so do 60
    minutes in which nothing was asked for.
    """
    from hypoxia_hpc.cli.text.viewing import ended_text, port_text, socket_text
    from hypoxia_hpc.viewer.serving import serve_on_port, serve_on_socket, shown_at

    if wanted and folder is None:
        raise click.UsageError("--slide is for --export: without it, all slides are shown")
    shown = shown_at(run)
    if folder is not None:
        return _export(shown, folder, wanted)
    idle = IDLE_MINUTES * 60.0
    if port is None:
        is_idle = serve_on_socket(shown, lambda path: say(socket_text(shown, path)), stop=STOP, idle_seconds=idle)
    else:
        is_idle = serve_on_port(shown, port, lambda link: say(port_text(shown, link)), stop=STOP, idle_seconds=idle)
    say(ended_text(is_idle, IDLE_MINUTES))
    return 0


def _export(shown: Shown, folder: Path, wanted: tuple[str, ...]) -> int:
    from hypoxia_hpc.cli.text.viewing import exported_text
    from hypoxia_hpc.stores.commit import machine_errors
    from hypoxia_hpc.viewer.static import export_static

    with machine_errors(folder):
        made = export_static(shown, folder, wanted, progress=progress(), stop=STOP)
    say_blocks(exported_text(made))
    return EXIT_QUARANTINED if made.left_out else 0
