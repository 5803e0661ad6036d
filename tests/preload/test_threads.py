"""Threads: what they cost, alive and gone, and under which names their blocks are."""
import csv
import io
import json
import subprocess
import time

import hspy
import pytest


def grown_kib(words, directory, **settings):
    """How much more private memory the program has at its end: (with the library, bare)."""
    run = hspy.run(words, directory, timeout=600, **settings)
    bare = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True, timeout=600)
    return run, run.truth["grown_kib"], json.loads(bare.stdout)["grown_kib"]


def expect_nothing_left(n, directory):
    run, grown, bare = grown_kib([hspy.victim("prog_threads"), n], directory)
    assert grown - bare < 512, "KiB, beyond the first tenth of the threads"
    info = hspy.info(run.last)
    assert info["losses"]["thread_slots"] == 0 and info["state_bytes"] < 8 << 20


def test_ten_thousand_threads_leave_no_memory_behind(tmp_path):
    expect_nothing_left(10000, tmp_path)


@pytest.mark.slow
def test_a_hundred_thousand_threads_leave_no_memory_behind(tmp_path):
    expect_nothing_left(100000, tmp_path)


def test_first_allocation_in_the_last_destructor_round(tmp_path):
    """No destructor of ours comes after it, so the thread's work area is lost; its figures are not."""
    n = 3000
    run, grown, bare = grown_kib([hspy.victim("prog_late_thread"), n], tmp_path, sample=1)
    assert grown - bare < 9 * n, "KiB"
    assert hspy.sites(f"{tmp_path}@mark:end")["keep_late"] == (100 * n, n, 100 * n, n)
    assert run.truth["live"] == 100 * n


@pytest.mark.parametrize("blocks", [1, 1000])
def test_memory_of_living_threads(blocks, tmp_path):
    """Work area, slot, what our code touches of the stack; not the samples, which are in the state."""
    n = 1000
    run, grown, bare = grown_kib([hspy.victim("prog_crowd"), n, blocks], tmp_path, sample=1)
    assert grown - bare < 16 * n, "KiB"
    assert hspy.sites(f"{tmp_path}@mark:end")["keep_one"][:2] == (100 * n, n)
    info = hspy.info(run.last)
    assert info["losses"]["thread_slots"] == 0 and info["losses"]["no_scratch"] == 0


# What is not UTF-8 is replaced in JSON and CSV, nothing else.
ODD_NAME = "odd\x1b[31m\",\ufffd\n"


def blocks_by_thread(moment):
    rows = hspy.top(moment, "-n0", "--by", "thread", "--focus", "keep_blocks")["rows"]
    assert len({row["thread"] for row in rows}) == len(rows)
    return {row["thread"]: row["blocks"] for row in rows}


def test_names(tmp_path):
    """A block is under the name its thread had when it was allocated, however that was given."""
    run = hspy.run([hspy.victim("prog_thread_names")], tmp_path, sample=1)
    moment = f"{tmp_path}@mark:end"
    found = blocks_by_thread(moment)
    # A name written to /proc is noticed at one of the next 256 samples.
    unseen = found.pop("unseen")
    first = found.pop("prog_thread_nam")
    assert 600 - 256 <= unseen <= 600 and first + unseen == 60 + 600
    assert found == {"by-itself": 20, None: 20, ODD_NAME: 20, "by-prctl": 30, "by-syscall": 40,
                     "by-another": 50, "first": 60}
    (child,) = run.children()
    assert blocks_by_thread(f"{child}@mark:end") == {"first": 70, "child": 80}


def test_names_as_csv(tmp_path):
    hspy.run([hspy.victim("prog_thread_names")], tmp_path, sample=1)
    moment = f"{tmp_path}@mark:end"
    done = subprocess.run([str(hspy.COMMAND), "top", "--csv", "-n0", "--by", "thread", "--focus", "keep_blocks",
                           moment], stdout=subprocess.PIPE, check=True)
    rows = csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))
    # Control characters and bytes that are no text are spelled out, as on a terminal.
    named = blocks_by_thread(moment)
    named[r'odd\x1b[31m",\xff\x0a'] = named.pop(ODD_NAME)
    assert {row["thread"] or None: int(row["blocks"]) for row in rows} == named


def test_more_names_than_the_table_holds(tmp_path):
    n = 1500
    hspy.run([hspy.victim("prog_thread_names"), n], tmp_path, sample=1)
    found = blocks_by_thread(f"{tmp_path}@mark:end")
    others = found.pop("<other names>")
    assert found == {f"worker-{i}": 1 for i in range(len(found))}
    assert len(found) > 1000 and len(found) + others == n


def test_by_thread_is_for_what_is_live(tmp_path):
    hspy.run([hspy.victim("prog_thread_names"), 2], tmp_path, sample=1)
    for words in (["top", "--by", "thread", "--metric", "allocated", tmp_path],
                  ["diff", "--by", "thread", f"{tmp_path}@1", f"{tmp_path}@2"],
                  ["live", "--by", "thread", tmp_path]):
        done = hspy.command(*words)
        assert done.returncode == 2 and not done.stdout, done
        assert done.stderr.startswith("heapspy: --by") and len(done.stderr.splitlines()) == 1


def test_large_thread_local_memory(tmp_path):
    """libc puts it on each thread's stack: what else suffices for the helper is refused."""
    with subprocess.Popen([hspy.victim("prog_large_tls")], stdin=subprocess.PIPE,
                          env=hspy.environment(tmp_path, sample=1, interval="20ms", writer="thread")) as process:
        deadline = time.monotonic() + 30
        while len(hspy.snapshots(tmp_path)) < 3: # the program is at rest: it is the helper that writes
            assert time.monotonic() < deadline, "no helper"
            time.sleep(.01)
        process.communicate(b"\n")
    assert process.returncode == 0
    last = hspy.snapshots(tmp_path)[-1]
    assert hspy.info(last)["helper_errno"] == 0 and hspy.live_bytes(last, "keep_blocks") == 100000
