#!/usr/bin/python3
"""All that programs do to an allocator, at once and for half an hour, preloaded and under heapspy run.

    tests/stress/soak.py [--minutes 30] [--seed 1] [--modes preload,run] BUILD

Runs BUILD/tests/stress/soak in each mode side by side, every block sampled, with a small state (samples are thinned), a
snapshot every 100 ms, a small budget for their files, and this script reading from outside; then a minute of the same
bare, and the tables under ThreadSanitizer (BUILD/tests/unit/test_races). Prints what was done and what was found, and
ends with 1 if anything is wrong: a thread or a child that stands still (its stacks are printed first), an end other
than bare, damage, a word on stderr, a snapshot that cannot be read, more files than the budget, memory that grows,
something left in the state directory, a race.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time


def arguments():
    parser = argparse.ArgumentParser(usage="soak.py [--minutes M] [--seed N] [--modes LIST] BUILD")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modes", default="preload,run", help="preload, run")
    parser.add_argument("build", metavar="BUILD")
    return parser.parse_args()


WORDS = arguments()
os.environ["HEAPSPY_BUILD"] = os.path.abspath(WORDS.build)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import hspy  # pylint: disable=wrong-import-position

KEEP_BYTES = 16 << 20
SETTINGS = {"sample": "1", "state_max": "4MiB", "interval": "100ms", "keep": "16MiB"}
BARE_S = 60
# The program itself gives up on a thread after 90 s.
SILENCE_S = 150
OUTSIDE_EVERY_S = 5
RACES_S_A_MINUTE = 4
TIDY_EVERY_S = 20
TIDY_AGE_S = 120
# What the heap itself may grow in the last third, where the program holds as much as it will.
GROWTH_KIB = 16 << 10
NOT_COUNTS = {"pid", "s", "anonymous_kib", "kept"}


def stacks(pid):
    """What all threads of a process stand in, by gdb, or as far as the kernel says."""
    if shutil.which("gdb"):
        words = ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"]
        return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=50).stdout
    told = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for name in ("wchan", "syscall", "stack"):
            try:
                told.append(f"{task.name} {name}: {(task / name).read_text()}")
            except OSError as error:
                told.append(f"{task.name} {name}: {error}")
    return "\n".join(told)


class Soak:
    """One run of the program, in one mode."""

    def __init__(self, mode, work, seconds):
        self.mode, self.seconds = mode, seconds
        self.dir = work / mode
        self.first = self.steady = self.last = None
        self.faults, self.heard_s = [], time.monotonic()
        self.outside = {"snapshots": 0, "readings": 0, "files": 0, "children": 0}
        self.own_begin = self.info = None
        self.random = random.Random(WORDS.seed)
        self.tidy_s = time.monotonic() + TIDY_EVERY_S
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="heapspy-soak.", dir="/dev/shm"))
        words, env = hspy.started(mode, [hspy.BUILD / "tests/stress/soak", seconds, WORDS.seed,
                                         hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so")],
                                  self.dir, dict(SETTINGS, state=self.state))
        env["LD_PRELOAD"] = ":".join(filter(None, [env.get("LD_PRELOAD"), hspy.victim("lib_slots.so")]))
        self.errors = work / f"{mode}.errors"
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=errors, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.last = json.loads(line)
            self.heard_s = time.monotonic()
            self.first = self.first or self.last
            if self.last["s"] > self.seconds * 0.7:
                self.steady = self.steady or self.last

    @property
    def pid(self):
        return self.last["pid"] if self.last else None

    def fault(self, what):
        self.faults.append(what)
        print(f"{self.mode}: {what}", flush=True)

    def runs(self):
        return self.process.poll() is None

    def watch(self):
        """Called once a second. The program says itself when something in it stands still."""
        said = self.errors.read_text(errors="replace")
        silent_s = time.monotonic() - self.heard_s
        if "stands still" not in said and silent_s < SILENCE_S:
            return
        pid = self.pid or self.process.pid
        self.fault(f"stands still: {said}, silent for {silent_s:.0f} s")
        for process in [pid, *hspy.children_of(pid)]:
            print(stacks(process), flush=True)
        self.kill()

    def kill(self):
        pids = {self.process.pid, *hspy.children_of(self.process.pid)}
        for pid in pids | {child for pid in pids for child in hspy.children_of(pid)}:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait()

    def read_outside(self):
        """A snapshot from outside, a reading of the state, a snapshot file picked at random."""
        if not self.last or self.last["s"] > self.seconds - 15:
            return
        for words, what in ((["snapshot", self.pid], "snapshots"),
                            (["live", "--json", "--count", 1, "--debuginfod", "off", self.pid], "readings")):
            done = hspy.command(*words)
            self.outside[what] += 1
            if done.returncode and self.runs():
                self.fault(f"{words}: {done.returncode}: {done.stderr}")
        files = hspy.snapshots(self.dir)
        if files:
            self.read_file(self.random.choice(files))
            if self.info and not self.own_begin:
                self.own_begin = self.info["own_bytes"]

    def read_file(self, path):
        done = hspy.command("dump", "--json", path)
        if done.returncode == 0:
            self.info = json.loads(done.stdout)["info"]
            self.outside["files"] += 1
        elif path.exists():
            self.fault(f"dump {path}: {done.stderr}")

    def tidy(self):
        """Directories of children that have ended long ago, one in ten of which is read."""
        if self.mode != "preload" or time.monotonic() < self.tidy_s:
            return
        self.tidy_s = time.monotonic() + TIDY_EVERY_S
        left = {name.split(".")[2] for name in os.listdir(self.state)}
        for path in self.dir.glob("*.*.*/"):
            # Those with a state left say why it was.
            if path.name.split(".")[1] in left or time.time() - path.stat().st_mtime < TIDY_AGE_S:
                continue
            self.outside["children"] += 1
            if self.random.random() < 0.1:
                for file in hspy.snapshots(path):
                    self.read_file(file)
            shutil.rmtree(path)

    def left(self):
        """States left, and those not explained: images that went by exec stay for heapspy recover."""
        names = sorted(os.listdir(self.state))
        return names, [name for name in names if not self.was_replaced(name)]

    def was_replaced(self, state):
        """Whether a later image of the same process has written snapshots."""
        pid, times = state.split(".")[2:4]
        start_ms = int(times.split("-")[1]) // 1000000
        return any(int(path.name.split(".")[2].split("-")[0]) > start_ms for path in self.dir.glob(f"*.{pid}.*"))

    def check(self, kept):
        """After the end. kept: what the seed decides, of the run bare."""
        code, last = self.process.wait(), self.last
        self.reader.join()
        said = self.errors.read_text(errors="replace")
        if code:
            self.fault(f"ended with {code}: {said[-3000:]}")
            return
        own = [line for line in said.splitlines() if not (self.mode == "run" and line.startswith("heapspy: "))]
        if own:
            self.fault(f"said: {own[:10]}")
        if self.last["kept"] != kept:
            self.fault(f"kept {self.last['kept']}, bare {kept}")
        idle = [name for name, n in last.items() if name not in NOT_COUNTS and n == 0]
        if idle:
            self.fault(f"nothing done: {idle}")
        print(f"{self.mode}: " + ", ".join(f"{name} {n}" for name, n in last.items()))
        self.check_figures(kept)
        grown = self.last["anonymous_kib"] - self.steady["anonymous_kib"]
        print(f"{self.mode}: anonymous memory {self.steady['anonymous_kib']} KiB after {self.steady['s']:.0f} s, "
              f"{self.last['anonymous_kib']} KiB at the end")
        if grown > GROWTH_KIB:
            self.fault(f"memory grows: {grown} KiB")
        names, unexplained = self.left()
        print(f"{self.mode}: read from outside {self.outside}; states left: {len(names)}, of images before an exec "
              f"{len(names) - len(unexplained)}")
        if unexplained:
            self.fault(f"left in the state directory: {unexplained}")

    def check_figures(self, kept):
        files = hspy.snapshots(self.dir)
        for path in files:
            self.read_file(path)
        size = sum(path.stat().st_size for path in files)
        info = hspy.info(self.dir)
        losses = {name: n for name, n in info["losses"].items() if n}
        print(f"{self.mode}: level {info['level']}, samples {info['samples']}, deaths {info['deaths']}, snapshots "
              f"{info['number']}, pruned {info['n_pruned']}, {len(files)} files of {size} bytes, state "
              f"{info['state_bytes']}, own_bytes {self.own_begin} to {info['own_bytes']}, self "
              f"{info['self_ns'] / 1e9:.0f} s, losses {losses}")
        if size > KEEP_BYTES:
            self.fault(f"{size} bytes of files, budget {KEEP_BYTES}")
        if not info["level"] or not info["n_pruned"]:
            self.fault("nothing thinned or nothing pruned")
        errors = {name: n for name, n in info.items() if name.endswith("_errno") and n}
        if errors:
            self.fault(f"{errors}")
        row = hspy.by_function(hspy.top(self.dir, "-n0")).get("kept_here")
        low, high = row["ci"] if row else (0, 0)
        print(f"{self.mode}: kept_here {low}..{high}, in truth {kept[1]}")
        # Twice as far from the estimate as the range, which is right 95 times in 100.
        if not row or abs(row["bytes"] - kept[1]) > max(row["bytes"] - low, high - row["bytes"], 1) * 2:
            self.fault(f"kept_here: {row and row['bytes']}, in truth {kept[1]}")


def watch_all(soaks):
    next_s = time.monotonic() + OUTSIDE_EVERY_S
    while any(soak.runs() for soak in soaks):
        for soak in filter(Soak.runs, soaks):
            soak.watch()
            soak.tidy()
        if time.monotonic() > next_s:
            for soak in filter(Soak.runs, soaks):
                soak.read_outside()
            next_s = time.monotonic() + OUTSIDE_EVERY_S
        time.sleep(1)


def races(seconds):
    """Whether ThreadSanitizer has anything to say about the tables."""
    program = hspy.BUILD / "tests/unit/test_races"
    if not program.exists():
        print("tables: not built with ThreadSanitizer")
        return False
    # As in tests/unit/meson.build.
    words = ["sh", "-c", 'setarch -R true && exec setarch -R "$0" "$1"; exec "$0" "$1"', program, str(seconds)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    print(f"tables: {done.stdout if done.returncode else done.stdout.splitlines()[0]}")
    return done.returncode != 0


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="heapspy-soak."))
    soaks = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        for mode in WORDS.modes.split(","):
            soaks.append(Soak(mode, work, WORDS.minutes * 60))
        watch_all(soaks)
        bare = Soak("bare", work, min(BARE_S, WORDS.minutes * 60))
        soaks.append(bare)
        while bare.runs():
            bare.watch()
            time.sleep(1)
        bare.reader.join()
        if bare.process.returncode or bare.errors.read_text():
            bare.fault(f"ended with {bare.process.returncode}: {bare.errors.read_text()}")
        else:
            print("bare: " + ", ".join(f"{name} {n}" for name, n in bare.last.items()))
            for soak in soaks[:-1]:
                soak.check(bare.last["kept"])
    finally:
        for soak in soaks:
            if soak.runs():
                soak.kill()
            shutil.rmtree(soak.state)
        if not any(soak.faults for soak in soaks):
            shutil.rmtree(work)
        else:
            print(f"files: {work}")
    return int(any(soak.faults for soak in soaks) | races(WORDS.minutes * RACES_S_A_MINUTE))


sys.exit(main())
