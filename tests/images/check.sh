#!/usr/bin/env bash
# Starts every stand-in the way stackctl does (not root, no capabilities, read-only root) and
# the way people do (plain `docker run`), and asks it something. Prints one line per fact.
#
#   check.sh [nginx|postgres|redis|prometheus|alertmanager …]
set -euo pipefail
cd "$(dirname "$0")"
. ./lib.sh

RUN=stackctl-image-check-$$
HARD=(--cap-drop ALL --security-opt no-new-privileges --read-only --tmpfs /tmp:mode=1777)
WORK=$(mktemp -d)
failed=0 started=()

cleanup() {
    local c
    for c in "${started[@]}"; do docker rm --force --volumes "$c" >/dev/null 2>&1 || true; done
    docker volume rm "$RUN-config" "$RUN-data" >/dev/null 2>&1 || true
    rm -rf "$WORK"
}
trap cleanup EXIT

# start NAME docker-run-arguments…: the container's id is in $C, its address in $IP.
start() {
    local name=$RUN-$1; shift
    started+=("$name")
    C=$(docker run --detach --name "$name" "$@") || return 1
    IP=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$C")
}
stop() { docker rm --force --volumes "$C" >/dev/null; }

ok() { # ok FACT command…: waits up to 20 s for it to hold
    local fact=$1 deadline=$((SECONDS + 20)); shift
    until "$@" >"$WORK/out" 2>&1; do
        if [ $SECONDS -ge $deadline ]; then
            failed=$((failed + 1))
            printf 'FAIL  %s: %s\n' "$TAG" "$fact"
            sed 's/^/      | /' "$WORK/out"
            docker logs --tail 15 "$C" 2>&1 | sed 's/^/      > /' || true
            return 0
        fi
        sleep 0.1
    done
    printf 'ok    %s: %s\n' "$TAG" "$fact"
}
gives() { # gives WANT command…
    local want=$1; shift
    is "$("$@")" "$want"
}
is() { [ "$1" = "$2" ] || { echo "got '$1', want '$2'"; return 1; }; }
config() { docker image inspect --format "$1" "$MIRROR/$TAG"; }
uid_of() { docker exec "$C" stat -c %u "/proc/$1"; }
stops_with() { # the container ends by itself on its stop signal, with this status
    docker stop --time 10 "$C" >/dev/null
    is "$(docker inspect --format '{{.State.ExitCode}}' "$C")" "$1"
}

nginx() {
    TAG=library/nginx:$1
    ok "stop signal SIGQUIT" is "$(config '{{.Config.StopSignal}}')" SIGQUIT
    ok "user nginx is 101:101" is \
        "$(docker run --rm --entrypoint sh "$MIRROR/$TAG" -c 'id -u nginx; id -g nginx' | xargs)" "101 101"

    start plain "$MIRROR/$TAG"
    ok "plain: serves the default page" sh -c "curl -fsS http://$IP/ | grep -q 'Welcome to nginx'"
    ok "plain: access log on stdout" sh -c "docker logs $C 2>/dev/null | grep -q 'GET / HTTP'"
    ok "plain: ends on its signal" stops_with 0
    stop

    mkdir -p "$WORK/nginx"
    {
        [ "$1" = 1.22 ] || echo 'load_module modules/ngx_http_js_module.so;'
        cat <<'CONF'
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 64; }
http {
    access_log /dev/stdout;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server { listen 80; listen 443 ssl; http2 on; ssl_certificate c.pem; ssl_certificate_key k.pem; return 200 "hard\n"; }
}
CONF
    } >"$WORK/nginx/nginx.conf"
    [ "$1" != 1.22 ] || sed -i 's/443 ssl; http2 on;/443 ssl http2;/' "$WORK/nginx/nginx.conf"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x \
        -keyout "$WORK/nginx/k.pem" -out "$WORK/nginx/c.pem" 2>/dev/null
    chmod 644 "$WORK/nginx/"*
    docker volume create "$RUN-config" >/dev/null
    C=$(docker create --volume "$RUN-config:/config" "$MIRROR/$TAG")
    docker cp "$WORK/nginx/." "$C:/config"; docker rm "$C" >/dev/null
    start hard --user nginx "${HARD[@]}" --volume "$RUN-config:/config:ro" "$MIRROR/$TAG" \
        nginx -c /config/nginx.conf -g 'daemon off;'
    ok "hardened: answers on port 80" sh -c "curl -fsS http://$IP/ | grep -q hard"
    ok "hardened: answers over TLS and HTTP/2" sh -c "curl -fksS --http2 -o /dev/null -w '%{http_version}' https://$IP/ | grep -qx 2"
    ok "hardened: runs as 101" is "$(uid_of 1)" 101
    ok "hardened: reloads" docker exec "$C" nginx -c /config/nginx.conf -s reload
    ok "hardened: ends on its signal" stops_with 0
    stop; docker volume rm "$RUN-config" >/dev/null
}

postgres() {
    TAG=library/postgres:$1
    local sql='select 1'
    ok "stop signal SIGINT" is "$(config '{{.Config.StopSignal}}')" SIGINT
    ok "user postgres is 999:999" is \
        "$(docker run --rm --entrypoint sh "$MIRROR/$TAG" -c 'id -u postgres; id -g postgres' | xargs)" "999 999"

    start plain --env POSTGRES_PASSWORD='s p/a?ce' "$MIRROR/$TAG"
    ask() { docker run --rm --env PGPASSWORD="$1" --entrypoint psql "$MIRROR/$TAG" -h "$IP" -U "$2" -d "$3" -Atc "$4"; }
    ok "plain: answers over TCP with the password" ask 's p/a?ce' postgres postgres "$sql"
    ok "plain: refuses a wrong password" \
        sh -c "docker run --rm --env PGPASSWORD=x --entrypoint psql $MIRROR/$TAG -h $IP -U postgres -c 'select 1' 2>&1 | grep 'password authentication failed'"
    ok "plain: stepped down to 999" is "$(uid_of 1)" 999
    ok "plain: ends on its signal" stops_with 0
    stop

    # First start with secrets as files, other names, arguments and init scripts.
    mkdir -p "$WORK/pg"
    printf 'file-secret\n' >"$WORK/pg/password"
    printf 'app\n' >"$WORK/pg/user"
    echo 'create table from_sql (x int);' >"$WORK/pg/1.sql"
    printf '%s\n' '[ -z "$(psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -Atc "show listen_addresses")" ] || exit 9' \
        'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "create table from_sh (x int)"' >"$WORK/pg/2.sh"
    chmod -R a+rX "$WORK/pg"
    docker volume create "$RUN-config" >/dev/null
    C=$(docker create --volume "$RUN-config:/docker-entrypoint-initdb.d" "$MIRROR/$TAG")
    docker cp "$WORK/pg/." "$C:/docker-entrypoint-initdb.d"; docker rm --volumes "$C" >/dev/null
    hard() {
        start hard --user 999:999 "${HARD[@]}" --tmpfs /var/run/postgresql:uid=999,gid=999,mode=3777 \
            --volume "$RUN-config:/docker-entrypoint-initdb.d:ro" --volume "$RUN-data:/var/lib/postgresql/data" \
            --env POSTGRES_USER_FILE=/docker-entrypoint-initdb.d/user --env POSTGRES_DB=shop-1 \
            --env POSTGRES_PASSWORD_FILE=/docker-entrypoint-initdb.d/password \
            --env POSTGRES_INITDB_ARGS="--data-checksums --encoding='UTF8'" \
            "$MIRROR/$TAG" postgres -c shared_buffers=16MB -c "log_line_prefix=%m a b "
    }
    hard
    ok "hardened: answers with the secrets of files" ask file-secret app shop-1 "$sql"
    ok "hardened: init scripts ran, server on its socket only" ask file-secret app shop-1 'select * from from_sql, from_sh'
    ok "hardened: initdb arguments taken" gives on ask file-secret app shop-1 'show data_checksums'
    ok "hardened: command line taken" gives 16MB ask file-secret app shop-1 'show shared_buffers'
    ok "hardened: rule for hosts is scram" docker exec "$C" grep -Eqx 'host all all all scram-sha-256' /var/lib/postgresql/data/pg_hba.conf
    ok "hardened: data is private" gives "999 700" docker exec "$C" stat -c '%u %a' /var/lib/postgresql/data
    ok "hardened: password not in the server's environment" sh -c "! docker exec $C sh -c 'tr \"\\\\0\" \"\\\\n\" </proc/1/environ' | grep -q file-secret"
    ok "hardened: ends on its signal" stops_with 0
    docker rm "$C" >/dev/null
    hard
    ok "hardened: data outlives the container" ask file-secret app shop-1 'select * from from_sql'
    stop; docker volume rm "$RUN-config" "$RUN-data" >/dev/null

    start refused --env POSTGRES_PASSWORD= "$MIRROR/$TAG"
    ok "refuses to start without a password" sh -c "docker wait $C >/dev/null; docker logs $C 2>&1 | grep -q POSTGRES_PASSWORD"
    stop
}

redis() {
    TAG=library/redis:$1
    ok "user redis is 999:999" is \
        "$(docker run --rm --entrypoint sh "$MIRROR/$TAG" -c 'id -u redis; id -g redis' | xargs)" "999 999"
    ask() { docker run --rm --entrypoint redis-cli "$MIRROR/$TAG" -h "$IP" "$@"; }

    start plain "$MIRROR/$TAG"
    ok "plain: answers from another container" gives PONG ask ping
    ok "plain: stepped down to 999" is "$(uid_of 1)" 999
    ok "plain: ends on its signal" stops_with 0
    stop

    docker volume create "$RUN-config" >/dev/null
    printf 'maxmemory 20mb\nmaxmemory-policy allkeys-lru\nrequirepass secret\nappendonly yes\n' >"$WORK/redis.conf"
    C=$(docker create --volume "$RUN-config:/config" "$MIRROR/$TAG")
    docker cp "$WORK/redis.conf" "$C:/config/redis.conf"; docker rm --volumes "$C" >/dev/null
    start hard --user 999:999 "${HARD[@]}" --volume "$RUN-config:/config:ro" --volume "$RUN-data:/data" \
        "$MIRROR/$TAG" redis-server /config/redis.conf
    ok "hardened: wants the password of its file" gives "NOAUTH Authentication required." ask ping
    ok "hardened: limits of its file" sh -c "docker exec $C redis-cli -a secret --no-auth-warning config get maxmemory | grep -qx 20971520"
    ok "hardened: writes" gives OK ask -a secret --no-auth-warning set a 1
    ok "hardened: ends on its signal" stops_with 0
    docker rm "$C" >/dev/null
    start hard --user 999:999 "${HARD[@]}" --volume "$RUN-data:/data" "$MIRROR/$TAG" --appendonly yes
    ok "hardened: data outlives the container, options alone mean redis-server" gives 1 ask get a
    stop; docker volume rm "$RUN-config" "$RUN-data" >/dev/null
}

prometheus() {
    TAG=prom/prometheus:$1
    ok "entrypoint /bin/prometheus" is "$(config '{{json .Config.Entrypoint}}')" '["/bin/prometheus"]'
    ok "user nobody" is "$(config '{{.Config.User}}')" nobody
    start hard "${HARD[@]}" --volume "$RUN-data:/prometheus" "$MIRROR/$TAG"
    ok "hardened: ready" curl -fsS "http://$IP:9090/-/ready"
    ok "hardened: scrapes itself" sh -c "curl -fsS 'http://$IP:9090/api/v1/query?query=up' | grep -q '\"1\"'"
    ok "hardened: runs as 65534" is "$(uid_of 1)" 65534
    ok "hardened: promtool is there" docker exec "$C" promtool check config /etc/prometheus/prometheus.yml
    ok "hardened: ends on its signal" stops_with 0
    stop; docker volume rm "$RUN-data" >/dev/null
    ok "also under its short tag" docker image inspect "$MIRROR/prom/prometheus:v2"
}

alertmanager() {
    TAG=prom/alertmanager:$1
    ok "entrypoint /bin/alertmanager" is "$(config '{{json .Config.Entrypoint}}')" '["/bin/alertmanager"]'
    ok "user nobody" is "$(config '{{.Config.User}}')" nobody
    start hard "${HARD[@]}" --volume "$RUN-data:/alertmanager" "$MIRROR/$TAG"
    ok "hardened: ready" curl -fsS "http://$IP:9093/-/ready"
    ok "hardened: runs as 65534" is "$(uid_of 1)" 65534
    ok "hardened: amtool is there" docker exec "$C" amtool check-config /etc/alertmanager/alertmanager.yml
    ok "hardened: ends on its signal" stops_with 0
    stop; docker volume rm "$RUN-data" >/dev/null
}

[ $# -gt 0 ] || set -- nginx postgres redis prometheus alertmanager
for kind; do
    case $kind in
        nginx) for v in 1.30 1.26 1.22; do nginx $v; done ;;
        postgres) for v in 15 17; do postgres $v; done ;;
        redis) for v in 7 8; do redis $v; done ;;
        prometheus) prometheus v2.53.3 ;;
        alertmanager) alertmanager v0.28.1 ;;
        *) die "nothing known about $kind" ;;
    esac
done
[ $failed = 0 ] || die "$failed facts do not hold"
