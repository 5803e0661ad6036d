#!/usr/bin/python3
"""How long `heapspy trend` takes, and how much memory, over a run of 120 snapshots of 100 000 live
samples and 20 000 stacks each.

    tests/bench/trend.py [BUILD]

The run is made up (make_run.c): a program without symbols whose blocks turn over. Prints the median
and the least of the CPU time, and the largest peak RSS; asserts nothing.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
N_SNAPSHOTS, N_LIVE, N_STACKS, TURNS = 120, 100000, 20000, 5
VIEWS = [["--by", "function"], ["--by", "site", "-n", "0"], ["--json"]]


def measure(words):
    """CPU seconds and peak RSS in MiB of one run."""
    with open(os.devnull, "w") as nothing:
        child = subprocess.Popen(words, stdout=nothing, stderr=nothing,
                                 env=dict(os.environ, HEAPSPY_CACHE="off"))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(words)}: exit {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    with tempfile.TemporaryDirectory() as place:
        run = os.path.join(place, "run")
        subprocess.run([BUILD / "tests" / "bench" / "make_run", run, str(N_SNAPSHOTS), str(N_LIVE),
                        str(N_STACKS)], check=True)
        for view in VIEWS:
            cpu, rss = zip(*(measure([str(BUILD / "analyzer" / "heapspy"), "trend", run, *view])
                             for _ in range(TURNS)))
            print(f"trend {' '.join(view)}: CPU {statistics.median(cpu):.2f} s, least {min(cpu):.2f} s; "
                  f"peak RSS {max(rss):.0f} MiB", flush=True)


main()
