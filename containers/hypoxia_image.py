"""Imported at the start of every Python in an image: what depends on the environment that it is started in.

%environment cannot see that, because Apptainer clears it there.
"""

import os
from pathlib import Path

OPENMPI = "/opt/hypoxia/openmpi"
WEIGHTS = Path("/opt/hypoxia/weights")

# Open MPI's mpirun and srun --mpi=pmix speak PMIx, which MPICH does not: their ranks take the Open MPI of the image.
if "PMIX_NAMESPACE" in os.environ and "MPI4PY_LIBMPI" not in os.environ:
    os.environ["MPI4PY_LIBMPI"] = f"{OPENMPI}/lib/libmpi.so.40"
    os.environ["OPAL_PREFIX"] = os.environ["PMIX_PREFIX"] = OPENMPI

# The host's own setting may name a folder that no container sees. To take the image's weights then is safe: whatever
# folder they lie in, ImageNet weights are known by their digest. Path.is_dir() raises where it may not look.
if not os.path.isdir(os.environ.get("HYPOXIA_HPC_WEIGHTS", "")) and any(WEIGHTS.glob("*.h5")):  # noqa: PTH112
    os.environ["HYPOXIA_HPC_WEIGHTS"] = str(WEIGHTS)
