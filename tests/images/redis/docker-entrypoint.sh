#!/bin/sh
# Options alone, or a configuration file alone, mean redis-server; root steps down to redis.
set -e
case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid redis --regid redis --clear-groups -- "$0" "$@"
fi

if [ "$1" = redis-server ]; then
    [ "$(umask)" != 0022 ] || umask 0077
    # Upstream is compiled with protected mode off; Debian is not. Whoever says which, decides.
    conf=
    case $2 in -* | '') ;; *) conf=$2 ;; esac
    case " $* " in
        *" --protected-mode "*) ;;
        *)
            if [ -z "$conf" ] || ! grep -qi '^[[:space:]]*protected-mode' "$conf"; then
                set -- "$@" --protected-mode no
            fi
            ;;
    esac
fi
exec "$@"
