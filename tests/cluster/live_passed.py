"""Whether the tests of the live cluster itself, test_live.py, have passed here and nothing that they test has changed.

They test SLURM and the scripts that bring it up, nothing of the package. Where they have passed on this machine with
the same files and the same SLURM, ``make test`` leaves them out; ``make test-long`` and who names the file run them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE / "test_live.py"
CLUSTER = Path(os.environ.get("HYPOXIA_CLUSTER_FOLDER", "/var/tmp/hypoxia-cluster"))  # noqa: S108 - the script's default
STAMP = CLUSTER.with_name("hypoxia-live-passed")


def digest() -> str:
    """Of all that these tests depend on."""
    version = subprocess.run(["slurmctld", "-V"], capture_output=True, check=False).stdout
    found = hashlib.sha256(version)
    for path in (TESTS, HERE / "live_cluster.py", HERE / "conftest.py", *sorted((HERE / "live").iterdir())):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


class LivePassed:
    """A plug-in of pytest: leaves these tests out, or notes that all of them have passed."""

    def __init__(self, config: pytest.Config) -> None:
        words = " ".join(config.invocation_params.args)
        self.may_skip = "not long" in config.option.markexpr and TESTS.name not in words
        self.whole = "::" not in words
        self.collected: set[str] = set()
        self.passed: set[str] = set()
        self.failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        ours = [item for item in items if item.path == TESTS]
        self.collected = {item.nodeid for item in ours}
        if ours and self.may_skip and STAMP.exists() and STAMP.read_text() == digest():
            for item in ours:
                item.add_marker(pytest.mark.skip(reason=f"passed here before on the same cluster, says {STAMP}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid in self.collected:
            self.failed |= report.failed
            if report.when == "call" and report.passed:
                self.passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        if self.whole and self.collected and self.passed == self.collected and not self.failed:
            STAMP.write_text(digest())
