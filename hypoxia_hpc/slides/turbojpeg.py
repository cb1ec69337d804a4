"""JPEG to the planes of its colours, by the TurboJPEG library where the machine has it.

No wheel brings it along, most machines have it: ``libturbojpeg0`` on Debian and Ubuntu, ``turbojpeg`` on Fedora and
Red Hat, libjpeg-turbo in conda and as a module of clusters. Without it simplejpeg decodes, to the same pixels.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from contextlib import suppress

from hypoxia_hpc.records import UInt8Array

# Of version 1.4 (2014) and of every later one, 3.x too.
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
        self._decode = turbojpeg.tjDecompressToYUVPlanes
        self._handle = turbojpeg.tjInitDecompress()
        if not self._handle:
            raise MemoryError("no room for a JPEG decoder")
        self._places: dict[int, tuple[UInt8Array, ctypes.Array[ctypes.c_void_p]]] = {}
        weakref.finalize(self, turbojpeg.tjDestroy, self._handle)

    def decode(self, data: bytes, out: UInt8Array) -> bool:
        """Decode a JPEG, the size of whose header is that of ``out``, into the planes that uint8 (height, width, 4) has
        room for, as :mod:`hypoxia_hpc.tiling.planes` says. False where there is anything wrong with it, be it only a
        warning: then what ``out`` has means nothing."""
        height, width = out.shape[:2]
        places = self._places.get(id(out)) or self._places_in(out)
        return bool(self._decode(self._handle, data, len(data), places[1], width, None, height, ACCURATE_DCT) == 0)

    def _places_in(self, out: UInt8Array) -> tuple[UInt8Array, ctypes.Array[ctypes.c_void_p]]:
        """Where the planes begin, by the array that has them: to ask NumPy again takes as long as 2 % of decoding."""
        start, area = out.ctypes.data, out.shape[0] * out.shape[1]
        places = (out, _Places(*(start + area * number for number in range(N_PLANES))))
        self._places[id(out)] = places
        return places
