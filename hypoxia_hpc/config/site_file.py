"""The site file: [site] for every run of a user or a centre. What run.toml says itself wins."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.messages import explain
from hypoxia_hpc.config.paths import expanded, with_paths
from hypoxia_hpc.config.site import SiteTable
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.reading import UnfitFileError, read_toml
from hypoxia_hpc.records import Json

VARIABLE = "HYPOXIA_HPC_SITE"
USUAL = "~/.config/hypoxia_hpc/site.toml"


class _SiteFile(Table):
    site: SiteTable = SiteTable()


def wanted_site_file() -> Path | None:
    """Where the site file would lie: $HYPOXIA_HPC_SITE, else `USUAL`; None where the variable is there and empty."""
    named = os.environ.get(VARIABLE, USUAL)
    return expanded(named, f"${VARIABLE}").absolute() if named else None


def site_file() -> Path | None:
    """The site file; None without one. Raises InputError where $HYPOXIA_HPC_SITE names a file that is not there."""
    file = wanted_site_file()
    if file is None or file.is_file():
        return file
    if VARIABLE in os.environ:
        raise InputError(
            f"${VARIABLE} names {file}, which is not there",
            remedy=f"unset {VARIABLE}, or write one: hypoxia-hpc site {shlex.quote(str(file))}",
        )
    return None


def read_site_file(file: Path) -> Json:
    """What a site file says of [site], its paths absolute: relative ones are relative to its folder. Raises InputError
    that names every wrong entry."""
    try:
        raw = read_toml(file)
        if others := sorted(raw.keys() - {"site"}):
            raise InputError(
                f"a site file holds [site] and its tables alone, and this one has {', '.join(others)}: {file}",
                remedy="move these to the run.toml of each run",
            )
        found = _SiteFile.model_validate(raw)
    except UnfitFileError as error:
        raise InputError(error.problem, remedy="mend what is named above, or take the file of a copy") from None
    except ValidationError as error:
        wrong = error.errors()
        raise InputError(
            f"{file} has {some(len(wrong), 'wrong entry')}",
            offending=[explain(one) for one in wrong],
            remedy="mend or remove these entries",
        ) from None
    said: dict[str, Any] = with_paths(found.site, file.parent, str(file)).model_dump(exclude_unset=True)
    return said
