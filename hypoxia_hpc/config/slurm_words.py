"""Words of [site.slurm] that sbatch takes apart: lists of nodes, occasions of mail. Pure."""

from __future__ import annotations

import re

MAIL_TYPES = (
    *("NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "INVALID_DEPEND", "STAGE_OUT"),
    *("TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50", "ARRAY_TASKS"),
)
_SPAN = r"[0-9]{1,9}(?:-[0-9]{1,9})?"
_NODE = re.compile(rf"(?:[A-Za-z0-9._-]|\[{_SPAN}(?:,{_SPAN})*\])+")
_BETWEEN_NODES = re.compile(r",(?![^\[\]]*\])")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)(?=[^\[]*\])")
MOST_NAMED = 20
HOSTS_RULE = 'must be names of nodes with commas between, numbers in brackets, as "n1,gpu[01-04,7]"'


def host_list(text: str) -> str:
    """The text, where it names nodes as SLURM writes them; or a file of names, which has a slash. Raises ValueError."""
    if "/" in text:
        return text
    if wrong := [node for node in _BETWEEN_NODES.split(text) if not _NODE.fullmatch(node)]:
        raise ValueError(f"{HOSTS_RULE}; no such name: {', '.join(map(repr, wrong[:MOST_NAMED]))}")
    if falling := [match[0] for match in _RANGE.finditer(text) if int(match[1]) > int(match[2])]:
        raise ValueError(f"{HOSTS_RULE}; a range that falls: {', '.join(falling[:MOST_NAMED])}")
    return text


def mail_types(text: str) -> str:
    """The text, where it names occasions that sbatch knows, commas between. Raises ValueError."""
    if wrong := [word for word in text.split(",") if word.upper() not in MAIL_TYPES]:
        raise ValueError(
            f"must be of {', '.join(MAIL_TYPES)}, with commas between; none of these: "
            f"{', '.join(map(repr, wrong[:MOST_NAMED]))}"
        )
    return text
