#!/usr/bin/env bash
# Fetches programs the tests compare with, into target/tools, never onto the host:
#
#   target/tools/compose-2.26/docker-compose    Debian trixie's
#   target/tools/compose-2.40/docker-compose    Debian forky's
#   target/tools/hey                            a load generator
#   target/tools/age/age, age-keygen            what opens encrypted files elsewhere
#   target/tools/judges/{crossplane,gixy}       what reads and judges Nginx's configuration, from PyPI
#   target/tools/faketime-1.26, -1.30           a clock that tests set, for the Nginx of that version
#   target/tools/faketime                       the same for our own program
#   target/tools/pebble/pebble, pebble-challtestsrv   a certificate authority for tests, and its DNS
#
# All but the judges are unpacked from Debian packages inside a stand-in container of that suite.
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

judge() { # judge NAME: an environment of its own, with exactly the versions in judges/NAME.txt
    local into=$TOOLS/judges/$1 list=judges/$1.txt
    cmp -s "$list" "$into/list.txt" && return
    say "judges/$1: fetching from PyPI"
    rm -rf "$into"
    python3 -m venv "$into" || die "no judges/$1: python3 -m venv"
    # Nothing that is not on the list.
    "$into/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$list" >&2 ||
        die "no judges/$1"
    "$into/bin/pip" check >&2 || die "judges/$1: the list is not complete"
    cp "$list" "$into/list.txt"
}

faketime() { # faketime SUITE NGINX
    unpack "$1" libfaketime "./usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1" "faketime-$2/libfaketime.so"
}

[ $# -gt 0 ] || set -- compose-2.26 compose-2.40 hey age pebble judges faketime
for tool; do
    case $tool in
        compose-2.26) compose trixie 2.26 ;;
        compose-2.40) compose forky 2.40 ;;
        hey) unpack trixie hey ./usr/bin/hey hey ;;
        age)
            unpack trixie age ./usr/bin/age age/age
            unpack trixie age ./usr/bin/age-keygen age/age-keygen
            ;;
        judges)
            judge crossplane
            judge gixy
            ;;
        faketime)
            # The oldest suite's runs on every newer C library.
            unpack bookworm libfaketime "./usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1" faketime/libfaketime.so
            faketime trixie 1.26
            faketime forky 1.30
            ;;
        pebble)
            unpack trixie pebble ./usr/bin/pebble pebble/pebble
            unpack trixie pebble ./usr/bin/pebble-challtestsrv pebble/pebble-challtestsrv
            ;;
        *) die "nothing known about $tool" ;;
    esac
done
