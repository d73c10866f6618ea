#!/usr/bin/env bash
# Fetches programs the tests compare with, into target/tools, never onto the host:
#
#   target/tools/compose-2.26/docker-compose    Debian trixie's
#   target/tools/compose-2.40/docker-compose    Debian forky's
#   target/tools/hey                            a load generator
#   target/tools/age/age, age-keygen            what opens encrypted files elsewhere
#   target/tools/pebble/pebble, pebble-challtestsrv   a certificate authority for tests, and its DNS
#
# They are unpacked from Debian packages inside a stand-in container of that suite.
set -euo pipefail
cd "$(dirname "$0")"
. ./lib.sh
TOOLS=$(cd ../.. && pwd)/target/tools

# unpack SUITE PACKAGE MEMBER TARGET [VERSION-PREFIX]
unpack() {
    local suite=$1 package=$2 member=$3 target=$TOOLS/$4 version=${5:-} partial
    [ -x "$target" ] && return
    QUIET=1 ./build.sh "debian:$suite-slim"
    say "$4: fetching $package from $suite"
    mkdir -p "$(dirname "$target")"
    partial=$target.partial
    # The download runs as root: apt's own user may not write to a scratch folder.
    docker run --rm "$MIRROR/library/debian:$suite-slim" sh -euc '
        apt-get update -qq >&2
        cd "$(mktemp -d)"
        apt-get -o APT::Sandbox::User=root download -qq "$1" >&2
        found=$(dpkg-deb --field ./*.deb Version)
        case $found in "$3"*) ;; *) echo "$1 is $found in this suite, not $3" >&2; exit 1 ;; esac
        dpkg-deb --fsys-tarfile ./*.deb | tar -xO "$2"
    ' sh "$package" "$member" "$version" >"$partial" || { rm -f "$partial"; die "no $4"; }
    chmod 755 "$partial"
    mv "$partial" "$target"
}

compose() { # compose SUITE VERSION
    unpack "$1" docker-compose ./usr/libexec/docker/cli-plugins/docker-compose "compose-$2/docker-compose" "$2."
    "$TOOLS/compose-$2/docker-compose" version --short >/dev/null || die "compose $2 does not run here"
}

[ $# -gt 0 ] || set -- compose-2.26 compose-2.40 hey age
for tool; do
    case $tool in
        compose-2.26) compose trixie 2.26 ;;
        compose-2.40) compose forky 2.40 ;;
        hey) unpack trixie hey ./usr/bin/hey hey ;;
        age)
            unpack trixie age ./usr/bin/age age/age
            unpack trixie age ./usr/bin/age-keygen age/age-keygen
            ;;
        pebble)
            unpack trixie pebble ./usr/bin/pebble pebble/pebble
            unpack trixie pebble ./usr/bin/pebble-challtestsrv pebble/pebble-challtestsrv
            ;;
        *) die "nothing known about $tool" ;;
    esac
done
