"""The end of a program: its status is the same, and the last snapshot is there where it can be."""
import os
import subprocess

import hspy
import pytest

CHOSEN = ["return", "exit", "_exit", "_Exit", "quick_exit", "in_thread", "in_all_threads", "in_handler",
          "in_destructor"]
KILLED = ["abort", "SIGTERM", "SIGKILL", "SIGSEGV"]


def status(mode, threads, env):
    return subprocess.run([hspy.victim("prog_exit"), mode, *threads], env=env, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


@pytest.mark.parametrize("threads", [[], ["thread"]], ids=["one", "two"])
@pytest.mark.parametrize("mode", CHOSEN + KILLED)
def test_exit_status_is_the_same(mode, threads, tmp_path):
    plain = status(mode, threads, hspy.environment(tmp_path, preload=()))
    loaded = status(mode, threads, hspy.environment(tmp_path, sample=1))
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (
        plain.returncode, plain.stdout, plain.stderr)


@pytest.mark.parametrize("threads", [[], ["thread"]], ids=["one", "two"])
@pytest.mark.parametrize("mode", CHOSEN)
def test_last_snapshot_is_written_at_exit(mode, threads, tmp_path):
    run = hspy.run([hspy.victim("prog_exit"), mode, *threads], tmp_path, expect=42, sample=1, interval=0)
    assert hspy.live_bytes(run.last, "keep_blocks") == 100000
    assert hspy.info(run.last)["reason"] == "exit"


def test_main_thread_that_ends_first(tmp_path):
    run = hspy.run([hspy.victim("prog_exit"), "pthread_exit"], tmp_path, sample=1)
    assert hspy.live_bytes(run.last, "keep_blocks") == 100000


def test_clean_exit_leaves_no_state_behind(tmp_path, state_dir):
    hspy.run([hspy.victim("prog_exit"), "return"], tmp_path, expect=42)
    assert os.listdir(state_dir) == []


def test_default_directory_is_in_the_working_directory(tmp_path, monkeypatch):
    env = hspy.environment("unused")
    del env["HEAPSPY_DIR"]
    done = subprocess.run([hspy.victim("prog_basic")], env=env, cwd=tmp_path, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 7
    (directory,) = tmp_path.iterdir()
    assert directory.name.startswith("heapspy.prog_basic.")
    assert [path.name for path in hspy.snapshots(directory)] == ["000001.hspy"]


def test_percent_sequences_of_the_directory(tmp_path):
    run = hspy.run([hspy.victim("prog_basic")], tmp_path / "%c-%p-%%", expect=7)
    (directory,) = tmp_path.iterdir()
    (snapshot,) = hspy.snapshots(directory)
    assert directory.name == f'prog_basic-{hspy.info(snapshot)["pid"]}-%'
    assert run.stderr == "done\n"


def test_a_restart_in_the_same_directory_gets_its_own(tmp_path):
    first = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7)
    before = [path.read_bytes() for path in first.snapshots]
    second = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7)
    assert [path.read_bytes() for path in second.snapshots] == before
    (own,) = second.children()
    assert len(hspy.snapshots(own)) == 1


@pytest.mark.parametrize("where", [(), ("fork",), ("raw",)], ids=["first", "child", "raw"])
def test_process_ends_with_the_last_thread_of_the_program(where, tmp_path):
    """Not with the helper, which libc counts as well; and snapshots go on without it. Of a main thread
    that ends by a system call libc does not know, and so runs no exit handlers, as without heapspy."""
    run = hspy.run([hspy.victim("prog_main_leaves"), *where], tmp_path, sample="4KiB", interval="20ms",
                   timeout=20)
    assert run.stdout == ("" if where == ("raw",) else "{}\n")
    assert len(list(tmp_path.rglob("*.hspy"))) > 3
