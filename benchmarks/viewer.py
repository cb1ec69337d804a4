"""Tiles a second and latencies of `view`, and its memory: python benchmarks/viewer.py

A slide of 30,720 px, its native levels, eight clients with a connection each in another process of the same machine.
Beside it OpenSlide's DeepZoomGenerator and, where it is installed, large_image, behind the same server, with the tile
size of the file and the JPEG quality of OpenSlide's own example. large_image keeps no tiles it has made: each is asked
for once, and again in the next round. Then the memory of a viewer in which 50 slides were opened in turn, of a folder
and of a run with overlays.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import itertools
import json
import multiprocessing
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import Bench, Figure, Report, run_sections, slides_dir
from maps import COLUMNS, ROWS, made_run
from PIL import Image

from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.viewer.access import Access
from hypoxia_hpc.viewer.http_messages import Answer, Request, plain_answer
from hypoxia_hpc.viewer.listening import LOOPBACK, loopback_port
from hypoxia_hpc.viewer.pyramid import DeepZoom, Place, is_own_tile, level_below
from hypoxia_hpc.viewer.routes import route_of
from hypoxia_hpc.viewer.server import Server
from hypoxia_hpc.viewer.serving import shown_at

CLIENTS, TILES, QUICK_TILES, SLIDES = 8, 4000, 400, 50
NATIVE_PX, PEER_QUALITY = 240, 75
LEAST_TILES, MOST_MEDIAN, MOST_P95, MOST_MB, LEAST_RATIO = 500, 0.021, 0.060, 300, 3
KEY = "0" * 16  # of a peer's slide
# A peer decodes and encodes once more, so that its pixels are near ours and not the same.
CHECKED, MOST_DIFFERENCE = 50, 4.0


def native_tiles(sizes: tuple[tuple[int, int], ...], n: int) -> list[Place]:
    """Whole tiles of levels that the file has, each as often as there are of its level, in random order."""
    zoom = DeepZoom(sizes[0], NATIVE_PX)
    found = [
        place
        for level in range(zoom.last + 1)
        for place in zoom.places(level)
        if is_own_tile(zoom, place, sizes[level_below(zoom, level, sizes)])
    ]
    order = np.random.default_rng(0).permutation(len(found))[:n]
    return [found[number] for number in order.tolist()]


def path_of(key: str, place: Place) -> str:
    return f"/slides/{key}_files/{place.level}/{place.column}_{place.row}.jpg"


# --- servers, each in a process of its own ---


def serve_ours(path: Path, ready: Connection) -> None:
    from hypoxia_hpc.viewer.answers import Viewer
    from hypoxia_hpc.viewer.open_slides import OpenSlides

    shown = shown_at(path)
    viewer = Viewer(shown, OpenSlides({slide.key: slide.path for slide in shown.slides}))
    serve(viewer.respond, ready, [slide.key for slide in shown.slides])


def serve_deep_zoom(path: Path, ready: Connection) -> None:
    import openslide
    from openslide.deepzoom import DeepZoomGenerator

    generator = DeepZoomGenerator(openslide.OpenSlide(path), tile_size=NATIVE_PX, overlap=0)

    def tile(place: Place) -> bytes:
        written = io.BytesIO()
        generator.get_tile(place.level, place[1:]).save(written, "JPEG", quality=PEER_QUALITY)
        return written.getvalue()

    serve(only_tiles(tile), ready, [KEY])


def serve_large_image(path: Path, ready: Connection) -> None:
    import large_image_source_openslide

    source = large_image_source_openslide.open(str(path), encoding="JPEG", jpegQuality=PEER_QUALITY, noCache=True)
    if source.tileWidth != NATIVE_PX:
        raise RuntimeError(f"large_image has tiles of {source.tileWidth} px, the file of {NATIVE_PX}")
    last = DeepZoom((source.sizeX, source.sizeY), NATIVE_PX).last

    def tile(place: Place) -> bytes:
        return bytes(source.getTile(place.column, place.row, source.levels - 1 - (last - place.level)))

    serve(only_tiles(tile), ready, [KEY])


def only_tiles(tile: Callable[[Place], bytes]) -> Callable[[Request], Answer]:
    def respond(request: Request) -> Answer:
        route = route_of(request.path)
        if route is None or route.kind != "tile":
            return plain_answer(HTTPStatus.NOT_FOUND)
        return Answer(HTTPStatus.OK, tile(route.place), "image/jpeg")

    return respond


def serve(respond, ready: Connection, keys: list[str]) -> None:  # type: ignore[no-untyped-def]
    with loopback_port(0) as listening:
        ready.send((listening.getsockname()[1], keys))
        everyone = Access(HTTPStatus.OK)
        Server(listening, respond, access=lambda _: everyone, stop=threading.Event(), idle_seconds=120).run()


@contextmanager
def server(target, path: Path) -> Iterator[tuple[int, int, list[str]]]:  # type: ignore[no-untyped-def]
    """Its port, process id and keys of slides."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(path, theirs))
    process.start()
    try:
        port, keys = ours.recv()
        yield port, process.pid or 0, keys
    finally:
        process.terminate()
        process.join()


# --- clients ---


async def ask(port: int, paths: list[str], seconds: list[float]) -> None:
    """One request after another on one connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    for path in paths:
        begin = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("HTTP/1.1 200"):
            raise RuntimeError(head)
        length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - begin)
    writer.close()


def asked(port: int, paths: list[str]) -> tuple[float, list[float]]:
    """Tiles a second of all clients, and the seconds of each tile."""
    seconds: list[float] = []

    async def all_clients() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(ask(port, paths[number::CLIENTS], seconds) for number in range(CLIENTS)))
        return time.perf_counter() - begin

    return len(paths) / asyncio.run(all_clients()), seconds


def rates(bench: Bench) -> None:
    path = made(recipes(quick=bench.quick)["jpeg-20x"], bench.folder)
    tiles = native_tiles(level_sizes(path), QUICK_TILES if bench.quick else TILES)
    best: dict[str, tuple[float, list[float]]] = {}
    with ExitStack() as running:
        servers = {name: running.enter_context(server(target, path)) for name, target in served(bench).items()}
        for name, (port, _, keys) in servers.items():
            bench.report.say(f"{name}: {shown_alike(servers['view'], (port, keys[0]), name, tiles)}")
        for _ in range(bench.rounds):  # in turn, so that all meet the same machine
            for name, (port, _, keys) in servers.items():
                found = asked(port, [path_of(keys[0], place) for place in tiles])
                best[name] = max(best.get(name, (0.0, [])), found)
    for name, (rate, seconds) in best.items():
        is_ours = name == "view"
        p95 = statistics.quantiles(seconds, n=20)[-1]
        bench.report.add(
            Figure(f"{name}: native tiles a second, {CLIENTS} clients", rate, "", LEAST_TILES if is_ours else None),
            Figure(f"{name}: median", statistics.median(seconds), "ms", MOST_MEDIAN if is_ours else None, at_most=True),
            Figure(f"{name}: 95 of 100 within", p95, "ms", MOST_P95 if is_ours else None, at_most=True),
        )
    for name in [name for name in best if name != "view"]:
        bench.report.add(Figure(f"view against {name}", best["view"][0] / best[name][0], "x", LEAST_RATIO))


def served(bench: Bench) -> dict[str, Callable[[Path, Connection], None]]:
    """Servers by name, ours first; large_image where it is installed."""
    servers = {"view": serve_ours, "DeepZoomGenerator": serve_deep_zoom}
    if importlib.util.find_spec("large_image_source_openslide") is None:
        bench.report.say("large_image is not installed: pip install large-image-source-openslide")
        return servers
    return {**servers, "large_image": serve_large_image}


def shown_alike(ours: tuple[int, int, list[str]], peer: tuple[int, str], name: str, tiles: list[Place]) -> str:
    """How far a peer's pixels are from ours. Raises RuntimeError where they are of another place or size."""
    differences = []
    for place in tiles[:CHECKED]:
        one, other = (picture(port, path_of(key, place)) for port, key in ((ours[0], ours[2][0]), peer))
        if one.shape != other.shape:
            raise RuntimeError(f"{name} shows {other.shape} at {place}, view {one.shape}")
        differences.append(np.abs(one - other).mean())
    if max(differences) > MOST_DIFFERENCE:
        raise RuntimeError(f"{name} shows other pixels than view: {max(differences):.1f} gray levels from them")
    return f"{max(differences):.2f} gray levels from what view shows, at most, of {len(differences)} tiles"


def picture(port: int, path: str) -> np.ndarray:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}") as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"), dtype=np.int16)


def level_sizes(path: Path) -> tuple[tuple[int, int], ...]:
    from hypoxia_hpc.slides.opening import opened_slide

    with opened_slide(path) as slide:
        return slide.pyramid.level_sizes


def memory(bench: Bench) -> None:
    """Of a folder of slides, and of a run whose slides are seen with their overlays."""
    path = made(recipes(quick=bench.quick)["jpeg-20x"], bench.folder)
    sizes = level_sizes(path)
    with TemporaryDirectory(dir=bench.folder) as folder:
        alone, run = Path(folder) / "slides", Path(folder) / "run"
        alone.mkdir()
        made_run(run, SLIDES, *tiles_within(sizes[0]))
        for number in range(SLIDES):
            (alone / f"{number:02d}.svs").symlink_to(path)
            (run / f"S{number:05d}.svs").symlink_to(path)
        for what, words in ((alone, ""), (run, ", with overlays")):
            peak = most_memory(what, sizes)
            title = f"most memory with {SLIDES} slides opened in turn{words}"
            bench.report.add(Figure(title, peak, "MB", MOST_MB, at_most=True))


def tiles_within(size_l0: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """The side of a run's tiles, so that all lie on a slide of this size, and its size."""
    return min(size_l0[0] // COLUMNS, size_l0[1] // ROWS), size_l0


def most_memory(what: Path, sizes: tuple[tuple[int, int], ...]) -> float:
    """Of the server, in MB, after every slide was looked at: some native tiles, some that are made, all overlays."""
    tiles = native_tiles(sizes, 40) + [Place(level, 0, 0) for level in range(8, 14)]
    with server(serve_ours, what) as (port, process, keys):
        for key in keys:
            asked(port, [f"/slides/{key}.json", f"/slides/{key}.jpg", *(path_of(key, place) for place in tiles)])
            asked(port, overlay_paths(port, key))
        status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def overlay_paths(port: int, key: str) -> list[str]:
    """Every overlay of a slide, on its first level and a view of the finest one. Raises RuntimeError where a run has
    none."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/slides/{key}.json") as answer:
        described = json.load(answer)
    if described["side_l0"] is not None and not described["overlays"]:
        raise RuntimeError(described["note"])
    levels = {described["overlay_first_level"]: 1, described["last_level"]: 2}
    return [
        f"/overlays/{key}/{number}_files/{level}/{column}_{row}.png"
        for number in range(len(described["overlays"]))
        for level, n in levels.items()
        for column, row in itertools.product(range(n), repeat=2)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, default=slides_dir(), help="where the slide is made and kept")
    options = parser.parse_args()
    bench = Bench(Report(), options.dir, options.quick, 1 if options.quick else 3)
    run_sections(bench, {"rates": rates, "memory": memory}, options.json)


if __name__ == "__main__":
    main()
