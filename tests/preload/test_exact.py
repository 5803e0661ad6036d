"""HEAPSPY_SAMPLE=1 counts every block: figures equal what the victim knows of itself, to the byte."""
import hspy
import pytest


def expect_exact(run, moment=None):
    found = hspy.sites(moment or f"{run.dir}@mark:end")
    for name, site in run.truth.items():
        live, live_blocks, made, made_blocks = found.get(name, (0, 0, 0, 0))
        assert (live, live_blocks) == (site["live_bytes"], site["live"]), name
        assert (made, made_blocks) == (site["bytes"], site["n"]), name


@pytest.mark.parametrize("threads", [1, 8])
def test_every_c_function(threads, tmp_path):
    run = hspy.run([hspy.victim("prog_exact"), threads, 20000], tmp_path, sample=1, state_max="256MiB")
    expect_exact(run)


@pytest.mark.parametrize("threads", [1, 8])
def test_every_operator_new(threads, tmp_path):
    run = hspy.run([hspy.victim("prog_exact_cxx"), threads, 20000], tmp_path, sample=1)
    expect_exact(run)


def test_blocks_freed_by_other_threads(tmp_path):
    """One size class among eight threads: an address comes back at once with another owner."""
    run = hspy.run([hspy.victim("prog_handover"), 100000], tmp_path, sample=1)
    expect_exact(run)


@pytest.mark.slow
def test_blocks_freed_by_other_threads_for_long(tmp_path):
    run = hspy.run([hspy.victim("prog_handover"), 12500000], tmp_path, sample=1, timeout=900)
    expect_exact(run)


def test_memory_at_thread_exit(tmp_path):
    run = hspy.run([hspy.victim("prog_thread_exit")], tmp_path, sample=1)
    expect_exact(run)


@pytest.mark.parametrize("unwind", ["cfi", "fp"])
def test_plain_program(unwind, tmp_path):
    run = hspy.run([hspy.victim("prog_basic"), 1000, 7], tmp_path, expect=7, sample=1, unwind=unwind)
    assert hspy.sites(run.last)["keep_blocks"] == (1000000, 1000, 1000000, 1000)
    assert hspy.sites(run.last)["churn_blocks"][2:] == (40000000, 40000)


def test_bytes_seen_is_exact(tmp_path):
    """Between two labels bytes_seen advances by exactly what was allocated there, as sampled sums do."""
    run = hspy.run([hspy.victim("prog_exact"), 8, 20000], tmp_path, sample=1, state_max="256MiB")
    info = hspy.info(f"{tmp_path}@mark:end")
    total = sum(row["bytes"] for row in hspy.top(f"{tmp_path}@mark:end", "-n0", "--metric",
                                                 "allocated")["rows"])
    # A block of 0 bytes counts as one byte on the sampling line.
    zero_blocks = sum(site["n"] for site in run.truth.values())
    assert total <= info["bytes_seen"] <= total + zero_blocks
