"""A fresh worker process that tiles one slide into a store: ``python benchmarks/ours.py SLIDE FOLDER [KEY=VALUE ...]``

KEY is one of the [tile] table. Prints what it took: its peak memory, seconds and counts, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from hypoxia_hpc.bench.delivery import into_store
from hypoxia_hpc.config import TileTable


def peak_memory_mb() -> float:
    """The largest resident set that this process ever had (VmHWM), in MB of a million bytes."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 / 1e6


def main() -> None:
    path, folder, *settings = sys.argv[1:]
    table = TileTable.model_validate_strings(dict(setting.split("=", 1) for setting in settings))
    started = time.perf_counter()
    told = into_store(Path(path), table, Path(folder))
    seconds = time.perf_counter() - started
    print(json.dumps({"peak_memory_mb": peak_memory_mb(), "seconds": seconds, **told}))


if __name__ == "__main__":
    main()
