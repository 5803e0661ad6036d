"""Sites whose lifetimes are known: rates, lifetimes and flags of heapspy churn, exact and sampled.

A 95 % range misses the truth in up to one of twenty runs, by design; that a range is wrong is believed when
it misses in three runs.
"""
import json

import hspy
import pytest

FLAGS = {"make_garbage": ["hot", "heavy"], "decode_row": ["hot"], "fill_cache": ["mid-life"],
         "append_log": [], "odd_job": []}


def churn(directory, warm_up, **settings):
    """One run: what is true, and the report on it with the rows by function."""
    run = hspy.run([hspy.victim("prog_lifetimes"), warm_up, 4], directory, cpu_max="off", **settings)
    report = json.loads(hspy.heapspy("churn", "--json", f"{directory}@mark:begin", f"{directory}@mark:end"))
    rows = hspy.by_function(report)
    return run.truth, report, {name: rows[name] for name in FLAGS if name in rows}


def shares(site):
    """Which part of a site's blocks dies young, and which in mid-life: what is not dead yet will do as they did."""
    return site["young"] / max(site["deaths"], 1), site["middle"] / max(site["deaths"], 1)


def test_every_block_sampled(tmp_path):
    truth, report, rows = churn(tmp_path, 2, sample=1)
    window = report["window_seconds"]
    assert report["exact"] and report["process"]["exact"] and 4 <= window
    assert {name: row["flags"] for name, row in rows.items()} == FLAGS
    for name, site in truth.items():
        row = rows[name]
        assert (row["samples"], row["samples_died"]) == (site["blocks"], site["deaths"])
        assert row["bytes"]["per_second"] * window == pytest.approx(site["bytes"], rel=1e-3)
        assert row["bytes"]["ci"] == [row["bytes"]["per_second"]] * 2
        assert row["blocks"]["per_second"] * window == pytest.approx(site["blocks"], rel=1e-3)
        # Bytes and blocks are the same share of a site with one size, alive or dead.
        assert row["bytes"]["temporary"] == pytest.approx(row["blocks"]["temporary"], abs=1e-3)
        assert row["bytes"]["temporary"] == pytest.approx(shares(site)[0], abs=.02)
        assert row["bytes"]["mid_life_per_second"] == pytest.approx(
            shares(site)[1] * row["bytes"]["per_second"], rel=.05, abs=1e4)
    assert rows["make_garbage"]["bytes"]["median_life_seconds"] < 1e-3
    assert .016 <= rows["decode_row"]["bytes"]["median_life_seconds"] <= .1
    assert 2**30 / 1e9 <= rows["fill_cache"]["bytes"]["median_life_seconds"] <= 2**31 / 1e9
    assert rows["append_log"]["bytes"]["median_life_seconds"] is None
    # Little: what is live divided by the rate is the mean life, if it is long enough to be seen live.
    assert 1.3 <= rows["fill_cache"]["bytes"]["mean_life_seconds"] <= 1.7
    seen = sum(site["bytes"] for site in truth.values())
    assert report["process"]["bytes_per_second"] * window == pytest.approx(seen, rel=1e-3)


def misses(truth, report, rows):
    """What a report on samples says that is not so."""
    window, wrong = report["window_seconds"], {}
    assert not report["exact"] and report["process"]["exact"]
    for name, row in rows.items():
        young, middle = shares(truth[name])
        for key, share in {"ci": 1, "young_ci": young, "mid_life_ci": middle}.items():
            low, high = row["bytes"][key]
            rate = share * truth[name]["bytes"] / window
            if not low <= rate <= high:
                wrong[name, key] = (low, rate, high)
        if row["flags"] != FLAGS[name]:
            wrong[name, "flags"] = row["flags"]
    if not .7 < report["total"]["bytes"]["temporary"] < .85:
        wrong["temporary"] = report["total"]["bytes"]["temporary"]
    return wrong


@pytest.mark.parametrize("warm_up", [0, 2])
def test_sampled(tmp_path, warm_up):
    """From a cold start, where no block is older than the window, and in equilibrium."""
    wrong = None
    for attempt in range(3):
        found = misses(*churn(tmp_path / str(attempt), warm_up, sample="64KiB"))
        wrong = found if wrong is None else {key: value for key, value in found.items() if key in wrong}
        if not wrong:
            return
    raise AssertionError(f"in each of three runs: {wrong}")


def test_text_of_a_real_run(tmp_path):
    hspy.run([hspy.victim("prog_lifetimes"), 0, 2.5], tmp_path, cpu_max="off", sample="64KiB")
    lines = hspy.heapspy("churn", f"{tmp_path}@mark:begin", f"{tmp_path}@mark:end").splitlines()
    assert " MiB/s allocated (exact); 7" in lines[0] or " MiB/s allocated (exact); 8" in lines[0]
    assert lines[1].startswith("To a garbage collector: ") and " in mid-life, after 1 s (" in lines[1]
    assert lines[4].split()[-2] == "make_garbage" and "  heavy  " in lines[4]
