#!/usr/bin/python3
"""How far the library's account of its own CPU time is from what sampling costs the program.

    tests/bench/self_time.py [BUILD]

Prints medians over 200 pairs of turns, without and with sampling, in a minute or two; asserts nothing.
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
TURNS = 200


def info(path):
    done = subprocess.run([BUILD / "analyzer" / "heapspy", "dump", "--json", path], check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["info"]


def measure(depth, sample, operations):
    """(frames, interval, samples a turn, ns of CPU for each of them, what the library says)"""
    with tempfile.TemporaryDirectory() as place:
        env = dict(os.environ, LD_PRELOAD=str(BUILD / "preload" / "libheapspy.so"), HEAPSPY_SAMPLE=sample,
                   HEAPSPY_CPU_MAX="off", HEAPSPY_DIR=place, HEAPSPY_INTERVAL="0")
        out = subprocess.run([BUILD / "tests" / "bench" / "self_time", str(TURNS), str(operations), str(depth)],
                             env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
        without, sampled = zip(*(map(float, line.split()) for line in out.splitlines()))
        told, samples = [], []
        for turn in range(TURNS):
            before, begin, end = (info(f"{place}/{3 * turn + i:06}.hspy") for i in (1, 2, 3))
            price = begin["self_ns"] - before["self_ns"]
            told.append(end["self_ns"] - begin["self_ns"] - price)
            samples.append(end["samples"] - begin["samples"])
    n = statistics.mean(samples)
    truth = statistics.median(b - a for a, b in zip(without, sampled))
    return depth, sample, n, truth / n, statistics.median(told) / n


def main():
    print("frames  interval  samples a turn  CPU ns a sample  by self_ns")
    for depth in (2, 25):
        for sample, operations in (("1KiB", 100000), ("4KiB", 200000), ("16KiB", 400000)):
            print("{:6}  {:>8}  {:14.0f}  {:15.0f}  {:10.0f}".format(*measure(depth, sample, operations)))


if __name__ == "__main__":
    main()
