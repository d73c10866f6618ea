"""What the environment says. A secret may come as NAME or, better, as a file that NAME_FILE points to."""

import hashlib
import hmac
import os
import socket
import sys


def setting(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    if path:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    return os.environ.get(name)


VERSION = os.environ.get("APP_VERSION", "dev")
HOSTNAME = socket.gethostname()
DATABASE_URL = setting("DATABASE_URL")
REDIS_URL = setting("REDIS_URL")

# Tells two secrets apart without showing either.
KEY_ID = hmac.new((setting("SECRET_KEY") or "").encode(), b"key id", hashlib.sha256).hexdigest()[:8]

# Misbehaviour on request, for tests: see README.md.
FAULT = os.environ.get("FAULT", "")

JOBS = "jobs"


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def exit_if_told_to() -> None:
    if FAULT == "exit":
        log("FAULT=exit: giving up at start")
        sys.exit(3)
