"""Packages that add networks import two names that are promised to them, whatever room the code lives in."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("module", ["registry", "preprocessing"])
def test_the_promised_name_gives_the_same_objects_as_the_module(module: str) -> None:
    promised = importlib.import_module(f"hypoxia_hpc.networks.{module}")
    actual = importlib.import_module(f"hypoxia_hpc.networks.backbones.{module}")
    names = [name for name in vars(actual) if not name.startswith("_")]
    assert len(names) > 3
    assert [name for name in names if getattr(promised, name, None) is not getattr(actual, name)] == []
