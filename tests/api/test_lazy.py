"""``import hypoxia_hpc as hx`` loads nothing, and a type checker sees what it exports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hypoxia_hpc as hx

SOURCE = ast.parse(Path(hx.__file__).read_text(encoding="utf-8"))


def test_importing_it_loads_no_library() -> None:
    code = "import sys; before = set(sys.modules); import hypoxia_hpc; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names] == ["hypoxia_hpc"]


@pytest.mark.parametrize("name", hx.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(hx, name).__doc__ or name == "__version__"
    assert name in dir(hx)


def test_rooms_that_are_imported_are_not_shown() -> None:
    assert hx.Run and hx.tiling  # type: ignore[attr-defined]
    assert [name for name in dir(hx) if not name.startswith("__")] == [name for name in hx.__all__ if name[0] != "_"]
    assert {"__doc__", "__file__", "__version__"} <= {*dir(hx)}


def test_type_checkers_see_the_same_names() -> None:
    imported = {
        (node.module, alias.name)
        for node in ast.walk(SOURCE)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {(f"hypoxia_hpc.{home}", name) for name, home in hx._HOME_OF.items()}
    assert {pair for pair in imported if str(pair[0]).startswith("hypoxia_hpc")} == homes
    assert {*hx._HOME_OF, "__version__"} == set(hx.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hypoxia_hpc' has no attribute 'tiel'"):
        hx.tiel  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", [name for name in hx.__all__ if name not in ("__version__",)])
def test_no_name_hides_a_room(name: str) -> None:
    assert not (Path(hx.__file__).parent / name).exists()
    assert not (Path(hx.__file__).parent / f"{name}.py").exists()
