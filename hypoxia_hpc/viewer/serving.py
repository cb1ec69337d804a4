"""From what is to be shown to a server of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.viewer.access import new_secrets
from hypoxia_hpc.viewer.answers import Viewer, page_file
from hypoxia_hpc.viewer.library import SCRIPT
from hypoxia_hpc.viewer.listening import LOOPBACK, loopback_port, unix_socket
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.server import Server
from hypoxia_hpc.viewer.shown import Shown, shown_folder, shown_run


def shown_at(path: Path) -> Shown:
    """What a path names: a run, a folder of slides, or one slide. Raises InputError where there is none."""
    if not path.exists():
        raise InputError(f"{path} does not exist", remedy="name a run, a folder of slides, or a slide")
    run = RunDir(path)
    return shown_run(run) if run.config_file.exists() else shown_folder(path)


def serve_on_socket(
    shown: Shown, ready: Callable[[Path], object], *, stop: threading.Event, idle_seconds: float
) -> bool:
    """Serve on a UNIX socket until ``stop``; ``ready`` is called with its path. Whether it ended because nothing was
    asked for. Raises MachineError."""
    page_file(SCRIPT)
    with unix_socket() as (listening, path), closing(_slides(shown)) as slides:
        server = Server(listening, Viewer(shown, slides).respond, secrets=None, stop=stop, idle_seconds=idle_seconds)
        ready(path)
        return server.run()


def serve_on_port(
    shown: Shown, port: int, ready: Callable[[str], object], *, stop: threading.Event, idle_seconds: float
) -> bool:
    """The same on a port of the loopback; ``ready`` is called with the link."""
    page_file(SCRIPT)
    own = new_secrets()
    with loopback_port(port) as listening, closing(_slides(shown)) as slides:
        server = Server(listening, Viewer(shown, slides).respond, secrets=own, stop=stop, idle_seconds=idle_seconds)
        ready(f"http://{LOOPBACK}:{listening.getsockname()[1]}/?token={own.token}")
        return server.run()


def _slides(shown: Shown) -> OpenSlides:
    return OpenSlides({slide.key: slide.path for slide in shown.slides})
