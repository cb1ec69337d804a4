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
from hypoxia_hpc.networks.runtime import gpu_names, start_keras
start_keras()
assert gpu_names(), "nvidia-smi shows a GPU and TensorFlow sees none: build and run gpu.sif with --nv"
'
else
    echo "check: no GPU here, not checked"
fi
echo "check: ok"
