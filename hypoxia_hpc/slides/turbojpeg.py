"""JPEG to the planes of its colours, by the TurboJPEG library where the machine has it.

No wheel contains it, but many machines have it: ``libturbojpeg0`` on Debian and Ubuntu, ``turbojpeg`` on Fedora and
Red Hat, libjpeg-turbo in conda and as a module of clusters. Without it simplejpeg decodes, to the same pixels.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from contextlib import suppress

from hypoxia_hpc.records import UInt8Array

# Names for every version. 2.0 (2018) is the first that is used: older ones cannot turn warnings into errors, or read
# beyond the end of damaged data.
NAMES = ("libturbojpeg.so.0", "libturbojpeg.0.dylib", "turbojpeg.dll")
ACCURATE_DCT = 4096
N_PLANES = 3
_Places = ctypes.c_void_p * N_PLANES


@functools.cache
def library() -> ctypes.CDLL | None:
    """The TurboJPEG library, None where there is none; looked for where the system's loader looks."""
    for name in NAMES:
        with suppress(OSError, AttributeError):
            found = ctypes.CDLL(name)
            _ = found.tjGetErrorCode  # since 2.0
            found.tjInitDecompress.argtypes, found.tjInitDecompress.restype = (), ctypes.c_void_p
            found.tjDestroy.argtypes, found.tjDestroy.restype = (ctypes.c_void_p,), ctypes.c_int
            found.tjDecompressToYUVPlanes.argtypes = (
                ctypes.c_void_p,
                ctypes.c_char_p,
                ctypes.c_ulong,
                ctypes.POINTER(ctypes.c_void_p),
                ctypes.c_int,
                ctypes.c_void_p,
                ctypes.c_int,
                ctypes.c_int,
            )
            found.tjDecompressToYUVPlanes.restype = ctypes.c_int
            return found
    return None


class PlaneDecoder:
    """Decodes JPEGs of three components to planes; one thread's at a time."""

    def __init__(self, turbojpeg: ctypes.CDLL) -> None:
        self._library = turbojpeg
        self._slots: dict[int, tuple[weakref.ref[UInt8Array], ctypes.Array[ctypes.c_void_p]]] = {}

    def decode(self, data: bytes, out: UInt8Array) -> bool:
        """Decode a JPEG, the size of whose header is that of ``out``, into the planes that uint8 (height, width, 4) has
        room for, as :mod:`hypoxia_hpc.tiling.kernels.planes` says. False after any error or warning: then the
        content of ``out`` means nothing."""
        height, width = out.shape[:2]
        known = self._slots.get(id(out))
        places = known[1] if known and known[0]() is out else self._places_in(out)
        # A decoder keeps the tables of the JPEG before, and would use them for a damaged JPEG that has none. A new
        # decoder costs 0.7 µs.
        decoder = self._library.tjInitDecompress()
        if not decoder:
            raise MemoryError("no room for a JPEG decoder")
        failed = self._library.tjDecompressToYUVPlanes(
            decoder, data, len(data), places, width, None, height, ACCURATE_DCT
        )
        self._library.tjDestroy(decoder)
        return not failed

    def _places_in(self, out: UInt8Array) -> ctypes.Array[ctypes.c_void_p]:
        """Where the planes begin, kept by the array that has them: to ask NumPy again takes as long as 2 % of
        decoding."""
        start, area = out.ctypes.data, out.shape[0] * out.shape[1]
        places = _Places(*(start + area * number for number in range(N_PLANES)))
        self._slots[id(out)] = weakref.ref(out), places
        return places
