"""`from hypoxia_hpc.config import X` finds every name that the package says it has, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hypoxia_hpc import config


def test_names_for_type_checkers_are_those_that_are_there() -> None:
    assert config.__file__ is not None
    tree = ast.parse(Path(config.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    declared = {
        alias.name: node.module
        for node in imports
        for alias in node.names
        if str(node.module).startswith("hypoxia_hpc")
    }
    assert declared == {name: f"hypoxia_hpc.config.{home}" for name, home in config._HOMES.items()}
    for name in declared:
        assert getattr(config, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        config.__getattr__("nonsense")
