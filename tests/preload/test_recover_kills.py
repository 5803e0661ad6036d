"""
What a dead process leaves behind, and what heapspy recover makes of it.

The thousand kills: victims that know their own truth (prog_killed) are killed at random moments, their states
recovered, and the samples held against the truth, thread by thread.
"""
import concurrent.futures
import json
import math
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import time

import hspy
import pytest

READY = 0x6b696c6c6564
THREADS = 4

WALKS = (25000, {"sample": 1, "writer": "external", "state_max": "2MiB"})
# Name, slots a thread, settings. Nobody else writes for most of them: all that is seen is what recover finds.
LOADS = {
    "every block": (150, {"sample": 1, "writer": "external"}),
    "growing tables": (1500, {"sample": 1, "writer": "external"}),
    "thinning": (1000, {"sample": 1, "writer": "external", "state_max": "256KiB"}),
    "many stacks": (1000, {"sample": 64, "writer": "external", "state_max": "384KiB"}),
    "beside snapshots": (150, {"sample": 1, "writer": "thread", "interval": "20ms"}),
    "sampled": (800, {"sample": "16KiB", "writer": "external"}),
    "forks": (100, {"sample": 1, "writer": "external"}),
}
EXACT = ("every block", "growing tables", "beside snapshots", "forks")


def recover(*words, code=0):
    done = hspy.command("recover", *words)
    assert done.returncode == code, f"heapspy recover {words}: {done}"
    return done


def recover_json(*words, code=0):
    return json.loads(recover("--json", *words, code=code).stdout)


def states(directory):
    return sorted(path.name for path in pathlib.Path(directory).glob("heapspy.*"))


# The kills

class Kill:
    """One victim of a load, killed after a time."""

    def __init__(self, number, load, delay_s, directory, state_dir):
        self.load, self.delay_s, self.state_dir = load, delay_s, state_dir
        # Without a load: one that is killed in the middle of a thinning walk, the first or the second.
        self.in_walk = None if load else number % 2
        self.dir = directory / f"k{number}"
        self.truth = directory / f"truth{number}"
        slots, settings = LOADS[load] if load else WALKS
        self.argv = [hspy.victim("prog_killed"), str(self.truth), str(THREADS), str(slots), str(number),
                     "7" if load == "forks" else "0",
                     "12" if load else "2"]
        self.env = hspy.environment(self.dir, **settings)
        self.pid = 0

    def run(self):
        if self.in_walk is not None:
            done = subprocess.run([hspy.victim("prog_kill_in_walk"), self.state_dir, str(self.in_walk), *self.argv],
                                  env=dict(self.env), stdout=subprocess.PIPE, timeout=60, check=True)
            self.pid = int(done.stdout)
            return
        with subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, start_new_session=True) as victim:
            self.pid = victim.pid
            time.sleep(self.delay_s)
            os.killpg(victim.pid, signal.SIGKILL)
            said = victim.stderr.read()
        assert victim.returncode == -signal.SIGKILL and said == b"", (self.argv, victim.returncode, said)

    def slots(self):
        """Lists of (address, size before, size after, changing) by thread; None when it had not come so far."""
        data = self.truth.read_bytes() if self.truth.exists() else b""
        if len(data) < 24 or struct.unpack_from("<Q", data)[0] != READY:
            return None
        n_threads, n_slots = struct.unpack_from("<II", data, 8)
        all_slots = [(address, before, after, state != 0)
                     for address, before, after, state, _ in struct.iter_unpack("<QIIII", data[24:])]
        return [all_slots[i * n_slots:(i + 1) * n_slots] for i in range(n_threads)]


def samples_of(snapshot):
    """The live samples of the victim's blocks, as {(address, size)}; and all that dump says."""
    said = json.loads(hspy.heapspy("dump", "--json", "--live", snapshot))
    live = [(int(sample["address"], 16), sample["size"]) for sample in said["live"]]
    assert len(set(address for address, _ in live)) == len(live), f"{snapshot}: an address twice"
    return {one for one in live if one[1] % 16 == 9 and one[1] > 200}, said


class Figures:
    """What is added up over the kills, for the line at the end."""

    def __init__(self):
        self.kills = self.told = self.snapshots = self.torn = self.inside = self.walks = 0
        self.levels, self.deviations, self.diffs = {}, [], 0

    def __str__(self):
        z = sum(self.deviations) / math.sqrt(len(self.deviations)) if self.deviations else 0
        return (f"{self.kills} kills: {self.snapshots} snapshots recovered, {self.told} of victims under load; "
                f"{self.inside} threads killed in an operation, {self.torn} samples of such; "
                f"levels {dict(sorted(self.levels.items()))}, {self.walks} in a thinning walk; "
                f"estimates against truth: z {z:.2f} of "
                f"{len(self.deviations)}; {self.diffs} diffs")


def check_samples(kill, snapshot, figures):
    """
    Against the truth. A settled block is there (if every block is sampled), with its size; what else is there
    belongs to an operation under way, one a thread.
    """
    live, said = samples_of(snapshot)
    info = said["info"]
    figures.levels[info["level"]] = figures.levels.get(info["level"], 0) + 1
    figures.walks += "thinning" in info["flags"]
    assert info["reason"] == "recovered" and info["cut_ns"] > 0
    threads = kill.slots()
    if threads is None:
        return
    figures.told += 1
    held = {(address, before) for slots in threads for address, before, _, changing in slots
            if before and not changing}
    under_way = [[slot for slot in slots if slot[3]] for slots in threads]
    assert all(len(slots) <= 1 for slots in under_way)
    figures.inside += sum(map(len, under_way))
    extra = live - held
    # An operation can leave the block from before it; else the one after, whose address nobody was told.
    left = [slot for slots in under_way for slot in slots if (slot[0], slot[1]) not in extra]
    extra -= {(address, before) for slots in under_way for address, before, _, _ in slots}
    figures.torn += sum(map(len, under_way)) - len(left)
    for _, _, after, _ in left:
        mine = next((one for one in extra if after and one[1] == after), None)
        figures.torn += mine is not None
        extra.discard(mine)
    assert not extra, f"{snapshot}: samples of no block: {extra}"
    losses = {name: n for name, n in info["losses"].items() if n and name in ("state_full", "no_scratch", "replaced")}
    if kill.load in EXACT and not info["level"]:
        assert not held - live, f"{snapshot}: blocks without a sample: {held - live}"
        assert not losses
        # The running sum, too: by one operation a thread, and what else the process has.
        others = sum(sample["size"] for sample in said["live"]) - sum(size for _, size in live)
        own = sum(size for _, size in held)
        assert abs(info["live_bytes"] - others - own) <= THREADS * 2 * 505, (info["live_bytes"], others, own)


def check_estimate(kill, one, figures):
    """Of the sampled and the thinned: the figure that is printed, in standard errors from the truth."""
    threads = kill.slots()
    lo, hi = one["live_ci"]
    if threads is None or lo == hi or one["samples"] < 1000:
        return
    held = sum(before for slots in threads for _, before, _, _ in slots)
    deviation = (one["live_bytes"] - held) / ((hi - lo) / 2 / 1.96)
    assert abs(deviation) < 6, (kill.load, one, held)
    figures.deviations.append(deviation)


def check_diff(kill, figures):
    """The recovered one fits behind those that its process wrote."""
    files = hspy.snapshots(kill.dir)
    if len(files) < 2:
        return
    infos = [hspy.info(path) for path in files]
    assert [info["reason"] for info in infos].index("recovered") == len(files) - 1
    assert [info["cut_ns"] for info in infos] == sorted(info["cut_ns"] for info in infos)
    assert [info["cut_wall_ns"] for info in infos] == sorted(info["cut_wall_ns"] for info in infos)
    said = hspy.diff(files[-2], files[-1])
    total = said["total"]
    assert said["same_process"] and total["bytes"] == total["after"] - total["before"]
    # A running process goes on while its counters are read; a dead one has stopped in the middle of at most
    # one operation a thread.
    assert abs(total["after"] - infos[-1]["live_bytes"]) <= THREADS * 2 * 505
    hspy.heapspy("diff", f"{kill.dir}@first", f"{kill.dir}@last")
    hspy.heapspy("trend", kill.dir)
    churn = json.loads(hspy.heapspy("churn", "--json", files[-2], files[-1]))
    for row in (churn["total"], *churn["rows"]):
        assert 0 <= row["bytes"]["per_second"] < 1 << 40 and 0 <= row["samples_died"] < 1 << 40, row
    figures.diffs += 1


def recover_all(kills, state_dir, figures):
    """Recovers what a batch of kills has left, when all of it is dead; returns {pid: what was said}."""
    deadline = time.monotonic() + 30
    said = {}
    while True:
        report = recover_json("--state", state_dir)
        for one in report["states"]:
            assert one["outcome"] in ("recovered", "empty", "unfinished"), one
            assert one["removed"]
            figures.snapshots += one["outcome"] == "recovered"
            if one["outcome"] == "recovered":
                said[one["pid"]] = one
        assert not report["failed"]
        # What was killed with the victim takes a moment to end.
        if not states(state_dir):
            return said
        assert time.monotonic() < deadline, states(state_dir)
        time.sleep(0.02)


def kill_many(n, tmp_path, state_dir):
    rng = random.Random(5)
    figures = Figures()
    names = list(LOADS)
    for batch in range(0, n, 40):
        directory = tmp_path / str(batch)
        directory.mkdir()
        kills = []
        for number in range(batch, min(batch + 40, n)):
            # A fifth of them while the program starts.
            delay_s = rng.uniform(0, 0.01) if rng.random() < 0.2 else rng.uniform(0.01, 0.12)
            load = names[number % len(names)] if number % 20 else None
            kills.append(Kill(number, load, delay_s, directory, state_dir))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(Kill.run, kills))
        figures.kills += len(kills)
        said = recover_all(kills, state_dir, figures)
        for kill in kills:
            one = said.get(kill.pid)
            if not one:
                continue
            check_samples(kill, one["snapshot"], figures)
            if kill.load in (None, "thinning", "sampled"):
                check_estimate(kill, one, figures)
            if kill.load == "beside snapshots":
                check_diff(kill, figures)
        shutil.rmtree(directory)
    print(figures)
    assert figures.told > n / 5 and figures.inside and max(figures.levels) > 1
    if len(figures.deviations) > 8:
        assert abs(sum(figures.deviations)) < 5 * math.sqrt(len(figures.deviations)), figures
    return figures


def test_kills_at_random_moments(tmp_path, state_dir):
    kill_many(140, tmp_path, state_dir)


@pytest.mark.slow
def test_a_thousand_kills_at_random_moments(tmp_path, state_dir):
    assert kill_many(1000, tmp_path, state_dir).walks
