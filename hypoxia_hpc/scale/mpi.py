"""The one place that imports mpi4py, and only when asked for."""

from __future__ import annotations


def mpi_library() -> tuple[str, bool]:
    """The MPI library that mpi4py finds here, and true; or why there is none, and false."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        return str(error).partition("\n")[0], False
    return MPI.Get_library_version().partition("\n")[0], True
