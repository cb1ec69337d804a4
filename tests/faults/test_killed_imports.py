"""``import-features`` killed before every fsync, rename and replace that it makes, and then given once more."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fault_runs import LIMIT_SECONDS, digests, names, of, start
from feature_runs import NAME
from feature_sets import importing_run, write_clam

# An fsync in a temporary folder: whichever of these a kill comes before, the folder has not its name yet.
INSIDE = re.compile(r"fsync \S*\.tmp-\S+/")


def imported(run: Path, files: Path, n: int) -> int:
    """Killed before call ``n`` (0: never); the exit code."""
    return start("import-features", run, files, kill_before=n).wait(LIMIT_SECONDS)


def write_files(folder: Path, slides: Sequence[str], seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for name in slides:
        write_clam(folder / f"{name}.h5", rng.normal(size=(9, 4)).astype(np.float32))
    return folder


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "in place of others"])
@pytest.mark.parametrize("slides", [("S0",), pytest.param(("S0", "S1", "S2"), marks=pytest.mark.long)], ids=len)
def test_a_kill_before_any_call_changes_no_byte(
    tmp_path: Path, pool: ThreadPoolExecutor, slides: tuple[str, ...], is_there: bool
) -> None:
    files, others = (write_files(tmp_path / name, slides, seed) for seed, name in enumerate(("files", "others")))
    stores = [f"{kind}/{name}.zarr" for kind in ("tiles", f"features/{NAME}") for name in slides]

    def ready(folder: Path) -> Path:
        run = importing_run(folder / "run", [f"{name},/slides/{name}.svs,{name}" for name in slides]).root
        if is_there:
            assert imported(run, others, 0) == 0
            (folder / "calls-0").unlink()
        return run

    undisturbed = ready(tmp_path / "0")
    before = digests(undisturbed)
    assert imported(undisturbed, files, 0) == 0
    after = digests(undisturbed)
    assert after != before and all(of(after, f"{store}/") for store in stores)
    calls = (tmp_path / "0" / "calls-0").read_text().splitlines()
    assert {f"rename {store.rpartition('/')[0]}/.tmp-{store.rpartition('/')[2]} {store}" for store in stores} <= {
        *calls
    }

    def kill_and_go_on(n: int) -> None:
        run = ready(tmp_path / str(n))
        assert imported(run, files, n) == -signal.SIGKILL
        for store in stores:
            assert of(digests(run), f"{store}/") in [of(one, f"{store}/") for one in ({}, before, after)]
        assert imported(run, files, 0) == 0
        assert digests(run) == after and names(run) == names(undisturbed)
        shutil.rmtree(run.parent)

    list(pool.map(kill_and_go_on, [n for n, call in enumerate(calls, start=1) if not INSIDE.match(call)]))
