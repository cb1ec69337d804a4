"""What ``view`` prints."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.errors import some

if TYPE_CHECKING:
    from hypoxia_hpc.viewer.shown import Shown
    from hypoxia_hpc.viewer.static import Exported


def socket_text(shown: Shown, path: Path) -> str:
    """How to reach a socket on this machine from one's own computer."""
    from hypoxia_hpc.viewer.listening import TUNNEL_PORT, tunnel_command

    command = tunnel_command(path, getpass.getuser(), socket.getfqdn())
    return (
        f"{_what(shown)} on a socket that only you can use.\n\n"
        f"On your own computer, type:  {command}\n"
        f"and leave it running. Open:  http://localhost:{TUNNEL_PORT}/\n\n"
        "Ctrl-C here ends it."
    )


def port_text(shown: Shown, link: str) -> str:
    """The link to open on this machine."""
    return f"{_what(shown)}. Open this link, and keep it to yourself:\n\n{link}\n\nCtrl-C here ends it."


def _what(shown: Shown) -> str:
    return f"serving {some(len(shown.slides), 'slide')} of {shown.title}"


def ended_text(is_idle: bool, minutes: int) -> str:
    """Why it ended."""
    return f"ended: nothing was asked for in {minutes} minutes" if is_idle else "ended"


def exported_text(made: Exported) -> Iterator[str]:
    """Where the page is, and what it lacks."""
    yield f"{made.folder / 'index.html'}: {some(made.n_slides, 'slide')}; open it in a browser"
    if made.n_reduced:
        from hypoxia_hpc.viewer.static import MOST_PX

        yield f"without the finest levels, which are longer than {MOST_PX:,} px: {some(made.n_reduced, 'slide')}"
    for slide_id, reason in made.left_out:
        yield f"left out: {slide_id}: {reason}"
