"""What a test needs of the machine, and why it is skipped without."""

from __future__ import annotations

import os

import pytest

from hypoxia_hpc.slides import turbojpeg

# With HYPOXIA_TURBOJPEG=1, as where everything is to run, a library that is missing is a failure and no skip.
_MAY_SKIP = turbojpeg.library() is None and os.environ.get("HYPOXIA_TURBOJPEG") != "1"
NEEDS_TURBOJPEG = pytest.mark.skipif(_MAY_SKIP, reason="the TurboJPEG library (libturbojpeg0) is not on this machine")
# On one core nothing can be scaled, nor be kept from another core.
NEEDS_TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cores are needed")
