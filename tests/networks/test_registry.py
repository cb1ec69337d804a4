"""Packages that add networks import two names that are promised to them, whatever room the code lives in."""

from __future__ import annotations

from types import ModuleType

import pytest

import hypoxia_hpc.networks.backbones.preprocessing
import hypoxia_hpc.networks.backbones.registry
import hypoxia_hpc.networks.preprocessing
import hypoxia_hpc.networks.registry

PROMISED, CODE = hypoxia_hpc.networks, hypoxia_hpc.networks.backbones


@pytest.mark.parametrize(
    ("promised", "code"), [(PROMISED.registry, CODE.registry), (PROMISED.preprocessing, CODE.preprocessing)]
)
def test_the_promised_name_gives_the_same_objects_as_the_module(promised: ModuleType, code: ModuleType) -> None:
    names = [name for name in vars(code) if not name.startswith("_")]
    assert len(names) > 3
    assert [name for name in names if getattr(promised, name, None) is not getattr(code, name)] == []
