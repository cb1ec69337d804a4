"""Two instructions for the kernels that Numba has no words for, in LLVM's, which knows them for every processor."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

# Pixels that ``pack_pixels`` takes at once: one register of 512 bits, two of 256, four of 128.
PIXELS = 16
_BYTE = ir.IntType(8)
_INT = ir.IntType(32)
_PACKED, _RGB = ir.VectorType(_BYTE, 4 * PIXELS), ir.VectorType(_BYTE, 3 * PIXELS)
_FIRST_THREE = ir.Constant(ir.VectorType(_INT, 3 * PIXELS), [4 * (i // 3) + i % 3 for i in range(3 * PIXELS)])


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of a C-contiguous, one-dimensional array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic
def pack_pixels(typing_context: Any, source: Any, start: Any, target: Any, to: Any) -> Any:
    """Copy R, G, B of PIXELS pixels of ``source``, uint32 (n,), from ``start`` on, to ``target``, uint8 (m,), from
    ``to`` on: by one shuffle, where a loop over bytes takes twice as long. The ends of the arrays are not checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels, rgb = (
            builder.bitcast(_place(context, builder, signature.args[i], *arguments[i : i + 2]), vector.as_pointer())
            for i, vector in ((0, _PACKED), (2, _RGB))
        )
        packed = builder.load(pixels, align=1)
        builder.store(builder.shuffle_vector(packed, ir.Constant(_PACKED, ir.Undefined), _FIRST_THREE), rgb, align=1)
        return context.get_dummy_value()

    return types.void(source, start, target, to), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Have the processor fetch an element of a one-dimensional array into its caches; ``index`` may lie outside."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature.args[0], *arguments), _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT])
        call = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], kind)
        builder.call(call, [place, _INT(0), _INT(3), _INT(1)])  # to read, into every cache, data
        return context.get_dummy_value()

    return types.void(array, index), generate
