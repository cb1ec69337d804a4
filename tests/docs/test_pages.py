"""The pages of docs/: they build without a warning, links lead somewhere, and what is made from the code is current."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pages import DOCS, GENERATED, README, REPOSITORY, blocks, pages

import hypoxia_hpc

MOST_README_LINES = 80


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_say_what_the_code_says(generate: ModuleType) -> None:
    made = generate.pages()
    assert set(made) == set(GENERATED)
    for name, text in made.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name} is old: make docs writes it anew"


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "settings.html").exists()


def reasons_in_code() -> Iterator[str]:
    """The first argument of every SlideError that the package raises."""
    for path in Path(hypoxia_hpc.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_error = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "SlideError"
            if is_error and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def test_every_reason_of_a_quarantine_is_explained() -> None:
    explained = set(re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", (DOCS / "exit-codes.md").read_text(encoding="utf-8")))
    found = set(reasons_in_code())
    assert len(found) > 10
    assert found - explained == set()


def test_every_room_stands_in_the_tree_of_the_architecture() -> None:
    (tree,) = (block for block in blocks(DOCS / "architecture.md", "text") if block.startswith("hypoxia_hpc/"))
    rooms = {path.parent.name for path in Path(hypoxia_hpc.__file__).parent.glob("*/__init__.py")}
    assert rooms == set(re.findall(r"(?m)^  (\w+)/ ", tree))


def test_files_that_the_architecture_names_are_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|[a-z]+)/[\w/.]+\.(?:py|bash))`", text)
    package = Path(hypoxia_hpc.__file__).parent
    assert len(named) > 10
    assert [name for name in named if not ((package / name).exists() or (REPOSITORY / name).exists())] == []
