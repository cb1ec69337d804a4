"""From what is to be shown to a server of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.viewer.access import LOCAL_ORIGINS, access_of, framed_access_of, framing_origin, new_secrets
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
        server = Server(
            listening,
            Viewer(shown, slides).respond,
            access=lambda request: access_of(request.query, request.headers, None, 0),
            stop=stop,
            idle_seconds=idle_seconds,
        )
        ready(path)
        return server.run()


def serve_on_port(
    shown: Shown, port: int, ready: Callable[[str], object], *, stop: threading.Event, idle_seconds: float
) -> bool:
    """The same on a port of the loopback; ``ready`` is called with the link."""
    page_file(SCRIPT)
    own = new_secrets()
    with loopback_port(port) as listening, closing(_slides(shown)) as slides:
        taken = int(listening.getsockname()[1])
        server = Server(
            listening,
            Viewer(shown, slides).respond,
            access=lambda request: access_of(request.query, request.headers, own, taken),
            stop=stop,
            idle_seconds=idle_seconds,
        )
        ready(f"http://{LOOPBACK}:{taken}/?token={own.token}")
        return server.run()


def serve_in_frame(
    shown: Shown,
    port: int,
    ready: Callable[[str], object],
    *,
    origins: Sequence[str],
    stop: threading.Event,
    idle_seconds: float,
) -> bool:
    """The same for a frame in pages of these ``origins`` alone; the link has the token in its path, for browsers keep
    no cookie of a frame. Raises InputError for what is no origin, MachineError."""
    page_file(SCRIPT)
    framed_by, token = _framed_by(origins), new_secrets().token
    with loopback_port(port) as listening, closing(_slides(shown)) as slides:
        server = Server(
            listening,
            Viewer(shown, slides).respond,
            access=lambda request: framed_access_of(request.path, request.headers, token),
            framed_by=framed_by,
            stop=stop,
            idle_seconds=idle_seconds,
        )
        ready(f"http://{LOOPBACK}:{listening.getsockname()[1]}/{token}/")
        return server.run()


def _framed_by(origins: Sequence[str]) -> str:
    try:
        return " ".join([*LOCAL_ORIGINS, *map(framing_origin, origins)])
    except ValueError as error:
        remedy = "give what the notebook's address begins with: https://hub.example, or http://node7:8888"
        raise InputError(str(error), remedy=remedy) from None


def _slides(shown: Shown) -> OpenSlides:
    return OpenSlides({slide.key: slide.path for slide in shown.slides})
