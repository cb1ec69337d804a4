"""Recipes for sites without images, read without EasyBuild or Spack: they name this version, what they install is
locked, and they are in the wheel."""

from __future__ import annotations

import ast
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_images import CONTAINERS, SHIPPED, pins, setup_argument

RECIPES = CONTAINERS / "recipes"
EASYCONFIG = RECIPES / "hypoxia_hpc-0.1.0-GCCcore-12.3.0.eb"
SPACK = RECIPES / "spack" / "package.py"


def test_the_login_node_gets_what_setup_needs_in_the_versions_of_the_image() -> None:
    login, image = pins("recipes/login.lock"), pins("cpu.lock")
    for line in setup_argument("install_requires"):
        requirement = Requirement(line)
        assert requirement.specifier.contains(login[canonicalize_name(requirement.name)]), line
    assert {name for name, version in login.items() if image.get(name) != version} == set()
    assert "tensorflow" not in login


def test_the_easyconfig_is_one_of_this_version_with_locked_packages() -> None:
    """An easyconfig is Python with constants of EasyBuild."""
    entries: dict[str, Any] = {}
    exec(compile(EASYCONFIG.read_text(), EASYCONFIG.name, "exec"), {"SOURCE_TAR_GZ": "x.tar.gz"}, entries)  # noqa: S102
    assert (entries["name"], entries["version"]) == ("hypoxia_hpc", setup_argument("version"))
    chain = entries["toolchain"]
    assert EASYCONFIG.name == f"{entries['name']}-{entries['version']}-{chain['name']}-{chain['version']}.eb"
    assert dict(entries["dependencies"])["Python"].startswith("3.11.")  # as the lock
    assert "--require-hashes -r containers/cpu.lock" in entries["install_cmd"]


def test_the_package_of_spack_is_one_of_this_version_with_locked_packages() -> None:
    (package,) = [node for node in ast.parse(SPACK.read_text()).body if isinstance(node, ast.ClassDef)]
    assert package.name == "HypoxiaHpc"
    calls = [ast.unparse(node) for node in ast.walk(package) if isinstance(node, ast.Call)]
    assert f"version('{setup_argument('version')}')" in calls
    assert any("--require-hashes" in call and "cpu.lock" in call for call in calls)


def test_they_are_shipped() -> None:
    assert {EASYCONFIG, SPACK, RECIPES / "login.lock"} <= {*SHIPPED}
