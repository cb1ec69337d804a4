"""What is wrong with an entry of run.toml, in the words of run.toml."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from hypoxia_hpc.config.base import (
    FEATURES_PATTERN,
    LINE_PATTERN,
    NAME_PATTERN,
    NETWORK_PATTERN,
    SHA256_PATTERN,
    Table,
)
from hypoxia_hpc.config.run import RunConfig
from hypoxia_hpc.config.toml import toml_value

# pydantic's words for these are of Python; {names} are those of its error.
_WORDS = {
    "tuple_type": "must be a list, in square brackets",
    "too_short": "the list needs {min_length} or more, and has {actual_length}",
    "too_long": "the list takes {max_length} at most, and has {actual_length}",
    "missing": "the list is too short, a value is missing",
    "string_too_short": "must not be empty",
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "model_type": "must be a table",
}
_PATTERN_WORDS = {
    NAME_PATTERN: "must be letters, digits, dots, hyphens and underscores, 128 at most, a letter or digit first",
    NETWORK_PATTERN: "must be the name of a network: letters, digits, dots, hyphens, underscores; timm: may come first",
    FEATURES_PATTERN: "must be the name of a network: letters, digits, dots, hyphens, underscores; timm: may come "
    "first, or imported: where the features are of another tool",
    SHA256_PATTERN: "must be the 64 digits 0-9 and a-f that sha256sum FILE prints",
    LINE_PATTERN: "must be one line, without control characters",
}
_HUB_WORDS = (
    'timm: takes the name of an architecture of timm, as in "timm:vit_large_patch16_224", and nothing is fetched from '
    'a hub: name its weights by weights = "FILE.safetensors", a file on this machine'
)


def follows(error: ErrorDetails) -> bool:
    """A list too short only because values in it are wrong; these have errors of their own."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _worded(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        asks_a_hub = error["input"].startswith(("timm:", "hf-hub:", "hf_hub:"))
        pattern = context["pattern"]
        return _HUB_WORDS if asks_a_hub and pattern in (NETWORK_PATTERN, FEATURES_PATTERN) else _PATTERN_WORDS[pattern]
    if error["type"] in _WORDS:
        return _WORDS[error["type"]].format_map(context)
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def explain(error: ErrorDetails) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location) or "run.toml"
    if error["type"] == "extra_forbidden":
        table, title = _table_at(location[:-1])
        valid = ", ".join(_valid_entries(table))
        return f"{name}: unknown key; valid keys {title} with their defaults: {valid}"
    message = _worded(error)
    if isinstance(error["input"], (str, int, float, bool, list)):
        return f"{name} = {toml_value(error['input'])}: {message}"
    return f"{name}: {message}"


def _table_at(location: list[str]) -> tuple[type[BaseModel], str]:
    table: type[BaseModel] = RunConfig
    for part in location:
        inner = table.model_fields[part].annotation
        assert isinstance(inner, type) and issubclass(inner, BaseModel)  # noqa: S101 - unknown keys live in tables only
        table = inner
    return table, f"of [{'.'.join(location)}]" if location else "at the top"


def _valid_entries(table: type[BaseModel]) -> list[str]:
    """Entries first, then tables."""
    entries, tables = [], []
    for name, info in table.model_fields.items():
        if isinstance(info.default, Table):
            tables.append(f"[{name}]")
        else:
            entries.append(f"{name} (no default)" if info.default is None else f"{name} = {toml_value(info.default)}")
    return entries + tables
