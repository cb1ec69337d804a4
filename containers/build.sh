#!/usr/bin/env bash
# Builds an image, as a user without root: containers/build.sh cpu|gpu|gpu-torch FOLDER makes FOLDER/cpu.sif and so on.
# `make image-cpu`, `make image-gpu` and `make image-gpu-torch` call it for one of them, with build/images as FOLDER.
#
# Base, packages and image are each kept in FOLDER, and made again only when what they are made of has changed: after a
# change of our own code a build takes a minute or two, half of it the image's test. Settings, in the environment:
#
#   BASE         docker (default): Debian 12 from a container registry; debootstrap: Debian 12 from a mirror of its
#                packages, where no registry can be reached; or the path of an image of Debian 12
#   MIRROR       the mirror for debootstrap; default: the one that apt uses on this machine
#   WEIGHTS      folder with weight files that shall lie in the image; default: containers/weights
#   PIP_...      pip reads them in the build too: PIP_INDEX_URL and so on. The file that PIP_CERT names, the CA bundle of a
#                site whose proxy opens TLS, is bound into the build
#   COMPRESSION  of the image itself; default: gzip, which every kernel mounts. lz4: a third larger, and TensorFlow is
#                imported in 8 seconds where it took 13 (two cores, mounted by squashfuse)
#   BUILD_FLAGS  more flags of apptainer build, as "--bind /folder"
#   TMPDIR       where apptainer works: some 10 GB (for GPUs: 30 GB), no network disk
set -euo pipefail

kind=${1:?usage: build.sh cpu|gpu|gpu-torch FOLDER}
mkdir -p "${2:?usage: build.sh cpu|gpu|gpu-torch FOLDER}"
folder=$(realpath "$2")
weights=$(realpath "${WEIGHTS:-$(dirname "$0")/weights}")
[[ -z ${BASE:-} || $BASE == docker || $BASE == debootstrap ]] || BASE=$(realpath -e "$BASE")
cd "$(dirname "$0")/.."

# gzip is what every kernel mounts; level 1 makes an image some 9 % larger than zstd would.
flags=(--fakeroot --force --mksquashfs-args "-comp gzip -Xcompression-level 1")
[[ -z ${PIP_CERT:-} ]] || flags+=(--bind "$PIP_CERT")
read -ra more <<<"${BUILD_FLAGS:-}"

digest() { sha256sum "$@" | sha256sum | cut -d ' ' -f 1; }

commit() { git -c safe.directory="$PWD" describe --always --dirty --abbrev=40 2>/dev/null || echo unknown; }

default_mirror() {
    # shellcheck disable=SC2016 # apt fills this in
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Codename: bookworm' 2>/dev/null | sed -n 1p
}

# make NAME MADE_OF DEFINITION FLAGS...: FOLDER/NAME.sif, unless it lies there already, made of the same.
make() {
    local image=$folder/$1.sif made_of=$2 definition=$3
    shift 3
    if [[ -e $image && $(cat "$image.made-of" 2>/dev/null) == "$made_of" ]]; then
        echo "build.sh: $image is there, made of the same"
        return
    fi
    echo "build.sh: building $image"
    apptainer build "${flags[@]}" "${more[@]}" "$@" "$image.part" "$definition"
    mv "$image.part" "$image"
    echo "$made_of" >"$image.made-of"
}

base() {
    if [[ ${BASE:-docker} == debootstrap ]]; then
        base_made_of=$(digest containers/base.def)
        make base "$base_made_of" containers/base.def --build-arg "MIRROR=${MIRROR:-$(default_mirror)}"
        on_base=(--build-arg BOOTSTRAP=localimage --build-arg "BASE=$folder/base.sif")
    elif [[ ${BASE:-docker} == docker ]]; then
        base_made_of=docker
        on_base=()
    else
        base_made_of=$(digest "$BASE")
        on_base=(--build-arg BOOTSTRAP=localimage --build-arg "BASE=$BASE")
    fi
}

packages() {
    packages_made_of=$base_made_of-$(digest containers/packages.{def,sh} containers/openmpi.lock "containers/$kind.lock")
    make "$kind-packages" "$packages_made_of" containers/packages.def "${on_base[@]}" --build-arg "LOCK=$kind.lock"
}

# The last stage of a definition alone: on a base that has the packages, the stage that installs them would only unpack
# that base once more, and copy 3 GB onto themselves.
last_stage() {
    awk '/^Bootstrap:/ { stage++ } /^%/ { copies = /^%files from packages/ } stage != 1 && !copies' "$1"
}

image() {
    local files
    mapfile -t files < <(find containers "$weights" hypoxia_hpc slurm setup.py pyproject.toml README.md LICENSE \
        -type f -not -path '*/__pycache__/*' -not -name '*.lock' -not -name '*.in' | LC_ALL=C sort)
    last_stage "containers/$kind.def" >"$folder/$kind.def"
    make "$kind" "$packages_made_of-$(digest "${files[@]}")${COMPRESSION:+-$COMPRESSION}" "$folder/$kind.def" \
        ${COMPRESSION:+--mksquashfs-args "-comp $COMPRESSION"} --build-arg BOOTSTRAP=localimage \
        --build-arg "BASE=$folder/$kind-packages.sif" --build-arg "WEIGHTS=$weights" --build-arg "COMMIT=$(commit)"
}

exec 9>"$folder/lock"
flock 9
base
packages
image
