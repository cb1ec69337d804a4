"""What every page has in common: its templates, which escape what they print, and its Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.reports import text

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent


def environment() -> Environment:
    """The templates of this room. All that they print is escaped, and cleaned of control characters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def code(name: str) -> str:
    """A style sheet or a script of this room."""
    return (HERE / name).read_text(encoding="utf-8")


def digest(code: str) -> str:
    """Of a style sheet or a script, as a Content-Security-Policy admits it by ``'sha256-…'``."""
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


def _finalize(value: object) -> object:
    """A value that the template prints, before it is escaped: text without control characters (markup is our own)."""
    return text.clean(value) if type(value) is str else value
