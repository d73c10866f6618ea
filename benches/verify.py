#!/usr/bin/env python3
"""Time and memory of `stackctl verify --quick` on a stack like that of SUM, and of the whole checklist.

    benches/verify.py [--runs N] [--stackctl PATH]

The stack is tests/stacks/sum.toml with the sample app in place of SUM's image: three replicas behind Nginx with TLS,
PostgreSQL, Redis and Prometheus, limits by address, routes of their own for streams and logins. Without Grafana, which
there is no stand-in for. Times are of the whole process; memory is its largest resident set, by GNU time.

Exits 1 if the median of --quick is above 2 s, if any run takes more than 25 MiB, if the whole checklist ends later than
5 s after its longest wait, or if a check fails or cannot be judged. What was waited for, and which checks took longest
beside it, is told.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

QUICK_SECONDS = 2.0
BESIDE_WAITS = 5.0
MEMORY_MIB = 25

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/bench/verify"
NAME = "b-verify"
GNU_TIME = shutil.which("time") or sys.exit("needs GNU time: `apt-get install time`")

ENVIRONMENT = """[services.app.environment]
DATABASE_URL_FILE = "${postgres.url.file}"
REDIS_URL_FILE    = "${redis.url.file}"
SECRET_KEY_FILE   = "${secrets.secret_key.file}"

"""


def stack():
    """SUM's file, as far as it can run here."""
    text = (ROOT / "tests/stacks/sum.toml").read_text()
    for pattern, new in (
        (r'^name = ".*"', f'name = "{NAME}"'),
        (r'^build .*', f'build       = "{ROOT}/tests/sample-app"\nuser        = "10001"'),
        (r"^port .*= 5001", "port        = 8000"),
        (r"^pre_deploy .*", 'pre_deploy  = ["python3", "-m", "app.migrate"]'),
        (r"^command .*\n", ""),
        (r"^native .*\n", ""),
        (r"^volumes .*\n", ""),
        (r"^cpus .*\n", ""),
        (r'^memory   = "1G"', 'memory   = "256M"'),
        (r"^\[services\.app\.environment\]\n(?:[A-Z].*\n)+\n", ENVIRONMENT),
        (r"^\[services\.grafana\]\n(?:.+\n)+\n", ""),
        (r'^domains  = .*', 'domains  = ["localhost"]\naddress  = "127.0.0.1"\nhttp_port  = 19280\nhttps_port = 19643'),
        (r"^tls      = .*", 'tls      = "self-signed"'),
    ):
        text, found = re.subn(pattern, lambda _: new, text, flags=re.M)
        assert found, pattern
    return text


def timed(command, allowed):
    """Wall time in seconds, peak resident memory in MiB, and what was printed."""
    peak = WORK / "peak"
    began = time.monotonic()
    done = subprocess.run([GNU_TIME, "--quiet", "--format", "%M", "--output", peak, *command], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - began
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr}")
    return took, int(peak.read_text()) / 1024, done.stdout


def spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="runs of --quick")
    parser.add_argument("--stackctl", default=str(ROOT / "target/release/stackctl"), metavar="PATH")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    file = WORK / "stack.toml"
    file.write_text(stack())
    call = [args.stackctl, "--file", str(file)]
    down = [*call, "--quiet", "down", "--volumes", "--yes"]
    timed(down, {0})
    try:
        timed([*call, "--quiet", "up", "--yes", "--no-verify"], {0})
        time.sleep(40)  # Prometheus has asked twice: nothing is too young to be judged
        quick = [timed([*call, "--json", "verify", "--quick"], {0}) for _ in range(args.runs)]
        whole = timed([*call, "--json", "verify"], {0})
    finally:
        timed(down, {0})

    seconds, peak = [took for took, _, _ in quick], max(mib for _, mib, _ in [*quick, whole])
    report, everything = json.loads(quick[-1][2]), json.loads(whole[2])
    waits = sorted(everything["timings"]["waits"], key=lambda wait: -wait["millis"])
    longest = waits[0]
    beside = whole[0] - longest["millis"] / 1000
    print(f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}; median (min–max)")
    print(f"verify --quick   {spread(seconds, 3)} s of {args.runs} runs, {report['summary']['total']} findings; "
          f"bound {QUICK_SECONDS}")
    print(f"verify           {whole[0]:.1f} s, {everything['summary']['total']} findings; longest wait "
          f"{longest['millis'] / 1000:.1f} s ({longest['for']}), beside it {beside:.1f} s; bound {BESIDE_WAITS}")
    for wait in waits:
        print(f"  waited         {wait['millis'] / 1000:5.1f} s  {wait['for']}")
    for group in sorted(everything["timings"]["groups"], key=lambda group: -group["millis"])[:8]:
        print(f"  checks         {group['millis'] / 1000:5.1f} s  {', '.join(group['checks'])}")
    print(f"peak memory      {peak:.1f} MiB, bound {MEMORY_MIB}")
    missed = statistics.median(seconds) > QUICK_SECONDS or peak > MEMORY_MIB or beside > BESIDE_WAITS
    if missed:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
