"""Write the pages that are made from the code: settings.md from the config's own descriptions, commands.md from --help.

`make docs` runs it, and a test fails while a page is not what the code says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.config import RunConfig, Table, toml_value
from hypoxia_hpc.config.paths import path_mark

DOCS = Path(__file__).parent
SETTINGS_HEAD = """# Settings

Made from the code; the same texts stand as comments in each `run.toml` that `init` writes. A key that is left out
takes its default. An unknown key is an error that lists the valid ones. `[site]` says where and how fast, never what:
it enters no key. A path may begin with `~`; a relative one is relative to the folder that `run.toml` lies in.
"""
SITE_FILES = """## Site files

`[site]` may stand in a file for all runs of a user or a centre: `$HYPOXIA_HPC_SITE`, else
`~/.config/hypoxia_hpc/site.toml`. A run's own entries win, one by one. `hypoxia-hpc site` writes one from what SLURM
says. Relative paths in it are relative to its folder.

A small cluster, everything in one partition:

```toml
[site]
scratch = "$TMPDIR"

[site.slurm]
image = "/shared/images/cpu.sif"
partition = "normal"
cpus = 8
```

A centre with a project for cores and one for GPUs, where each job has to say what kind of node it wants:

```toml
[site.slurm]
image = "/project/path01/images/gpu.sif"
account = "path01"
constraint = "cpu"
licenses = "scratch"
cpus = 32
throttle = 50

[site.slurm.extract]
account = "path01_g"
qos = "shared"
constraint = "gpu"
gres = "gpu:1"
cpus = 16

[site.slurm.train]
account = "path01_g"
constraint = "gpu"
gres = "gpu:1"
hours = 12.0
```

A site that refuses `--mem`, for memory follows the cores there, lets a user have 200 jobs in the queue, and has its
container program in a module:

```toml
[site.slurm]
image = "/projects/group/cpu.sif"
modules = ["apptainer"]
account = "group"
memory = "none"
export = "NONE"
most_elements = 90
```
"""
COMMANDS_HEAD = """# Commands

Made from the code: what `hypoxia-hpc VERB --help` prints. [Exit codes](exit-codes.md) are the same for all.
"""
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}
SIGNS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def pages() -> Mapping[str, str]:
    """Every generated page by its file's name."""
    return {"settings.md": settings_page(), "commands.md": commands_page()}


def settings_page() -> str:
    return "\n".join([SETTINGS_HEAD, *_tables(RunConfig, ""), SITE_FILES])


def _tables(table: type[Table], path: str, *alike: str) -> Iterator[str]:
    inner = {name: info.annotation for name, info in table.model_fields.items() if _is_table(info.annotation)}
    plain = {name: info for name, info in table.model_fields.items() if name not in inner}
    yield f"## {', '.join(f'[{one}]' for one in (path, *alike)) if path else 'At the top'}\n"
    if path:
        yield _summary(table) + "\n"
    if plain:
        yield "| key | values | default | meaning |\n|---|---|---|---|"
        yield from (_row(name, info) for name, info in plain.items())
        yield ""
    if path != "train.search":
        for annotation in dict.fromkeys(inner.values()):
            names = [name for name, one in inner.items() if one is annotation]
            yield from _tables(annotation, *(f"{path}.{name}".lstrip(".") for name in names))


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Table)


def _summary(table: type[Table]) -> str:
    text = (table.__doc__ or "").strip().split(": ", maxsplit=1)[-1]
    return "\n".join(line.strip() for line in text.splitlines()).replace("``", "`")


def _row(name: str, info: FieldInfo) -> str:
    default = "none" if info.default is None else f"`{toml_value(info.default)}`"
    return f"| `{name}` | {_values(info)} | {default} | {_cell(info.description or '')} |"


def _values(info: FieldInfo) -> str:
    bounds = [f"{SIGNS[type(one)]} {_bound(one)}" for one in info.metadata if type(one) in SIGNS]
    mark = path_mark(info)
    if mark is not None:
        return " or ".join([*(f"`{toml_value(word)}`" for word in mark.words), "path"])
    return _cell(", ".join([_type(info.annotation), *bounds]))


def _bound(one: Any) -> str:
    value = next(iter(one.__dict__.values())) if hasattr(one, "__dict__") else getattr(one, type(one).__name__.lower())
    if isinstance(value, int) and value >= 2**31:
        return f"2^{value.bit_length() - 1}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin is Literal:
        return ", ".join(f"`{toml_value(one)}`" for one in get_args(annotation))
    if origin in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation) if one is not NoneType)
    if origin is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    return WORDS.get(annotation, "text")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def commands_page() -> str:
    return "\n".join([COMMANDS_HEAD, *_commands(app, "hypoxia-hpc")])


def _commands(group: click.Group, title: str) -> Iterator[str]:
    listing = click.Context(group)
    for name in group.list_commands(listing):
        command, whole = group.get_command(listing, name) or group, f"{title} {name}"
        if isinstance(command, click.Group):
            yield from _commands(command, whole)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            continue
        context = click.Context(command, info_name=whole, terminal_width=100, **app.context_settings)
        yield f"## {whole.removeprefix('hypoxia-hpc ')}\n\n```text\n{command.get_help(context)}\n```\n"


def main() -> None:
    """Write every page whose text differs."""
    for name, text in pages().items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
