#!/usr/bin/env python3
"""Compares `stackctl up` with `docker compose up` on the same stack, run by run, and holds the bounds below.

    benches/compose.py [--noop N] [--cold N] [--stackctl PATH] [--compose PATH]

Both sides run stack.example.toml's services from the same images, side by side under names and ports of their own:
`b-stackctl` from the file itself, `b-compose` from benches/compose/compose.yaml. Every pair measures both, each going
first in every other pair, so that what else the machine does meets both alike. Times are of the whole process.

    cold    nothing but the images: `stackctl up` against `docker compose up -d --wait`, both until all is healthy;
            while one is measured, the other does not run
    no-op   both run, and nothing is to be done: `stackctl up` against `docker compose up -d`
    bare    the same with `service_started` wherever Compose's file says `service_healthy`, for which Compose looks
            every half second, also where nothing changes: a stack that could not start in order, told for comparison

Raw figures go to target/bench/*.csv, a summary to stdout. Exits 1 if a bound is missed.
"""

import argparse
import csv
import os
import platform
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

# --- bounds ---

NOOP_RATIO = 0.3  # of Compose's time
COLD_RATIO = 1.0
CHECK_MS = 20  # whole process of `stackctl check`
MEMORY_MIB = 16  # most resident memory of any measured `stackctl`
BINARY_MB = 10

# --- both sides ---

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/bench"
OURS, THEIRS = "b-stackctl", "b-compose"
PORTS = {OURS: (19080, 19443), THEIRS: (19180, 19543)}
GNU_TIME = shutil.which("time") or sys.exit("needs GNU time: `apt-get install time`")
SERVICES = ("app", "postgres", "redis", "prometheus", "proxy")


def run(*command, env=None):
    """Runs a command to its end; what it says is shown only if it fails."""
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def timed(command, env=None):
    """Wall time in seconds and peak resident memory in MiB of a whole process. The memory by GNU time, because the
    kernel counts what a process was forked from, which would be this script."""
    peak, log = WORK / "peak", WORK / "last.log"
    began = time.monotonic()
    with open(log, "wb") as out:
        code = subprocess.call([GNU_TIME, "--quiet", "--format", "%M", "--output", peak, *command], cwd=ROOT, env=env,
                               stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    took = time.monotonic() - began
    if code != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {code}\n{log.read_text()}")
    return took, int(peak.read_text()) / 1024


class Stackctl:
    name = OURS

    def __init__(self, program):
        http, https = PORTS[OURS]
        text = (ROOT / "stack.example.toml").read_text()
        for pattern, new in (
            (r'^name = ".*"', f'name = "{OURS}"'),
            (r'^build( *)= "', rf'build\1= "{ROOT}/'),
            (r"^http_port( *)= \d+", rf"http_port\1= {http}"),
            (r"^https_port( *)= \d+", rf"https_port\1= {https}"),
            # As often as Compose's checks are run on the other side.
            (r'^healthcheck = ("[^"]*")', r'healthcheck = { path = \1, interval = "1s" }'),
            (r'^(preset = "(?:postgres|redis):.*)$', r'\1\nhealthcheck = { interval = "1s" }'),
        ):
            text, found = re.subn(pattern, new, text, flags=re.M)
            assert found, pattern
        self.file = WORK / "stack.toml"
        self.file.write_text(text)
        self.call = [program, "--quiet", "--file", str(self.file)]

    def up(self):
        return [*self.call, "up", "--yes", "--no-verify"]

    def noop(self):
        return timed(self.up())

    cold = bare = noop

    def check(self):
        return timed([*self.call, "check"])

    def down(self):
        run(*self.call, "down", "--volumes", "--yes")


class Compose:
    name = THEIRS

    def __init__(self, program, images):
        folder = WORK / "compose"
        (folder / "secrets").mkdir(parents=True, exist_ok=True)
        (folder / "nginx").mkdir(exist_ok=True)
        source = ROOT / "benches/compose"
        for file, to in (("compose.yaml", "."), ("prometheus.yml", "."), ("nginx.conf", "nginx")):
            shutil.copy(source / file, folder / to)
        self.bare_file = folder / "bare.yaml"
        self.bare_file.write_text((source / "compose.yaml").read_text().replace("service_healthy", "service_started"))
        password, word = secrets.token_hex(16), secrets.token_hex(16)
        for name, value in {
            "postgres.password": password,
            "postgres.url": f"postgresql://example:{password}@postgres:5432/example",
            "redis.conf": f"requirepass {word}\nappendonly yes\ndir /data\n",
            "redis.url": f"redis://:{word}@redis:6379/0",
            "secret_key": secrets.token_hex(32),
        }.items():
            (folder / "secrets" / name).write_text(value)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-keyout", folder / "nginx/site.key", "-out", folder / "nginx/site.pem")
        (folder / "nginx/site.key").chmod(0o644)  # Compose mounts it as it is, and Nginx is not root
        http, https = PORTS[THEIRS]
        self.env = {**os.environ, "HTTP_PORT": str(http), "HTTPS_PORT": str(https),
                    **{f"IMAGE_{name.upper()}": image for name, image in images.items()}}
        self.call = [program, "--project-name", THEIRS, "--file", str(folder / "compose.yaml")]

    def noop(self):
        return timed([*self.call, "up", "-d"], self.env)

    def bare(self):
        return timed([*self.call[:-1], str(self.bare_file), "up", "-d"], self.env)

    def cold(self):
        return timed([*self.call, "--profile", "deploy", "up", "-d", "--wait"], self.env)

    def down(self):
        run(*self.call, "--profile", "deploy", "down", "--volumes", "--timeout", "10", env=self.env)


def images():
    """What our side runs, so that the other runs the very same."""
    return {name: run("docker", "inspect", "--format", "{{.Image}}", f"{OURS}-{name}-1").strip() for name in SERVICES}


def clean():
    """Leaves nothing of an earlier run that was stopped half-way."""
    for label in (f"stackctl.project={OURS}", f"com.docker.compose.project={THEIRS}"):
        for what, remove in (("container ls -aq", "container rm -f"), ("volume ls -q", "volume rm"),
                             ("network ls -q", "network rm")):
            found = run("docker", *what.split(), "--filter", f"label={label}").split()
            if found:
                run("docker", *remove.split(), *found)


# --- measuring ---


def pairs(kind, sides, number, prepare=lambda: None):
    """Measures both sides `number` times, each first in every other pair."""
    rows = []
    for pair in range(number):
        row = {}
        for side in sides if pair % 2 == 0 else reversed(sides):
            prepare()
            row[side.name] = getattr(side, kind)()
        rows.append(row)
        ours, theirs = row[OURS][0], row[THEIRS][0]
        print(f"{kind} {pair + 1}/{number}: {ours:.3f} s, {theirs:.3f} s, {ours / theirs:.2f}", file=sys.stderr)
    with open(WORK / f"{kind}.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["pair", "side", "seconds", "peak_mib"])
        for pair, row in enumerate(rows, 1):
            for name, (took, peak) in row.items():
                out.writerow([pair, name, f"{took:.4f}", f"{peak:.1f}"])
    return rows


def nothing(sides):
    """Neither side runs: what the other's containers do would slow this one down."""
    for side in sides:
        side.down()
    time.sleep(2)


def spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noop", type=int, default=15, metavar="N", help="pairs with nothing to do")
    parser.add_argument("--cold", type=int, default=3, metavar="N", help="pairs from nothing")
    parser.add_argument("--stackctl", default=str(ROOT / "target/release/stackctl"), metavar="PATH")
    parser.add_argument("--compose", default=str(ROOT / "target/tools/compose-2.26/docker-compose"), metavar="PATH")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)

    clean()
    ours = Stackctl(args.stackctl)
    run(*ours.up())  # builds the app's image
    theirs = Compose(args.compose, images())
    sides = [ours, theirs]
    try:
        cold = pairs("cold", sides, args.cold, lambda: nothing(sides))
        for side in sides:
            side.cold()
            side.noop()  # what was left out changes hashes: Compose makes some containers again, once
        time.sleep(5)
        noop = pairs("noop", sides, args.noop)
        for side in sides:
            side.bare()
        time.sleep(5)
        bare = pairs("bare", sides, args.noop)
        check = [ours.check() for _ in range(max(args.noop, 5))]
    finally:
        for side in sides:
            side.down()
        clean()

    version = run(args.compose, "version", "--short").strip()
    engine = run("docker", "version", "--format", "{{.Server.Version}}").strip()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Docker Engine {engine}, Compose {version}, "
          f"load {os.getloadavg()[0]:.1f}; median (min–max)\n")
    print(f"{'':8}{'stackctl up':>26}{'docker compose up':>26}{'ratio':>20}{'bound':>8}")
    missed = False
    for kind, rows, bound in (("no-op", noop, NOOP_RATIO), ("bare", bare, None), ("cold", cold, COLD_RATIO)):
        if rows:
            mine, other = ([row[name][0] for row in rows] for name in (OURS, THEIRS))
            ratios = [a / b for a, b in zip(mine, other)]
            missed |= bound is not None and statistics.median(ratios) > bound
            print(f"{kind:8}{spread(mine, 3) + ' s':>26}{spread(other, 3) + ' s':>26}{spread(ratios, 2):>20}{bound or '':>8}")
    took = [seconds * 1000 for seconds, _ in check]
    peak = max((row[OURS][1] for row in cold + noop + bare), default=0)
    size = os.path.getsize(args.stackctl) / 1e6
    print(f"\nstackctl check   {spread(took, 1)} ms, bound {CHECK_MS}")
    other = max((row[THEIRS][1] for row in cold + noop + bare), default=0)
    print(f"peak memory      {peak:.1f} MiB, bound {MEMORY_MIB} (Compose: {other:.1f})")
    print(f"binary           {size:.2f} MB, bound {BINARY_MB} (Compose: {os.path.getsize(args.compose) / 1e6:.1f})")
    missed |= statistics.median(took) > CHECK_MS or peak > MEMORY_MIB or size > BINARY_MB
    if missed:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
