"""The simulation of runs on clusters: is it right, and what does it say of 13,031 slides?

python benchmarks/simulation.py validate --json FILE   against chains on the live test cluster (root, 40 minutes)
python benchmarks/simulation.py compare FILE           what was measured then against what is simulated now
python benchmarks/simulation.py study                  writes SCALING.md and its curves (5 minutes, no cluster)
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scaling_study import curves_svg, page
from simulated_cluster import CALIBRATION, SETUPS, Measured, calibrated, compared, measured, simulated
from simulated_tiling import compared_tiling

from hypoxia_hpc.bench.environment import machine

from live_cluster import bring_up, control, is_up, why_not  # isort: skip - simulated_cluster says where it is

# How far a simulated time may be off.
TOLERANCE = 0.15
HERE = Path(__file__).resolve().parent
VALIDATED = HERE / "simulation.json"


def study() -> None:
    """Write SCALING.md and its curves, with what was validated last."""
    validated = json.loads(VALIDATED.read_text()) if VALIDATED.exists() else None
    (HERE / "SCALING.md").write_text(page(validated))
    (HERE / "scaling_curves.svg").write_text(curves_svg())


@contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """One chain at a time, where others use the cluster, too."""
    if path is None:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def validate(only: list[str], lock: Path | None, *, tiling: bool) -> dict[str, Any]:
    """Every set-up on the cluster: when its elements began and ended. The cluster is left as it was, up or down."""
    if reason := why_not():
        sys.exit(f"no cluster can be brought up here: {reason}")
    was_up = is_up()
    try:
        return measured_chains(only, lock, tiling=tiling)
    finally:
        if not was_up:
            with locked(lock):
                control("down")


def measured_chains(only: list[str], lock: Path | None, *, tiling: bool) -> dict[str, Any]:
    chosen = [one for one in SETUPS if not only or any(word in one.name for word in only)]
    found, loads = {}, {}
    for setup in (CALIBRATION, *chosen):
        with locked(lock):
            live = bring_up()
            found[setup.name] = measured(live, setup)
            loads[setup.name] = os.getloadavg()
            if setup.dies_at is not None:
                live.calm()
        if setup is not CALIBRATION:
            print(row_text(rows_of(found)[-1]), flush=True)
    tiled = {}
    if tiling:
        known = calibrated(found[CALIBRATION.name], CALIBRATION)
        with locked(lock):
            tiled = {"tiling": compared_tiling(bring_up(), known.submit, known.free)}
        print(tiled, flush=True)
    measurements = {name: {**asdict(one), "load_average": loads[name]} for name, one in found.items()}
    return {"machine": machine(), "measured": measurements, **tiled}


def rows_of(found: dict[str, Measured]) -> list[dict[str, Any]]:
    """Set against what is simulated."""
    known = calibrated(found[CALIBRATION.name], CALIBRATION)
    return [compared(one, found[one.name], simulated(known, one)) for one in SETUPS if one.name in found]


def with_rows(answer: dict[str, Any]) -> dict[str, Any]:
    """What was measured, with what is simulated now beside it."""
    found = {
        name: Measured([(stage, begin, end) for stage, begin, end in one["starts"]], one["submit"])
        for name, one in answer["measured"].items()
    }
    known = calibrated(found[CALIBRATION.name], CALIBRATION)
    return {**answer, "tolerance": TOLERANCE, "calibrated": asdict(known), "setups": rows_of(found)}


def row_text(row: dict[str, Any]) -> str:
    shown = [(name, row[name]) for name in ("whole", "tile", "extract")]
    parts = [
        f"{name} {one['measured']:.0f} s, simulated {one['simulated']:.0f} ({one['off']:+.0%})" for name, one in shown
    ]
    return f"{row['setup']}: {'; '.join(parts)}; {'within' if is_within(row) else 'NOT WITHIN'} {TOLERANCE:.0%}"


def is_within(row: dict[str, Any]) -> bool:
    return all(abs(row[name]["off"]) <= TOLERANCE for name in ("whole", "tile", "extract"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    validating = verbs.add_parser("validate")
    validating.add_argument("--json", type=Path, metavar="FILE")
    validating.add_argument("--only", action="append", default=[], metavar="WORD", help="set-ups whose name has it")
    validating.add_argument("--tiling", action="store_true", help="real tiling, too: wants an idle machine")
    validating.add_argument("--lock", type=Path, metavar="FILE", help="hold this lock while the cluster is in use")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("json", type=Path, metavar="FILE")
    verbs.add_parser("study")
    options = parser.parse_args()
    if options.verb == "study":
        study()
        return
    measured_now = options.verb == "validate"
    found = with_rows(
        validate(options.only, options.lock, tiling=options.tiling)
        if measured_now
        else json.loads(options.json.read_text())
    )
    for row in found["setups"]:
        print(row_text(row))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
