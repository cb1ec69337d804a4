"""Slow, obvious twins of the fast functions: plain Python, one thing at a time, exact numbers where there are any."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import statistics
import struct
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.stats import t as student

# --- tiling ------------------------------------------------------------------------------------------------------


def gray(red: int, green: int, blue: int) -> int:
    """Luma of ITU-R 601-2 in whole numbers."""
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


def half_up(value: Fraction) -> int:
    """Nearest whole number, halves upwards."""
    return math.floor(value + Fraction(1, 2))


def background_px(pixels: NDArray[np.uint8], white: int) -> int:
    """Background pixels of uint8 (h, w, 3 or 4), one pixel at a time."""
    return sum(gray(*pixel[:3]) >= white for row in pixels.tolist() for pixel in row)


def gray_of_series(values: list[list[float]], low: float, high: float) -> list[list[int]]:
    """The slices of a series, each a list of pixels, from black to white between two percentiles of what is not
    zero."""
    order = sorted(Fraction(value) for one in values for value in one if value != 0)
    black, white = (order[half_up(Fraction(str(q)) / 100 * (len(order) - 1))] for q in (low, high))

    def gray_level(value: Fraction) -> int:
        if black == white:
            return 255 if value >= black and value != 0 else 0
        return half_up(255 * min(max((value - black) / (white - black), Fraction(0)), Fraction(1)))

    return [[gray_level(Fraction(value)) for value in one] for one in values]


def jpeg_rgb(luma: int, cb: int, cr: int) -> tuple[int, int, int]:
    """A pixel of libjpeg (jdcolor.c): JFIF's matrix with factors in 1/65536, halves rounded up, cut off at 0 and
    255."""
    cb, cr = cb - 128, cr - 128
    red = luma + (91881 * cr + 32768 >> 16)
    green = luma + (-22554 * cb - 46802 * cr + 32768 >> 16)
    blue = luma + (116130 * cb + 32768 >> 16)
    return min(255, max(0, red)), min(255, max(0, green)), min(255, max(0, blue))


def jpeg2000_rgb(luma: int, cb: int, cr: int) -> tuple[int, int, int]:
    """As OpenSlide turns YCbCr of JPEG 2000 into RGB: what chroma adds to red and to blue is rounded to the nearest;
    green's two parts are kept in 1/65536, and half of one is added before the sum is rounded down."""
    cb, cr = cb - 128, cr - 128
    green = half_up(Fraction("-0.34414") * cb * 65536 + 32768) + half_up(Fraction("-0.71414") * cr * 65536)
    added = half_up(Fraction("1.402") * cr), green // 65536, half_up(Fraction("1.772") * cb)
    red, green, blue = (min(255, max(0, luma + one)) for one in added)
    return red, green, blue


def fancy_upsampled(plane: NDArray[np.uint8], *, also_down: bool) -> NDArray[np.uint8]:
    """Chroma twice as wide, and as high where ``also_down``, as libjpeg has it (jdsample.c, "fancy"): of each sample
    three parts of the nearest and one of the next nearest, in each direction; the outermost is its own neighbour."""
    height, width = plane.shape
    doubled = np.empty((height * (2 if also_down else 1), 2 * width), dtype=np.uint8)
    for y, x in np.ndindex(doubled.shape):
        across, right = x // 2, x % 2
        beside = min(max(across + (1 if right else -1), 0), width - 1)
        down = y // 2 if also_down else y
        below = min(max(down + (1 if y % 2 else -1), 0), height - 1) if also_down else down
        near = 3 * int(plane[down, across]) + int(plane[below, across])
        far = 3 * int(plane[down, beside]) + int(plane[below, beside])
        half = (7 if right else 8) if also_down else (8 if right else 4)
        doubled[y, x] = (3 * near + far + half) // 16
    return doubled


def on_white(colour: int, alpha: int) -> int:
    """A channel with straight alpha, 0..255 each, on white."""
    opacity = Fraction(alpha, 255)
    return half_up(colour * opacity + 255 * (1 - opacity))


def composited(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel of uint8 (h, w, 4) on white."""
    rows = [[[on_white(c, pixel[3]) for c in pixel[:3]] + [255] for pixel in row] for row in rgba.tolist()]
    return np.array(rows, dtype=np.uint8)


def averaged(square: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """A square, uint8 (side, side, channels), as px x px pixels: the mean over the area of each, in exact fractions."""
    return averaged_rectangle(square, px, px)


def averaged_rectangle(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The same of pixels, uint8 (h, w, channels), as height x width."""
    area = Fraction(pixels.shape[0], height) * Fraction(pixels.shape[1], width)
    result = np.zeros((height, width, pixels.shape[2]), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            totals = [Fraction(0)] * pixels.shape[2]
            for source_y, high in _covered(y, pixels.shape[0], height):
                for source_x, wide in _covered(x, pixels.shape[1], width):
                    values = pixels[source_y, source_x].tolist()
                    totals = [total + high * wide * value for total, value in zip(totals, values, strict=True)]
            result[y, x] = [half_up(total / area) for total in totals]
    return result


def _covered(target: int, side: int, px: int) -> list[tuple[int, Fraction]]:
    """The source pixels that a target pixel covers, and how much of each."""
    start, stop = target * Fraction(side, px), (target + 1) * Fraction(side, px)
    sources = range(math.floor(start), math.ceil(stop))
    return [(source, min(stop, Fraction(source + 1)) - max(start, Fraction(source))) for source in sources]


def cut(
    plane: NDArray[np.uint8], side: int, tile_px: int, white: int, most_background: int, unreadable: NDArray[np.bool_]
) -> tuple[list[str], list[NDArray[np.uint8]], list[int]]:
    """Every whole square of a plane, uint8 (h, w, 3), row by row: what it is, the pixels of the kept ones, and the
    background pixels of each. ``unreadable`` bool (h, w): pixels that are not known. They are black, the darkest that
    they could be, and a square that is background even so is that."""
    known = np.where(unreadable[..., None], 0, plane).astype(np.uint8)
    states, kept, counts = [], [], []
    for top in range(0, plane.shape[0] - side + 1, side):
        for left in range(0, plane.shape[1] - side + 1, side):
            place = np.s_[top : top + side, left : left + side]
            tile = averaged(known[place], tile_px)
            counts.append(background_px(tile, white))
            if counts[-1] > most_background:
                states.append("background")
            elif unreadable[place].any():
                states.append("unreadable")
            else:
                states.append("kept")
                kept.append(tile)
    return states, kept, counts


# --- geometry ----------------------------------------------------------------------------------------------------


def level_and_scale(downsamples: list[float], scale: float) -> tuple[int, float]:
    """Every candidate, level by level from the coarsest; where none is near, the coarsest level that is fine enough."""
    order = sorted(range(len(downsamples)), key=lambda level: downsamples[level], reverse=True)
    for level in order:
        for factor in (1, 2, 4, 8):
            if scale * 0.98 <= downsamples[level] * factor <= scale * 1.02:
                return level, downsamples[level] * factor
    for level in order:
        if downsamples[level] <= scale:
            return level, scale
    return 0, downsamples[0]


def corners(start_l0: int, length_l0: int, size_level: int, downsample: float, side: int) -> list[int]:
    """Where tiles begin along one axis of a level: pixel by pixel to the first one inside, then tile by tile."""
    x = 0
    while x * downsample < start_l0:  # a level begins at 0, wherever the bounds begin
        x += 1
    found = []
    while (x + side) * downsample <= start_l0 + length_l0 and x + side <= size_level:
        found.append(x)
        x += side
    return found


# --- shares ------------------------------------------------------------------------------------------------------


def shares(costs: dict[str, int], count: int) -> list[list[str]]:
    """Names by share: each, costliest first, to the share with the smallest load, then the fewest, then the first."""
    parts: list[list[str]] = [[] for _ in range(count)]
    for name in sorted(costs, key=lambda name: (-costs[name], name)):
        loads = [(sum(costs[one] for one in part), len(part), index) for index, part in enumerate(parts)]
        parts[min(loads)[2]].append(name)
    return parts


# --- cohorts and analysis ----------------------------------------------------------------------------------------


def hypoxia_label(scores, rule):
    """patient_id -> (label, score), with the standard library, row by row."""
    rows = [
        (row.patient_id, row.Buffa_hypoxia_score_pan_cancer, row.Buffa_hypoxia_score_intra_tumour_type, row.tumour_type)
        for row in scores.itertuples()
    ]
    ids = {row[0] for row in rows}
    base = [row for row in rows if not (row[0][-2] == "." and row[0][-1].isdigit() and row[0][:-2] in ids)]
    everyone = statistics.median(row[1] for row in rows)
    displacements = {}
    for patient, pan, intra, tumour_type in base:
        of_type = statistics.median(row[1] for row in base if row[3] == tumour_type)
        displacement = {"type-median": pan - of_type, "pan-median": pan - everyone, "intra": intra}[rule]
        displacements[patient.replace(".", "-")[:12]] = (displacement, tumour_type)
    largest = defaultdict(float)
    for displacement, tumour_type in displacements.values():
        largest[tumour_type] = max(largest[tumour_type], abs(displacement))
    return {p: (int(d > 0), d / largest[t] if largest[t] else 0.0) for p, (d, t) in displacements.items()}


def pooled(tiles, level, statistic=statistics.fmean):
    """id -> (a statistic of the probabilities, by default their mean, number of tiles), with exact sums."""
    by_id = defaultdict(list)
    for row in tiles.itertuples():
        by_id[getattr(row, f"{level}_id")].append(row.probability)
    return {name: (statistic(values), len(values)) for name, values in by_id.items()}


def top_mean(values, k):
    """Mean of the k largest."""
    return statistics.fmean(sorted(values, reverse=True)[:k])


def share_above(values, threshold):
    """The share of values above a threshold."""
    return sum(value > threshold for value in values) / len(values)


def metric_values(labels, probabilities, threshold):
    """scikit-learn's metrics of these rows; roc_auc NaN with one class."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    called = (probabilities > threshold).astype(int)
    f1_0, f1_1 = f1_score(labels, called, labels=[0, 1], average=None, zero_division=0)
    return {
        "accuracy": accuracy_score(labels, called),
        "f1_0": f1_0,
        "f1_1": f1_1,
        "f1_micro": f1_score(labels, called, labels=[0, 1], average="micro", zero_division=0),
        "f1_macro": f1_score(labels, called, labels=[0, 1], average="macro", zero_division=0),
        "roc_auc": roc_auc_score(labels, probabilities) if len(set(labels)) == 2 else math.nan,
    }


def binary_metrics(labels, probabilities, patient_ids, *, threshold, bootstrap, confidence, seed):
    """metric -> (value, low, high): the drawn patients' rows are put one after another and measured."""
    names = sorted(set(patient_ids))
    rows_of = [np.flatnonzero(np.asarray(patient_ids) == name) for name in names]
    generator = np.random.Generator(np.random.PCG64(seed))
    resampled = []
    for _ in range(bootstrap):
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(names), size=len(names))])
        resampled.append(metric_values(labels[rows], probabilities[rows], threshold))
    result = {}
    for name, value in metric_values(labels, probabilities, threshold).items():
        defined = [each[name] for each in resampled if not math.isnan(each[name])]
        tail = 100 * (1 - confidence) / 2
        result[name] = (value, np.percentile(defined, tail), np.percentile(defined, 100 - tail))
    return result


def area(labels, probabilities):
    """Of all pairs of a row of class 1 and one of class 0, the share in which the former ranks higher; a tie is half
    a pair. NaN with one class."""
    ones, zeros = ([p for p, label in zip(probabilities, labels, strict=True) if label == one] for one in (1, 0))
    wins = np.sign(np.subtract.outer(np.array(ones), np.array(zeros)))
    return (wins + 1).mean() / 2 if wins.size else math.nan


def area_interval(rows, *, bootstrap, confidence, seed):
    """(area, low, high) of rows (patient_id, label, probability); whole patients are drawn, by their sorted ids."""
    of_patient = defaultdict(list)
    for patient_id, label, probability in rows:
        of_patient[patient_id].append((label, probability))
    names, areas = sorted(of_patient), []
    generator = np.random.Generator(np.random.PCG64(seed))
    for _ in range(bootstrap):
        drawn = [row for i in generator.integers(0, len(names), size=len(names)) for row in of_patient[names[i]]]
        areas.append(area(*zip(*drawn, strict=True)))
    defined = [found for found in areas if not math.isnan(found)]
    tail = 100 * (1 - confidence) / 2
    whole = area(*zip(*((label, probability) for _, label, probability in rows), strict=True))
    return whole, np.percentile(defined, tail), np.percentile(defined, 100 - tail)


def type_share(tumour_type, patients, in_training):
    """Share of label 1 among the training patients of a tumour type, as if it had five patients more with the share of
    all. ``patients``: id -> (label or None, tumour type)."""
    known = [patients[name] for name in in_training if patients[name][0] is not None]
    of_type = [label for label, kind in known if kind == tumour_type]
    return (sum(of_type) + 5 * sum(label for label, _ in known) / len(known)) / (len(of_type) + 5)


# --- reports ---------------------------------------------------------------------------------------------------------


def covered_pixels(
    height: int, width: int, size_l0: tuple[int, int], xy_l0: list[tuple[int, int]], side_l0: float
) -> NDArray[np.bool_]:
    """True where a thumbnail's pixel belongs to a tile: one pixel and one tile at a time."""
    covered = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            for x, y in xy_l0:
                left = math.floor(x * width / size_l0[0] + 0.5)
                right = max(left + 1, math.floor((x + side_l0) * width / size_l0[0] + 0.5))
                top = math.floor(y * height / size_l0[1] + 0.5)
                bottom = max(top + 1, math.floor((y + side_l0) * height / size_l0[1] + 0.5))
                covered[row, column] |= left <= column < right and top <= row < bottom
    return covered


# --- stores ----------------------------------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit (RFC 3720: reflected polynomial 0x82F63B78)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def shard(chunks: list[bytes]) -> bytes:
    """A Zarr v3 shard with its index at the end, all in memory."""
    body = b""
    index = b""
    for chunk in chunks:
        encoded = chunk + struct.pack("<I", crc32c(chunk))
        index += struct.pack("<QQ", len(body), len(encoded))
        body += encoded
    return body + index + struct.pack("<I", crc32c(index))


def content(store: Path) -> str:
    """What ``sha256sum`` prints for the sorted array files, hashed once more."""
    lines = []
    for path in store.rglob("*"):
        if path.is_file() and path != store / "zarr.json":
            name = path.relative_to(store).as_posix()
            lines.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode()).hexdigest()


# --- masks -----------------------------------------------------------------------------------------------------------


def otsu(values: list[int]) -> int:
    """The value after which to cut so that the variance between both parts is largest, in exact fractions."""
    best, cut_after = Fraction(0), 0
    for cut_value in range(255):
        low, high = [v for v in values if v <= cut_value], [v for v in values if v > cut_value]
        if low and high:
            apart = Fraction(sum(high), len(high)) - Fraction(sum(low), len(low))
            variance = Fraction(len(low) * len(high), len(values) ** 2) * apart**2
            if variance > best:
                best, cut_after = variance, cut_value
    return cut_after


def flooded(heights: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Watershed from pixels labelled 1 and 2 over those labelled 0: a heap of (height, turn)."""
    result = labels.copy()
    heap = [(0, turn, y, x) for turn, (y, x) in enumerate(np.argwhere((labels == 1) | (labels == 2)).tolist())]
    turn = len(heap)
    while heap:
        level, _, y, x = heapq.heappop(heap)
        for v, u in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
            if 0 <= v < len(result) and 0 <= u < len(result[0]) and result[v, u] == 0:
                result[v, u] = result[y, x]
                heapq.heappush(heap, (max(level, int(heights[v, u])), turn, v, u))
                turn += 1
    return result


def mask_share(mask: NDArray[np.bool_], l0_per_mask_px: float, corner: tuple[int, int], side_l0: float) -> Fraction:
    """The share of a square that the mask covers, pixel by pixel; the last row and column are there twice."""
    unit, side = Fraction(l0_per_mask_px), Fraction(side_l0)
    height, width = mask.shape
    covered = Fraction(0)
    for row in range(height + 1):
        for column in range(width + 1):
            if mask[min(row, height - 1), min(column, width - 1)]:
                across, down = (
                    max(Fraction(0), min((place + 1) * unit, start + side) - max(place * unit, Fraction(start)))
                    for place, start in zip((column, row), corner, strict=True)
                )
                covered += across * down
    return covered / side**2


# --- regions ---------------------------------------------------------------------------------------------------------


def inside(x: float, y: float, rings: list[list[list[float]]]) -> bool:
    """Whether a point lies in a polygon with holes: a ray to the right crosses its rings an odd number of times."""
    crossed = 0
    for ring in rings:
        for (x0, y0), (x1, y1) in itertools.pairwise(ring):
            crossed += (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return crossed % 2 == 1


def region_share(polygons: list[list[list[list[float]]]], corner: tuple[int, int], side: float, n: int) -> float:
    """The share of n x n points, evenly spread over a square, that lie in any polygon."""
    offsets = [(k + 0.5) * side / n for k in range(n)]
    points = [(corner[0] + dx, corner[1] + dy) for dx in offsets for dy in offsets]
    return sum(any(inside(x, y, rings) for rings in polygons) for x, y in points) / n**2


def crossings(segments: list[tuple[int, int, int, int]]) -> int:
    """Pairs of segments that cross within both, or that share a stretch."""
    return sum(_meet(one, other) for i, one in enumerate(segments) for other in segments[i + 1 :])


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    (ax, ay, bx, by), (cx, cy, dx, dy) = one, other
    across = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
    if across:  # where along each the lines meet, in exact fractions
        along = Fraction((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx), across)
        along_other = Fraction((cx - ax) * (by - ay) - (cy - ay) * (bx - ax), across)
        return 0 < along < 1 and 0 < along_other < 1
    if (bx - ax) * (cy - ay) != (by - ay) * (cx - ax) or one[:2] == one[2:] or other[:2] == other[2:]:
        return False  # parallel, or a point
    (a, b), (c, d) = sorted([(ax, ay), (bx, by)]), sorted([(cx, cy), (dx, dy)])
    return max(a, c) < min(b, d)


# --- augmentation of tiles -----------------------------------------------------------------------------------------


def turned(tile: NDArray[np.float32], symmetry: NDArray[np.float32]) -> NDArray[np.float32]:
    """One tile (px, px, 3), mirrored across, mirrored down, transposed as the three numbers say."""
    across, down, transposed = symmetry.tolist()
    side = len(tile)
    result = np.empty_like(tile)
    for y in range(side):
        for x in range(side):
            from_y, from_x = (x, y) if transposed else (y, x)
            from_y = side - 1 - from_y if down else from_y
            result[y, x] = tile[from_y, side - 1 - from_x if across else from_x]
    return result


def restained(tile: NDArray[np.float32], stain: NDArray[np.float32]) -> NDArray[np.float64]:
    """Absorbance of one tile taken apart into haematoxylin, eosin and a rest, the first two changed, put together."""
    haematoxylin, eosin = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])
    stains = np.array([haematoxylin, eosin, np.cross(haematoxylin, eosin)])
    result = np.empty(tile.shape)
    for place in np.ndindex(*tile.shape[:2]):
        absorbance = -np.log10(np.maximum(tile[place], 1) / 255)
        concentrations = np.linalg.solve(stains.T, absorbance)
        concentrations[:2] = concentrations[:2] * stain[0] + stain[1]
        result[place] = np.minimum(255 * 10 ** -(concentrations @ stains), 255)
    return result


def recoloured(tile: NDArray[np.uint8], colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation of one tile by Pillow, rounded after each."""
    image = Image.fromarray(tile)
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind, factor in zip(kinds, colour.tolist(), strict=True):
        image = kind(image).enhance(factor)
    return np.asarray(image)


def cut_out(tile: NDArray[np.float32], square: NDArray[np.float32]) -> NDArray[np.float32]:
    """One tile (px, px, 3): what lies between top, left, bottom and right, shares of its side, in its mean colour."""
    side, mean = len(tile), tile.mean(axis=(0, 1), dtype=np.float64)
    top, left, bottom, right = square.tolist()
    result = tile.copy()
    for y in range(side):
        for x in range(side):
            if top <= (y + 0.5) / side < bottom and left <= (x + 0.5) / side < right:
                result[y, x] = mean
    return result


# --- attention ---------------------------------------------------------------------------------------------------


def gated_attention(arrays, bag):
    """(probability of the bag, weight of each tile, probability of each tile) of feature vectors (n, d): Ilse et al.
    2018, equations 8 and 9, tile by tile."""
    terms, scores = [], []
    for tile in bag:
        standard = [(x - m) / s for x, m, s in zip(tile, arrays["mean"], arrays["scale"], strict=True)]
        embedded = [max(0.0, x) for x in _dense(arrays, "embedding", standard)]
        tanh = [math.tanh(x) for x in _dense(arrays, "gate_tanh", embedded)]
        sigmoid = [1 / (1 + math.exp(-x)) for x in _dense(arrays, "gate_sigmoid", embedded)]
        gated = [t * s for t, s in zip(tanh, sigmoid, strict=True)]
        terms.append(math.exp(_dense(arrays, "attention", gated)[0]))
        scores.append(_dense(arrays, "score", embedded)[0])
    weights = [term / math.fsum(terms) for term in terms]
    logit = math.fsum(w * s for w, s in zip(weights, scores, strict=True))
    return 1 / (1 + math.exp(-logit)), weights, [1 / (1 + math.exp(-score)) for score in scores]


def _dense(arrays, name, values):
    kernel = arrays[f"{name}.kernel"]
    bias = arrays.get(f"{name}.bias", [0.0] * len(kernel[0]))
    return [
        math.fsum(x * row[unit] for x, row in zip(values, kernel, strict=True)) + bias[unit]
        for unit in range(len(bias))
    ]


def attention_pooled(tiles, level):
    """id -> (probability, number of tiles): softmax of the attention logits, with exact sums."""
    by_id = defaultdict(list)
    for row in tiles.itertuples():
        by_id[getattr(row, f"{level}_id")].append((math.exp(row.attention_logit), row.logit))
    return {
        name: (1 / (1 + math.exp(-math.fsum(w * s for w, s in rows) / math.fsum(w for w, _ in rows))), len(rows))
        for name, rows in by_id.items()
    }


# --- training on rows of stores ----------------------------------------------------------------------------------


def batches_of(plan, stores, labels):
    """Batches of (row, label) as an epoch plan says, row by row from lists of rows by store."""
    batches = []
    for number, stretches in enumerate(plan.windows):
        window = [(stores[s][row], labels[s]) for s, start, stop in stretches.tolist() for row in range(start, stop)]
        used = [window[index] for index in plan.order(number).tolist()]
        batches += [used[i : i + plan.batch_size] for i in range(0, len(used), plan.batch_size)]
    return [batch for batch in batches if len(batch) == plan.batch_size]


def most_and_least_uses(counts, labels, balance):
    """How often each row of a class may be used in an epoch, (least, most) by label."""
    rows = {label: sum(n for n, of in zip(counts, labels, strict=True) if of == label) for label in set(labels)}
    largest = max(rows.values())
    if balance != "sample":
        return dict.fromkeys(rows, (1, 1))
    return {label: (largest // n, -(-largest // n)) for label, n in rows.items()}


def mean_and_deviation(column):
    """Mean and population standard deviation of numbers, in exact fractions until the root."""
    exact = [Fraction(float(value)) for value in column]
    mean = sum(exact) / len(exact)
    return float(mean), math.sqrt(sum((value - mean) ** 2 for value in exact) / len(exact))


def dense_probability(weights, epsilon, activation, vector):
    """Probability of class 1 that a dense head in use gives a standardised vector; ``weights`` by layer: kernel, bias,
    then gamma, beta, mean and variance of BatchNormalization; the last two are those of the top."""
    *hidden, kernel, bias = weights
    for k, b, gamma, beta, mean, variance in zip(*[iter(hidden)] * 6, strict=True):
        vector = [
            activation(g * (math.fsum([*(x * row[u] for x, row in zip(vector, k, strict=True)), b[u]]) - m)
                       / math.sqrt(v + epsilon) + t)
            for u, (g, t, m, v) in enumerate(zip(gamma, beta, mean, variance, strict=True))
        ]  # fmt: skip
    logits = [
        math.fsum([*(x * row[u] for x, row in zip(vector, kernel, strict=True)), bias[u]]) for u in range(len(bias))
    ]
    odds = logits[0] if len(logits) == 1 else logits[1] - logits[0]
    return 1 / (1 + math.exp(-odds))


def late_fusion(tiles):
    """Probability of each patient: the mean over a series' tiles, and of these the mean of the logits; ``tiles`` are
    (patient, series, probability)."""
    found = {}
    for patient, series, probability in tiles:
        found.setdefault(patient, {}).setdefault(series, []).append(probability)
    fused = {}
    for patient, by_series in found.items():
        means = [math.fsum(values) / len(values) for values in by_series.values()]
        logit = math.fsum(math.log(mean / (1 - mean)) for mean in means) / len(means)
        fused[patient] = 1 / (1 + math.exp(-logit))
    return fused


def logistic_loss(rows, labels, coefficients, intercept, c):
    """Mean of the log loss, each class weighing half, and the penalty: |w|² / (2 c n)."""
    terms = []
    for row, label in zip(rows, labels, strict=True):
        logit = math.fsum(w * x for w, x in zip(coefficients, row, strict=True)) + intercept
        weight = len(labels) / (2 * list(labels).count(label))
        terms.append(weight * math.log1p(math.exp(-logit if label else logit)))
    return (math.fsum(terms) + math.fsum(w * w for w in coefficients) / (2 * c)) / len(labels)


# --- intervals, tests, calibration -------------------------------------------------------------------------------


def bca_interval(statistic, units_of_class, *, bootstrap, confidence, seed):
    """(value, low, high) of ``statistic`` of a list of units: Efron's BCa, draw by draw. ``units_of_class``: unit ->
    set of its classes; a draw that lacks a class is drawn again. NaN where all draws agree."""
    normal, names = statistics.NormalDist(), sorted(units_of_class)
    wanted = set().union(*units_of_class.values())
    generator, drawn = np.random.Generator(np.random.PCG64(seed)), []
    while len(drawn) < bootstrap:
        taken = [names[i] for i in generator.integers(0, len(names), size=len(names))]
        if set().union(*(units_of_class[name] for name in taken)) == wanted:
            drawn.append(statistic(taken))
    value = statistic(names)
    drawn = [each for each in drawn if not math.isnan(each)]
    if not drawn or min(drawn) == max(drawn):
        return value, math.nan, math.nan
    below = (sum(each < value for each in drawn) + sum(each == value for each in drawn) / 2) / len(drawn)
    bias = normal.inv_cdf(min(max(below, 0.5 / len(drawn)), 1 - 0.5 / len(drawn)))
    without = [statistic([other for other in names if other != name]) for name in names]
    without = [each for each in without if not math.isnan(each)]
    away = [math.fsum(without) / len(without) - each for each in without]
    spread = math.fsum(each**2 for each in away) ** 1.5
    acceleration = math.fsum(each**3 for each in away) / (6 * spread) if spread else 0.0
    bounds = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + normal.inv_cdf(tail)
        bounds.append(np.percentile(drawn, 100 * normal.cdf(bias + shifted / (1 - acceleration * shifted))))
    return value, *bounds


def auc_p(labels, scores):
    """Two-sided p of an area: every way to give the labels to the patients, twice the smaller tail. Exact fractions."""
    ones = [i for i, label in enumerate(labels) if label == 1]

    def twice_pairs(chosen):
        rest = [scores[i] for i in range(len(scores)) if i not in chosen]
        return sum(2 * (scores[i] > other) + (scores[i] == other) for i in chosen for other in rest)

    found = twice_pairs(set(ones))
    everyone = [twice_pairs(set(chosen)) for chosen in itertools.combinations(range(len(labels)), len(ones))]
    tails = (sum(each <= found for each in everyone), sum(each >= found for each in everyone))
    return float(min(Fraction(1), 2 * Fraction(min(tails), len(everyone))))


def class_auc_p(labels, scores):
    """Two-sided p of the mean of the areas of each class against the rest, ``scores`` (n, K): every way to give the
    labels to the patients, twice the smaller tail. Exact fractions."""

    def mean_area(given):
        return sum(_area_of(given, [row[number] for row in scores], number) for number in range(len(scores[0])))

    found, everyone = mean_area(labels), [mean_area(given) for given in sorted(set(itertools.permutations(labels)))]
    tails = (sum(each <= found for each in everyone), sum(each >= found for each in everyone))
    return float(min(Fraction(1), 2 * Fraction(min(tails), len(everyone))))


def _area_of(labels, scores, number):
    pairs = [
        (2 * (score > other) + (score == other))
        for label, score in zip(labels, scores, strict=True)
        for rest, other in zip(labels, scores, strict=True)
        if label == number and rest != number
    ]
    return Fraction(sum(pairs), 2 * len(pairs))


def clustered_auc_variance(rows):
    """Obuchowski's 1997 variance of the area of rows (unit, label, score), by her formulas, unit by unit."""
    ones, zeros = ([(u, s) for u, label, s in rows if label == one] for one in (1, 0))
    m, n = len(ones), len(zeros)

    def win(one, zero):
        return 1.0 if one > zero else 0.5 if one == zero else 0.0

    theta = math.fsum(win(s, t) for _, s in ones for _, t in zeros) / (m * n)
    units = sorted({u for u, _, _ in rows})
    x, y = defaultdict(float), defaultdict(float)
    for u, s in ones:
        x[u] += math.fsum(win(s, t) for _, t in zeros) / n - theta
    for u, t in zeros:
        y[u] += math.fsum(win(s, t) for _, s in ones) / m - theta
    i10, i01, i = len({u for u, _ in ones}), len({u for u, _ in zeros}), len(units)
    s10 = i10 / ((i10 - 1) * m) * math.fsum(x[u] ** 2 for u in units)
    s01 = i01 / ((i01 - 1) * n) * math.fsum(y[u] ** 2 for u in units)
    s11 = i / (i - 1) * math.fsum(x[u] * y[u] for u in units)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def uncensored(time, event, t, *, at_t=False):
    """The Kaplan-Meier share not censored before t (with ``at_t``, until t), by its definition."""
    share = Fraction(1)
    for s in sorted({each for each, died in zip(time, event, strict=True) if not died and each < t + at_t / 2}):
        at_risk = sum(each > s or (each == s and not died) for each, died in zip(time, event, strict=True))
        share *= 1 - Fraction(sum(e == s and not d for e, d in zip(time, event, strict=True)), at_risk)
    return float(share)


def area_at(time, event, risk, at):
    """Uno's area at a time, whole numbers all: pair by pair of a patient with the event by then and one still there."""
    won, pairs = [], []
    for i, j in itertools.permutations(range(len(time)), 2):
        if event[i] and time[i] <= at < time[j]:
            pairs.append(1 / uncensored(time, event, time[i]))
            won.append(pairs[-1] * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0))
    return math.fsum(won) / math.fsum(pairs) if pairs else math.nan


def brier_at(time, event, shares, at):
    """Graf's Brier score at a time, whole numbers all: patient by patient."""
    left, total = uncensored(time, event, at, at_t=True), 0.0
    if left == 0:
        return math.nan
    for t, died, share in zip(time, event, shares, strict=True):
        if t > at:
            total += (1 - share) ** 2 / left
        elif died:
            total += share**2 / uncensored(time, event, t)
    return total / len(time)


def concordance(time, event, risk, *, weighted=False, until=math.inf):
    """Harrell's, or (weighted) Uno's concordance, pair by pair."""
    won, pairs = [], []
    for i, j in itertools.permutations(range(len(time)), 2):
        if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])) and time[i] < until:
            weight = uncensored(time, event, time[i]) ** -2 if weighted else 1.0
            pairs.append(weight)
            won.append(weight * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0))
    return math.fsum(won) / math.fsum(pairs) if pairs else math.nan


def group_share(group, train, classes):
    """(k + 5 · prior) / (n + 5) for each class; ``train``: (group, class) of each patient."""
    own = [label for g, label in train if g == group]
    prior = [Fraction(sum(label == c for _, label in train), len(train)) for c in range(classes)]
    return [float((own.count(c) + 5 * prior[c]) / (len(own) + 5)) for c in range(classes)]


def area_within(labels, scores, groups):
    """Pairs of a positive and a negative patient of the same group: the share in which the former ranks higher."""
    wins = [
        1.0 if s > t else 0.5 if s == t else 0.0
        for label, s, g in zip(labels, scores, groups, strict=True)
        for other, t, h in zip(labels, scores, groups, strict=True)
        if label == 1 and other == 0 and g == h
    ]
    return math.fsum(wins) / len(wins) if wins else math.nan


def cox_loss(risks, times, events):
    """Negative log partial likelihood over the number of events, ties by Efron: event by event, term by term."""
    total, n = 0.0, len(risks)
    for moment in sorted({time for time, event in zip(times, events, strict=True) if event}):
        tied = [i for i in range(n) if times[i] == moment and events[i]]
        at_risk = sum(math.exp(risks[i]) for i in range(n) if times[i] >= moment)
        of_tied = sum(math.exp(risks[i]) for i in tied)
        for place, i in enumerate(tied):
            total -= risks[i] - math.log(at_risk - place / len(tied) * of_tied)
    return total / sum(events)


def breslow_loss(risks, times, events):
    """The same, ties by Breslow: all tied events are at risk until the last of them."""
    total, n = 0.0, len(risks)
    for i in range(n):
        if events[i]:
            total -= risks[i] - math.log(sum(math.exp(risks[j]) for j in range(n) if times[j] >= times[i]))
    return total / max(sum(events), 1)


def softmax_loss(rows, labels, coefficients, intercepts, c):
    """Balanced logistic regression on k classes: mean weighted cross-entropy and half the squares over c n."""
    n, k = len(rows), len(intercepts)
    counts = [labels.count(number) for number in range(k)]
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        logits = [
            sum(x * of_feature[number] for x, of_feature in zip(row, coefficients, strict=True)) + intercepts[number]
            for number in range(k)
        ]
        total -= n / (k * counts[label]) * (logits[label] - math.log(sum(math.exp(one) for one in logits)))
    squares = sum(value**2 for of_feature in coefficients for value in of_feature)
    return total / n + squares / (2 * c * n)


# --- patients unlike those of training ---------------------------------------------------------------------------


def distance(x, others):
    """Root of the mean over features of ((x - mean) / deviation)² of the others; no deviation under a tenth of their
    mean."""
    columns = list(zip(*others, strict=True))
    deviations = [statistics.stdev(column) for column in columns]
    scales = [max(one, sum(deviations) / len(deviations) / 10) for one in deviations]
    away = [(value - statistics.fmean(column)) / s for value, column, s in zip(x, columns, scales, strict=True)]
    return math.sqrt(math.fsum(one**2 for one in away) / len(away))


def distance_limit(train, valid):
    """The smallest distance that at least 99 of 100 do not exceed, counted from the smallest one on; of fewer than 100
    the bound of a log-normal distribution for one more."""
    found = [distance(row, train[:number] + train[number + 1 :]) for number, row in enumerate(train)]
    found = sorted([*found, *(distance(row, train) for row in valid)])
    if len(found) >= 100:
        return found[math.ceil(0.99 * (len(found) - 1))]
    logarithms = [math.log(each) for each in found]
    mean, deviation, n = statistics.mean(logarithms), statistics.stdev(logarithms), len(found)
    return math.exp(mean + student.ppf(0.97, n - 1) * deviation * math.sqrt(1 + 1 / n))


# --- views of tiles ------------------------------------------------------------------------------------------------


def reflected(index, n):
    """Beyond its ends a row of n pixels goes on as in a mirror: ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ..."""
    index %= 2 * n
    return index if index < n else 2 * n - 1 - index


def placed(tile, place):
    """Each pixel of the result comes from column a0 x + a1 y + a2 and row b0 x + b1 y + b2, between four pixels."""
    px = len(tile)
    result = np.empty((px, px, 3))
    for y in range(px):
        for x in range(px):
            column = float(place[0]) * x + float(place[1]) * y + float(place[2])
            row = float(place[3]) * x + float(place[4]) * y + float(place[5])
            left, top = math.floor(column), math.floor(row)
            result[y, x] = sum(
                (1 - abs(column - i)) * (1 - abs(row - j)) * tile[reflected(j, px), reflected(i, px)].astype(float)
                for i in (left, left + 1)
                for j in (top, top + 1)
            )
    return result


def hue_turned(tile, angle):
    """Rodrigues' rotation of each pixel's colour about the axis of grays."""
    axis = np.ones(3) / math.sqrt(3)
    result = np.empty(tile.shape)
    for place in np.ndindex(tile.shape[:2]):
        colour = tile[place].astype(float)
        along = axis * (axis @ colour)
        result[place] = (
            colour * math.cos(angle) + np.cross(axis, colour) * math.sin(angle) + along * (1 - math.cos(angle))
        )
    return result


# --- losses of contrastive clustering ------------------------------------------------------------------------------


def cosine(one, other):
    """Of the angle between two vectors."""
    lengths = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(y * y for y in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / lengths


def nt_xent(one, other, temperature):
    """Each vector of both lists looks for its twin in the other list among all vectors but itself."""
    vectors, n = [*one, *other], len(one)
    losses = []
    for number, vector in enumerate(vectors):
        twin = (number + n) % (2 * n)
        found = {
            place: math.exp(cosine(vector, each) / temperature) for place, each in enumerate(vectors) if place != number
        }
        losses.append(-math.log(found[twin] / math.fsum(found.values())))
    return math.fsum(losses) / len(losses)


def missing_entropy(probabilities):
    """log k + sum p log p over the shares p of k clusters."""
    shares = [math.fsum(column) / len(probabilities) for column in zip(*probabilities, strict=True)]
    return math.log(len(shares)) + math.fsum(share * math.log(share) for share in shares if share > 0)


def cluster_contrast(one, other, temperature):
    """Columns of both lists of probabilities look for their twins; an uneven use of the clusters costs on top."""
    columns = [list(zip(*rows, strict=True)) for rows in (one, other)]
    return nt_xent(*columns, temperature) + missing_entropy(one) + missing_entropy(other)


def barlow_twins(one, other, off_diagonal):
    """Correlations over the batch of each feature of one view with each of the other, against the identity matrix."""

    def normalised(rows):
        columns = []
        for column in zip(*rows, strict=True):
            mean = math.fsum(column) / len(column)
            variance = math.fsum((x - mean) ** 2 for x in column) / len(column)
            columns.append([(x - mean) / math.sqrt(variance + 1e-5) for x in column])
        return columns

    total = 0.0
    for i, left in enumerate(normalised(one)):
        for j, right in enumerate(normalised(other)):
            crossed = math.fsum(x * y for x, y in zip(left, right, strict=True)) / len(left)
            total += (crossed - 1) ** 2 if i == j else off_diagonal * crossed**2
    return total


# --- stain -------------------------------------------------------------------------------------------------------


def density(level, white, added=0):
    """Natural logarithm of how much darker than the bare glass a gray level is; 0 counts as 1."""
    return -math.log(max(level + added, 1) / white)


def is_stained(pixel, white, least, glass):
    """No background by the tiling rule, and each channel dense enough."""
    return gray(*pixel) < glass and all(density(level, w) >= least for level, w in zip(pixel, white, strict=True))


def macenko(pixels, white, added=0):
    """Directions (3, 2) of Macenko et al. 2009 for uint8 (n, 3), by NumPy's covariance, angles and percentiles."""
    densities = np.array([[density(level, w, added) for level, w in zip(one, white, strict=True)] for one in pixels])
    plane = np.linalg.eigh(np.cov(densities.T))[1][:, 1:]
    plane *= np.sign(densities.mean(axis=0) @ plane)
    angles = np.arctan2(densities @ plane[:, 0], densities @ plane[:, 1])
    ends = [plane @ [np.sin(angle), np.cos(angle)] for angle in np.percentile(angles, [1, 99])]
    return np.stack(sorted(ends, key=lambda end: -end[0]), axis=1)


def strongest(pixels, white, directions, added=0):
    """The 99th percentile of both concentrations by least squares."""
    densities = [[density(level, w, added) for level, w in zip(one, white, strict=True)] for one in pixels]
    return np.percentile(np.linalg.lstsq(directions, np.transpose(densities), rcond=None)[0], 99, axis=1)


def restained_pixel(pixel, source, target):
    """A pixel's concentrations in the source's dyes, scaled, in the target's dyes and light; float, 0 to 255."""
    own = [density(level, white) for level, white in zip(pixel, source.white, strict=True)]
    concentrations = np.linalg.lstsq(source.directions, own, rcond=None)[0]
    scaled = [
        c * there / here for c, here, there in zip(concentrations, source.strongest, target.strongest, strict=True)
    ]
    light = [white * math.exp(-float(row @ scaled)) for white, row in zip(target.white, target.directions, strict=True)]
    return [min(255.0, level) for level in light]


def sparse_code(point, directions, sparsity):
    """The two concentrations, none negative, with the least cost: the best of both dyes, one alone, and neither."""

    def cost(codes):
        missed = point - codes @ directions
        return missed @ missed / 2 + sparsity * sum(codes)

    both = np.linalg.solve(directions @ directions.T, directions @ point - sparsity)
    alone = [max(float(one @ point) - sparsity, 0.0) for one in directions]
    tried = [np.array(codes) for codes in (both, (alone[0], 0.0), (0.0, alone[1]), (0.0, 0.0)) if min(codes) >= 0]
    return min(tried, key=cost)


def lab(red, green, blue):
    """CIE L*a*b* of an sRGB colour, by the formulas of IEC 61966-2-1 and CIE 15; white is that of D65."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red / 255, green / 255, blue / 255)]
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    shares = [sum(m * v for m, v in zip(row, linear, strict=True)) / sum(row) for row in rows]
    x, y, z = (s ** (1 / 3) if s > (6 / 29) ** 3 else s * (29 / 6) ** 2 / 3 + 4 / 29 for s in shares)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def painted_classes(
    xy_l0: NDArray[np.int64], side_l0: float, classes: NDArray[np.int64], size_l0: tuple[int, int], map_px: int
) -> NDArray[np.float64]:
    """The same of classes: the one that most of those tiles have, of several the lowest."""
    shares = [
        painted(xy_l0, side_l0, (classes == one).astype(float), size_l0, map_px) for one in range(classes.max() + 1)
    ]
    found = np.stack(shares)
    return np.where(np.isnan(found[0]), np.nan, np.nan_to_num(found).argmax(axis=0))


def painted(
    xy_l0: NDArray[np.int64],
    side_l0: float,
    values: NDArray[np.float64],
    size_l0: tuple[int, int],
    map_px: int,
) -> NDArray[np.float64]:
    """A picture of a slide, pixel by pixel: the mean of the tiles that its middle is in, NaN where it is in none."""
    scale = map_px / max(size_l0)
    width, height = (max(1, round(side * scale)) for side in size_l0)
    found = np.full((height, width), np.nan)
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) / scale, (row + 0.5) / scale
            inside = [
                value
                for (left, top), value in zip(xy_l0.tolist(), values.tolist(), strict=True)
                if left <= x < left + side_l0 and top <= y < top + side_l0 and not np.isnan(value)
            ]
            if inside:
                found[row, column] = sum(inside) / len(inside)
    return found


def light_of_tiles(image, columns_px, rows_px, whites):
    """Light pixels of each tile at each white, pixel by pixel; a list for each tile, row by row."""
    found = []
    for top, bottom in itertools.pairwise(rows_px):
        for left, right in itertools.pairwise(columns_px):
            grays = [gray(*image[y, x, :3].tolist()) for y in range(top, bottom) for x in range(left, right)]
            found.append([sum(level >= white for level in grays) for white in whites])
    return found


def sharpness(rgb):
    """Variance of the Laplacian of inner pixels by the variance of all gray levels."""
    grays = [[gray(*pixel) for pixel in row] for row in rgb.tolist()]
    rows, columns = len(grays), len(grays[0])
    laplacian = [
        grays[y - 1][x] + grays[y + 1][x] + grays[y][x - 1] + grays[y][x + 1] - 4 * grays[y][x]
        for y in range(1, rows - 1)
        for x in range(1, columns - 1)
    ]
    return statistics.pvariance(laplacian) / statistics.pvariance([level for row in grays for level in row])


def ends_of_transfers(transfers: Sequence[tuple[float, float]], total: float, each: float) -> list[float]:
    """When transfers of (begin, bytes) end that divide ``total`` bytes a second evenly, each with ``each`` at most: in
    steps of a thousandth of a second."""
    left, found, step = [nbytes for _, nbytes in transfers], [0.0] * len(transfers), 1e-3
    now = 0.0
    while any(one > 0 for one in left):
        active = [n for n, (begin, _) in enumerate(transfers) if begin <= now and left[n] > 0]
        for n in active:
            left[n] -= step * min(each, total / len(active))
            found[n] = now + step
        now += step
    return found


def list_schedule(seconds: Sequence[float], lanes: int) -> float:
    """When all is done, if whoever of ``lanes`` is free first takes the next."""
    free_at = [0.0] * lanes
    for one in seconds:
        lane = free_at.index(min(free_at))
        free_at[lane] += one
    return max(free_at)
