#!/usr/bin/env bash
# Installs Apptainer on Debian 12, as root, and lets USER (made if missing) build images: apptainer.sh USER
#
# Debian has Apptainer in sid only, linked against a newer libc than Debian 12's. A second, private apt configuration
# downloads it and its three libraries from sid of the mirror that this machine uses; the libraries go to a folder of
# their own, where nothing but Apptainer looks for them. Nothing is done twice.
set -euo pipefail

USER_NAME=${1:?usage: apptainer.sh USER}
LIBRARIES=/usr/local/lib/apptainer-libraries
NEEDED=(ca-certificates debootstrap fakeroot fuse2fs patchelf squashfs-tools squashfuse uidmap)

complain() {
    echo "apptainer.sh: $*" >&2
    exit 1
}

works() {
    command -v apptainer >/dev/null && apptainer --version >/dev/null 2>&1
}

mirror() {
    # shellcheck disable=SC2016 # apt fills this in
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Codename: bookworm' | sed -n 1p
}

# The whole private configuration: its own sources, lists and cache below the folder $1.
private_apt() {
    local folder=$1
    shift
    apt-get -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root "$@"
}

download() {
    local folder=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$folder"/{lists,cache/archives}/partial
    echo "deb [signed-by=$keyring] $(mirror) sid main" >"$folder/sources.list"
    private_apt "$folder" update
    (cd "$folder" && private_apt "$folder" download apptainer libc6 libseccomp2 libsqlite3-0)
}

# The libraries of the downloaded packages, with their loader, without libc's plug-ins (gconv, audit).
place_libraries() {
    local folder=$1 package
    for package in "$folder"/lib*.deb; do dpkg-deb -x "$package" "$folder/unpacked"; done
    mkdir -p "$LIBRARIES"
    find "$folder/unpacked/usr/lib" -maxdepth 2 -name '*.so*' -exec cp -P {} "$LIBRARIES/" ';'
}

link_with_them() {
    local program=$1
    patchelf --set-interpreter "$LIBRARIES/$(basename "$(patchelf --print-interpreter "$program")")" "$program"
    patchelf --force-rpath --set-rpath "$LIBRARIES" "$program"
}

install_apptainer() {
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    download "$folder"
    place_libraries "$folder"
    dpkg-deb -x "$folder"/apptainer_*.deb "$folder/apptainer"
    link_with_them "$folder/apptainer/usr/bin/apptainer"
    link_with_them "$folder"/apptainer/usr/lib/*/apptainer/bin/starter
    cp -a "$folder/apptainer/." /
}

install_needed() {
    local missing
    missing=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${NEEDED[@]}" 2>&1 | grep -v '^installed ' || true)
    if [[ -z $missing ]] && works; then return; fi
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${NEEDED[@]}" >/dev/null
}

# A user may build with --fakeroot who has a range of subordinate ids; useradd gives one by itself on some machines.
admit_user() {
    id "$USER_NAME" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$USER_NAME"
    grep -q "^$USER_NAME:" /etc/subuid || usermod --add-subuids 200000-265535 "$USER_NAME"
    grep -q "^$USER_NAME:" /etc/subgid || usermod --add-subgids 200000-265535 "$USER_NAME"
}

[[ $(id -u) == 0 ]] || complain "needs root; on a cluster ask its administrators for Apptainer"
install_needed
if ! works; then
    grep -q '^VERSION_CODENAME=bookworm' /etc/os-release || complain "knows Debian 12 only; see apptainer.org for others"
    install_apptainer
fi
[[ -e /dev/fuse ]] || mknod /dev/fuse c 10 229
chmod a+rw /dev/fuse
admit_user
apptainer --version
