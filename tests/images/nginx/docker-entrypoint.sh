#!/bin/sh
# Runs the hooks of /docker-entrypoint.d before nginx, then becomes the command.
set -e
case $1 in
    nginx | nginx-debug)
        for hook in /docker-entrypoint.d/*; do
            case $hook in
                *.envsh) [ ! -x "$hook" ] || . "$hook" ;;
                *.sh) [ ! -x "$hook" ] || "$hook" ;;
            esac
        done
        ;;
esac
exec "$@"
