"""The README and the pages of docs/, and the fenced blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
GENERATED = ("settings.md", "commands.md")
_BLOCK = re.compile(r"(?ms)^ *```(\w+)\n(.*?)^ *```$")


def pages() -> list[Path]:
    """README.md, then every page of docs/."""
    return [README, *sorted(DOCS.glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [text for fence, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if fence == language]


def commands(page: Path) -> list[str]:
    """Every line of the page's ``sh`` blocks, without its comment."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [command for line in lines if (command := line.partition(" #")[0].strip())]
