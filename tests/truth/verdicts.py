"""Programs whose memory behaves in a known way, and what heapspy trend says of them.

tests/preload/prog_verdicts.c has eleven behaviours. Each runs in a process of its own, and all of them in one
process; all twelve processes at the same time, since they mostly sleep. What a behaviour does at its n-th tick is
fixed, and a late tick catches up, so that a busy machine changes little.
"""
import collections
import json
import pathlib
import subprocess

import hspy

SECONDS, INTERVAL_MS = 4.0, 75
SNAPSHOTS_MIN = 40
ALL = "all"
LEAK, CACHE, STEADY = "leak-like", "sawtooth/cache", "steady"
# What trend must say. Where two are given, both are true: connections that come and go are a bounded set that is
# renewed; a full cache is that, too.
EXPECTED = {
    "linear leak": (LEAK,),
    "leak in churn": (LEAK,),
    "leak in a pool": (LEAK,),
    "warm-up": ("steady after warm-up",),
    "lru cache": (CACHE,),
    "batches": (CACHE,),
    "load ramp": ("load-following",),
    "one-off load": ("one-off step",),
    "doubling vector": ("growing container",),
    "connections": (CACHE, STEADY),
    "nothing": (STEADY,),
}
# How many bytes leaks leave in a run, and intervals at which they leave ever fewer samples.
LEAKED_BYTES = {"linear leak": 500 * 8 * 563, "leak in churn": 500 * 8 * 563, "leak in a pool": 500 * 8 * 563}
INTERVALS = ("64KiB", "128KiB", "256KiB", "512KiB")
# Seconds that a cache takes to fill, a batch takes, a connection or another block of the leaking pool lives on average;
# and runs that end sooner. Those of batches end with a full one, which is the worst moment.
OWN_TIMES = {
    "leak in a pool": (.12, (4, 2, 1.5, 1.2)),
    "warm-up": (1.4, (4, 2.8, 2.33, 2, 1.75, 1.56)),
    "batches": (.664, (4, 2.65, 1.98, 1.32)),
    "connections": (1.2, (4, 2.4, 1.7, 1.2)),
}


def program():
    return hspy.victim("prog_verdicts")


def bounded(behaviour):
    return LEAK not in EXPECTED[behaviour]


def start(process, directory, sample):
    env = hspy.environment(directory, sample=sample, interval=f"{INTERVAL_MS}ms", cpu_max="off")
    return subprocess.Popen([program(), str(SECONDS), process], env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(directory, processes=(*EXPECTED, ALL), sample="4KiB"):
    """Runs processes to their ends; returns (directory, what the program printed) of each."""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    started = [(process, pathlib.Path(directory) / str(i)) for i, process in enumerate(processes)]
    started = [(process, where, start(process, where, sample)) for process, where in started]
    found = []
    for process, where, child in started:
        try:
            stdout, stderr = child.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        assert child.returncode == 0, (process, stderr)
        found.append((where, json.loads(stdout)))
    return found


def trend(directory, printed, *options):
    """The rows of heapspy trend by behaviour, and the report. A behaviour without a sample has none.

    It begins when the program is ready: on a busy machine, what exists from the start may come after the first
    snapshot, and be seen as growth.
    """
    report = json.loads(hspy.heapspy("trend", "--json", "--since", printed["ready"] + 1, *options, directory))
    rows, functions = hspy.by_function(report), printed["functions"]
    return {behaviour: rows[function] for behaviour, function in functions.items() if function in rows}, report


def judged(directory, processes=(*EXPECTED, ALL)):
    """The verdicts by (process, behaviour)."""
    found = {}
    for process, (where, printed) in zip(processes, run(directory, processes)):
        rows, report = trend(where, printed)
        assert report["n_intervals"] >= SNAPSHOTS_MIN, (process, report["n_intervals"])
        found.update({(process, behaviour): rows[behaviour]["verdict"] for behaviour in printed["functions"]})
    return found


def counted(labels):
    """How often each label came up, the most frequent first."""
    return collections.Counter(labels).most_common()


def repeated(directory, n_runs):
    """The verdicts of n_runs rounds by (process, behaviour)."""
    found = collections.defaultdict(list)
    for i in range(n_runs):
        for key, verdict in judged(pathlib.Path(directory) / str(i)).items():
            found[key].append(verdict)
    return found


def by_interval(directory, behaviour, samples, n_runs):
    """The verdicts of n_runs processes by sampling interval; None where there was no sample."""
    found = {}
    for sample in samples:
        ended = run(pathlib.Path(directory) / sample, [behaviour] * n_runs, sample)
        rows = [trend(*one)[0].get(behaviour) for one in ended]
        found[sample] = [row["verdict"] if row else None for row in rows]
    return found


def by_window(directory, behaviour, windows, n_runs):
    """The verdicts of n_runs processes, as they were after so many seconds."""
    ended = run(directory, [behaviour] * n_runs)
    return {seconds: [trend(*one, "--until", f"{round(seconds * 1000)}ms")[0][behaviour]["verdict"] for one in ended]
            for seconds in windows}
