#!/usr/bin/env python3
"""Compares `stackctl render` with `docker compose config` on the same stack, run by run.

    benches/render.py [--pairs N] [--stackctl PATH] [--compose PATH]

The largest of tests/stacks, by what it renders to. One side reads stack.toml and writes every file it becomes, the
other reads the compose.yaml among them and prints it. Each goes first in every other pair. Times are of the whole
process. Exits 1 if it is slower than the gate, or if two runs write different bytes; whether the goal is reached is told.
"""

import argparse
import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

GATE = 0.4  # of Compose's time
GOAL = 0.1

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/bench/render"


def run(*command, cwd=ROOT, env=None):
    """Runs a command to its end; its time in seconds. What it says is shown only if it fails."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return took


def fingerprint(folder):
    """All bytes below a folder, as one hash; and how many they are."""
    total, digest = 0, hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        total += len(data)
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + data)
    return total, digest.hexdigest()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--stackctl", type=Path, default=ROOT / "target/release/stackctl")
    options.add_argument("--compose", type=Path, default=ROOT / "target/tools/compose-2.26/docker-compose")
    options = options.parse_args()
    env = {"PATH": os.environ["PATH"], "HOME": str(WORK)}

    def render(name, into):
        shutil.rmtree(into, ignore_errors=True)
        stack = ROOT / f"tests/stacks/{name}.toml"
        return run(options.stackctl, "--file", stack, "render", "--no-secrets", into, env=env)

    sizes = {}
    WORK.mkdir(parents=True, exist_ok=True)
    for stack in sorted((ROOT / "tests/stacks").glob("*.toml")):
        render(stack.stem, WORK / stack.stem)
        sizes[stack.stem] = fingerprint(WORK / stack.stem)
    name = max(sizes, key=lambda stack: sizes[stack][0])
    folder = WORK / name
    # Whatever Compose insists on; values do not matter here.
    needed = set(re.findall(r"\$\{([A-Z0-9_]+)", (folder / "compose.yaml").read_text()))
    theirs = {**env, **{variable: "x" for variable in needed}}
    ours, compose, ratios = [], [], []
    for pair in range(options.pairs):
        measured = {}
        for side in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
            if side == "ours":
                measured[side] = render(name, folder)
                if fingerprint(folder) != sizes[name]:
                    sys.exit(f"{name}: two runs wrote different bytes")
            else:
                measured[side] = run(options.compose, "-f", "compose.yaml", "config", cwd=folder, env=theirs)
        ours.append(measured["ours"])
        compose.append(measured["theirs"])
        ratios.append(measured["ours"] / measured["theirs"])

    def spread(values):
        return f"{statistics.median(values):.4f} ({min(values):.4f}–{max(values):.4f})"

    print(f"{name}: {sizes[name][0]} bytes; {options.pairs} pairs, median (min–max)")
    print(f"stackctl render        {spread(ours)} s")
    print(f"docker compose config  {spread(compose)} s")
    ratio = statistics.median(ratios)
    print(f"ratio                  {spread(ratios)}, gate {GATE}, goal {GOAL}{'' if ratio <= GOAL else ': not reached'}")
    sys.exit(ratio > GATE)


if __name__ == "__main__":
    main()
