#!/usr/bin/python3
"""How long names take, how much memory, and how far they agree with llvm-symbolizer and addr2line.

    tests/bench/symbols.py [--keep DIR] [--units N] [--addresses N] [BUILD]

Asserts nothing. Builds a program of 60 C++ units, with more than 100 MB of .debug_info, which takes
ten minutes of processor time and 2 GB; DIR (tests-symbols in the temporary directory unless given)
keeps it for the next time.
"""
import argparse
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time

import symbols_compare
import symbols_program

ROOT = pathlib.Path(__file__).resolve().parents[2]
N_RUNS = 3
MIB = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--keep", type=pathlib.Path,
                        default=pathlib.Path(tempfile.gettempdir()) / "tests-symbols")
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--instances", type=int, default=9, help="of each container, in a unit")
    parser.add_argument("--addresses", type=int, default=5000)
    parser.add_argument("--show", type=int, default=2, help="differences of each kind to print")
    return parser.parse_args()


def debug_bytes(program):
    """(.debug_info, all debug sections), uncompressed."""
    sizes = {}
    for line in subprocess.run(["readelf", "-SW", program], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.splitlines():
        words = line.replace("[ ", "[").split()
        if len(words) > 6 and words[1].startswith(".debug_"):
            sizes[words[1]] = int(words[5], 16)
    return sizes[".debug_info"], sum(sizes.values())


def compressed(program, kind):
    """A copy with compressed sections; None where objcopy cannot."""
    copy = program.with_name(f"{program.name}.{kind}")
    if not copy.exists():
        partial = copy.with_suffix(".partial")
        done = subprocess.run(["objcopy", f"--compress-debug-sections={kind}", program, partial],
                              check=False, stderr=subprocess.DEVNULL)
        if done.returncode:
            return None
        partial.rename(copy)
    return copy


def timed(function, *words):
    """(what it returns, seconds, seconds of the processor): the least of some runs."""
    least = []
    for _ in range(N_RUNS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        result = function(*words)
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        least.append((seconds, cpu))
    return result, min(wall for wall, _ in least), min(cpu for _, cpu in least)


def row(what, seconds, cpu, peak="", memory=""):
    print(f"{what:34} {seconds:8.2f} s {cpu:8.2f} s {peak:>9} {memory}")


def measure(tool, program, addresses, total_bytes, cache):
    """Prints what heapspy takes; returns its names of the plain program."""
    print(f"{'':34} {'wall':>10} {'processor':>10} {'peak':>9} of the debug sections")
    chains = None
    for kind in ("plain", "zlib", "zstd"):
        copy = program if kind == "plain" else compressed(program, kind)
        if not copy:
            print(f"heapspy, {kind}: objcopy cannot")
            continue
        (found, _, _, peak), seconds, cpu = timed(symbols_compare.heapspy, tool, copy, addresses)
        chains = chains or found
        if found != chains:
            print(f"heapspy, {kind}: this libelf cannot unpack it; names from symbols only")
            continue
        row(f"heapspy, {kind}", seconds, cpu, f"{peak / 1024:.0f} MiB", f"{peak * 1024 / total_bytes:.2f}")
    option = [f"--cache={cache}"]
    shutil.rmtree(cache, ignore_errors=True)
    symbols_compare.heapspy(tool, program, addresses, option)
    (found, inner, _, peak), seconds, cpu = timed(symbols_compare.heapspy, tool, program, addresses, option)
    row("heapspy, remembered", seconds, cpu, f"{peak / 1024:.0f} MiB", f"(names alone {inner:.3f} s)")
    if found != chains:
        print("remembered names are not those of before!")
    shutil.rmtree(cache, ignore_errors=True)
    return chains


def compare(tool, program, addresses, chains, n_shown):
    for what, other in (("llvm-symbolizer", symbols_compare.llvm_symbolizer),
                        ("addr2line", symbols_compare.addr2line)):
        if not shutil.which(what):
            print(f"{what}: not installed")
            continue
        found, seconds, cpu = timed(other, program, addresses)
        row(what + " -i", seconds, cpu)
        theirs = symbols_compare.demangle(tool, found)
        differences, same, excused = symbols_compare.compare(chains, theirs)
        print(f"  agreement {100 * same:.3f} %, or {100 * excused:.3f} % where it is not plainly wrong; "
              + (", ".join(f"{len(where)} {kind}" for kind, where in sorted(differences.items()))
                 or "no difference"))
        for kind, where in sorted(differences.items()):
            for address in where[:n_shown]:
                print(f"    {kind} at {address:#x}")
                for name, chain in (("heapspy", chains[address]), (what, theirs.get(address, []))):
                    for frame in chain:
                        print(f"      {name:16} {frame.function[:100]}  {frame.file}:{frame.line}")


def main():
    given = arguments()
    tool = given.build.resolve() / "tests" / "bench" / "name_addresses"
    program = symbols_program.build(given.keep.resolve(), given.units, given.instances)
    info_bytes, total_bytes = debug_bytes(program)
    addresses = symbols_compare.pick_addresses(program, given.addresses)
    print(f"{len(addresses)} addresses of a program with {info_bytes / 1e6:.0f} MB of .debug_info, "
          f"{total_bytes / MIB:.0f} MiB of debug sections; best of {N_RUNS}")
    chains = measure(tool, program, addresses, total_bytes, given.keep.resolve() / "cache")
    compare(tool, program, addresses, chains, given.show)


main()
