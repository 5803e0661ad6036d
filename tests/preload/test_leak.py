"""A leak of 1 MiB/s beside 100 MiB/s of churn and a cache of 64 MiB: diff must rank it first.

A 95 % range misses the truth in up to one of twenty runs, by design. So a miss is believed when
two more runs miss as well (about once in 10 000 test runs), or when the figure is further away
than any honest estimate: more than twice the width of its range.
"""
import hspy
import pytest

VICTIMS = ["prog_leak", "prog_leak_cxx"]


def leak_row(victim, seconds, directory, **settings):
    run = hspy.run([hspy.victim(victim), seconds], directory, timeout=seconds + 60, **settings)
    report = hspy.diff(f"{directory}@mark:begin", f"{directory}@mark:end")
    row = report["rows"][0]
    assert row["where"]["function"].split("(")[0] == run.truth["function"], report["rows"][:5]
    low, high = row["ci"]
    truth = run.truth["growth"]
    assert low - 2 * (high - low) < truth < high + 2 * (high - low), (truth, row)
    return truth, low, high


@pytest.mark.parametrize("victim", VICTIMS)
def test_leaking_function_is_first_and_its_range_holds_the_truth(victim, tmp_path):
    misses = []
    for attempt in range(3):
        truth, low, high = leak_row(victim, 0, tmp_path / str(attempt), cpu_max="off")
        if low <= truth <= high:
            return
        misses.append((truth, low, high))
    raise AssertionError(f"the range missed the truth three times: {misses}")


@pytest.mark.parametrize("victim", VICTIMS)
def test_the_same_over_thirty_seconds(victim, tmp_path):
    truth, low, high = leak_row(victim, 30, tmp_path / "first", interval="5s")
    assert len(hspy.snapshots(tmp_path / "first")) >= 5
    for attempt in range(2):
        if low <= truth <= high:
            return
        truth, low, high = leak_row(victim, 3, tmp_path / str(attempt))
    assert low <= truth <= high


def test_interval_snapshots_rank_the_leak_first(tmp_path):
    """Without any label: the first snapshot on time against the one at exit."""
    hspy.run([hspy.victim("prog_leak"), 4], tmp_path, interval="1s")
    rows = hspy.diff(f"{tmp_path}@1", f"{tmp_path}@last")["rows"]
    assert rows[0]["where"]["function"] == "session_open"


def test_ranges_hold_the_truth_as_often_as_they_say(tmp_path):
    """20 runs of 95 % ranges: 5 misses or more happen to an honest range once in 390 times at the
    nominal 5 %, and once in 10 000 at the coverage that was measured (97.7 %)."""
    misses = []
    for attempt in range(20):
        truth, low, high = leak_row("prog_leak", 0, tmp_path / str(attempt), cpu_max="off")
        if not low <= truth <= high:
            misses.append((truth, low, high))
    assert len(misses) < 5, misses
