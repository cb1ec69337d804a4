"""hypoxia_hpc as a package of Spack, for CPUs: Python is Spack's, all else comes from the versions and hashes that the
images have (containers/cpu.lock). Its syntax is checked; not built with Spack yet. In a checkout:

spack repo create repo hypoxia && mkdir -p repo/packages/hypoxia-hpc && spack repo add repo
cp containers/recipes/spack/package.py repo/packages/hypoxia-hpc && spack dev-build -d . hypoxia-hpc@0.1.0
"""

from spack.package import Package, depends_on, join_path, run_after, version, which


class HypoxiaHpc(Package):
    """From whole-slide images of tumours to predictions about patients, on a laptop or a cluster."""

    version("0.1.0")

    depends_on("python@3.11", type=("build", "run"))

    def install(self, spec, prefix):
        which("python3")("-m", "venv", prefix)
        pip = which(join_path(prefix.bin, "pip"))
        pip("install", "--require-hashes", "-r", join_path("containers", "cpu.lock"))
        pip("install", "--no-deps", ".")

    @run_after("install")
    def check_that_it_starts(self):
        which(join_path(self.prefix.bin, "hypoxia-hpc"))("--help")
