#!/usr/bin/env python3
"""Compares `stackctl up` with `docker compose up` for stacks of 6, 24 and 60 services, turn by turn.

    benches/sizes.py [--sizes 6,24,60] [--rounds N] [--noop N] [--change N] [--stackctl PATH] [--compose PATH]

Services are small: each a Redis without data, from one image by ID, with the same limits and privileges on both sides.
Of each six, two are needed by the other four, which start when those are healthy.

    no-op    nothing is to be done: `stackctl up` against `docker compose up -d`
    bare     the same with `service_started` in Compose's file; told for comparison
    change   one service gets another environment: `stackctl up` against `docker compose up -d --wait`

Raw figures go to target/bench/sizes.csv, a table to stdout. Exits 1 where stackctl takes longer than Compose (`bare`
apart); the goals are told beside it.
"""

import argparse
import csv
import os
import statistics
import sys
import time

from compose import OURS, ROOT, THEIRS, WORK, clean, run, spread, timed

NOOP_GOAL, CHANGE_GOAL, GATE = 0.25, 0.8, 1.0
GROWTH = 2.0  # a service more may cost so many times as much between 24 and 60 as between 6 and 24


def image():
    """The image of Redis that is here, by ID: neither side pulls."""
    mirror = os.environ.get("STACKCTL_REGISTRY_MIRROR", "").rstrip("/")
    name = f"{mirror}/library/redis:7" if mirror else "redis:7"
    return name, run("docker", "image", "inspect", "--format", "{{.Id}}", name).strip()


def services(size):
    """Names, each with those it needs."""
    for number in range(size):
        group, member = divmod(number, 6)
        needs = [f"s{group}-{n}" for n in range(2)] if member > 1 else []
        yield f"s{group}-{member}", needs


class Stackctl:
    name = OURS

    def __init__(self, program, size):
        self.size = size
        self.file = WORK / f"sizes-{size}.toml"
        self.call = [program, "--quiet", "--file", str(self.file)]

    def write(self, version):
        out = [f'name = "{OURS}"']
        for index, (name, needs) in enumerate(services(self.size)):
            out.append(f'[services.{name}]\nimage = "redis:7"\nentrypoint = ["redis-server"]\n'
                       'command = ["--save", "", "--protected-mode", "no"]\nport = 6379\nmemory = "32M"\npids = 64\n'
                       'healthcheck = { tcp = true, interval = "1s" }\n'
                       f"depends_on = {needs!r}\nenvironment = {{ VERSION = \"{version if index == self.size - 1 else 0}\" }}")
        self.file.write_text("\n".join(out).replace("'", '"') + "\n")

    def up(self, kind):
        return timed([*self.call, "up", "--yes", "--no-verify"])

    def down(self):
        run(*self.call, "down", "--volumes", "--yes")


class Compose:
    name = THEIRS

    def __init__(self, program, size, image):
        self.size, self.image = size, image
        self.file, self.bare = WORK / f"sizes-{size}.yaml", WORK / f"sizes-{size}-bare.yaml"
        self.program = program

    def write(self, version):
        out = ["services:"]
        for index, (name, needs) in enumerate(services(self.size)):
            out.append(f"""  {name}:
    image: "{self.image}"
    entrypoint: ["redis-server"]
    command: ["--save", "", "--protected-mode", "no"]
    init: true
    restart: always
    mem_limit: 32m
    pids_limit: 64
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: ["/tmp"]
    environment: {{ VERSION: "{version if index == self.size - 1 else 0}" }}
    healthcheck: {{ test: ["CMD", "redis-cli", "ping"], interval: 1s }}""")
            if needs:
                out.append("    depends_on:")
                out += [f"      {need}: {{ condition: service_healthy }}" for need in needs]
        text = "\n".join(out) + "\n"
        self.file.write_text(text)
        self.bare.write_text(text.replace("service_healthy", "service_started"))

    def up(self, kind):
        file = self.bare if kind == "bare" else self.file
        wait = ["--wait"] if kind in ("cold", "change") else []
        return timed([self.program, "--project-name", THEIRS, "--file", str(file), "up", "-d", *wait])

    def down(self):
        run(self.program, "--project-name", THEIRS, "--file", str(self.file), "down", "--timeout", "10")


KINDS = ("no-op", "bare", "change")


def measure(size, args, image):
    """Seconds by kind: pairs of ours and theirs. One side at a time is there, since dozens of health checks a second
    are a load of their own; they take turns, each first in every other round."""
    sides = [Stackctl(args.stackctl, size), Compose(args.compose, size, image)]
    numbers = {"no-op": args.noop, "bare": args.noop, "change": args.change}
    took = {side.name: {kind: [] for kind in KINDS} for side in sides}
    for turn in range(args.rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            try:
                side.write(0)
                side.up("cold")
                for kind in KINDS:
                    # Whatever differs from the kind before is done once, and left out.
                    side.up(kind if kind == "bare" else "cold")
                    time.sleep(2)
                    for pair in range(numbers[kind]):
                        if kind == "change":
                            side.write(pair + 1)
                        took[side.name][kind].append(side.up(kind)[0])
                    middle = statistics.median(took[side.name][kind] or [0])
                    print(f"{size} {kind}, round {turn + 1}/{args.rounds}: {side.name} {middle:.3f} s", file=sys.stderr)
            finally:
                side.down()
                clean()
    return {kind: list(zip(took[OURS][kind], took[THEIRS][kind])) for kind in KINDS}


def growth(figures, sizes, kind):
    """What a service more costs between the larger two sizes, as a multiple of what it costs between the smaller."""
    middle = [statistics.median(ours for ours, _ in figures[size][kind]) for size in sizes]
    slopes = [(b - a) / (n - m) for a, b, m, n in zip(middle, middle[1:], sizes, sizes[1:])]
    return slopes[-1] / max(slopes[0], 1e-3) if len(slopes) > 1 else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="6,24,60", help="numbers of services, ascending")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="turns of each side")
    parser.add_argument("--noop", type=int, default=5, metavar="N", help="runs a turn with nothing to do")
    parser.add_argument("--change", type=int, default=3, metavar="N", help="runs a turn with one service changed")
    parser.add_argument("--stackctl", default=str(ROOT / "target/release/stackctl"), metavar="PATH")
    parser.add_argument("--compose", default=str(ROOT / "target/tools/compose-2.26/docker-compose"), metavar="PATH")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sizes = [int(size) for size in args.sizes.split(",")]
    clean()
    _, known = image()
    figures = {size: measure(size, args, known) for size in sizes}

    with open(WORK / "sizes.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["services", "kind", "pair", "stackctl", "compose"])
        for size, kinds in figures.items():
            for kind, rows in kinds.items():
                for pair, (ours, theirs) in enumerate(rows, 1):
                    out.writerow([size, kind, pair, f"{ours:.4f}", f"{theirs:.4f}"])

    print(f"median (min–max), load {os.getloadavg()[0]:.1f}\n")
    print("| services | | stackctl | Compose | ratio | goal |\n|---|---|---|---|---|---|")
    missed = []
    for size in sizes:
        for kind, goal in (("no-op", NOOP_GOAL), ("bare", None), ("change", CHANGE_GOAL)):
            rows = figures[size][kind]
            if not rows:
                continue
            ratios = [ours / theirs for ours, theirs in rows]
            ours, theirs = ([row[side] for row in rows] for side in (0, 1))
            print(f"| {size} | {kind} | {spread(ours, 3)} s | {spread(theirs, 3)} s | **{statistics.median(ratios):.2f}** "
                  f"({min(ratios):.2f}–{max(ratios):.2f}) | {goal or 'none'} |")
            if goal and statistics.median(ratios) > GATE:
                missed.append(f"{kind} of {size} services takes longer than Compose")
            elif goal and statistics.median(ratios) > goal:
                print(f"(goal of {goal} missed: {kind}, {size} services)", file=sys.stderr)
    for kind in ("no-op", "change"):
        if figures[sizes[0]][kind]:
            times = growth(figures, sizes, kind)
            print(f"\n{kind}: a service more costs {times:.1f} times as much between the larger two sizes (bound {GROWTH})")
            if times > GROWTH:
                missed.append(f"{kind} grows faster than the number of services")
    if missed:
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    main()
