"""OpenSeadragon, which shows slides in the browser, from its npm package: when a wheel is built, or by `make viewer`.

    python -P library.py [SOURCE]

SOURCE: the address of the package, or a file that holds it; in either case it has to be the one that is pinned here. It
needs the standard library alone, for setup.py loads it where nothing is installed.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

SOURCE = "https://registry.npmjs.org/openseadragon/-/openseadragon-5.0.1.tgz"
SHA256 = "4762c9432cee1d941644d0df9ce61ebb61d3dcd6f7312e843f24d26912354502"
SCRIPT = "openseadragon.min.js"
MEMBERS = {SCRIPT: f"package/build/openseadragon/{SCRIPT}", "LICENSE.txt": "package/LICENSE.txt"}
FOLDER = Path(__file__).parent / "openseadragon"
LIMIT_SECONDS = 30


def unpacked(package: bytes, source: str) -> Mapping[str, bytes]:
    """The files of a package that are used, by name. Raises ValueError where it is not the package that is pinned."""
    found = hashlib.sha256(package).hexdigest()
    if found != SHA256:
        raise ValueError(f"{source} has the SHA-256 {found}, not {SHA256}: it is not the package that is pinned")
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        members = {name: archive.extractfile(member) for name, member in MEMBERS.items()}
        return {name: file.read() for name, file in members.items() if file is not None}


def install(source: str = SOURCE, folder: Path = FOLDER) -> None:
    """Put the script and its licence where the viewer looks. ``source``: an https address, or a file. Raises OSError,
    and ValueError for another package."""
    if source.startswith("https://"):
        with urllib.request.urlopen(source, timeout=LIMIT_SECONDS) as answer:  # noqa: S310 - https alone
            package = answer.read()
    else:
        package = Path(source).read_bytes()
    files = unpacked(package, source)
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    install(sys.argv[1] if len(sys.argv) > 1 else SOURCE)
