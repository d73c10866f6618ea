#!/usr/bin/env bash
# Processor time of `stackctl check` on the stacks of the guides and the example: what an editor pays that asks at every
# stop of the keys. Usage: benches/check.sh [BINARY] [RUNS]; exits with 1 if one takes more than 20 ms on average.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "${1:-target/release/stackctl}") runs=${2:-50} status=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for file in tests/stacks/*.toml stack.example.toml; do
    cp "$file" "$folder/stack.toml"
    millis=$(cd "$folder" && env -i PATH="$PATH" bash -c '
        for ((i = 0; i < $2; i++)); do "$1" check --quiet >/dev/null || exit 1; done
        times' check "$binary" "$runs" | awk -v runs="$runs" '
        NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += t[1] * 60 + t[2] } printf "%.1f", sum * 1000 / runs }')
    [ -n "$millis" ] || { echo "$file: not valid" >&2; exit 1; }
    slow=$(awk -v ms="$millis" 'BEGIN { print (ms > 20) }')
    printf '%6s ms  %s%s\n' "$millis" "$file" "$([ "$slow" = 0 ] || echo '  more than 20 ms')"
    [ "$slow" = 0 ] || status=1
done
exit $status
