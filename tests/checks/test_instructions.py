"""Instructions of a malloc and free pair, counted by callgrind: exact, whatever the machine is doing."""
import re
import subprocess

import hspy

PAIRS = 1000000
ALLOWED = 16


def instructions(n_pairs, library, directory):
    env = hspy.environment(directory, preload=[library], interval=0)
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         hspy.victim("prog_pairs"), str(n_pairs)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def per_pair(library, directory):
    """Start and end of the program cancel in the difference."""
    return (instructions(2 * PAIRS, library, directory) -
            instructions(PAIRS, library, directory)) / PAIRS


def test_pair_costs_sixteen_instructions_more_than_an_empty_interposer(tmp_path):
    """At 512 KiB, with the samples that this many bytes bring: about 120 for each million pairs."""
    empty = per_pair(hspy.BUILD / "tests" / "bench" / "empty_interposer.so", tmp_path)
    ours = per_pair(hspy.LIBRARY, tmp_path)
    print(f"empty interposer {empty:.2f}, libheapspy {ours:.2f} instructions a pair")
    assert hspy.info(hspy.snapshots(tmp_path)[-1])["samples"] > 50, "no samples were taken"
    assert ours - empty <= ALLOWED, (ours, empty)
