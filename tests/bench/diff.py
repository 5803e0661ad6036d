#!/usr/bin/python3
"""How long `heapspy diff` takes for two snapshots of 100 000 live samples and 20 000 stacks.

    tests/bench/diff.py [BUILD...]

The snapshots are made up: a program without symbols, of 12 000 call sites in 6 modules, a third of
whose samples are other ones at the second moment. Prints medians and the least, of wall time and of
CPU time, and with valgrind the instructions; asserts nothing. Several builds are run in turns, so
that they meet the same disturbances.
"""
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
import snapshot_format as sf  # noqa: E402

BUILDS = [pathlib.Path(word).resolve() for word in sys.argv[1:]] or [ROOT / "build"]
N_SAMPLES, N_STACKS, N_SITES, N_MODULES, TURNS = 100000, 20000, 12000, 6, 15
MODULE_BYTES = 1 << 24
MINUTE = 60 * 10**9
VIEWS = [["--by", "function"], ["--by", "site"]]


def make_stacks(rng):
    """Paths of 8 to 40 frames in a tree of calls, so that outer frames are shared."""
    sites = [sf.Frame(0x400000 + m * MODULE_BYTES + 5 + 16 * rng.randrange(MODULE_BYTES // 16), m + 1)
             for m in (min(int(rng.expovariate(.8)), N_MODULES - 1) for _ in range(N_SITES))]
    paths = [[sites[0]]]
    while len(paths) < N_STACKS:
        base = rng.choice(paths)
        keep = rng.randrange(len(base)) + 1
        new = [sites[int(rng.triangular(0, N_SITES, 0))] for _ in range(rng.randint(1, 12))]
        paths.append((base[:keep] + new)[:40])
    for path in paths:
        while len(path) < 8:
            path.append(rng.choice(sites))
    # The weights of one sample of 4096 bytes a stack: close enough for the self test, which is quiet.
    stacks = [sf.Stack(i + 1, path[::-1], allocated=(1, 4096, 526339, 4194283, 131585))
              for i, path in enumerate(paths)]
    rng.shuffle(stacks)  # as in the library's table
    return stacks


def make_sample(rng, index, born_from, born_to):
    size = int(2 ** rng.uniform(4, 17))
    return sf.Sample(0x7F0000000000 + 16 * index, size, rng.randrange(born_from, born_to),
                     int(rng.triangular(1, N_STACKS, 1)), rng.randrange(2**32), thread=index % 4)


def make_snapshots(directory):
    rng = random.Random(7)
    stacks = make_stacks(rng)
    live = [make_sample(rng, i, 0, MINUTE) for i in range(N_SAMPLES)]
    for number in (1, 2):
        s = sf.Snapshot(number=number, cut_ns=number * MINUTE, rss_bytes=1 << 30)
        s.modules = [sf.Module(m + 1, f"/nowhere/lib{m}.so", 0x400000 + m * MODULE_BYTES,
                               0x400000 + (m + 1) * MODULE_BYTES, 0x400000 + m * MODULE_BYTES, 0,
                               bytes([m + 1] * 20)) for m in range(N_MODULES)]
        s.threads = ["", "main", "worker", "io"]
        s.stacks = stacks
        s.live = live
        s.info.update(bytes_seen=N_STACKS * 526339, bytes_seen_end=N_STACKS * 526339)
        s.write(directory / f"{number:06}.hspy")
        # What survives stays where it was in the table.
        live = [make_sample(rng, N_SAMPLES + i, MINUTE, 2 * MINUTE) if rng.random() < 1 / 3 else sample
                for i, sample in enumerate(live)]


def measure(words, directory):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, cwd=directory, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=dict(os.environ, HEAPSPY_CACHE="off"))
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def instructions(words, directory):
    if not shutil.which("valgrind"):
        return ""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words],
                          cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, env=dict(os.environ, HEAPSPY_CACHE="off"))
    count = next(line for line in done.stderr.splitlines() if "Collected" in line).split()[-1]
    return f", {int(count) / 1e6:.0f} million instructions"


def main():
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        make_snapshots(directory)
        for view in VIEWS:
            words = {build: [str(build / "analyzer" / "heapspy"), "diff", "000001.hspy", "000002.hspy", *view]
                     for build in BUILDS}
            times = {build: [] for build in BUILDS}
            for _ in range(TURNS):
                for build in BUILDS:
                    times[build].append(measure(words[build], directory))
            for build in BUILDS:
                wall, cpu = zip(*times[build])
                print(f"{' '.join(view)}: {statistics.median(wall) * 1e3:.0f} ms, CPU "
                      f"{statistics.median(cpu) * 1e3:.0f} ms; least {min(wall) * 1e3:.0f} ms, CPU "
                      f"{min(cpu) * 1e3:.0f} ms{instructions(words[build], directory)}"
                      f"{f'  {build}' if len(BUILDS) > 1 else ''}", flush=True)


main()
