"""The truth test: ranges at 64 KiB against the exact figures of the same workload.

The workload is tests/preload/prog_truth.cc. It makes the same blocks in each run, and the library samples other ones of
them each time: it takes its seeds from clock, process and address, and has no switch for that.
"""
import collections
import json
import shutil
import subprocess

import hspy
from truth import heaptrack
from truth.coverage import COUNTS, METRICS, Figure, Reading

SAMPLE_BYTES = 64 << 10
# Helpers of the workload that are inlined into its sites.
HIDDEN = "^(grown|pushed)$"


def program():
    return hspy.victim("prog_truth")


def planned():
    """The sites by name: {"group": .., "sizes": [least, most]}."""
    said = subprocess.run([program(), "list"], check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def workload(directory, sample, *words):
    return hspy.run([program(), *words], directory, sample=sample, interval=0, cpu_max="off",
                    state_max="512MiB", timeout=300)


def rows(report):
    """The rows of a report and, as "total", its sum."""
    return {**hspy.by_function(report), "total": report["total"]}


def figures(directory):
    """All figures of a run, by metric and site, and the bytes that an absent row may hide."""
    options = ("-n0", "--hide", HIDDEN)
    second = f"{directory}@mark:second"
    growth = hspy.diff(f"{directory}@mark:first", second, *options)
    found = collections.defaultdict(dict)
    for metric in ("live", "allocated"):
        for name, row in rows(hspy.top(second, *options, "--metric", metric)).items():
            n = row["samples"]
            found[metric][name] = Figure(row["bytes"], *row["ci"], n)
            found[metric + " blocks"][name] = Figure(row["blocks"], *row["blocks_ci"], n)
    for name, row in rows(growth).items():
        found["growth"][name] = Figure(row["bytes"], *row["ci"], row["samples_born"] + row["samples_died"])
    return found, growth["resolution_bytes"]


class Truth:
    """A run that followed every block, of one thread at a time: what is made does not depend on that.

    of: figures by metric and site. At the end of the program: ended, by site as heaptrack.Account has it, and
    the peak.
    """

    def __init__(self, directory):
        run = workload(directory, 1, "serial")
        info = hspy.info(f"{run.dir}@mark:second")
        assert info["interval_bytes"] == 1 and not info["level"], info
        assert not any(info["losses"][name] for name in ("state_full", "no_scratch", "folded", "deaths")), info
        self.bytes_seen = info["bytes_seen"]
        found, _ = figures(run.dir)
        for metric in METRICS + COUNTS:
            assert all(one.low == one.high == one.estimate for one in found[metric].values()), metric
        self.of = {metric: {name: one.estimate for name, one in found[metric].items()} for metric in METRICS + COUNTS}
        self.ended = {}
        made, left = (rows(hspy.top(run.last, "-n0", "--hide", HIDDEN, "--metric", metric))
                      for metric in ("allocated", "live"))
        for name, row in made.items():
            rest = left.get(name, {"blocks": 0, "bytes": 0})
            self.ended[name] = heaptrack.Account(row["blocks"], row["bytes"], rest["blocks"], rest["bytes"])
        self.peak_bytes = hspy.top(run.last)["moment"]["peak_live_bytes"]
        shutil.rmtree(run.dir)


def sampled(directory, truth):
    """The readings of one more run, of the planned sites and the total."""
    run = workload(directory, SAMPLE_BYTES)
    info = hspy.info(f"{run.dir}@mark:second")
    assert info["level"] == 0, "thinned"
    assert abs(info["bytes_seen"] - truth.bytes_seen) < 10000, "another workload than that of the exact run"
    found, resolution = figures(run.dir)
    shutil.rmtree(run.dir)
    readings, names = [], [*planned(), "total"]
    for metric in METRICS + COUNTS:
        for name in names:
            if name in truth.of[metric]:
                absent = Figure(0, -resolution if metric == "growth" else 0,
                                resolution if metric in METRICS else None, 0)
                readings.append(Reading(name, metric, truth.of[metric][name], found[metric].get(name, absent)))
    return readings
