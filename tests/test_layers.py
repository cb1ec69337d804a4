"""The layout of the package is held: imports point down, stages meet on disk, an outside library lives in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypoxia_hpc

PACKAGE = Path(hypoxia_hpc.__file__).parent
# From the top down. A room imports from rooms below it alone; those of the last line are of one tier.
ROOMS = (
    "__main__",
    "cli",
    "__init__",  # what the Python API exports, loaded when it is used
    "api",
    "bench",
    "stages",
    "viewer",
    "monitoring",
    "models",
    "exports",
    "imports",
    "simulation",
    "slurm",
    "workers",
    "runs",
    "networks",
    "slides",
    "stores",
    "reports",
    "evaluation",
    "cohorts",
    "outcomes",
    "analysis",
    "tiling",
    "synthetic",
    "machine",
    "config",
    "reading",
)
TIER_OF = {room: tier for tier, room in enumerate(ROOMS)} | dict.fromkeys(("progress", "records", "errors"), len(ROOMS))
# Where each library lives: a room (folder), or a module.
HOMES = {
    "openslide": {"slides", "bench.peers", "bench.loaders"},
    "pydicom": {"slides.dicom", "slides.dicom_headers", "slides.dicom_slices"},
    "highdicom": {"exports.dicom_files"},
    "nibabel": {"slides.nifti"},
    "pynvml": {"machine.energy"},
    "zarr": {"stores", "bench.cases.stores"},
    "google_crc32c": {"stores"},
    "imagecodecs": {"slides", "stores", "bench.bounds"},
    "simplejpeg": {"slides", "bench.bounds"},
    "shapely": {"tiling", "exports.qupath"},
    "llvmlite": {"tiling.kernels.vectors"},
    "keras": {"networks"},
    "tensorflow": {"networks"},
    "jax": {"networks"},
    "torch": {"networks", "exports.clam", "imports.tensors", "bench.loaders"},
    "timm": {"networks.backbones.timm_networks"},
    "openvino": {"networks"},
    "tiffslide": {"bench.peers"},
    "cucim": {"bench.peers", "bench.gpu_decoders"},
    "fastslide": {"bench.peers"},
    "microtome": {"bench.peers"},
    "hs2p": {"bench.peers"},
    "tiatoolbox": {"bench.peers"},
    "cupy": {"bench.gpu_decoders"},
    "nvidia": {"bench.gpu_decoders"},
    "h5py": {"networks", "exports.hdf5", "imports.hdf5"},
    "anndata": {"exports.anndata_files"},
    "safetensors": {"networks"},
    "mpi4py": {"workers.mpi"},
    "tensorboardX": {"models.tensorboard"},
    "jinja2": {"reports"},
    "simpy": {"simulation"},
    "umap": {"analysis.embedding"},
    "matplotlib": {"reports"},
    "click": {"cli"},
    "rich": {"cli.terminal", "cli.text.words"},
    "pydantic": {
        "config",
        "bench.records",
        "bench.scaling_records",
        "networks.heads.saved",
        "stores.attributes",
        "runs.receipts",
        "workers.heartbeat",
    },
    "pydantic_core": {"config"},
}
HEAVY = (
    "tensorflow",
    "jax",
    "torch",
    "timm",
    "keras",
    "openslide",
    "mpi4py",
    "zarr",
    "sklearn",
    "matplotlib",
    "h5py",
    "highdicom",
    "jinja2",
)


def modules() -> dict[str, ast.Module]:
    """Syntax tree of every module, by its name below the package: ``stages.tile``."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)}


MODULES = modules()


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported, at the top or in a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from _from(str(node.module), [alias.name for alias in node.names])


def _from(module: str, names: list[str]) -> list[str]:
    """``from hypoxia_hpc.stages import tile`` imports a module, ``from hypoxia_hpc import __version__`` does not."""
    below = [f"{module}.{name}" for name in names if f"{module}.{name}".removeprefix("hypoxia_hpc.") in MODULES]
    return below or [module]


IMPORTED = {name: list(imports(tree)) for name, tree in MODULES.items()}  # once: walking the trees takes a second
INNER = [
    (name, imported.removeprefix("hypoxia_hpc."))
    for name in MODULES
    for imported in IMPORTED[name]
    if imported.startswith("hypoxia_hpc.")
]
OUTER = [
    (name, imported.partition(".")[0])
    for name in MODULES
    for imported in IMPORTED[name]
    if not imported.startswith("hypoxia_hpc")
]


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_tier() -> None:
    assert {room_of(name) for name in MODULES} - {""} == set(TIER_OF)
    assert len(INNER) > 100
    assert {library for _, library in OUTER} >= set(HOMES)


def test_imports_point_down() -> None:
    between = [pair for pair in INNER if room_of(pair[0]) != room_of(pair[1])]
    assert [pair for pair in between if TIER_OF[room_of(pair[0])] >= TIER_OF[room_of(pair[1])]] == []


def test_stages_never_import_each_other() -> None:
    assert [pair for pair in INNER if {room_of(name) for name in pair} == {"stages"}] == []


def test_there_is_no_ring_of_imports() -> None:
    below = {name: {there for here, there in INNER if here == name} for name in MODULES}
    while below:
        leaves = {name for name, needed in below.items() if not needed & set(below)}
        assert leaves, f"these import each other in a ring: {sorted(below)}"
        below = {name: needed for name, needed in below.items() if name not in leaves}


@pytest.mark.parametrize("library", HOMES)
def test_an_outside_library_lives_in_one_place(library: str) -> None:
    users = {name for name, imported in OUTER if imported == library}
    assert {name for name in users if not {name, room_of(name)} & HOMES[library]} == set()


def test_only_the_command_line_prints_or_exits() -> None:
    calls = [
        (name, node.func.id)
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert {name for name, function in calls if function in ("print", "input", "exit", "quit")} == {"cli.terminal"}
    exits = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("exit", "_exit") and isinstance(node.value, ast.Name)
    }
    # A worker process that cannot go on has no caller, nor has a fork.
    assert exits == {"cli.app", "workers.worker", "slides.trials"}


def test_nothing_is_unpickled_or_evaluated() -> None:
    """Beside weights whose hash was checked, by a reader that imports nothing (test_torch_file.py)."""
    unpickling = {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"}
    assert [one for one in OUTER if one[1] in unpickling] == [("networks.backbones.torch_file", "pickle")]
    names = {node.id for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names & {"eval", "exec", "compile", "__import__"} == set()


def loaded_after(code: str) -> list[str]:
    """Which heavy libraries Python has loaded after this code."""
    whole = f"import sys\n{code}\nprint('loaded:', *sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("loaded:")[2].split()


def test_every_module_is_imported_without_any_heavy_library() -> None:
    names = [f"hypoxia_hpc.{name}" for name in MODULES if name not in ("__main__", "__init__")]
    assert loaded_after("\n".join(f"import {name}" for name in names)) == []


@pytest.mark.parametrize("arguments", [[], ["tile"], ["demo"], ["extract"], ["status"], ["predict"]])
def test_help_needs_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "from hypoxia_hpc.cli.app import app\n"
        f"try: app({[*arguments, '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'numpy', 'pandas', 'numba', 'scipy', 'pydantic', 'PIL'} & set(sys.modules)\n"
    )
    assert loaded_after(code) == []


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        # The process that deals the slides.
        (
            "import hypoxia_hpc.stages.tile, hypoxia_hpc.cohorts.slide_table",
            {"numba", "scipy", "pandas", "shapely", "imagecodecs"},
        ),
        # One that cuts a slide.
        (
            "import hypoxia_hpc.stages.tile, hypoxia_hpc.slides.slide_tiles\n"
            "from hypoxia_hpc.tiling.kernels.planes import nbytes_of_rows\n"
            "nbytes_of_rows(64)",  # Numba loads what it needs with the first kernel
            {"scipy.linalg", "scipy.ndimage", "pandas", "shapely"},
        ),
    ],
)
def test_tile_begins_without_what_it_does_not_use(code: str, unwanted: set[str]) -> None:
    assert loaded_after(f"{code}\nassert not {unwanted!r} & set(sys.modules), {unwanted!r} & set(sys.modules)") == []
