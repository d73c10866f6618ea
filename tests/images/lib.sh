# Shared by the scripts in this folder. Source it; it runs nothing.
# shellcheck shell=bash

# Where the product looks for stand-ins: docker-hub's `nginx:1.30` becomes
# `$MIRROR/library/nginx:1.30`. `.test` never resolves (RFC 6761), so nothing
# here can be mistaken for, or pushed over, a real image.
MIRROR=${STACKCTL_TEST_MIRROR:-stackctl.test}
RECIPE_LABEL=test.stackctl.recipe

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# The label that holds the hash of what an image was made from; empty when there is no such image.
recipe_of() {
    docker image inspect --format "{{ index .Config.Labels \"$RECIPE_LABEL\" }}" "$1" 2>/dev/null || true
}

# --- what this machine's apt is told, so that what we build can fetch too ---

# A Debian archive: the host's own when it has one (a mirror, a snapshot), else the public one.
archive() { # archive <path-regex> <default>
    local found
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        sed 's#/*$##' | grep -E "$1" | head -n 1) || true
    printf '%s' "${found:-$2}"
}
debian_archive()   { printf '%s' "${STACKCTL_TEST_DEBIAN:-$(archive '/debian$' http://deb.debian.org/debian)}"; }
security_archive() { printf '%s' "${STACKCTL_TEST_DEBIAN_SECURITY:-$(archive '/debian-security$' http://deb.debian.org/debian-security)}"; }

# Proxy and date settings of the host as an apt.conf; printed, never written to the source tree.
host_apt_conf() {
    apt-config dump 2>/dev/null |
        grep -E '^Acquire::(https?::Proxy|https?::Proxy::[^ ]+|Check-Valid-Until|Check-Date|Retries) "[^"]' || true
    local p
    p=${http_proxy:-${HTTP_PROXY:-}};   [ -z "$p" ] || printf 'Acquire::http::Proxy "%s";\n' "$p"
    p=${https_proxy:-${HTTPS_PROXY:-}}; [ -z "$p" ] || printf 'Acquire::https::Proxy "%s";\n' "$p"
}
