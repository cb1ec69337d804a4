"""The studies whose presets `init --study` knows: one file each, as differences from the defaults.

To add one: a file here and a line in the registry. Another package adds one with an entry point of the group
``hypoxia_hpc.studies`` that names a :class:`Study`. This is a module of its own, for such a package imports `Study`
while the list is being made.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.config.plugins import added
from hypoxia_hpc.config.studies.hypoxia import HYPOXIA
from hypoxia_hpc.config.studies.mgmt import MGMT
from hypoxia_hpc.config.studies.sarcoma import SARCOMA
from hypoxia_hpc.config.studies.sclc import SCLC
from hypoxia_hpc.config.studies.study import Study

STUDIES_GROUP = "hypoxia_hpc.studies"
_STUDIES: Mapping[str, Study] = {one.name: one for one in (HYPOXIA, SCLC, SARCOMA, MGMT)}
_ADDED = added(STUDIES_GROUP, Study, _STUDIES)
STUDIES: Mapping[str, Study] = {**_STUDIES, **{one.name: one for one in _ADDED.found.values()}}
# Why a study that an installed package adds cannot be used, by name.
USELESS_STUDIES: Mapping[str, str] = _ADDED.useless
