#!/usr/bin/env bash
# Builds stand-ins for docker-hub images from Debian packages, under a mirror prefix.
#
#   build.sh                 every image in the table below
#   build.sh nginx:1.30 …    these (and the base each needs); `library/` may be left out
#   build.sh --list          the table, with what exists
#
# An image that exists and was made from the same recipe is left alone.
set -euo pipefail
cd "$(dirname "$0")"
. ./lib.sh

# Most wanted first: people wait for these.
#  name                        recipe      suite     arguments of the Dockerfile
TABLE='
library/debian:trixie-slim     -           trixie
library/debian:bookworm-slim   -           bookworm
library/debian:forky-slim      -           forky
library/nginx:1.30             nginx       forky     VERSION=1.30 MODULES=libnginx-mod-http-js
library/postgres:15            postgres    bookworm  VERSION=15
library/redis:7                redis       bookworm  VERSION=7
prom/prometheus:v2.53.3        prometheus  trixie    VERSION=2.53.3
prom/alertmanager:v0.28.1      alertmanager trixie   VERSION=0.28.1
library/nginx:1.26             nginx       trixie    VERSION=1.26 MODULES=libnginx-mod-http-js
library/nginx:1.22             nginx       bookworm  VERSION=1.22
library/nginx:1.26-brotli      nginx       trixie    VERSION=1.26 MODULES=libnginx-mod-http-brotli-filter
test/systemd:252               systemd     bookworm  VERSION=252 PACKAGES=python3-flask,gunicorn,python3-fastapi,uvicorn,python-is-python3,nginx,curl
test/systemd:257               systemd     trixie    VERSION=257
library/postgres:17            postgres    trixie    VERSION=17
library/redis:8                redis       trixie    VERSION=8
'
# More names for the same image.
aliases_of() {
    case $1 in
        prom/prometheus:v2.53.3) echo prom/prometheus:v2 ;;
    esac
}

rows() { grep -v '^$' <<<"$TABLE"; }
row()  { rows | awk -v n="$1" '$1 == n' | grep . ; }
base_of() { echo "library/debian:$1-slim"; }

# --- recipes: what an image is made from, as one hash ---

# Asked once: apt takes its time.
DEBIAN=$(debian_archive) SECURITY=$(security_archive) HOST_APT_CONF=$(host_apt_conf)

sources() { # sources <suite>
    echo "deb $DEBIAN $1 main"
    case $1 in
        forky|sid) ;;
        *) echo "deb $DEBIAN $1-updates main"
           echo "deb $SECURITY $1-security main" ;;
    esac
}

apt_conf() { # apt_conf <suite>: ends up in the image as /etc/apt/apt.conf.d/99mmdebstrap
    cat <<'CONF'
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    case $1 in forky) echo 'Acquire::Check-Valid-Until "false";' ;; esac
    [ -z "$HOST_APT_CONF" ] || printf '%s\n' "$HOST_APT_CONF"
}

dpkg_conf() { # what a slim image leaves out; and no fsync, the layer is thrown away if we crash
    cat <<'CONF'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
CONF
}

recipe() { # recipe <name> <recipe> <suite> <args…>
    local name=$1 dir=$2 suite=$3; shift 3
    if [ "$dir" = - ]; then
        { echo base-1; sources "$suite"; apt_conf "$suite"; dpkg_conf; }
    else
        { recipe "$(base_of "$suite")" - "$suite"; echo "$@"; (cd "$dir" && find . -type f | LC_ALL=C sort | xargs sha256sum); }
    fi | sha256sum | cut -c1-16
}

# --- building ---

build_base() { # build_base <tag> <suite> <hash>
    local work=$WORK/base; mkdir -p "$work"
    apt_conf "$2" >"$work/apt.conf"
    dpkg_conf >"$work/dpkg.conf"
    sources "$2" >"$work/sources.list"
    mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" --dpkgopt="$work/dpkg.conf" \
        "$2" - "$work/sources.list" 2>"$work/log" |
        docker import --change 'CMD ["bash"]' --change "LABEL $RECIPE_LABEL=$3" - "$1" >/dev/null ||
        { cat "$work/log" >&2; return 1; }
}

build_recipe() { # build_recipe <tag> <dir> <suite> <hash> <args…>
    local tag=$1 dir=$2 suite=$3 hash=$4 args=() a log=$WORK/log; shift 4
    for a; do args+=(--build-arg "$a"); done
    docker build --force-rm --no-cache --label "$RECIPE_LABEL=$hash" --tag "$tag" \
        --build-arg "BASE=$MIRROR/$(base_of "$suite")" "${args[@]}" "$dir" >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2; return 1; }
}

ensure() { # ensure <name>
    local name=$1 r dir suite hash tag started old a
    r=$(row "$name") || die "no recipe for $name; see $0 --list"
    # shellcheck disable=SC2086
    set -- $r; dir=$2 suite=$3; shift 3
    tag=$MIRROR/$name
    hash=$(recipe "$name" "$dir" "$suite" "$@")
    if [ "$(recipe_of "$tag")" = "$hash" ]; then
        [ -n "${QUIET:-}" ] || say "$name: up to date"
    else
        [ "$dir" = - ] || QUIET=1 ensure "$(base_of "$suite")"
        say "$name: building"
        started=$SECONDS
        old=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
        if [ "$dir" = - ]; then build_base "$tag" "$suite" "$hash"
        else build_recipe "$tag" "$dir" "$suite" "$hash" "$@"; fi || die "$name could not be built"
        say "$name: built in $((SECONDS - started)) s," \
            "$(docker image inspect --format '{{.Size}}' "$tag" | awk '{printf "%.0f MB", $1 / 1e6}')"
    fi
    for a in $(aliases_of "$name"); do docker tag "$tag" "$MIRROR/$a"; done
    # What it replaced, unless something still runs from it.
    [ -z "${old:-}" ] || docker rmi "$old" >/dev/null 2>&1 || true
}

full_name() { # nginx:1.30 -> library/nginx:1.30
    case $1 in */*) echo "$1" ;; *) echo "library/$1" ;; esac
}

if [ "${1:-}" = --list ]; then
    rows | while read -r name dir suite args; do
        # shellcheck disable=SC2086
        have=$(recipe_of "$MIRROR/$name") want=$(recipe "$name" "$dir" "$suite" $args)
        if [ -z "$have" ]; then state=missing; elif [ "$have" = "$want" ]; then state=ok; else state=outdated; fi
        printf '%-32s %-9s %s\n' "$name" "$suite" "$state"
    done
    exit
fi

command -v mmdebstrap >/dev/null || die "mmdebstrap is missing; tests/ground.sh installs it"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# One builder at a time: two would make the same base twice.
exec 9>"${TMPDIR:-/tmp}/stackctl-images.lock"
flock -n 9 || { say "another build is running, waiting for it"; flock 9; }

if [ $# -eq 0 ]; then
    mapfile -t wanted < <(rows | awk '{print $1}')
else
    wanted=(); for n; do wanted+=("$(full_name "$n")"); done
fi
for n in "${wanted[@]}"; do ensure "$n"; done
