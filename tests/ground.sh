#!/usr/bin/env bash
# Makes a machine ready for the demo: programs, and a Docker engine that answers; with --tests for the tests, too.
# Does nothing, and says nothing, where all is there. Debian and Ubuntu.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "ground: $*" >&2; }
die() { say "$*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# --- programs ---

missing=()
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null || missing+=("$2")
}
need docker docker.io
need mmdebstrap mmdebstrap
need openssl openssl
need jq jq
need curl curl
need time time
need python3 python3
need flock util-linux
need cc gcc
if [ "${1:-}" = --tests ]; then
    need ip iproute2
    need tmux tmux
    need ssh openssh-client
    need as binutils
    need nginx nginx
    need systemd-analyze systemd
    need logrotate logrotate
    need xmllint libxml2-utils
    need testssl testssl.sh
    python3 -c 'import yaml' 2>/dev/null || missing+=(python3-yaml)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
# A Docker that is here but has no engine, nor one elsewhere.
if [ -z "${DOCKER_HOST:-}" ] && ! docker version >/dev/null 2>&1 && ! command -v dockerd >/dev/null; then
    [[ " ${missing[*]} " == *" docker.io "* ]] || missing+=(docker.io)
fi

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || die "please install: ${missing[*]}"
    say "installing ${missing[*]}"
    log=$(mktemp)
    # Programs are wanted, not services on this machine's ports; the engine is started below.
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then policy=; else
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null && as_root chmod 755 $policy
        trap 'as_root rm -f "$policy"' EXIT
    fi
    {
        as_root apt-get update -qq &&
            # The client has a package of its own in newer releases, which docker.io only recommends.
            { [[ " ${missing[*]} " != *" docker.io "* ]] ||
                ! apt-cache show docker-cli 2>/dev/null | grep -q . || missing+=(docker-cli); } &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt-get failed, see $log"; }
    rm -f "$log"
    [ -z "$policy" ] || as_root rm -f "$policy"
    trap - EXIT
fi

command -v cargo >/dev/null ||
    die "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer from https://rustup.rs"

# --- an engine ---

answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# wait_for SECONDS: until the engine answers
wait_for() {
    local deadline=$((SECONDS + $1))
    until answers; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.5
    done
}

start_dockerd() { # start_dockerd [arguments…]: outlives this script
    mkdir -p target
    say "starting dockerd $*"
    as_root setsid --fork sh -c 'exec dockerd "$@" >"$0" 2>&1 </dev/null' "$PWD/target/dockerd.log" "$@"
    wait_for 30
}

engine() {
    answers && return
    [ -z "${DOCKER_HOST:-}" ] || die "no engine answers at DOCKER_HOST=$DOCKER_HOST"
    [ "$(id -u)" = 0 ] || ! as_root docker version >/dev/null 2>&1 ||
        die "the engine answers root only: add yourself to the group docker"
    if [ -d /run/systemd/system ]; then
        say "starting the docker service"
        as_root systemctl start docker && wait_for 30 && return
    fi
    start_dockerd && return
    # Where the file system under it carries no overlay (a container, some virtual machines).
    if ! pgrep -x dockerd >/dev/null && ! grep -qs storage-driver /etc/docker/daemon.json; then
        start_dockerd --storage-driver vfs && return
    fi
    tail -n 20 target/dockerd.log >&2 || true
    die "no Docker engine answers, and none could be started"
}
engine
