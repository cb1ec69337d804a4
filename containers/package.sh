#!/bin/sh
# Runs in %post of an image, after packages.sh: package.sh COMMIT installs our own code, without asking any index,
# and writes on the image's labels what it is made of.
set -eu

commit=$1
python=/opt/hypoxia/bin/python
site=/opt/hypoxia/lib/python3.11/site-packages

if ! python3.11 -c '' 2>/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends ca-certificates libturbojpeg0 python3
elif ! $python -c 'import ctypes; ctypes.CDLL("libturbojpeg.so.0")' 2>/dev/null; then
    # A base of the site's own, perhaps without a mirror that it reaches: the image works, slower.
    { apt-get update && apt-get install -y --no-install-recommends libturbojpeg0; } ||
        echo "package.sh: no libturbojpeg0 to be had: this image will tile JPEG slides slower" >&2
fi
cd /opt/hypoxia-build/source
find . -name __pycache__ -prune -exec rm -r {} +
$python -m pip install --quiet --no-index --no-deps --no-build-isolation --no-compile .
$python -m pip check
cp ../hypoxia_image.py "$site/"
echo 'import hypoxia_image' >"$site/hypoxia_image.pth"
$python -m compileall -q --invalidation-mode unchecked-hash "$site/hypoxia_hpc" "$site/hypoxia_image.py"

{
    echo "org.opencontainers.image.title hypoxia-hpc"
    echo "org.opencontainers.image.version $(/opt/hypoxia/bin/hypoxia-hpc --version | grep -o '[^ ]*$')"
    echo "org.opencontainers.image.revision $commit"
    echo "org.opencontainers.image.licenses Apache-2.0"
    echo "hypoxia-hpc.lock sha256:$(cat /opt/hypoxia/lock.sha256)"
} >>"$APPTAINER_LABELS"
