"""Pieces of what objects show in a notebook: every text escaped, every picture a part of the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Sequence

from hypoxia_hpc.errors import HypoxiaError


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values."""
    return (
        f"<table>{''.join(f'<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in rows)}</table>"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a line of headings."""
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(content: bytes, kind: str, alt: str) -> str:
    """A JPEG or PNG (``kind``: "jpeg", "png")."""
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{_text(alt)}" src="data:image/{kind};base64,{encoded}">'


def words(text: str) -> str:
    """A paragraph."""
    return f"<p>{_text(text)}</p>"


def or_words(part: Callable[[], str]) -> str:
    """The part, or why it cannot be shown: an object shows itself in any state."""
    try:
        return part()
    except HypoxiaError as error:
        return words(error.problem)


def _text(value: object) -> str:
    return html.escape(str(value))
