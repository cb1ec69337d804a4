"""Every locale and every encoding of the terminal: the same tables, the same slides, and no crash over a name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("plain.svs", "caf\u00e9.svs", "tum\u00f6r \u03b1 \U0001f52c.svs", 'quote\'s "name".svs', "new\nline.svs")
NO_UTF8 = b"caf\xe9-of-latin-1.svs"
# What Python does by itself in the C locale is switched off, as where it is set to another one.
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale in ISO-8859-1, made for the tests."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here, which makes locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (folder / "en_US.ISO-8859-1").exists():
        pytest.skip(f"localedef makes no locale here: {made.stderr.strip()}")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"}


@pytest.fixture
def slides(tmp_path: Path, real_slide: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in NAMES:
        os.link(shutil.copy(real_slide, tmp_path / "copy.svs"), folder / name)
    shutil.copy(real_slide, os.fsencode(folder) + b"/" + NO_UTF8)
    return folder


def hypoxia(*words: object, code: int = 0, environment: dict[str, str]) -> str:
    """What the command says, in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "hypoxia_hpc", *map(str, words)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )
    said = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def test_the_tables_are_the_same_in_every_locale(tmp_path: Path, slides: Path) -> None:
    environments = {"utf-8": {"LC_ALL": "C.UTF-8"}, "C": PLAIN_C, "ascii": {"PYTHONIOENCODING": "ascii"}}
    tables = {name: made_table(tmp_path / name, slides, environment) for name, environment in environments.items()}
    assert "caf\u00e9.svs".encode() in tables["utf-8"]
    assert set(tables.values()) == {tables["utf-8"]}
    assert "\\xb5m/px" in hypoxia("doctor", tmp_path / "ascii", environment=environments["ascii"], code=5)


def made_table(run: Path, slides: Path, environment: dict[str, str]) -> bytes:
    """slides.csv as ``init`` makes it."""
    said = hypoxia("init", run, "--slides", slides, environment=environment)
    assert "dropped 1 slide, its path is not UTF-8: rename it" in said
    return (run / "slides.csv").read_bytes()


def test_every_verb_works_with_every_name(tmp_path: Path, slides: Path, latin_1: dict[str, str]) -> None:
    environment = latin_1
    run = tmp_path / "r\u00fcn \u03b1"
    assert made_table(run, slides, environment) == made_table(tmp_path / "utf-8", slides, {"LC_ALL": "C.UTF-8"})
    config = run / "run.toml"
    config.write_text(config.read_text().replace('weights = "imagenet"', 'weights = "random"'))
    hypoxia("doctor", run, environment=environment)
    assert "5 done now" in hypoxia("tile", run, "--workers", "1", environment=environment)
    (tiled,) = [line for line in hypoxia("status", run, environment=environment).splitlines() if line[:5] == "tile "]
    assert tiled.split()[1:4] == ["5", "0", "0"]
    hypoxia("estimate", run, environment=environment)
    hypoxia("verify", run, environment=environment)
