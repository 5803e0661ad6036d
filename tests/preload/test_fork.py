"""Children in every way: the parent's figures stay right, children have their own, nothing hangs."""
import os
import select

import hspy
import pytest

ALL = ["fork", "_Fork", "raw", "thread_fork", "double", "daemon", "fork_exec", "vfork_exec", "spawn",
       "chain"]
FORKED = ["fork", "_Fork", "raw", "thread_fork", "double", "daemon"]
# The first process ends, or becomes another one, before it allocates for itself.
NO_PARENT = ["daemon", "chain"]


def run_mode(mode, directory, **settings):
    """Runs prog_fork to the end of its last process; returns the run and that process's pid."""
    readable, writable = os.pipe()
    try:
        run = hspy.run([hspy.victim("prog_fork"), mode, writable], directory, pass_fds=[writable],
                       sample=1, interval="250ms", **settings)
    finally:
        os.close(writable)
    said = b""
    while True:
        assert select.select([readable], [], [], 30)[0], "the last process hangs"
        part = os.read(readable, 100)
        if not part:
            break
        said += part
    os.close(readable)
    return run, int(said)


def figures(directory):
    found = hspy.sites(hspy.snapshots(directory)[-1])
    return {name: found.get(name, (0, 0))[:2] for name in ("keep_before", "keep_here")}


def directory_of(run, pid):
    """Where one process wrote; None if it did not. DIR is the first writer's, whoever that is."""
    found = [directory for directory in [run.dir, *run.children()]
             if any(hspy.info(path)["pid"] == pid for path in hspy.snapshots(directory))]
    assert len(found) < 2, found
    if found:
        assert all(hspy.info(path)["pid"] == pid for path in hspy.snapshots(found[0])), "processes mixed"
        if found[0] != run.dir:
            assert found[0].name.startswith(f"prog_fork.{pid}.")
    return found[0] if found else None


def expect_parent(run, mode):
    if mode not in NO_PARENT:
        assert figures(directory_of(run, run.truth["pid"])) == {
            "keep_before": (50000, 50), "keep_here": (100000, 100)}


@pytest.mark.parametrize("mode", ALL)
def test_every_process_has_its_own_figures(mode, tmp_path):
    run, child = run_mode(mode, tmp_path)
    expect_parent(run, mode)
    # What a child inherited is not its own: it starts empty.
    assert figures(directory_of(run, child)) == {"keep_before": (0, 0), "keep_here": (100000, 100)}


@pytest.mark.parametrize("mode", FORKED)
def test_children_of_a_process_without_a_state_file(mode, tmp_path):
    """They cannot see that a parent is profiled, but know: its directory stays its own."""
    run, child = run_mode(mode, tmp_path, state="anon")
    if mode not in NO_PARENT:
        assert figures(run.dir) == {"keep_before": (50000, 50), "keep_here": (100000, 100)}
    assert directory_of(run, child).parent == run.dir


@pytest.mark.parametrize("call", ["fork", "free"])
def test_children_forked_inside_our_code_leave_the_parents_figures_alone(call, tmp_path):
    """By a handler, at each seventh instruction; the child goes on in there before its parent does."""
    n = 300
    run = hspy.run([hspy.victim("prog_left"), call, 1, 7, n], tmp_path, sample=1, interval=0, cpu_max="off",
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    info = hspy.info(run.last)
    # Counted twice where the fork came in the middle of the counting itself.
    assert 100 * n <= info["bytes_seen"] <= 100 * (n + 8)
    assert n <= info["samples"] <= n + 45
    if call == "free":
        assert n - 8 <= info["deaths"] <= n + 8


@pytest.mark.parametrize("mode", ALL)
def test_children_exec_profiles_new_programs_only(mode, tmp_path):
    run, child = run_mode(mode, tmp_path, children="exec")
    expect_parent(run, mode)
    assert (directory_of(run, child) is not None) == (mode not in FORKED)


@pytest.mark.parametrize("mode", ALL)
def test_children_none_profiles_the_first_process_only(mode, tmp_path):
    run, child = run_mode(mode, tmp_path, children="none")
    expect_parent(run, mode)
    # A program that becomes another one by exec stays the same process.
    if mode != "chain":
        assert directory_of(run, child) is None


def test_shell_with_many_short_children(tmp_path):
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do ls / | sort | wc -l; done"
    run = hspy.run(["sh", "-c", script], tmp_path, sample=1)
    assert len(set(run.stdout.split())) == 1 and len(run.stdout.split()) == 10


def test_python_pool_of_processes(tmp_path):
    """fork from a process with threads and a dynamic loader at work, many times."""
    script = ("import multiprocessing as m\n"
              "with m.get_context('fork').Pool(4) as pool:\n"
              "    print(sum(pool.map(len, [[0] * n for n in range(500)])))\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path, sample="64KiB", interval="100ms")
    assert run.stdout == f"{sum(range(500))}\n"


@pytest.mark.slow
def test_ten_thousand_forks_of_a_threaded_program(tmp_path):
    script = ("import os, threading\n"
              "stop = []\n"
              "def work():\n"
              "    while not stop: [bytes(700) for _ in range(100)]\n"
              "threads = [threading.Thread(target=work) for _ in range(4)]\n"
              "[t.start() for t in threads]\n"
              "for _ in range(10000):\n"
              "    pid = os.fork()\n"
              "    if pid == 0:\n"
              "        import ctypes; ctypes.CDLL('libz.so.1'); os._exit(0)\n"
              "    assert os.waitpid(pid, 0)[1] == 0\n"
              "stop.append(1)\n"
              "print('done')\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path, sample=1, timeout=900)
    assert run.stdout == "done\n"
