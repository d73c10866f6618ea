#!/usr/bin/env bash
# What a release costs at the front door: real Nginx and real backends in containers, a client that never
# retries, and one way of cutting over at a time. docs/cutover.md has what came out.
#
#   nginx-reload.sh SCENARIO [VERSION [RTT_MS]]
#
#   reload    ten reloads, nothing else changes
#   release   new containers, new addresses written, reload, wait for the old workers, kill the old
#   unwaited  the same without waiting for the old workers
#   flag      both generations in the configuration, a file chooses: no reload; wait for the old
#             connections to end, kill the old
#   failover  both generations in one upstream, the old are killed: no reload, no switch
#   resolve   the upstream is a name asked every second (Nginx from 1.27.3): no reload, the old are killed
#   crash     one of two containers is killed and is gone for four seconds
#   idle      nothing at all (what the client and Nginx lose between themselves)
#
# Environment: REPEAT (10 reloads, 5 releases), CONNECTIONS (48), THINK_MS (40), STREAMS (2), POST (bytes),
# MODE (all), DELAY_MS of the backends (10), ON_TERM (die|drain), KEEPALIVE_MIN (10s where Nginx has it,
# "off"), UPSTREAM_KEEPALIVE (0), MAX_FAILS (1), FAIL_TIMEOUT (1s), REUSEPORT (1), REQUESTS_MAX (keepalive_requests), WORKERS (2), JSON (1),
# UPLOAD (1: beside the load, an upload of six seconds across each release).
# Images: IMAGE:VERSION with IMAGE=nginx. The client: LOAD=target/debug/examples/load.
set -euo pipefail

scenario=${1:?scenario} version=${2:-1.30} rtt=${3:-0}
root=$(cd "$(dirname "$0")/../.." && pwd)
load=${LOAD:-$root/target/debug/examples/load}
image=${IMAGE:-nginx}:$version
id=loadtest-$$ net=10.231.7
work=$(mktemp -d)
relay=
cleanup() {
    [ -z "$relay" ] || kill "$relay" 2>/dev/null || true
    docker ps -aq --filter "label=loadtest=$id" | xargs -r docker rm -f >/dev/null
    docker network rm "$id" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

newer() { [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -1)" = "$1" ]; }
# 1.30 stands for some 1.30.x: compare the branch.
min=${KEEPALIVE_MIN:-$(newer "$version" 1.28 && echo 10s || echo off)}
case $scenario in reload | idle) repeat=${REPEAT:-10} ;; *) repeat=${REPEAT:-5} ;; esac

servers() { # generation [parameter]
    local n
    for n in 0 1; do echo "        server $net.$((10 * $1 + n)):8000 ${2:-};"; done
}

# The configuration for a live generation (1 or 2).
render() {
    local live=$1 other=$((3 - $1)) http2="http2 on;" listen="listen 443 ssl" upstream
    newer "$version" 1.26 || { http2=; listen+=" http2"; }
    [ -z "${REUSEPORT:-}" ] || listen+=" reuseport"
    # From 1.29.7 Nginx keeps connections to upstreams unless told not to; before, "keepalive 0" is an error.
    # A connection that is not kept is for the backend to close: if Nginx closes first, its side waits in
    # TIME_WAIT, and past some 14 000 of them to one address connect() itself takes all the time.
    local connection='proxy_set_header Connection "";'
    [ "${UPSTREAM_KEEPALIVE:-0}" != 0 ] || connection='proxy_set_header Connection close;'
    local fails="max_fails=${MAX_FAILS:-1} fail_timeout=${FAIL_TIMEOUT:-1s}"
    local pool="keepalive ${UPSTREAM_KEEPALIVE:-0}; keepalive_timeout ${UPSTREAM_TIMEOUT:-5s};"
    [ "${UPSTREAM_KEEPALIVE:-0}" != 0 ] || newer "$version" 1.30 || pool=
    local chosen=app
    case $scenario in flag | crash) chosen='$app' ;; esac
    case $scenario in
    flag | crash) upstream="
    upstream app-1 { zone app-1 64k;
$(servers 1 "$fails")
$(servers 2 "$fails backup")
        $pool }
    upstream app-2 { zone app-2 64k;
$(servers 2 "$fails")
$(servers 1 "$fails backup")
        $pool }" ;;
    resolve) upstream="
    resolver 127.0.0.11 valid=1s;
    upstream app { zone app 64k;
        server app:8000 resolve;
        $pool }" ;;
    failover) upstream="
    upstream app { zone app 64k;
$(servers 1 "$fails")
$(servers 2 "$fails")
        $pool }" ;;
    *) upstream="
    upstream app { zone app 64k;
$(servers "$live" "$fails")
        $pool }" ;;
    esac
    cat >"$work/nginx.conf.new" <<EOF
worker_processes ${WORKERS:-2};
error_log /var/log/nginx/error.log warn;
pid /run/nginx.pid;
events { worker_connections 8192; }
http {
    access_log off;
    keepalive_timeout 75s;
    $([ "$min" = off ] || echo "keepalive_min_timeout $min;")
    keepalive_requests ${REQUESTS_MAX:-100000};
    keepalive_time 1d;
$upstream
    server {
        $listen;
        $http2
        ssl_certificate /conf/cert.pem;
        ssl_certificate_key /conf/key.pem;
        ssl_session_cache shared:tls:4m;
        $([ "$chosen" = app ] || echo 'set $app app-1; if (-f /conf/app.2) { set $app app-2; }')
        location / {
            proxy_pass http://$chosen;
            proxy_http_version 1.1;
            $connection
            proxy_set_header Host \$host;
            proxy_connect_timeout ${CONNECT_TIMEOUT:-2s};
            proxy_next_upstream error timeout;
        }
    }
}
EOF
    mv "$work/nginx.conf.new" "$work/nginx.conf"
}

backends() { # generation
    local n
    for n in 0 1; do
        [ -z "$(docker ps -q --filter "name=$id-app-$1-$n")" ] || continue
        docker run -d --rm --label "loadtest=$id" --name "$id-app-$1-$n" --network "$id" \
            --network-alias app --ip "$net.$((10 * $1 + n))" -v "$load:/load:ro" --entrypoint /load "$image" serve \
            --listen 0.0.0.0:8000 --name "gen$1-$n" --delay-ms "${DELAY_MS:-10}" --on-term "${ON_TERM:-die}" >/dev/null
    done
    for n in 0 1; do
        until curl -fsS -o /dev/null "http://$net.$((10 * $1 + n)):8000/" 2>/dev/null; do sleep 0.05; done
    done
}

kill_backends() { # generation
    docker kill -s TERM "$id-app-$1-0" "$id-app-$1-1" >/dev/null
    docker wait "$id-app-$1-0" "$id-app-$1-1" >/dev/null 2>&1 || true
    while docker ps -aq --filter "name=$id-app-$1-" | grep -q .; do sleep 0.05; done
}

workers() { docker top "$id-nginx" -o pid,args | awk '/nginx: worker/ { print $1 }'; }
reload() { docker kill -s HUP "$id-nginx" >/dev/null; }
# Gone means: none of the processes that were workers before the reload is there.
old_gone() {
    local pid left=1
    while [ $left = 1 ]; do
        left=0
        for pid in $1; do [ ! -d "/proc/$pid" ] || left=1; done
        [ $left = 0 ] || sleep 0.1
    done
}
# Connections from Nginx to a generation, from the kernel's table in Nginx's own network namespace.
connections_to() {
    local hex=07E70A # $net, last byte first
    docker exec "$id-nginx" cat /proc/net/tcp |
        awk -v one="$(printf '%02X' $((10 * $1)))$hex:1F40" -v two="$(printf '%02X' $((10 * $1 + 1)))$hex:1F40" \
            '$4 != "06" && ($3 == one || $3 == two)' | wc -l
}

docker network create --subnet "$net.0/24" --ip-range "$net.128/25" --label "loadtest=$id" "$id" >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=load.test \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
chmod 755 "$work"; chmod 644 "$work"/*.pem
live=1
backends 1
[ "$scenario" != failover ] || backends 2
render 1
docker run -d --label "loadtest=$id" --name "$id-nginx" --network "$id" --ip "$net.2" -v "$work:/conf" \
    --entrypoint nginx "$image" -c /conf/nginx.conf -g 'daemon off;' >/dev/null
until curl -fsSk -o /dev/null "https://$net.2/" 2>/dev/null; do
    docker ps -q --filter "name=$id-nginx" | grep -q . || { docker logs "$id-nginx"; exit 2; }
    sleep 0.1
done
target=$net.2:443
if [ "$rtt" != 0 ]; then
    "$load" relay --listen 127.0.0.1:18443 --to "$target" --delay-ms $((rtt / 2)) &
    relay=$! target=127.0.0.1:18443
    sleep 0.3
fi

"$load" --url "https://$target/" --host load.test --insecure --mode "${MODE:-all}" \
    --connections "${CONNECTIONS:-48}" --think-ms "${THINK_MS:-40}" --streams "${STREAMS:-2}" \
    ${POST:+--post "$POST"} --count-header x-backend --until-file "$work/stop" ${JSON:+--json} >"$work/result" &
client=$!
sleep 2
waited=0 uploads=()
for ((i = 0; i < repeat; i++)); do
    next=$((3 - live))
    if [ -n "${UPLOAD:-}" ]; then
        head -c 120000 /dev/zero | curl -sSk -o /dev/null -w '%{http_code}\n' --limit-rate 20k -X POST \
            --data-binary @- "https://$net.2/" >>"$work/uploads" 2>&1 &
        uploads+=($!)
        sleep 0.5
    fi
    case $scenario in
    idle) sleep 1 ;;
    reload) reload; sleep 1.5 ;;
    release | unwaited)
        backends $next
        render $next
        old=$(workers)
        reload
        began=$(date +%s%3N)
        if [ "$scenario" = release ]; then old_gone "$old"; else sleep "${DRAIN:-0.5}"; fi
        waited=$(($(date +%s%3N) - began))
        kill_backends $live
        ;;
    flag)
        backends $next
        if [ $next = 2 ]; then touch "$work/app.2"; else rm "$work/app.2"; fi
        began=$(date +%s%3N)
        sleep 0.2
        until [ "$(connections_to $live)" = 0 ]; do sleep 0.5; done
        waited=$(($(date +%s%3N) - began))
        kill_backends $live
        ;;
    crash)
        docker kill "$id-app-1-0" >/dev/null
        sleep 4
        backends 1
        sleep 1
        next=1
        ;;
    resolve)
        backends $next
        sleep 2
        kill_backends $live
        sleep 2
        ;;
    failover)
        kill_backends $live
        sleep 1
        backends $live
        sleep 2
        ;;
    *) echo "no scenario $scenario" >&2; exit 2 ;;
    esac
    live=$next
    sleep 0.5
done
touch "$work/stop"
code=0
wait $client || code=$?
[ -z "${UPLOAD:-}" ] || { wait "${uploads[@]}" || true; echo "# uploads: $(sort "$work/uploads" | uniq -c | xargs)"; }
echo "# $scenario, nginx $version, round trip $rtt ms, keepalive_min_timeout $min, $repeat times; last wait $waited ms"
cat "$work/result"
docker logs "$id-nginx" 2>&1 | sed -n 's/^.*\[\(error\|crit\|alert\|emerg\)\] [^ ]* //p' |
    sed 's/^\*[0-9]* //; s/, client:.*upstream: /; /; s/, host:.*//' | sort | uniq -c | sort -rn | head -5 || true
exit $code
