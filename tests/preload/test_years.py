"""A process that has run for years: from the counters of its state to the figures of all commands.

tests/unit/make_years.c makes the state and its snapshots; 10 GB/s, so that all that can go round does.
"""
import json
import math
import subprocess

import hspy
import pytest

DAY = 86400
R, BYTES = 512 << 10, 4096
PER_MINUTE, LEAKED, HELD, CUTS = 1200000, 3, 20, 41
P = -math.expm1(-BYTES / R)
# As the library rounds the weights of a sample.
WEIGHT, BLOCKS = round(BYTES / P), round(1024 / P) / 1024
VARIANCE = round(BYTES**2 * (1 - P) / P**2 / 65536)
ERROR = math.sqrt((CUTS - 1) * PER_MINUTE * VARIANCE * 65536)  # of what passed while we look
# When births go round, and when the sum of variances does; both in the middle of what is looked at.
BIRTHS = 2**56 // 10**9 + 1200
VARIANCES = int(2**64 / VARIANCE / PER_MINUTE * 60) + 1200
AGES = {"a year": 365 * DAY, "births go round": BIRTHS, "three years": 3 * 365 * DAY,
        "variances go round": VARIANCES, "ten years": 3652 * DAY}
NAMES = {"api+0x2010": "passing", "api+0x3010": "leaking", "api+0x4010": "holding"}


@pytest.fixture(scope="module", params=AGES)
def run(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("years") / "out"
    subprocess.run([hspy.BUILD / "tests/unit/make_years", directory, str(AGES[request.param])], check=True,
                   timeout=60)
    return AGES[request.param], directory


def rows(report):
    return {NAMES[row["where"]["function"]]: row for row in report["rows"]}


def test_files_and_figures_of_the_process(run):
    seconds, directory = run
    numbers = sorted(int(path.stem) for path in directory.glob("*.hspy"))
    assert numbers == list(range(999980, 999980 + CUTS))
    info = hspy.info(f"{directory}@last")
    begin = seconds - (CUTS - 1) * 60
    n = begin // 60 * PER_MINUTE + (CUTS - 1) * PER_MINUTE
    live = HELD + LEAKED * (CUTS - 1)
    assert info["cut_ns"] == seconds * 10**9 and info["number"] == 1000020
    assert info["samples"] == n + live and info["deaths"] == n
    assert info["bytes_seen"] == (n + live) * WEIGHT
    assert info["live_bytes"] == live * WEIGHT and info["peak_live_bytes"] == live * WEIGHT
    assert info["self_ns"] == begin * 10**9 // 100


def test_top(run):
    seconds, directory = run
    found = rows(hspy.top(f"{directory}@last", "-n0"))
    assert found["leaking"]["bytes"] == LEAKED * (CUTS - 1) * WEIGHT
    assert found["holding"]["bytes"] == HELD * WEIGHT and "passing" not in found
    total = rows(hspy.top(f"{directory}@last", "-n0", "--metric", "allocated"))["passing"]
    assert total["bytes"] == pytest.approx(seconds // 60 * PER_MINUTE * WEIGHT, rel=1e-9)
    lo, hi = total["ci"]
    assert lo <= total["bytes"] <= hi and hi - lo < 1e-4 * total["bytes"]


def test_births(run):
    """Each sample is as old as it is; one that is older than births can tell, 2.28 years younger."""
    seconds, directory = run
    dumped = json.loads(hspy.heapspy("dump", "--json", "--live", f"{directory}@last"))
    births = sorted(sample["birth_ns"] for sample in dumped["live"])
    begin = (seconds - (CUTS - 1) * 60) * 10**9
    held = [begin - DAY * 10**9 + i for i in range(HELD // 2)]
    leaked = sorted(begin + (i * 60 - (k + 1) * 60 // (LEAKED + 1)) * 10**9
                    for i in range(1, CUTS) for k in range(LEAKED))
    oldest = [10**9 + i for i in range(HELD // 2)]
    while seconds * 10**9 - oldest[0] >= 2**56 - 2**40:
        oldest = [birth + 2**56 for birth in oldest]
    assert births == sorted(held + leaked + oldest)


def test_diff(run):
    _, directory = run
    found = rows(hspy.diff(f"{directory}@first", f"{directory}@last"))
    assert found["leaking"]["bytes"] == LEAKED * (CUTS - 1) * WEIGHT
    assert set(found) == {"leaking"} or found["holding"]["bytes"] == 0
    passed = rows(hspy.diff(f"{directory}@first", f"{directory}@last", "--metric", "allocated"))["passing"]
    assert passed["bytes"] == pytest.approx((CUTS - 1) * PER_MINUTE * WEIGHT, rel=1e-6)
    assert passed["ci"][1] - passed["ci"][0] == pytest.approx(2 * 1.96 * ERROR, rel=.01)


def test_churn(run):
    _, directory = run
    found = json.loads(hspy.heapspy("churn", "--json", f"{directory}@first", f"{directory}@last"))
    row = next(row for row in found["rows"] if NAMES.get(row["where"]["function"]) == "passing")
    rate = row["bytes"]["per_second"]
    assert rate == pytest.approx(PER_MINUTE * WEIGHT / 60, rel=1e-6) and row["samples"] == (CUTS - 1) * PER_MINUTE
    lo, hi = row["bytes"]["ci"]
    assert lo < rate < hi and hi - lo == pytest.approx(2 * 1.96 * ERROR / 60 / (CUTS - 1), rel=.01)
    assert row["blocks"]["per_second"] == pytest.approx(PER_MINUTE * BLOCKS / 60, rel=1e-6)
    assert row["bytes"]["temporary"] == 1 and row["samples_died"] == row["samples"]
    assert 2**20 <= row["bytes"]["median_life_seconds"] * 1e9 < 2**21


def test_trend(run):
    _, directory = run
    found = rows(json.loads(hspy.heapspy("trend", "--json", directory)))
    assert found["leaking"]["verdict"] == "leak-like"
    assert found["leaking"]["bytes_per_minute"] == pytest.approx(LEAKED * WEIGHT, rel=.02)
    assert found.get("holding", {"verdict": "steady"})["verdict"] == "steady"
