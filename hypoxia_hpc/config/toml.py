"""A configuration as the text of a run.toml."""

from __future__ import annotations

import json

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.run import RunConfig
from hypoxia_hpc.config.search import Grid
from hypoxia_hpc.config.slurm import StageSlurmTable


def toml_value(value: object) -> str:
    """A TOML literal for a string, number, boolean or sequence of them (JSON's spelling is valid TOML for these, except
    that of the control character DEL)."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def render_config(config: RunConfig) -> str:
    """The text of a run.toml that states every key, each with its meaning as a comment. Defaults of [site] are comments
    themselves: the site file of the user or the centre may say otherwise."""
    lines = ["# What this run does. Where and which part of it is on the command line.", ""]
    lines += _render_table(config, "")
    return "\n".join(lines) + "\n"


def _render_table(table: Table, path: str) -> list[str]:
    lines: list[str] = []
    inner: list[str] = []
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if _is_not_searched(table, value) or (isinstance(value, StageSlurmTable) and value == type(value)()):
            continue
        if isinstance(value, Table):
            inner_path = f"{path}.{name}" if path else name
            summary = (type(value).__doc__ or "").strip().split("\n", maxsplit=1)[0].split(": ", maxsplit=1)[-1]
            summary = summary.replace("``", "")
            inner += ["", f"[{inner_path}]  # {summary}", *_render_table(value, inner_path)]
        else:
            entry = f"# {name} =" if value is None else f"{name} = {toml_value(value)}"
            if value == info.default and _is_of_site(path):
                entry = f"# {entry.removeprefix('# ')}"
            lines.append(f"{entry:<36}  # {info.description}")
    return lines + inner


def _is_of_site(path: str) -> bool:
    return path.partition(".")[0] == "site"


def _is_not_searched(table: Table, value: object) -> bool:
    return not value if isinstance(table, Grid) else isinstance(value, Grid) and value == type(value)()
