"""Runs of months of which HEAPSPY_KEEP has left what is spaced by its age: nothing is wrong with missing numbers."""
import json

import pytest

import made_runs
from made_runs import MIB

CUTS = 1000
# Kept of them: some 8 and 30 for each doubling of the age.
KEPT = (50, 150)
NO_SYMBOLS = "heapspy: 8 of 8 addresses in api have no symbols (build id 6d9e85cf): file not found\n"


def thinned(n, n_max):
    """The cuts 0..n that are left of a run: number = cut + 1, by the rule of preload/state/snapshot_keep.h."""
    oldest = {level: 1 << level for level in range(31)}
    kept = set()
    for number in range(1, n + 2):
        while len(kept) >= n_max:
            at = [(number - first) / (1 << level) if first < number else 0 for level, first in oldest.items()]
            level = at.index(max(at))
            if oldest[level] != 1:
                kept.discard(oldest[level])
            oldest[level] += 2 << level
        kept.add(number)
    return sorted(number - 1 for number in kept)


def pruned(n_max):
    def change(snapshot):
        snapshot.more.update(n_pruned=max(0, snapshot.info["number"] - n_max), keep_bytes=256 * MIB)
    return change


def write(made, directory, n_max):
    return made.write(directory, pruned(n_max), thinned(made.n, n_max))


@pytest.mark.parametrize("n_max", KEPT)
def test_verdicts_hold(heapspy, tmp_path, n_max):
    made = made_runs.Run([*made_runs.leak("leak", CUTS, 1), *made_runs.steady("steady"),
                          *made_runs.churn("churn", CUTS, 1), *made_runs.lru("lru", CUTS, 40, 1),
                          *made_runs.warm_up("warm", CUTS, 1), *made_runs.sawtooth("sawtooth", CUTS, 80, 1)],
                         n=CUTS, step=60)
    write(made, tmp_path / "run", n_max)
    done = heapspy("trend", "--json", tmp_path / "run")
    assert done.code == 0 and done.err == NO_SYMBOLS
    sites = {made.offset(site): site for site in made.sites}
    rows = {sites[row["where"]["function"]]: row for row in json.loads(done.out)["rows"]}
    leaks = {site for site, row in rows.items() if "leak" in row["verdict"]}
    assert leaks == {"leak"} and rows["leak"]["verdict"] == "leak-like", {s: r["verdict"] for s, r in rows.items()}
    assert rows["leak"]["bytes_per_minute"] == pytest.approx(made_runs.bytes_of(4096), rel=.02)


def test_a_steady_run_has_no_leak(heapspy, tmp_path):
    made = made_runs.Run([*made_runs.steady("steady"), *made_runs.churn("churn", CUTS, 2)], n=CUTS, step=60)
    write(made, tmp_path / "run", 120)
    done = heapspy("trend", tmp_path / "run")
    assert "No leak-like site" in done.out and done.err == "", (done.out, done.err)


def test_a_gap_that_thinning_did_not_make_is_told(heapspy, tmp_path):
    made = made_runs.Run([*made_runs.leak("leak", CUTS, 1)], n=CUTS, step=60)
    cuts = [cut for cut in thinned(CUTS, 120) if not 550 < cut < 950]
    made.write(tmp_path / "run", pruned(120), cuts)
    done = heapspy("trend", tmp_path / "run")
    assert "no snapshots from " in done.err and "nor in" not in done.err


def test_differences_and_moments(heapspy, tmp_path):
    made = made_runs.Run([*made_runs.leak("leak", CUTS, 1), *made_runs.steady("steady")], n=CUTS, step=60)
    write(made, tmp_path / "run", 50)
    cuts = thinned(CUTS, 50)
    assert json.loads(heapspy("diff", "--json", "-q", tmp_path / "run").out)["rows"][0]["bytes"] == (
        made.live_bytes("leak", CUTS) - made.live_bytes("leak", 0))
    ago = cuts[len(cuts) // 2]
    found = heapspy("diff", "--json", "-q", f"{tmp_path / 'run'}@{ago + 1}", f"{tmp_path / 'run'}@last")
    assert json.loads(found.out)["rows"][0]["bytes"] == made.live_bytes("leak", CUTS) - made.live_bytes("leak", ago)
    # The nearest of what is left serves for a time.
    assert heapspy("top", f"{tmp_path / 'run'}@10h").code == 0
    missing = next(cut for cut in range(CUTS) if cut not in cuts)
    done = heapspy("top", f"{tmp_path / 'run'}@{missing + 1}")
    assert done.code == 3 and "HEAPSPY_KEEP leaves ever fewer of older time" in done.err
