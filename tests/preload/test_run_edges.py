"""heapspy run at the edges: terminals that hang up, descriptors that run out, processes that go on or die young."""
import os
import pathlib
import pty
import resource
import select
import signal
import time

import hspy
import pytest
from hspy_run import (PATIENCE_S, Shell, Started, directories, directory_of, lines_of_heapspy, plain_environment, run,
                      state_of, until, words)

PYTHON = ["/usr/bin/python3", "-I", "-c"]


def reasons(place):
    return [hspy.info(path)["reason"] for path in hspy.snapshots(place)]


# The end comes from outside.

def test_the_terminal_of_a_session_hangs_up(tmp_path):
    """heapspy leads the session, as under ssh or in a window: the kernel tells it, and nobody else."""
    script = f'trap "touch {tmp_path}/told; exit 3" HUP; echo ready; while :; do sleep 0.05; done'
    argv = words("sh", "-c", script, q=True, dir=tmp_path / "out")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, plain_environment())
    said = b""
    while b"ready" not in said:
        assert select.select([terminal], [], [], PATIENCE_S)[0]
        said += os.read(terminal, 1000)
    os.close(terminal)
    try:
        ended = until(lambda: os.waitpid(pid, os.WNOHANG)[0] and (tmp_path / "told").exists())
    finally:
        for process in [pid, *hspy.children_of(pid)]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert ended


@pytest.mark.parametrize("name", ["ABRT", "SEGV", "BUS", "ILL", "FPE"])
def test_a_signal_of_a_fault_that_somebody_sends_is_passed_on(name, tmp_path):
    """As a watchdog does: it is meant for the program, and heapspy sees to its end."""
    with Started("sleep", 60, dir=tmp_path) as job:
        child = until(lambda: job.child and state_of(job.child) == "S" and job.child)
        job.process.send_signal(getattr(signal, "SIG" + name))
        assert job.end()[0] == 128 + getattr(signal, "SIG" + name)
        assert state_of(child) is None


def test_a_continuation_is_passed_on(tmp_path):
    with Started(hspy.victim("prog_job"), "signals", dir=tmp_path) as job:
        job.wait_ready()
        job.process.send_signal(signal.SIGCONT)
        assert job.read() == "CONT 0\n"
        job.process.send_signal(signal.SIGUSR2)
        assert job.end()[0] == 3


# Those that are left behind.

LEFT = """
import os, signal
ready, said = os.pipe()
pid = os.fork()
if pid:
    os.read(ready, 1)
    print("left", pid, flush=True)
    os._exit(0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
kept = [bytearray(10000) for _ in range(300)]
os.write(said, b".")
while True: signal.pause()
"""


def test_ctrl_c_while_heapspy_stays(tmp_path, state_dir):
    """The processes that it ends too have their last snapshot. Ctrl-Z stops heapspy like them."""
    with Shell(words(*PYTHON, LEFT, dir=tmp_path, sample="4KiB", interval=0)) as shell:
        pid = shell.job()
        shell.expect("left ")
        left = int(shell.expect("\r\n"))
        shell.expect("staying for 1 process")
        shell.type(b"\x1a")
        shell.expect("[stopped]")
        until(lambda: (state_of(pid), state_of(left)) == ("T", "T"))
        shell.foreground()
        until(lambda: state_of(pid) != "T" and state_of(left) != "T")
        shell.type(b"\x03")
        said = shell.expect("[end 0]")
    assert " 1 snapshot," in said and "brief" not in said, said
    assert reasons(directory_of(tmp_path, left)) == ["recovered"]
    assert os.listdir(state_dir) == []


AT_EXIT_HANDLERS = """
import ctypes, os, time
if os.fork(): os._exit(0)
@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)
def bye(*_):
    print(os.getpid(), flush=True)
    while not os.path.exists("stop"): time.sleep(0.01)
    os._exit(0)
libc = ctypes.CDLL(None)
libc.on_exit(bye, None)
kept = [bytearray(10000) for _ in range(300)]
time.sleep(1.1) # forked ones that end sooner are nobody's business
libc.exit(0)
"""


def test_a_process_at_its_exit_handlers_has_left_its_state(tmp_path, state_dir):
    with Started(*PYTHON, AT_EXIT_HANDLERS, cwd=tmp_path, dir="out", sample="4KiB", interval=0) as job:
        left = int(job.read())
        job.pids.append(left)
        until(lambda: hspy.children_of(job.pid) == [left])
        # The second one means at once.
        job.process.send_signal(signal.SIGTERM)
        job.process.send_signal(signal.SIGINT)
        code, stderr = job.end()
        assert state_of(left) is not None
        assert code == 0 and " 1 snapshot," in stderr, stderr
        assert reasons(directory_of(tmp_path, left)) == ["exit"]
        assert os.listdir(state_dir) == []
        (tmp_path / "stop").touch()
        until(lambda: state_of(left) is None)


def test_nothing_is_said_of_brevity_when_a_process_goes_on(tmp_path):
    script = "import os, time\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    with Started(*PYTHON, script, dir=tmp_path, sample="64GiB", interval=0) as job:
        job.pids.append(int(job.read()))
        until(lambda: hspy.children_of(job.pid) == job.pids)
        job.process.send_signal(signal.SIGTERM)
        job.process.send_signal(signal.SIGINT)
        stderr = job.end()[1]
    assert "what goes on alone writes its own" in stderr, stderr


# Descriptors.

CROWD = """
import os, signal, sys
pids = []
for _ in range(40):
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = [bytearray(10000) for _ in range(50)]
        os.write(said, b".")
        while True: signal.pause()
    os.read(ready, 1)
    os.close(ready); os.close(said)
    pids.append(pid)
for pid in pids: os.kill(pid, signal.SIGKILL)
for pid in pids: os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("hard", [2048, 30])
def test_more_processes_than_descriptors(hard, tmp_path, state_dir):
    """All alive at once, then killed. Where the limit cannot be raised they are taken in as others end."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("the limit of files is low here")
    done = run(*PYTHON, CROWD, dir=tmp_path, sample="4KiB",
               preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (30, hard)))
    assert done.returncode == 0, done.stderr
    found = [hspy.info(hspy.snapshots(path)[-1])["reason"] for path in directories(tmp_path)]
    assert sorted(found) == ["exit"] + 40 * ["recovered"]
    assert os.listdir(state_dir) == []


# States that end in another way.

AGAIN = """
import os, sys
kept = [bytearray(10000) for _ in range(300)]
print("ready", flush=True)
input()
environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
os.execve(sys.executable, [sys.executable, "-I", "-c", "print('again', flush=True); input()"], environment)
"""


def test_an_exec_of_the_same_file_without_the_library(tmp_path, state_dir):
    with Started(*PYTHON, AGAIN, dir=tmp_path, sample="4KiB", interval="50ms") as job:
        child = job.wait_ready()
        until(lambda: hspy.snapshots(tmp_path))
        job.write("go")
        assert job.read() == "again\n"
        until(lambda: os.listdir(state_dir) == [])
        assert state_of(child) in ("R", "S") and reasons(tmp_path)[-1] == "recovered"
        job.write("end")
        assert job.process.wait(PATIENCE_S) == 0


def naps(pid):
    """How often a process has gone to sleep."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def smash(state_dir, job):
    """Writes over the state of a program that heapspy has found."""
    def open_files():
        return [os.readlink(path) for path in pathlib.Path(f"/proc/{job.pid}/fd").iterdir()]
    (name,) = until(lambda: os.listdir(state_dir))
    path = os.path.join(state_dir, name)
    until(lambda: path in open_files())
    with open(path, "r+b") as state:
        state.write(b"Z" * 8)


def test_heapspy_rests_beside_a_state_that_the_program_wrote_over(tmp_path, state_dir):
    with Started("cat", dir=tmp_path, sample=1, interval="50ms") as job:
        until(lambda: hspy.snapshots(tmp_path))
        smash(state_dir, job)
        before = naps(job.pid)
        until(lambda: naps(job.pid) > before + 5)
        job.process.stdin.close()
        code, stderr = job.end()
    assert code == 0 and "may not be of the end: the program wrote over the profiler's state" in stderr, stderr
    assert os.listdir(state_dir) == []


def test_the_words_about_a_state_that_the_program_wrote_over(tmp_path, state_dir):
    with Started("cat", dir=tmp_path, sample=1, interval=0) as job:
        smash(state_dir, job)
        job.process.stdin.close()
        code, stderr = job.end()
    assert code == 0 and os.listdir(state_dir) == []
    # The second: heapspy was so slow that the library gave it up.
    assert "no snapshot: the program wrote over" in stderr or "it wrote its snapshots itself" in stderr, stderr


def test_a_file_whose_maker_died_in_the_middle(tmp_path, state_dir):
    """It goes; that of a process which lives is left to it."""
    ticks = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    dead, living = (f"heapspy.{os.getuid()}.{who}-1" for who in ("4999999.2", f"{os.getpid()}.{ticks}"))
    done = run("sh", "-c", f"touch {state_dir}/{dead} {state_dir}/{living}; sleep 0.1", dir=tmp_path)
    assert done.returncode == 0 and os.listdir(state_dir) == [living]


def test_what_is_live_is_that_of_the_last_look_after_a_lost_lease(tmp_path, state_dir):
    """The program gave heapspy up for lost, and wrote its end itself."""
    with Started(hspy.victim("prog_job"), "tty", dir=tmp_path, sample=1, interval="50ms") as job:
        job.wait_ready()
        until(lambda: hspy.snapshots(tmp_path))
        job.process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(job.pid) == "T")
        time.sleep(3) # more than the lease is worth at an exit
        job.write("end")
        until(lambda: state_of(job.child) == "Z")
        job.process.send_signal(signal.SIGCONT)
        code, stderr = job.end()
    assert code == 4 and ", live at the last look " in lines_of_heapspy(stderr)[0], stderr
    assert reasons(tmp_path)[-1] == "exit" and os.listdir(state_dir) == []
