#!/usr/bin/python3
"""Real programs, each with 100 000 stacks or more walked by heapspy, libunwind and libgcc, compared frame by frame.

    tests/install-packages.sh build test stress; tests/stress/stacks.py [--stacks N] BUILD [PROGRAM...]

Prints a line for each program as it ends. The exit status is 1 if a stack differs where it must not: from libunwind or
from libgcc before the first pc without frame information (but for libunwind behind code whose table was registered at
run time), from a fresh or a slow walk of ours; or if there are too few stacks, or a program does not do its work.
docs/stacks.md tells how to read the table.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROUNDS_MAX = 60
COLUMNS = (
    ("program", 11), ("stacks", 7), ("=libunwind", 10), ("=libgcc", 7), ("by rules", 8), ("registered", 10),
    ("libunwind", 9), ("libgcc", 6), ("own", 3), ("all", 3), ("reuse", 5), ("slow", 4), ("approx", 6), ("cut", 6),
    ("broken", 6), ("signal", 6), ("left out", 8), ("fp same", 7), ("short", 7), ("other", 7), ("s", 4),
)


def arguments():
    parser = argparse.ArgumentParser(usage="stacks.py [--stacks N] BUILD [PROGRAM...]")
    parser.add_argument("--stacks", type=int, default=100000, metavar="N", help="the least number for each program")
    parser.add_argument("build", metavar="BUILD")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM")
    return parser.parse_args()


WORDS = arguments()
os.environ["HEAPSPY_BUILD"] = os.path.abspath(WORDS.build)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import unwinders  # pylint: disable=wrong-import-position
from stress import programs  # pylint: disable=wrong-import-position

# name: what runs a round, bytes a sample, what has to be installed.
PROGRAMS = {
    "clang": (programs.clang, "16KiB", ["clang++"]),
    "cc1plus": (programs.gcc, "8KiB", ["g++"]),
    "python3": (programs.python3, "1KiB", ["/usr/bin/python3"]),
    "redis": (programs.redis, "4KiB", ["redis-server", "redis-benchmark"]),
    "postgres": (programs.postgres, "32KiB", [programs.POSTGRES / "postgres"]),
    "node": (programs.node, "4KiB", ["node"]),
    "exceptions": (programs.exceptions, "1", ["g++"]),
    "sqlite3": (programs.sqlite3, "512", ["sqlite3"]),
    "java": (programs.java, "512", ["keytool"]),
    "java-fp": (programs.java_fp, "512", ["keytool"]),
}
# Their frames without frame information all keep rbp: no stack ends before its outermost frame.
COMPLETE = ("node",)


def line(cells):
    return "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                     for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS)))


def measure(name):
    """Runs rounds of a program until there are stacks enough; returns the figures and the texts with differences."""
    run, sample, _ = PROGRAMS[name]
    total, told = dict.fromkeys(unwinders.FIELDS, 0), []
    with tempfile.TemporaryDirectory(prefix=f"heapspy-{name}.") as place, \
            tempfile.TemporaryDirectory(prefix=f"heapspy-{name}.", dir="/dev/shm") as state:
        os.chmod(place, 0o755)
        os.chmod(state, 0o1777)
        os.environ["HEAPSPY_STATE"] = state
        for _ in range(ROUNDS_MAX):
            bench = programs.Bench(place, unwind="compare", sample=sample, interval=0, depth=256,
                                   writer="inline", cpu_max="off")
            texts = run(bench)
            if not any((bench.place / "out").rglob("*.hspy")):
                raise RuntimeError("it left no snapshot")
            for field, value in unwinders.total(texts).items():
                total[field] += value
            told += [said for text in texts for said in text.splitlines()
                     if said.startswith(("heapspy: unwinders: a stack is", "heapspy:   "))]
            shutil.rmtree(bench.place / "out", ignore_errors=True)
            if total["compared"] >= WORDS.stacks:
                break
    return total, told


def faults(name, total):
    """What is wrong with the figures of a program, in words."""
    found = [f"{field} {total[field]}" for field in unwinders.WRONG if total[field]]
    if total["compared"] < WORDS.stacks:
        found.append(f"only {total['compared']} stacks")
    if sum(total[field] for field in unwinders.CLASSES) != total["compared"]:
        found.append("the classes do not add up")
    if name in COMPLETE and total["broken"]:
        found.append(f"{total['broken']} stacks do not reach their outermost frame")
    return found


def main():
    unknown = set(WORDS.programs) - set(PROGRAMS)
    if unknown:
        sys.exit(f"no program {', '.join(sorted(unknown))}; there are: {', '.join(PROGRAMS)}")
    bad = []
    print(line(name for name, _ in COLUMNS), flush=True)
    for name in WORDS.programs or PROGRAMS:
        missing = [str(word) for word in PROGRAMS[name][2] if not shutil.which(word)]
        if missing:
            print(line([name]), f" skipped: {', '.join(missing)} not installed", flush=True)
            continue
        begun = time.monotonic()
        try:
            total, told = measure(name)
        except Exception as error:  # pylint: disable=broad-except
            print(line([name]), f" failed: {error}", flush=True)
            bad.append(name)
            continue
        cells = ("compared", "equal_libunwind", "equal_libgcc", "by_rules", "registered", "libunwind_differs",
                 "libgcc_differs", "own_differs", "all_differ", "reuse_differs", "slow_differs", "approximate", "cut",
                 "broken", "signal", "left_out", "fp_equal", "fp_shorter", "fp_different")
        print(line([name, *(total[cell] for cell in cells), round(time.monotonic() - begun)]), flush=True)
        wrong = faults(name, total)
        if wrong:
            bad.append(name)
            print(*told[:400], f"{name}: {'; '.join(wrong)}", sep="\n", flush=True)
    print(f"wrong: {', '.join(bad)}" if bad else "no stack differs where it must not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
