#!/usr/bin/env python3
"""What a quota costs the front door, beside `limit_req` and beside no limit: the same load in one run.

    benches/quota.py [--rounds N] [--requests N] [--stackctl PATH] [--load PATH] [--image IMAGE]

One Nginx by the configuration that `stackctl render` writes, one service behind it, one client that sends as fast as it
is answered. Each round asks every path as often, in another order; what is counted is processor time of Nginx's own
processes, as the kernel keeps it. Exits 1 if a path is not answered as its limit says, or if a quota costs more than
the gate times what `limit_req` does.
"""

import argparse
import collections
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

GATE = 8.0

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/bench/quota"
PORT = 18990
STACK = """name = "quota"

[services.app]
image = "app:1"
port  = 8000

[proxy]
tls = "off"

[routes]
"/free/"         = "app"
"/rate/"         = { service = "app", limit = { rate = "100000/s", burst = 100000 } }
"/quota/"        = { service = "app", limit = "100000/day" }
"/rate-over/"    = { service = "app", limit = { rate = "1/m" } }
"/quota-over/"   = { service = "app", limit = "5/day" }
"/quota64-over/" = { service = "app", limit = "64/day" }
"""
# Path, what it is, share of answers that are 200.
PATHS = [
    ("/free/", "no limit", 1),
    ("/rate/", "limit_req, admitted", 1),
    ("/quota/", "quota, admitted", 1),
    ("/rate-over/", "limit_req, refused", 0),
    ("/quota-over/", "quota of 5, refused", 0),
    ("/quota64-over/", "quota of 64, refused", 0),
]


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def processor_time(container):
    """Of all its processes so far, in seconds."""
    pids = docker("top", container, "-o", "pid").split()[1:]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--requests", type=int, default=10000)
    options.add_argument("--stackctl", type=Path, default=ROOT / "target/release/stackctl")
    options.add_argument("--load", type=Path, default=ROOT / "target/debug/examples/load")
    mirror = os.environ.get("STACKCTL_REGISTRY_MIRROR")
    options.add_argument("--image", default=f"{mirror}/library/nginx:1.30" if mirror else "nginx:1.30")
    options = options.parse_args()

    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "stack.toml").write_text(STACK)
    subprocess.run([options.stackctl, "--quiet", "render", "out"], cwd=WORK, check=True, stdout=subprocess.DEVNULL)
    gateway = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    conf = WORK / "out/nginx/nginx.conf"
    # The name is known in Compose's network only.
    text, found = re.subn(r"server app:8000 [^;]*;", f"server {gateway}:{PORT};", conf.read_text())
    if found != 1:
        sys.exit(f"{conf}: {found} servers")
    conf.write_text(text)
    backend = subprocess.Popen([options.load, "serve", "--listen", f"{gateway}:{PORT}", "--delay-ms", "0"])
    container = docker(
        "run", "--detach", "--user", "101:101", "--tmpfs", "/tmp:mode=1777", "--volume", f"{WORK}/out/nginx:/door:ro",
        options.image, "nginx", "-e", "stderr", "-c", "/door/nginx.conf", "-g", "daemon off;",
    )
    try:
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        time.sleep(1)

        def ask(path, requests):
            done = subprocess.run(
                [options.load, "--url", f"http://{address}{path}", "--host", "localhost", "--connections", "16",
                 "--think-ms", "1", "--requests", str(requests), "--json"],
                stdout=subprocess.PIPE, text=True,
            )
            return json.loads(done.stdout)

        for path, _, _ in PATHS:
            ask(path, 200)  # nobody is cold, and those that are full are full
        costs = collections.defaultdict(list)
        for number in range(options.rounds):
            order = PATHS[number % len(PATHS):] + PATHS[: number % len(PATHS)]
            for path, what, admitted in order:
                before = processor_time(container)
                answers = ask(path, options.requests)["statuses"]
                spent = processor_time(container) - before
                total = sum(answers.values())
                if total < options.requests or answers.get("200" if admitted else "429", 0) != total:
                    sys.exit(f"{path}: {answers}")
                costs[what].append(spent / total * 1e6)
    finally:
        backend.terminate()
        docker("rm", "--force", "--volumes", container)
    print(f"{options.rounds} rounds of {options.requests} requests each; processor time of Nginx, µs a request")
    for _, what, _ in PATHS:
        own = costs[what]
        print(f"{what:22} {statistics.median(own):6.1f} ({min(own):.1f}–{max(own):.1f})")
    admitted, refused = (
        statistics.median(q / r for q, r in zip(costs[quota], costs[rate]))
        for quota, rate in [("quota, admitted", "limit_req, admitted"), ("quota of 5, refused", "limit_req, refused")]
    )
    print(f"a quota costs {admitted:.1f} times limit_req where it admits, {refused:.1f} times where it refuses; gate {GATE}")
    sys.exit(max(admitted, refused) > GATE)


if __name__ == "__main__":
    main()
