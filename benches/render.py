#!/usr/bin/env python3
"""Compares `stackctl render` with `docker compose config` on the same stack, run by run.

    benches/render.py [--pairs N] [--stackctl PATH] [--compose PATH]

The largest of tests/stacks, by what it renders to. One side reads stack.toml and writes every file it becomes, the
other reads the compose.yaml among them and prints it: as people type it, and the plugin alone, without the client of
Docker that finds and starts it. Each goes first in turn. Times are of the whole process; all files are in memory, since
file systems are not what is compared. Exits 1 if it is slower than the gate, or if two runs write different bytes;
whether the goal is reached is told.
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

GATE = 0.2  # of the time of `docker compose config`
GOAL = 0.1

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")
WORK = (MEMORY if MEMORY.is_dir() else ROOT / "target/bench") / "stackctl-render"


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
    docker = WORK / "docker"
    env = {"PATH": os.environ["PATH"], "HOME": str(WORK), "DOCKER_CONFIG": str(docker)}

    # Folders are new each time, and go at the end: a file system has work with files that have just been removed.
    shutil.rmtree(WORK, ignore_errors=True)

    def render(name, into):
        stack = ROOT / f"tests/stacks/{name}.toml"
        return run(options.stackctl, "--file", stack, "render", "--no-secrets", into, env=env)

    sizes = {}
    (docker / "cli-plugins").mkdir(parents=True)
    (docker / "cli-plugins/docker-compose").symlink_to(options.compose)
    for stack in sorted((ROOT / "tests/stacks").glob("*.toml")):
        render(stack.stem, WORK / stack.stem)
        sizes[stack.stem] = fingerprint(WORK / stack.stem)
    name = max(sizes, key=lambda stack: sizes[stack][0])
    folder = WORK / name
    # Whatever Compose insists on; values do not matter here.
    needed = set(re.findall(r"\$\{([A-Z0-9_]+)", (folder / "compose.yaml").read_text()))
    theirs = {**env, **{variable: "x" for variable in needed}}
    config = ["-f", "compose.yaml", "config"]
    sides = {"theirs": ["docker", "compose", *config], "plugin": [options.compose, *config], "ours": []}
    taken = {side: [] for side in sides}
    for pair in range(options.pairs):
        measured = {}
        for side in [*sides][pair % 3 :] + [*sides][: pair % 3]:
            if side == "ours":
                again = WORK / f"{name}-{pair}"
                measured[side] = render(name, again)
                if fingerprint(again) != sizes[name]:
                    sys.exit(f"{name}: two runs wrote different bytes")
            else:
                measured[side] = run(*sides[side], cwd=folder, env=theirs)
        for side, seconds in measured.items():
            taken[side].append(seconds)
    ratios = {side: [o / t for o, t in zip(taken["ours"], taken[side])] for side in ("theirs", "plugin")}

    def spread(values):
        return f"{statistics.median(values):.4f} ({min(values):.4f}–{max(values):.4f})"

    print(f"{name}: {sizes[name][0]} bytes; {options.pairs} pairs, median (min–max)")
    print(f"stackctl render        {spread(taken['ours'])} s")
    print(f"docker compose config  {spread(taken['theirs'])} s")
    print(f"  the plugin alone     {spread(taken['plugin'])} s")
    ratio = statistics.median(ratios["theirs"])
    goal = f"gate {GATE}, goal {GOAL}{'' if ratio <= GOAL else ': not reached'}"
    print(f"ratio                  {spread(ratios['theirs'])}, {goal}")
    print(f"  to the plugin alone  {spread(ratios['plugin'])}")
    shutil.rmtree(WORK)
    sys.exit(ratio > GATE)


if __name__ == "__main__":
    main()
