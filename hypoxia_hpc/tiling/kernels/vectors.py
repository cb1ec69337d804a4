"""Vector instructions for the kernels that Numba cannot express, written in LLVM, which has them for every processor.

None of them checks the ends of arrays. Those for planes take addresses (``array.ctypes.data``; the array has to stay
alive), because Numba counts references of arrays wherever it cannot prove that it need not: 6 times a row, which takes
as long as counting the pixels of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Pixels that ``pack_pixels`` copies at once: one register of 512 bits, two of 256, four of 128.
PIXELS = 16
# Pixels of planes that are handled at once.
LANES = 32
# Samples of chroma that are doubled at once.
CHROMA = 32
_BYTE, _WORD, _INT = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_PACKED = ir.VectorType(_BYTE, 4 * PIXELS)
_FIRST_THREE = ir.Constant(ir.VectorType(_INT, 3 * PIXELS), [4 * (i // 3) + i % 3 for i in range(3 * PIXELS)])
_NUMBERS = ir.Constant(ir.VectorType(_WORD, CHROMA), list(range(CHROMA)))


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of a C-contiguous, one-dimensional array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _load(builder: Any, place: Any, lanes: int) -> Any:
    """The bytes from a place, or an address, on."""
    vector = ir.VectorType(_BYTE, lanes).as_pointer()
    is_address = isinstance(place.type, ir.IntType)
    return builder.load((builder.inttoptr if is_address else builder.bitcast)(place, vector), align=1)


def _store(builder: Any, vector: Any, place: Any) -> None:
    is_address = isinstance(place.type, ir.IntType)
    builder.store(
        vector, (builder.inttoptr if is_address else builder.bitcast)(place, vector.type.as_pointer()), align=1
    )


def _all(element: Any, lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(element, lanes), [value] * lanes)


def _splat(builder: Any, value: Any, element: Any, lanes: int) -> Any:
    """A vector of one integer, which is not known before the kernel runs."""
    vector = ir.VectorType(element, lanes)
    narrow = value if value.type == element else builder.trunc(value, element)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), narrow, _INT(0))
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), _all(_INT, lanes, 0))


@intrinsic
def pack_pixels(typing_context: Any, source: Any, start: Any, target: Any, to: Any) -> Any:
    """Copy R, G, B of PIXELS pixels of ``source``, uint32 (n,), from ``start`` on, to ``target``, uint8 (m,), from
    ``to`` on: by one shuffle, where a loop over bytes takes twice as long."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels, rgb = (_place(context, builder, signature.args[i], *arguments[i : i + 2]) for i in (0, 2))
        packed = _load(builder, pixels, 4 * PIXELS)
        _store(builder, builder.shuffle_vector(packed, ir.Constant(_PACKED, ir.Undefined), _FIRST_THREE), rgb)
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


@intrinsic
def upsample(
    typing_context: Any, current: Any, near: Any, first: Any, last: Any, even: Any, odd: Any, target: Any
) -> Any:
    """Twice as many of CHROMA samples of a row of chroma, at ``target``: three parts of the nearer and one of the
    farther sample, across and down.

    ``current`` is the address of the row's samples, ``near`` of that above or below which is nearer, the same one where
    rows are not doubled; ``first`` and ``last`` are the samples, counted from there, that have none to their left or
    right (any other number where they are elsewhere). ``even`` and ``odd`` are added to sixteenths of either sample
    before they are cut off.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, three = ir.VectorType(_WORD, CHROMA), _all(_WORD, CHROMA, 3)

        def down(shift: int) -> Any:
            rows = []
            for address in arguments[:2]:
                samples = _load(builder, builder.add(address, ir.Constant(address.type, shift)), CHROMA)
                rows.append(builder.zext(samples, word))
            return builder.add(builder.mul(rows[0], three), rows[1])

        own, both = down(0), []
        for shift, outermost, rounding in ((-1, arguments[2], arguments[4]), (1, arguments[3], arguments[5])):
            alone = builder.icmp_unsigned("==", _NUMBERS, _splat(builder, outermost, _WORD, CHROMA))
            farther = builder.select(alone, own, down(shift))
            total = builder.add(builder.mul(own, three), farther)
            total = builder.add(total, _splat(builder, rounding, _WORD, CHROMA))
            both.append(builder.lshr(total, _all(_WORD, CHROMA, 4)))
        pairs = builder.or_(both[0], builder.shl(both[1], _all(_WORD, CHROMA, 8)))
        _store(builder, pairs, arguments[6])
        return context.get_dummy_value()

    return types.void(current, near, first, last, even, odd, target), generate


@intrinsic
def at_least(typing_context: Any, samples: Any, level: Any) -> Any:
    """Which of LANES bytes at the address ``samples`` are ``level`` (0..255) or more: uint32, a bit for each, the
    lowest for the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        level = _splat(builder, arguments[1], _BYTE, LANES)
        return builder.bitcast(builder.icmp_unsigned(">=", _load(builder, arguments[0], LANES), level), _INT)

    return types.uint32(samples, level), generate


@intrinsic
def count_surely(typing_context: Any, samples: Any, maybe: Any, surely: Any, counts: Any) -> Any:
    """Add 1 to those of LANES bytes at the address ``counts`` whose byte at ``samples`` is ``surely`` (1..256) or more;
    which of the others are ``maybe`` (0..255) or more: uint32, a bit for each, the lowest for the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        samples = _load(builder, arguments[0], LANES)
        least = builder.icmp_unsigned(">=", samples, _splat(builder, arguments[1], _BYTE, LANES))
        # Compared as "greater than one less", because 256 fits no byte.
        less = builder.sub(arguments[2], ir.Constant(arguments[2].type, 1))
        found = builder.icmp_unsigned(">", samples, _splat(builder, less, _BYTE, LANES))
        _add_found(builder, found, arguments[3])
        return builder.bitcast(builder.and_(least, builder.not_(found)), _INT)

    return types.uint32(samples, maybe, surely, counts), generate


def _add_found(builder: Any, found: Any, counts: Any) -> None:
    ones = builder.zext(found, ir.VectorType(_BYTE, LANES))
    _store(builder, builder.add(_load(builder, counts, LANES), ones), counts)


def _of_ycbcr(builder: Any, luma: Any, cb: Any, cr: Any) -> tuple[Any, Any, Any]:
    """R, G, B of Y, Cb, Cr, words of 0..255, equal to libjpeg's to the bit (jdcolor.c).

    libjpeg's factors are in 1/65536 and its sums are rounded. Here their whole parts are added by themselves, so that
    all fits into words: ``(c · x + 2^15) >> 16`` is ``((2 · c · x >> 16) + 1) >> 1``.
    """

    def words(value: int) -> Any:
        return _all(_WORD, LANES, value)

    def high(plane: Any, factor: int) -> Any:  # (factor · plane) >> 16: one instruction
        wide = builder.sext(plane, ir.VectorType(_INT, LANES))
        product = builder.ashr(builder.mul(wide, _all(_INT, LANES, factor)), _all(_INT, LANES, 16))
        return builder.trunc(product, plane.type)

    def rounded(plane: Any, factor: int) -> Any:
        return builder.ashr(builder.add(high(builder.add(plane, plane), factor), words(1)), words(1))

    def half_of_low(plane: Any, factor: int) -> Any:  # of the lower word of factor · plane, which is even
        return builder.lshr(builder.mul(plane, words(factor)), words(1))

    cb, cr = (builder.sub(plane, words(128)) for plane in (cb, cr))
    of_cb, of_cr = -22554, 65536 - 46802
    # How often the lower words of both products, and a half, make a whole: 0, 1 or 2.
    low = builder.lshr(builder.add(half_of_low(cb, of_cb), half_of_low(cr, of_cr)), words(1))
    carry = builder.lshr(builder.add(low, words(2**13)), words(14))
    added = builder.add(builder.add(high(cb, of_cb), high(cr, of_cr)), carry)
    red = builder.add(builder.add(luma, cr), rounded(cr, 91881 - 65536))
    green = builder.add(builder.sub(luma, cr), added)
    blue = builder.add(builder.add(luma, builder.add(cb, cb)), rounded(cb, 116130 - 131072))
    return _clamped(builder, red), _clamped(builder, green), _clamped(builder, blue)


def _clamped(builder: Any, words: Any) -> Any:
    for comparison, bound in ((">", 0), ("<", 255)):
        limit = _all(_WORD, LANES, bound)
        words = builder.select(builder.icmp_signed(comparison, words, limit), words, limit)
    return words


def _as_they_are(builder: Any, red: Any, green: Any, blue: Any) -> tuple[Any, Any, Any]:
    return red, green, blue


def _words(builder: Any, addresses: Sequence[Any]) -> list[Any]:
    """LANES bytes at each address, as words."""
    return [builder.zext(_load(builder, address, LANES), ir.VectorType(_WORD, LANES)) for address in addresses]


def _joined(builder: Any, red: Any, green: Any, blue: Any, n: int) -> Any:
    """``n`` bytes a pixel of three vectors of words; the fourth is 0. By words first: to interleave three vectors of
    bytes takes twice as long."""
    first = builder.or_(red, builder.shl(green, _all(_WORD, LANES, 8)))
    order = [i // 2 + LANES * (i % 2) for i in range(2 * LANES)]
    pairs = builder.shuffle_vector(first, blue, ir.Constant(ir.VectorType(_INT, 2 * LANES), order))
    pixels = builder.bitcast(pairs, ir.VectorType(_BYTE, 4 * LANES))
    kept = [4 * (i // n) + i % n for i in range(n * LANES)]
    undefined = ir.Constant(pixels.type, ir.Undefined)
    return builder.shuffle_vector(pixels, undefined, ir.Constant(ir.VectorType(_INT, n * LANES), kept))


def _interleaving(to_rgb: Callable[..., tuple[Any, Any, Any]], channels: int) -> Any:
    @intrinsic
    def interleave(typing_context: Any, a: Any, b: Any, c: Any, target: Any) -> Any:
        """Make pixels of LANES samples of three planes, given as addresses, at the address ``target``."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rgb = to_rgb(builder, *_words(builder, arguments[:3]))
            _store(builder, _joined(builder, *rgb, channels), arguments[3])
            return context.get_dummy_value()

        return types.void(a, b, c, target), generate

    return interleave


def _light_counting(to_rgb: Callable[..., tuple[Any, Any, Any]]) -> Any:
    @intrinsic
    def count_light(typing_context: Any, a: Any, b: Any, c: Any, limit: Any, asked: Any, counts: Any) -> Any:
        """Add 1 to those of LANES bytes at the address ``counts`` whose bit of ``asked``, uint32, is set and whose
        pixel, given as the addresses of three planes, has ``19595 R + 38470 G + 7471 B >= limit``."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *addresses, limit, asked, counts = arguments
            rgb = to_rgb(builder, *_words(builder, addresses))
            gray = _all(_INT, LANES, 0)
            for channel, weight in zip(rgb, (19595, 38470, 7471), strict=True):
                wide = builder.zext(channel, ir.VectorType(_INT, LANES))
                gray = builder.add(gray, builder.mul(wide, _all(_INT, LANES, weight)))
            found = builder.icmp_signed(">=", gray, _splat(builder, limit, _INT, LANES))
            mask = builder.bitcast(asked if asked.type == _INT else builder.trunc(asked, _INT), found.type)
            _add_found(builder, builder.and_(found, mask), counts)
            return context.get_dummy_value()

        return types.void(a, b, c, limit, asked, counts), generate

    return count_light


# R, G, B in 3 bytes each, and in 4.
interleave_rgb, interleave_ycbcr = _interleaving(_as_they_are, 3), _interleaving(_of_ycbcr, 3)
interleave_rgb_packed, interleave_ycbcr_packed = _interleaving(_as_they_are, 4), _interleaving(_of_ycbcr, 4)
count_light_rgb, count_light_ycbcr = _light_counting(_as_they_are), _light_counting(_of_ycbcr)


@intrinsic
def copy_bytes(typing_context: Any, source: Any, target: Any, n: Any) -> Any:
    """Copy ``n`` bytes from the address ``source`` to the address ``target``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = [builder.inttoptr(address, _BYTE.as_pointer()) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, places[1], places[0], arguments[2], 1)
        return context.get_dummy_value()

    return types.void(source, target, n), generate
