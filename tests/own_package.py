"""A module as an installed package, by a wheel and pip; and the command line where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from forks import fork

EXAMPLE = Path(__file__).parent / "networks" / "own" / "example_backbones.py"


def install(
    folder: Path,
    module: Path,
    entry_points: str,
    *,
    name: str = "example-backbones",
    group: str = "hypoxia_hpc.backbones",
) -> Path:
    """Install a package of one module into ``folder``/site by pip; the folder to put on Python's path."""
    stem = name.replace("-", "_")
    wheel = folder / f"{stem}-1.0-py3-none-any.whl"
    info = f"{stem}-1.0.dist-info"
    files = {
        module.name: module.read_text(encoding="utf-8"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{group}]\n{entry_points}\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]))
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel]
    subprocess.run(command, check=True, capture_output=True)
    return site


class CommandLine:
    """Python and hypoxia-hpc as they are where the packages in the folder ``site`` are installed."""

    def __init__(self, site: Path) -> None:
        paths = [str(site), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self._folder = site.parent

    def python(self, *arguments: str | Path, code: int = 0) -> str:
        """What Python prints, with its errors where it is to end with another code than 0."""
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + (done.stderr if code else "")

    def says(self, *arguments: str | Path, code: int = 0) -> str:
        """What hypoxia-hpc prints."""
        return self.python("-m", "hypoxia_hpc", *arguments, code=code)

    def says_forked(self, *arguments: str | Path) -> str:
        """What it prints in a fork, which finds stages of packages. Their heads and studies are found when the suite is
        imported, and a fork does not import it again."""
        said, errors = self._folder / "said", self._folder / "errors"
        for file in (said, errors):
            file.unlink(missing_ok=True)
        code = fork([*map(str, arguments)], said, errors=errors, environment=self._environment).wait(120)
        assert code == 0, errors.read_text()
        return said.read_text()
