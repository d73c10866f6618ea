#!/usr/bin/env bash
# Makes the database on first start, then becomes the server. Root steps down to postgres.
set -Eeo pipefail
umask 0077

fail() { printf 'postgres-entrypoint: %s\n' "$*" >&2; exit 1; }
note() { printf 'postgres-entrypoint: %s\n' "$*"; }

# setting NAME DEFAULT: the value of NAME, or of the file that NAME_FILE points to.
setting() {
    local name=$1 file_name=$1_FILE value=$2
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        fail "$name and $file_name are both set"
    elif [ -n "${!name:-}" ]; then
        value=${!name}
    elif [ -n "${!file_name:-}" ]; then
        value=$(<"${!file_name}") || fail "cannot read ${!file_name} ($file_name)"
    fi
    export "$name=$value"
    unset "$file_name"
}

own_directories() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA" || true
    chmod 3777 /var/run/postgresql || true
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
        find /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} +
    fi
}

query() { # query DATABASE [psql options…]: runs stdin as the superuser
    local db=$1; shift
    PGPASSWORD=$POSTGRES_PASSWORD psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
        --username "$POSTGRES_USER" --no-password --dbname "$db" "$@"
}

init_scripts() {
    local f
    for f in /docker-entrypoint-initdb.d/*; do
        case $f in
            *.sh)
                note "running $f"
                if [ -x "$f" ]; then "$f"; else . "$f"; fi
                ;;
            *.sql) note "running $f"; query "$POSTGRES_DB" --file "$f" ;;
            *.sql.gz) note "running $f"; gunzip -c "$f" | query "$POSTGRES_DB" ;;
            *.sql.xz) note "running $f"; xz -dc "$f" | query "$POSTGRES_DB" ;;
        esac
    done
}

make_database() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        fail "no superuser password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE," \
            "or POSTGRES_HOST_AUTH_METHOD=trust to let anyone in"
    fi

    local extra=()
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || extra+=(--waldir "$POSTGRES_INITDB_WALDIR")
    # POSTGRES_INITDB_ARGS is a command line: quotes in it are meant.
    eval 'initdb --username "$POSTGRES_USER" --pwfile <(printf "%s\n" "$POSTGRES_PASSWORD") "${extra[@]}" '"${POSTGRES_INITDB_ARGS:-}"

    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

    # Nobody outside this container may connect before the scripts are through.
    shift
    pg_ctl --pgdata "$PGDATA" --wait --silent start \
        -o "$([ $# = 0 ] || printf '%q ' "$@") -c listen_addresses='' -p ${PGPORT:-5432}"
    if [ "$POSTGRES_DB" != postgres ]; then
        query postgres --set "db=$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
    fi
    init_scripts
    pg_ctl --pgdata "$PGDATA" --mode fast --wait --silent stop
    note "database made, starting"
}

case ${1:-} in -*) set -- postgres "$@" ;; esac

server=false
if [ "${1:-}" = postgres ]; then
    server=true
    for a; do
        case $a in -'?' | --help | --describe-config | -V | --version) server=false ;; esac
    done
fi

if $server; then
    own_directories
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        note "database exists, nothing to make"
    else
        setting POSTGRES_PASSWORD ''
        setting POSTGRES_USER postgres
        setting POSTGRES_DB "$POSTGRES_USER"
        setting POSTGRES_INITDB_ARGS ''
        make_database "$@"
        unset POSTGRES_PASSWORD
    fi
fi
exec "$@"
