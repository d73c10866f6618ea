#!/usr/bin/env bash
# Makes the images of the demo and the tests available, and says on stdout how to find them:
# nothing when they are the real ones, else the variable that makes stackctl take the stand-ins.
#
#   pull-or-build.sh          what the demo needs
#   pull-or-build.sh --all    every stand-in there is a recipe for
set -euo pipefail
cd "$(dirname "$0")"
. ./lib.sh

DEMO=(redis:7 debian:trixie-slim nginx:1.30 postgres:15 prom/prometheus:v2.53.3)

# Somebody has a mirror of their own: theirs to fill.
if [ -n "${STACKCTL_REGISTRY_MIRROR:-}" ] && [ "$STACKCTL_REGISTRY_MIRROR" != "$MIRROR" ]; then
    echo "STACKCTL_REGISTRY_MIRROR=$STACKCTL_REGISTRY_MIRROR"
    exit
fi

pull_all() {
    local image
    for image in "${DEMO[@]}"; do
        docker image inspect "$image" >/dev/null 2>&1 && continue
        # The first answers whether there is a registry at all; a slow line is no reason to give up.
        timeout "${PULL_TIMEOUT:-30}" docker pull --quiet "$image" >/dev/null 2>&1 || return 1
        PULL_TIMEOUT=600
        say "$image: pulled"
    done
}

if [ "${1:-}" != --all ] && pull_all; then exit; fi
[ "${1:-}" = --all ] || say "no registry answers: using stand-ins from Debian packages"

if [ "${1:-}" = --all ]; then ./build.sh; else ./build.sh "${DEMO[@]}"; fi >&2
echo "STACKCTL_REGISTRY_MIRROR=$MIRROR"
