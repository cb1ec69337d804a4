"""Every locale and every encoding of the terminal: the same tables, the same slides, and no crash over a name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.synthetic.svs import write_svs

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]

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


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, real_slide: Path) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for name in NAMES:
        shutil.copy(real_slide, folder / name)
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


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, slides: Path) -> bytes:
    """slides.csv as it is made in UTF-8."""
    return made_table(tmp_path_factory.mktemp("utf-8") / "run", slides, {"LC_ALL": "C.UTF-8"})


@pytest.mark.long  # of C and ISO-8859-1 by default: the tests of names and of the Python API
def test_the_tables_are_the_same_in_every_locale(tmp_path: Path, slides: Path, table: bytes) -> None:
    environments = {"C": PLAIN_C, "ascii": {"PYTHONIOENCODING": "ascii"}}
    tables = {name: made_table(tmp_path / name, slides, environment) for name, environment in environments.items()}
    assert "caf\u00e9.svs".encode() in table
    assert f"{slides.as_uri()}/caf%E9-of-latin-1.svs,caf--of-latin-1," in table.decode()
    assert b"caf\\xe9-of-latin-1.svs" in table  # its name, for people
    assert set(tables.values()) == {table}
    assert "\\xb5m/px" in hypoxia("doctor", tmp_path / "ascii", environment=environments["ascii"], code=5)


def made_table(run: Path, slides: Path, environment: dict[str, str]) -> bytes:
    """slides.csv as ``init`` makes it."""
    assert "dropped" not in hypoxia("init", run, "--slides", slides, environment=environment)
    return (run / "slides.csv").read_bytes()


@pytest.mark.long  # by default: the Python API finds every name, all verbs take names that are not UTF-8
def test_every_name_is_tiled(tmp_path: Path, slides: Path, table: bytes, latin_1: dict[str, str]) -> None:
    environment = latin_1
    run = tmp_path / "r\u00fcn \u03b1"
    assert made_table(run, slides, environment) == table
    config = run / "run.toml"
    config.write_text(config.read_text().replace('weights = "imagenet"', 'weights = "random"'))
    hypoxia("doctor", run, environment=environment)
    assert "6 done now" in hypoxia("tile", run, "--workers", "1", environment=environment)
    (tiled,) = [line for line in hypoxia("status", run, environment=environment).splitlines() if line[:5] == "tile "]
    assert tiled.split()[1:4] == ["6", "0", "0"]


API = """
import os, sys
import hypoxia_hpc as hx
folder, run, name = map(os.fsdecode, (sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])))
assert len(os.listdir(folder)) == 6
for found in os.listdir(folder):
    with hx.open_slide(os.path.join(folder, found)) as slide:
        assert slide.size == (2220, 2967)
made = hx.Run.init(run, folder)
for slide_id in made.slides.index:
    made[slide_id].open().close()
with hx.open_slide(os.path.join(folder, "caf\\u00e9.svs")) as slide:  # as it is typed
    print(ascii(slide))
print(sys.getfilesystemencoding())
"""


@pytest.mark.parametrize("locale", ["C", "latin-1"])
def test_the_python_api_finds_every_name(
    tmp_path: Path, slides: Path, table: bytes, locale: str, request: pytest.FixtureRequest
) -> None:
    """Where Python itself reads names by the locale; the table is the same as in the others."""
    environment = PLAIN_C if locale == "C" else request.getfixturevalue("latin_1")
    command = [sys.executable, "-c", API, str(slides), str(tmp_path / "run"), NO_UTF8.hex()]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stderr.decode("utf-8", "backslashreplace")
    assert done.stdout.split()[-1] in (b"ascii", b"iso8859-1")
    assert (tmp_path / "run" / "slides.csv").read_bytes() == table


# --- all verbs, in the UTF-8 mode in which the program goes on in every locale ------------------------------------

SMALL = {
    "px = 299": "px = 96",
    'backbone = "inception_v3"': 'backbone = "efficientnet_lite0"',
    'weights = "imagenet"': 'weights = "random"',
    "bootstrap = 2000": "bootstrap = 100",
    'heads = ["tanh", "funnel", "logistic", "attention"]': 'heads = ["logistic"]',
}


@pytest.fixture(scope="module")
def small_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve slides of four tiles each in a folder and under names that are not UTF-8, and their patients."""
    folder = tmp_path_factory.mktemp("names")
    slides = Path(os.fsdecode(os.fsencode(folder) + b"/sl\xeddes"))
    slides.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,patient_id"]
    for number in range(12):
        name = os.fsdecode(b"L\xf6sung %d.svs" % number)
        write_svs(slides / name, rng.integers(0, 200, (200, 200, 3)).astype(np.uint8), 0.5)
        rows.append(f"{(slides / name).as_uri()},P{number}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "patients.csv").write_text("patient_id,label\n" + "".join(f"P{n},{n % 2}\n" for n in range(12)))
    return folder


def said_by(hypoxia: Hypoxia, *words: object) -> str:
    """What the command says, which ends well."""
    done = hypoxia(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_verbs_take_names_that_are_not_utf8(small_slides: Path, hypoxia: Hypoxia) -> None:
    folder, run = small_slides, small_slides / "r\u00fcn"
    said_by(hypoxia, "init", run, "--slides", folder / "manifest.csv", "--patients", folder / "patients.csv")
    text = (run / "run.toml").read_text()
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    (run / "run.toml").write_text(text)
    assert "tiles planned" in hypoxia("doctor", run, "--json").stdout
    said_by(hypoxia, "estimate", run)
    said_by(hypoxia, "submit", run, "--dry-run")
    said_by(hypoxia, "run", run)
    said_by(hypoxia, "verify", run)
    assert json.loads(said_by(hypoxia, "status", run, "--json"))["stages"][0]["done"] == 12
    assert "L\\xf6sung 11.svs" in (run / "report" / "index.html").read_text()
    said = said_by(hypoxia, "predict", folder / "new", "--slides", next(folder.glob("sl*")), "--model", run)
    assert "L-sung-11" in said
