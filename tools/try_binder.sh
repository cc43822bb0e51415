#!/bin/bash
# Builds the image of Binder from binder/Dockerfile without Docker and without a registry of images, and tries it. docs/binder.md has the numbers.
#
#   tools/try_binder.sh base               a clean Debian in place of the base image
#   tools/try_binder.sh build [TOOLCHAIN]  the image of what is committed; with an unpacked Rust toolchain in place of rust-lang.org's
#   tools/try_binder.sh layers             what each instruction added
#   tools/try_binder.sh run COMMAND ..     in a fresh copy of the image, as its user, by its own start, without a network;
#                                          LIMIT=MB: with no more memory; CORE=N: on one core; PLACE=FOLDER: in a copy that stays, for a restart
#
# As root, with Debian's mmdebstrap, podman and buildah. WORK (8 GB) is where everything lies; remove it afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
WORK=${WORK:-/var/tmp/flowlens-binder}
BASE=$(sed -n 's/^FROM \(debian:\S*\).*/\1/p' binder/Dockerfile | head -1)
mkdir -p "$WORK"
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/images"\nrunroot = "%s/run"\n' "$WORK" "$WORK" > "$WORK/storage.conf"
echo 'unqualified-search-registries = ["docker.io"]' > "$WORK/registries.conf"
export CONTAINERS_STORAGE_CONF="$WORK/storage.conf" CONTAINERS_REGISTRIES_CONF="$WORK/registries.conf"

base() {
    # As Debian's slim images: without documentation. Certificates that this machine trusts beside Debian's come along.
    mmdebstrap --variant=minbase --components=main bookworm "$WORK/base.tar" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin'
    podman import --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' "$WORK/base.tar" "docker.io/library/$BASE"
}

build() {
    # What cargo fetched and compiled is kept for the next time; the image does not get it.
    mkdir -p "$WORK/target" "$WORK/cargo"
    # As repo2docker clones it. A clone that stays gives new dates only to what changed, so cargo compiles no more than that.
    [ -d "$WORK/context" ] || git clone --quiet . "$WORK/context"
    git -C "$WORK/context" fetch --quiet "$PWD" HEAD
    git -C "$WORK/context" checkout --quiet --detach FETCH_HEAD
    # chroot isolation hands the own environment on.
    nice -n 5 env -i PATH="$PATH" HOME="$HOME" CONTAINERS_STORAGE_CONF="$CONTAINERS_STORAGE_CONF" CONTAINERS_REGISTRIES_CONF="$CONTAINERS_REGISTRIES_CONF" \
        podman build --isolation=chroot --pull=never --layers --build-arg NB_USER=jovyan --build-arg NB_UID=1000 \
        --volume "$WORK/target:/opt/flowlens/target:rw" --volume "$WORK/cargo:/root/.cargo:rw" \
        ${1:+--build-arg RUST_TOOLCHAIN=/opt/toolchain --volume "$1:/opt/toolchain:ro"} \
        --file "$WORK/context/binder/Dockerfile" --tag flowlens-binder "$WORK/context"
}

layers() {
    podman history --no-trunc --format '{{.Size}}\t{{.CreatedBy}}' flowlens-binder | cut -c1-150
    podman image inspect --format 'together {{.Size}} bytes' flowlens-binder
}

run() {
    image=$(podman image mount flowlens-binder)
    place=${PLACE:-$(mktemp -d "$WORK/copy.XXXX")}
    mkdir -p "$place"/{upper,work,root}
    if [ -n "${LIMIT:-}" ]; then
        group=/sys/fs/cgroup/memory/flowlens-$$
        mkdir "$group"
        echo $((LIMIT * 1000000)) > "$group/memory.limit_in_bytes"
        echo $BASHPID > "$group/cgroup.procs"
    fi
    variables=$(podman image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' flowlens-binder)
    status=0
    # shellcheck disable=SC2016
    PLACE=$place IMAGE=$image VARIABLES=$variables ${CORE:+taskset --cpu-list "$CORE"} unshare --mount --pid --net --fork bash -c '
        set -e
        ip link set lo up
        mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$PLACE/upper,workdir=$PLACE/work" "$PLACE/root"
        mount -t proc proc "$PLACE/root/proc"
        mount --rbind /dev "$PLACE/root/dev"
        mkdir -p "$PLACE/root/project"
        mount --bind . "$PLACE/root/project"
        exec chroot --userspec=1000:1000 "$PLACE/root" env -i $VARIABLES PYTHONDONTWRITEBYTECODE=1 \
            bash -c "cd && exec /opt/flowlens/start \"\$@\"" start "$@"' run "$@" || status=$?
    if [ -n "${group:-}" ]; then
        echo "memory limit $LIMIT MB: $(sed -n 's/^oom_kill //p' "$group/memory.oom_control") processes ended by it"
        echo $BASHPID > /sys/fs/cgroup/memory/cgroup.procs
        rmdir "$group" || true
    fi
    [ -n "${PLACE:-}" ] || rm -rf "$place"
    return "$status"
}

"$@"
