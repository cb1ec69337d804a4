#!/bin/sh
# What `apptainer test` does: a real slide becomes tiles and features, two ranks pass messages, a GPU computes where
# nvidia-smi shows one. Needs no network; some 600 MB of scratch in $TMPDIR, and a minute.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MPLCONFIGDIR="$folder"
slides=$(python -c 'import hypoxia_hpc, pathlib; print(pathlib.Path(hypoxia_hpc.__file__).parent / "slides")')

echo "check: one real slide into tiles and features"
mkdir "$folder/slides"
cp "$slides/CMU-1-Small-Region.svs" "$folder/slides/"
hypoxia-hpc init "$folder/run" --study hypoxia --slides "$folder/slides"
sed -i 's/^weights = "imagenet"/weights = "random"/' "$folder/run/run.toml"
hypoxia-hpc tile "$folder/run"
if python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)'; then
    echo "check: features by a vision transformer on PyTorch"
    sed -i 's/^name = "inception_v3"/name = "kaiko"/' "$folder/run/run.toml"
    sed -i 's/^backbone = "inception_v3"/backbone = "kaiko-s16"/' "$folder/run/run.toml"
fi
hypoxia-hpc extract "$folder/run"
hypoxia-hpc verify "$folder/run"

python -c '
from hypoxia_hpc.slides import turbojpeg
print("check: JPEGs are kept in planes" if turbojpeg.library() else "check: no libturbojpeg.so.0: JPEGs are tiled slower")'

ranks_see_each_other() {
    "$@" -n 2 python -c '
from mpi4py import MPI
ranks = MPI.COMM_WORLD.allgather(MPI.COMM_WORLD.Get_rank())
assert ranks == [0, 1], f"ranks that see each other: {ranks}"
print(MPI.get_vendor()[0])'
}
echo "check: messages between two ranks, by MPICH and by Open MPI"
ranks_see_each_other mpiexec
ranks_see_each_other /opt/hypoxia/openmpi/bin/mpirun --oversubscribe --allow-run-as-root

echo "check: GPU"
if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
    python -c '
from hypoxia_hpc.networks.runtime import backend_name, gpu_names
assert gpu_names(), f"nvidia-smi shows a GPU and {backend_name()} sees none: run the image for GPUs, with --nv"
'
else
    echo "check: no GPU here, not checked"
fi
echo "check: ok"
