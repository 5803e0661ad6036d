"""What months of running bring, in seconds: a budget on disk, stacks without end, clocks that jump, own memory."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import hspy
import pytest

KIB, MIB = 1 << 10, 1 << 20
# HEAPSPY_KEEP: the snapshots are of 20 to 70 KiB here.
BUDGET = MIB
SOAK = {"interval": "10ms", "sample": "4KiB", "cpu_max": "off", "keep": "1MiB"}


def numbers(directory):
    return [int(path.stem) for path in hspy.snapshots(directory)]


def sizes(directory):
    """Bytes of all snapshots there; one may go while we look."""
    total = 0
    for path in hspy.snapshots(directory):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass
    return total


def watch(process, directory):
    """The most bytes that the snapshots took, and how many looks that was, until the process ends."""
    most = looks = 0
    while process.poll() is None:
        if pathlib.Path(directory).is_dir():
            most = max(most, sizes(directory))
            looks += 1
        time.sleep(.005)
    return most, looks


WRITERS = (("preload", "inline"), ("preload", "thread"), ("run", "auto"))


@pytest.mark.parametrize("mode, writer, seconds", [
    *((*one, 4) for one in WRITERS), *(pytest.param(*one, 20, marks=pytest.mark.slow) for one in WRITERS)])
def test_the_budget_holds_at_all_times(tmp_path, mode, writer, seconds):
    directory = tmp_path / "out"
    words, env = hspy.started(mode, [hspy.victim("prog_months"), "soak", seconds], directory,
                              dict(SOAK, writer=writer))
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    most, looks = watch(process, directory)
    assert process.wait(30) == 0, process.stderr.read()
    found = numbers(directory)
    last = hspy.dump(f"{directory}@last")["info"]
    assert most <= BUDGET and looks > 50, (most, looks)
    # Dense now, sparse long ago: each of the last, and one in many of the first.
    written = found[-1]
    assert written > 2 * len(found) and 0 <= written - len(found) - last["n_pruned"] <= 3
    assert last["keep_bytes"] == BUDGET and last["number"] == written and last["reason"] == "exit"
    assert found[-3:] == [written - 2, written - 1, written] and found[0] == 1
    gaps = [b - a for a, b in zip(found[1:], found[2:])]
    assert max(gaps[:len(gaps) // 2]) > 2 * max(gaps[len(gaps) // 2:]), found
    # The fullest of all that were written is there: what was live then, give or take a tenth.
    peak = hspy.info(f"{directory}@peak")
    assert peak["live_bytes"] > .9 * last["peak_live_bytes"] > 1.5 * last["live_bytes"]
    early = hspy.info(f"{directory}@mark:early")
    assert early["reason"] == "label" and early["number"] <= 3


def test_a_writer_that_dies_leaves_the_budget_to_the_next(tmp_path):
    """heapspy run is killed, and the library goes on with its files: no number is used twice."""
    directory = tmp_path / "out"
    words, env = hspy.started("run", [hspy.victim("prog_months"), "soak", 14], directory, SOAK)
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = None
    try:
        deadline = time.monotonic() + 20
        while not directory.is_dir() or max(numbers(directory), default=0) < 80:
            assert time.monotonic() < deadline
            time.sleep(.02)
        (pid,) = hspy.children_of(process.pid)
        process.kill()
        process.wait()
        before, first = max(numbers(directory)), hspy.info(f"{directory}@1")
        most = 0
        while max(numbers(directory)) < before + 80:
            most = max(most, sizes(directory))
            assert time.monotonic() < deadline + 20
            time.sleep(.005)
    finally:
        process.kill()
        process.wait()
        if pid:
            os.kill(pid, signal.SIGKILL)
    infos = [hspy.info(f"{directory}@{number}") for number in numbers(directory)]
    assert most <= BUDGET
    assert infos[0] == first
    assert [one["number"] for one in infos] == numbers(directory)
    times = [one["cut_ns"] for one in infos]
    assert times == sorted(times) and len(set(times)) == len(times)
    removed = [one["n_pruned"] for one in infos]
    assert removed == sorted(removed) and removed[-1] > before / 2


def test_from_outside_and_inside(tmp_path):
    """Who asks for snapshots by hand keeps to the budget as well."""
    directory = tmp_path / "out"
    with hspy.Server([hspy.victim("prog_months"), "soak", 30], directory,
                     settings=dict(SOAK, interval="20ms", keep="512KiB")) as server:
        server.wait_until(lambda: max(numbers(directory), default=0) > 30)
        for _ in range(10):
            path = hspy.heapspy("snapshot", server.process.pid).split()[0]
            assert int(pathlib.Path(path).stem) > 30
            assert sizes(directory) <= 512 * KIB
        server.wait_until(lambda: max(numbers(directory)) > 100)
    times = [hspy.info(f"{directory}@{number}")["cut_ns"] for number in numbers(directory)]
    assert times == sorted(times)


def test_any_amount(tmp_path):
    run = hspy.run([hspy.victim("prog_months"), "soak", 1], tmp_path / "out", **dict(SOAK, keep="off"))
    assert numbers(run.dir) == list(range(1, len(run.snapshots) + 1))
    last = hspy.info(run.last)
    assert last["n_pruned"] == 0 and last["keep_bytes"] == 0


def test_a_disk_as_large_as_the_budget(tmp_path):
    """It is full before the budget is, for while one is written there is that one more."""
    script = ("import os, sys, time\nkept, end = [], time.monotonic() + 20\n"
              "while time.monotonic() < end and max(os.listdir(sys.argv[1])) < '000030':\n"
              "    kept = kept[-80:] + [[bytes(1000 + j) for j in range(30)]]; time.sleep(.01)")
    with hspy.small_tmpfs(tmp_path / "disk", "1m") as disk:
        (disk / "out").mkdir()
        (disk / "out" / "000000").touch()
        hspy.run([sys.executable, "-I", "-c", script, disk / "out"], disk / "out", sample=1, interval="10ms",
                 keep="1MiB")
        found = numbers(disk / "out")
        assert found[0] == 1 and found[-1] >= 30 > len(found), found


def test_a_child_has_a_budget_of_its_own(tmp_path):
    run = hspy.run(["/bin/sh", "-c", f"{hspy.victim('prog_months')} soak 1; {hspy.victim('prog_months')} soak 1"],
                   tmp_path / "out", **dict(SOAK, keep="512KiB"))
    first, second = run.children()
    for directory in (first, second):
        assert sizes(directory) <= 512 * KIB and hspy.info(f"{directory}@last")["n_pruned"] > 0
        assert numbers(directory)[0] == 1


def test_a_million_distinct_stacks(tmp_path):
    n = 1 << 20
    run = hspy.run([hspy.victim("prog_months"), "stacks", n], tmp_path / "out", timeout=120, sample=1, interval=0,
                   state_max="8MiB")
    last = hspy.dump(run.last)
    info = last["info"]
    assert info["state_bytes"] <= 8 * MIB
    assert info["losses"]["folded"] > .9 * n
    # Folded, and counted all the same: no block and no byte is missing.
    row = hspy.by_function(hspy.top(run.last, "-n0", "--metric", "allocated"))
    assert sum(one["bytes"] for one in row.values()) == pytest.approx(n * 48, rel=.01)
    assert info["bytes_seen"] == pytest.approx(n * 48, rel=.01)
    assert info["losses"]["state_full"] == 0


def instructions(tmp_path, n):
    """Of a run with n distinct stacks in a small state, user mode, by callgrind: exact."""
    env = hspy.environment(tmp_path / f"out{n}", sample=1, interval=0, state_max="256KiB", writer="off")
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", hspy.victim("prog_months"), "stacks",
         str(n)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def test_a_full_table_of_stacks_takes_no_longer(tmp_path):
    """Instructions of a sample, from the moment on when the state is full, do not grow with what was offered."""
    few, more, most = (instructions(tmp_path, n) for n in (8000, 12000, 16000))
    assert (most - more) < 1.1 * (more - few), ((more - few) / 4000, (most - more) / 4000)


def regular_cuts(directory):
    return [one["cut_ns"] for one in map(hspy.info, hspy.snapshots(directory)) if one["reason"] == "interval"]


@pytest.mark.parametrize("writer", ["inline", "thread"])
def test_one_snapshot_after_a_long_stop(tmp_path, writer):
    """A process that was stopped for many intervals makes up for them by one snapshot, then keeps to its grid."""
    directory, step = tmp_path / "out", 200 * 10**6
    with hspy.Server([hspy.victim("prog_months"), "soak", 30], directory,
                     settings=dict(SOAK, writer=writer, interval="200ms", keep="off")) as server:
        server.wait_until(lambda: len(regular_cuts(directory)) >= 2)
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(server.process.pid, signal.SIGCONT)
        seen = len(regular_cuts(directory))
        server.wait_until(lambda: len(regular_cuts(directory)) >= seen + 4)
    cuts = regular_cuts(directory)
    gaps = [b - a for a, b in zip(cuts, cuts[1:])]
    longest = gaps.index(max(gaps))
    assert gaps[longest] > 2.5e9
    # The late one, and from then on one in each step of the grid.
    after = [cut // step for cut in cuts[longest + 1:]]
    assert len(after) >= 3 and len(set(after)) == len(after), cuts


@pytest.mark.skipif(os.geteuid() != 0, reason="a time namespace takes root")
@pytest.mark.parametrize("mode", ["preload", "run"])
def test_a_time_namespace(tmp_path, mode):
    """A clock ten days ahead of the one of who started it: its ages and times are right, by whomever written."""
    jump = ["unshare", "-T", "--fork", "--monotonic", str(10 * 86400), "--boottime", str(10 * 86400)]
    if subprocess.run([*jump, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no time namespace to be had here")
    words, env = hspy.started(mode, [*jump, hspy.victim("prog_months"), "soak", 2], tmp_path / "out",
                              dict(SOAK, interval="200ms", keep="off"))
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    (directory,) = [path.parent for path in (tmp_path / "out").rglob("000001.hspy")
                    if hspy.info(path)["comm"] == "prog_months"]
    found = [hspy.dump(path)["info"] for path in hspy.snapshots(directory)]
    assert all(one["cut_ns"] < 60e9 for one in found) and len(found) >= 5, [one["cut_ns"] for one in found]
    assert found[-1]["reason"] == "exit" and found[-1]["cut_ns"] > 1.5e9
    assert hspy.top(f"{directory}@last")["rows"]


class Holder:
    """prog_months hold, at the moment when everything is there."""

    def __init__(self, directory, mib, threads, preload=True, **settings):
        env = hspy.environment(directory, **settings) if preload else dict(os.environ)
        self.process = subprocess.Popen([hspy.victim("prog_months"), "hold", str(mib), str(threads)], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bytes = json.loads(self.process.stdout.readline())["bytes"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()

    def rss(self):
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss: +(\d+) kB", rollup, re.M)[1]) << 10

    def mappings(self):
        """Of /proc/PID/smaps: (begin, end, rights, path, resident bytes)."""
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps").read_text()
        for found in re.finditer(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)\n(?:.*\n)*?Rss: +(\d+) kB",
                                 text, re.M):
            yield (int(found[1], 16), int(found[2], 16), found[3], found[4], int(found[5]) << 10)


@pytest.mark.parametrize("threads, writer", [(1, "inline"), (64, "inline"), (8, "thread")])
def test_own_memory_is_what_is_mapped(tmp_path, threads, writer):
    directory, chunk = tmp_path / "out", 64 * KIB
    with Holder(directory, 64, threads, sample="64KiB", cpu_max="off", interval="1h", writer=writer) as holder:
        hspy.heapspy("snapshot", holder.process.pid)
        mappings = list(holder.mappings())
    info = hspy.info(f"{directory}@last")
    state = sum(end - begin for begin, end, rights, path, _ in mappings
                if "/heapspy." in path and rights == "rw-s")
    sections = subprocess.run(["readelf", "-SW", hspy.LIBRARY], stdout=subprocess.PIPE, text=True, check=True).stdout
    zeros = int(re.search(r" \.bss +NOBITS +\S+ \S+ (\S+)", sections)[1], 16)
    image_end = max(end for _, end, _, path, _ in mappings if path.endswith("libheapspy.so"))
    image_rss = sum(rss for begin, end, rights, path, rss in mappings
                    if not path and image_end <= begin and end <= image_end + zeros + 4 * KIB)
    assert info["state_bytes"] == state
    areas = info["own_bytes"] - state - zeros
    # Areas for threads, seven or more in a piece, and the helper's stack.
    pieces = round(areas / chunk)
    assert abs(areas - pieces * chunk) < 4 * KIB, areas
    assert threads / 8 <= pieces - int(writer == "thread") <= threads / 7 + 1
    assert image_rss > 64 * KIB
    # Resident is less: the filter and the rules of frames have been touched here and there.
    assert state + image_rss <= info["own_bytes"]


def test_the_bar_of_own_memory(tmp_path):
    """4 MiB, a hundredth of the heap at 512 KiB, 400 bytes a stack, 16 KiB a thread."""
    threads, mib = 40, 256
    directory = tmp_path / "out"
    with Holder(directory, mib, threads, preload=False) as holder:
        bare = holder.rss()
    with Holder(directory, mib, threads, interval="1h") as holder:
        ours = holder.rss()
        hspy.heapspy("snapshot", holder.process.pid)
    found = hspy.dump(f"{directory}@last")
    bar = 4 * MIB + holder.bytes // 100 + 400 * found["n_stacks"] + 16 * KIB * threads
    assert 2 * MIB < found["info"]["own_bytes"] <= bar
    assert ours - bare <= bar, (ours, bare)


def test_own_memory_of_many_samples_and_stacks(tmp_path):
    """At 4 KiB, a sample for each second block: 56 bytes each, in tables that double, and the stacks."""
    directory = tmp_path / "out"
    with Holder(directory, 128, 2, sample="8KiB", cpu_max="off", interval="1h") as holder:
        hspy.heapspy("snapshot", holder.process.pid)
    found = hspy.dump(f"{directory}@last")
    samples = found["info"]["samples"] - found["info"]["deaths"]
    assert samples > 8000
    assert found["info"]["own_bytes"] <= 3 * MIB + 4 * 64 * samples + 400 * found["n_stacks"]


def test_run_tells_own_memory(tmp_path):
    done = subprocess.run([hspy.COMMAND, "run", "--dir", tmp_path / "out", "--sample", "4KiB", "--",
                           hspy.victim("prog_months"), "soak", "1"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=True)
    told = re.search(r"\(profiler: .*CPU, ([0-9.]+) MiB, 0 lost", done.stderr)
    own = hspy.info(f"{tmp_path / 'out'}@last")["own_bytes"]
    assert told and abs(float(told[1]) - own / MIB) < .06, done.stderr
