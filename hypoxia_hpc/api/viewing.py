"""The viewer of `hypoxia-hpc view` in a cell of a notebook."""

from __future__ import annotations

import atexit
import html
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from os import PathLike
from urllib.parse import urlencode

from hypoxia_hpc.api.notebook import words
from hypoxia_hpc.config.paths import expanded
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.viewer.serving import serve_in_frame, shown_at
from hypoxia_hpc.viewer.shown import Shown

IDLE_SECONDS = 3600.0
HEIGHT_PX = 640
LAST_PORT = 65535


def view(
    path: str | PathLike[str],
    *,
    slide_id: str = "",
    height: int = HEIGHT_PX,
    origins: Sequence[str] = (),
    port: int = 0,
) -> View:
    """Slides in a cell of a notebook, zoomed to every pixel, as ``hypoxia-hpc view`` shows them.

    The browser has to reach a port of this machine's loopback: it does where the notebook runs on your own computer. Of
    a notebook behind a tunnel, choose a ``port`` and let ``ssh`` forward it too, with the same number at both ends.

    Args:
        path: A run, a folder of slides, or a slide.
        slide_id: The slide that is shown first.
        height: Of the frame, in pixels.
        origins: What the notebook's address begins with, where it is not localhost or 127.0.0.1:
            ``["https://hub.example"]``. Pages of other origins cannot frame the viewer.
        port: Port of the loopback; 0: a free one.

    Returns:
        A view, which a notebook shows. It serves until it is closed, Python ends, or nothing is asked for in an hour.

    Raises:
        InputError: No slides there, what is no origin, or no port.
        MachineError: The port is taken, or OpenSeadragon is not installed.

    Example:
        >>> hx.view("RUN", slide_id="S1")
    """
    _require_port(port)
    shown = shown_at(expanded(path, "view"))
    link: Future[str] = Future()
    stop = threading.Event()
    work = threading.Thread(target=_serve, args=(shown, port, tuple(origins), link, stop), daemon=True)
    work.start()
    first = f"#{urlencode({'slide': slide_id})}" if slide_id else ""
    atexit.register(stop.set)  # not where the view is collected: a cell may show it without a name for it
    return View(f"{link.result()}{first}", shown.title, height, work, stop)


def _require_port(port: object) -> None:
    if not isinstance(port, int) or not 0 <= port <= LAST_PORT:
        raise InputError(
            f"port={port!r} is no port: they are whole numbers from 1 to {LAST_PORT:,}",
            remedy="port=0 takes one that is free",
        )


def _serve(shown: Shown, port: int, origins: Sequence[str], link: Future[str], stop: threading.Event) -> None:
    try:
        serve_in_frame(shown, port, link.set_result, origins=origins, stop=stop, idle_seconds=IDLE_SECONDS)
    except BaseException as error:
        if link.done():
            raise
        link.set_exception(error)


@dataclass(frozen=True, eq=False)
class View:
    """A viewer that serves to a frame; a notebook shows it.

    Attributes:
        link: Its address, with a secret of 24 random bytes: whoever has it on this machine can look.
        title: What it shows.
        height: Of the frame, in pixels.
    """

    link: str
    title: str
    height: int
    _work: threading.Thread = field(repr=False)
    _stop: threading.Event = field(repr=False)

    def close(self) -> None:
        """End it. To close it twice does no harm."""
        self._stop.set()
        self._work.join()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        if not self._work.is_alive():
            return words("This view has ended: make a new one.")
        return (
            f'<iframe title="{html.escape(self.title)}" src="{html.escape(self.link)}" height="{self.height:d}" '
            'style="width: 100%; border: 1px solid #d5dae1" allow="clipboard-write" referrerpolicy="no-referrer">'
            "</iframe>"
        )
