"""
Instructions of allocation functions, counted by callgrind: exact, whatever the machine is doing.

Counts are differences: of a long and a short run of one program, so that its start and end cancel, and of
libheapspy against an empty interposer (one jump a call) or no library at all.
"""
import re
import subprocess

import hspy
import pytest

EMPTY = hspy.BUILD / "tests" / "bench" / "empty_interposer.so"


def instructions(operation, n, library, directory, **settings):
    # Valgrind's time is no measure: no budget. Nor are the states of others a reason to sweep.
    env = hspy.environment(directory, preload=[library] if library else (), interval=0, cpu_max="off",
                           state="anon", **settings)
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         hspy.victim("prog_counted"), operation, str(n)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def per_operation(operation, library, directory, n=100000, **settings):
    return (instructions(operation, 2 * n, library, directory, **settings) -
            instructions(operation, n, library, directory, **settings)) / n


def test_pair_costs_sixteen_instructions_more_than_an_empty_interposer(tmp_path):
    """At 512 KiB, with the samples that this many bytes bring: about 120 for each million pairs."""
    empty = per_operation("pair", EMPTY, tmp_path, 1000000)
    ours = per_operation("pair", hspy.LIBRARY, tmp_path, 1000000)
    print(f"empty interposer {empty:.2f}, libheapspy {ours:.2f} instructions a pair")
    assert hspy.info(hspy.snapshots(tmp_path)[-1])["samples"] > 50, "no samples were taken"
    assert ours - empty <= 16, (ours, empty)


# Without any sample: six instructions to count a size, nine to ask the filter. calloc multiplies
# (two), and looks whether that fits (one); realloc counts and asks, and puts both answers together
# (two). new and delete each look which way to go (three), and new makes a frame to look at the result
# in; the C++ runtime's own, which calls malloc and free through its PLT, is what they save.
@pytest.mark.parametrize("operation, compared_with, allowed", [
    ("calloc", EMPTY, 18),  # measured: 17.0
    ("realloc", EMPTY, 33),  # malloc, realloc and free: 32.0
    ("new", None, 17),  # 16.0 more than with no library
])
def test_costs_few_instructions_more(operation, compared_with, allowed, tmp_path):
    before = per_operation(operation, compared_with, tmp_path)
    ours = per_operation(operation, hspy.LIBRARY, tmp_path, sample=1 << 40)
    print(f"{operation}: {before:.2f}, libheapspy {ours:.2f}")
    assert ours - before <= allowed, (ours, before)


def test_a_sample_and_its_free(tmp_path):
    """
    Under 31 frames, warm, with another leaf each time: 3480 instructions measured.
    About 1100 are the walk (which checks 30 frames of the one before) and finding its stack in the
    table, 500 the weights and the next gap, 150 two looks at the clock, and 300 the live table.
    """
    n = 3000
    without = per_operation("stack", hspy.LIBRARY, tmp_path / "without", n, sample=1 << 40)
    ours = per_operation("stack", hspy.LIBRARY, tmp_path / "with", n, sample=64)
    last = hspy.snapshots(tmp_path / "with")[-1]
    print(f"{ours - without:.0f} instructions a sample and its free")
    # Gaps are exponential: of the blocks, which are 15 gaps long, few are missed.
    assert hspy.info(last)["samples"] >= n
    assert ours - without <= 3500, (ours, without)
