"""
A state that somebody writes over while its process samples every block: bits that flip, and words that are thrown in.

What was sampled may be lost or wrong after that. The program goes on as without heapspy, comes to its end, and
whoever reads the state comes to one, too: with a reading, or with one line.
"""
import os
import pathlib
import random
import select
import subprocess
import threading
import time

import hspy
import pytest

PATIENCE_S = 60
HEADER_BYTES = 8192
EDGES = [0, 1, 7, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 1 << 32, 1 << 40, 0x7fffffffffffffff, 0xfffffffffffffff0,
         0xffffffffffffffff]


class Vandal(threading.Thread):
    """Writes into the file of a state until it is told to stop."""

    def __init__(self, path, seed, with_words):
        super().__init__()
        self.rng, self.with_words, self.ended, self.n = random.Random(seed), with_words, threading.Event(), 0
        self.fd = os.open(path, os.O_RDWR)

    def run(self):
        bytes_there = os.fstat(self.fd).st_blocks * 512
        while not self.ended.is_set():
            at = self.rng.randrange(self.rng.choice([HEADER_BYTES, bytes_there]))
            if self.with_words and self.rng.random() < .3:
                word = self.rng.choice([*EDGES, bytes_there, self.rng.getrandbits(64), self.rng.getrandbits(21)])
                os.pwrite(self.fd, word.to_bytes(8, "little"), at & ~7)
            else:
                (byte,) = os.pread(self.fd, 1, at) or [0]
                os.pwrite(self.fd, bytes([byte ^ 1 << self.rng.randrange(8)]), at)
            self.n += 1
            if self.n % 10 == 0:
                time.sleep(.001)

    def stop(self):
        self.ended.set()
        self.join()
        os.close(self.fd)


class Victim:
    """prog_rounds with four threads that are never still, to the end of a with block."""

    def __init__(self, directory, prefix=(), preload=(hspy.LIBRARY,), **settings):
        self.process = subprocess.Popen(
            [*map(str, prefix), hspy.victim("prog_rounds"), "4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=hspy.environment(directory, preload, **settings), text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.write("go")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in hspy.children_of(self.process.pid):
            os.kill(pid, 9)
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def check_end(self):
        """It runs, its threads still come when they are called, and it ends as it should."""
        assert self.process.poll() is None, f"ended by {self.process.returncode}"
        self.write("rest")
        assert select.select([self.process.stdout], [], [], PATIENCE_S)[0], "hangs"
        assert '"by_malloc"' in self.process.stdout.readline()
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0


def state_of(state_dir, comm="prog_rounds"):
    """The state of the program: the only one, once it is complete."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for path in pathlib.Path(state_dir).iterdir():
            if comm.encode() in path.read_bytes()[:1024]:
                return path
        assert time.monotonic() < deadline, "no state"
        time.sleep(.01)


def check_readers(pid, tmp_path, n):
    """Each comes to an end; a file that was written can be read, or is refused in one line."""
    for number in range(n):
        out = tmp_path / f"{number}.hspy"
        for words in (("snapshot", pid, "-o", out), ("live", "--count", "2", "--every", "100ms", pid), ("doctor", pid)):
            done = subprocess.run([str(hspy.COMMAND), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=PATIENCE_S, check=False)
            assert done.returncode in (0, 1, 3, 4), (words, done)
            assert len(done.stderr.splitlines()) <= 3, (words, done)
        if out.exists():
            done = hspy.command("top", out)
            assert done.returncode in (0, 3) and len(done.stderr.splitlines()) <= 3, done


def vandalize(tmp_path, state_dir, seed, with_words, n):
    with Victim(tmp_path / "run", sample=1, interval="200ms", state_max="8MiB") as victim:
        vandal = Vandal(state_of(state_dir), seed, with_words)
        vandal.start()
        try:
            check_readers(victim.process.pid, tmp_path, n)
            deadline = time.monotonic() + PATIENCE_S
            while vandal.n < 300 * n and victim.process.poll() is None and time.monotonic() < deadline:
                time.sleep(.01)
        finally:
            vandal.stop()
        victim.check_end()


@pytest.mark.parametrize("with_words", [False, True], ids=["bits", "words"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_state_under_a_vandal(tmp_path, state_dir, seed, with_words):
    vandalize(tmp_path, state_dir, seed, with_words, 2)


@pytest.mark.slow
@pytest.mark.parametrize("with_words", [False, True], ids=["bits", "words"])
@pytest.mark.parametrize("seed", range(10, 22))
def test_a_state_under_a_vandal_for_longer(tmp_path, state_dir, seed, with_words):
    vandalize(tmp_path, state_dir, seed, with_words, 10)


@pytest.mark.parametrize("with_words", [False, True], ids=["bits", "words"])
def test_heapspy_run_and_a_vandal(tmp_path, state_dir, with_words):
    """Its program ends as it does without, and so does heapspy run."""
    with Victim(tmp_path / "run", prefix=[hspy.COMMAND, "run", "--dir", tmp_path / "run", "--sample", "1", "--interval",
                                          "100ms", "--state-max", "8MiB", "--"], preload=()) as victim:
        vandal = Vandal(state_of(state_dir), 5, with_words)
        vandal.start()
        try:
            deadline = time.monotonic() + PATIENCE_S
            while vandal.n < 700 and victim.process.poll() is None and time.monotonic() < deadline:
                time.sleep(.01)
        finally:
            vandal.stop()
        victim.check_end()
