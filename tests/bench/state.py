#!/usr/bin/python3
"""What a sample and a stack cost in the state, and how long a snapshot of many takes.

    tests/bench/state.py [BUILD]

Prints medians; asserts nothing. 100 000 live samples of 20 000 stacks, as in docs/performance.md.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()


def run(n, directory):
    env = dict(os.environ, LD_PRELOAD=str(BUILD / "preload" / "libheapspy.so"), HEAPSPY_SAMPLE="1",
               HEAPSPY_STATE_MAX="256MiB", HEAPSPY_DIR=directory, HEAPSPY_INTERVAL="0")
    out = subprocess.run([BUILD / "tests" / "bench" / "prog_tree", str(n)], env=env, check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    dump = json.loads(subprocess.run(
        [BUILD / "analyzer" / "heapspy", "dump", "--json", f"{directory}@1"], check=True,
        stdout=subprocess.PIPE, text=True).stdout)
    size = os.path.getsize(pathlib.Path(directory) / "000001.hspy")
    return statistics.median(map(float, out.split())), dump, size


def main():
    with tempfile.TemporaryDirectory() as place:
        _, few, _ = run(20000, place + "/few")
        ms, many, size = run(100000, place + "/many")
    n_live, n_stacks = many["n_live"], len(many["stacks"])
    print(f"snapshot of {n_live} live samples, {n_stacks} stacks: {ms:.1f} ms, {size / 2**20:.1f} MiB")
    print(f"state: {many['info']['state_bytes'] / 2**20:.1f} MiB; "
          f"{(many['info']['state_bytes'] - few['info']['state_bytes']) / 80000:.0f} bytes for each "
          "further live sample")
    print(f"       {few['info']['state_bytes'] / n_stacks:.0f} bytes for a stack with one live sample")
    print(f"self: {many['info']['self_ns'] / many['info']['samples']:.0f} ns a sample "
          "(clipped estimate of the library itself)")


main()
