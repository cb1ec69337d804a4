"""The extraction benchmark, one command: python benchmarks/extraction.py [--quick] [--json FILE]

Prints the table of figures (medians of paired rounds) with their targets, and before it what every competitor made.
``--quick`` takes fewer tiles and fewer rounds. benchmarks/README.md says what is measured and how.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import extraction_stores
import networks
from figures import Bench, Report, run_sections

from hypoxia_hpc.networks.runtime import start_keras

SECTIONS: dict[str, Callable[[Bench], None]] = {
    "nothing": extraction_stores.nothing,
    "stores": networks.from_stores,
    "openvino": networks.openvino,
    "bfloat16": networks.bfloat16,
    "gpu": networks.gpu,
}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path.home() / ".cache" / "hypoxia_hpc" / "extraction"
    parser.add_argument("--quick", action="store_true", help="fewer tiles, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found, and the machine, there")
    parser.add_argument("--folder", type=Path, default=cache, help=f"where stores are made and kept ({cache})")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this part alone; repeatable")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    bench = Bench(Report(), arguments.folder, arguments.quick, 3 if arguments.quick else 5)
    start_keras()
    run_sections(bench, {name: SECTIONS[name] for name in arguments.only or SECTIONS}, arguments.json)


if __name__ == "__main__":
    main()
