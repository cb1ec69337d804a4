"""run.toml, the preset of its study and what its kind of outcome needs -> a frozen configuration, or every mistake at
once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hypoxia_hpc.config.kinds import defaults_of
from hypoxia_hpc.config.messages import explain, follows
from hypoxia_hpc.config.run import RunConfig
from hypoxia_hpc.config.site_file import read_site_file, site_file
from hypoxia_hpc.config.studies.registry import STUDIES, USELESS_STUDIES
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.reading import UnfitFileError, read_toml
from hypoxia_hpc.records import Json


def preset(study: str, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """The frozen configuration of a study, with ``changes`` (nested tables) on top. Raises InputError."""
    if study not in STUDIES:
        raise InputError(
            USELESS_STUDIES.get(study, f"study {study!r} is not one of the presets"),
            remedy=f"choose one of: {', '.join(sorted(STUDIES))}",
        )
    return parse_config({"study": study, **(changes or {})}, source=f"preset {study}")


def load_config(path: Path) -> RunConfig:
    """Read and validate a run.toml; below its [site] stands the site file, if there is one. Raises InputError that
    names every wrong key or value."""
    try:
        raw = read_toml(path)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist, so {path.parent} is no run directory",
            remedy=f"make one: hypoxia-hpc init {shlex.quote(str(path.parent))} --study hypoxia --slides DIR",
        ) from None
    except UnfitFileError as error:
        raise InputError(error.problem, remedy="mend what is named above, or take the file of a copy") from None
    site = site_file()
    return parse_config(raw, source=str(path), site=read_site_file(site) if site is not None else None)


def parse_config(raw: Mapping[str, Any], *, source: str, site: Mapping[str, Any] | None = None) -> RunConfig:
    """Validate nested tables; below them ``site`` for [site] and the study's preset, and below that what the kind of
    outcome needs. Raises InputError."""
    study = raw.get("study", "hypoxia")
    merged = _merge(STUDIES[study].changes if isinstance(study, str) and study in STUDIES else {}, raw)
    merged = _merge({**defaults_of(merged), "site": site or {}}, merged)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        problems = [explain(one) for one in error.errors() if not follows(one)]
        raise InputError(
            f"{source} has {some(len(problems), 'wrong entry')}",
            offending=problems,
            remedy="mend or remove these entries; an entry left out takes its default",
        ) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _merge(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged
