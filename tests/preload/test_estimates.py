"""Estimates at 512 KiB against exact figures: bytes_seen, and what the victim knows.

Tolerances are 4 standard errors, two-sided: an honest figure fails once in 16 000 runs.
"""
import math

import hspy
import pytest


def self_test(moment):
    """(estimated total, exact total, standard error) of all allocations up to a snapshot."""
    found = hspy.dump(moment)
    unit = 2 ** found["info"]["variance_unit_log2"]
    estimate = sum(stack["B"] for stack in found["stacks"])
    error = math.sqrt(sum(stack["V"] for stack in found["stacks"]) * unit)
    return estimate, found["info"]["bytes_seen"], error


def expect_agreement(moment):
    estimate, exact, error = self_test(moment)
    assert abs(estimate - exact) <= 4 * error + 1, (estimate, exact, error)
    return exact


@pytest.mark.parametrize("sample", ["512KiB", "64KiB", "4KiB"])
def test_estimated_total_agrees_with_bytes_seen(sample, tmp_path):
    run = hspy.run([hspy.victim("prog_exact"), 8, 100000], tmp_path, sample=sample, cpu_max="off")
    exact = expect_agreement(f"{tmp_path}@mark:end")
    truth = sum(site["bytes"] for site in run.truth.values())
    n = sum(site["n"] for site in run.truth.values())
    # Besides the sites: slot tables, thread blocks, one byte for each block of size 0.
    assert truth <= exact <= truth + n + 2000000


def test_twenty_thousand_short_threads(tmp_path):
    run = hspy.run([hspy.victim("prog_threads"), 20000], tmp_path, timeout=120)
    exact = expect_agreement(f"{tmp_path}@mark:end")
    # The C library allocates a few hundred bytes for each thread.
    assert run.truth["bytes"] <= exact <= run.truth["bytes"] + 20000 * 1000 + 200000
    info = hspy.info(f"{tmp_path}@mark:end")
    assert info["losses"]["thread_slots"] == 0


def test_thinning_keeps_totals_right(tmp_path):
    """A state of 1 MiB cannot hold every block: the mean interval rises, totals stay unbiased."""
    run = hspy.run([hspy.victim("prog_threads"), 20000], tmp_path, timeout=120, sample="64",
                   state_max="1MiB", cpu_max="off")
    info = hspy.info(f"{tmp_path}@mark:end")
    assert info["level"] > 0
    expect_agreement(f"{tmp_path}@mark:end")
    row = hspy.by_function(hspy.top(f"{tmp_path}@mark:end", "-n0"))["keep_one"]
    low, high = row["ci"]
    assert low - 2 * (high - low) < run.truth["live"] < high + 2 * (high - low)
