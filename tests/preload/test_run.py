"""heapspy run: the program is, does and sees what it does alone, and its snapshots are there."""
import json
import os
import pathlib
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import hspy
import pytest
from hspy_run import (PATIENCE_S, Shell, Started, directories, directory_of, lines_of_heapspy, plain_environment, run,
                      state_of, until, words)

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


# Exit codes and streams.

@pytest.mark.parametrize("code", [0, 1, 7, 42, 255])
def test_the_exit_code_is_the_commands(code, tmp_path):
    assert run("sh", "-c", f"exit {code}", dir=tmp_path).returncode == code


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "ABRT", "HUP", "PIPE"])
def test_a_signal_is_128_more(name, tmp_path):
    done = run("sh", "-c", f"kill -{name} $$", dir=tmp_path)
    assert done.returncode == 128 + getattr(signal, "SIG" + name)
    assert f"killed by SIG{name}" in done.stderr


def test_codes_of_its_own(tmp_path):
    (tmp_path / "file").write_text("not a program\n")
    cases = {127: ["/no/such/program"], 126: [tmp_path / "file"]}
    for code, argv in cases.items():
        done = run(*argv, cwd=tmp_path)
        assert done.returncode == code and len(done.stderr.splitlines()) == 1, done
    for bad in (["--sample", "half", "--", "true"], ["--nonsense", "--", "true"], []):
        done = subprocess.run([str(hspy.COMMAND), "run", *bad], env=plain_environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 125 and done.stderr.startswith("heapspy: ") and not done.stdout
    assert not directories(tmp_path)


def test_streams_pass_byte_for_byte(tmp_path):
    data = os.urandom(300000)
    done = run("sh", "-c", "tee /dev/stderr; exit 9", data=data, text=False, q=True, dir=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (9, data, data)


def test_nothing_is_said_at_the_start_and_two_lines_at_the_end(tmp_path):
    with Started(hspy.victim("prog_job"), "tty", cwd=tmp_path, sample=1) as job:
        job.wait_ready()
        assert not select.select([job.process.stderr], [], [], 0)[0]
        job.write("end")
        code, stderr = job.end()
    lines = lines_of_heapspy(stderr)
    assert code == 4 and len(lines) == 2 and len(stderr.splitlines()) == 2, stderr
    (directory,) = tmp_path.iterdir()
    assert directory.name == f"heapspy.prog_job.{job.pids[0]}"
    found = re.fullmatch(r".*prog_job exited 4 after 0:00:\d\d\.\d\. Peak ([\d.]+) KiB \(exact[^)]*\), live at exit "
                         r"([\d.]+) KiB, (\d+) samples, 1 snapshot, [\d.]+ KiB in (\S+)", lines[0])
    assert found, lines[0]
    assert 97 <= float(found[2]) <= float(found[1]) < 120 and int(found[3]) >= 100
    assert found[4].rstrip("/") == directory.name
    next_command = re.match(r"next: (heapspy .*?)     \(profiler: [\d.]+ \S+ CPU, [\d.]+ MiB, 0 lost\)$", lines[1])
    assert next_command, lines[1]
    pasted = shlex.split(next_command[1])
    done = subprocess.run([str(hspy.COMMAND), *pasted[1:]], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0 and "keep_blocks" in done.stdout, done


def test_the_next_command_can_be_pasted_from_a_strange_place(tmp_path):
    place = tmp_path / "a b'c$d"
    place.mkdir()
    done = run(hspy.victim("prog_basic"), 100, 0, 0.2, sample=1, interval="50ms", dir=place / "x;y", cwd=place)
    line = lines_of_heapspy(done.stderr)[1]
    command = re.match(r"next: heapspy (diff .*?)     \(", line)[1]
    again = subprocess.run(f"{shlex.quote(str(hspy.COMMAND))} {command}", shell=True, cwd=place,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert again.returncode == 0 and "prog_basic" in again.stdout, again


def test_quiet(tmp_path):
    done = run(hspy.victim("prog_basic"), 100, 5, q=True, sample=1, dir=tmp_path)
    assert (done.returncode, done.stderr) == (5, "done\n") and len(hspy.snapshots(tmp_path)) == 1


# What the program sees.

FACTS = """
import json, os, resource, signal, sys
def read(name):
    with open("/proc/self/" + name) as file:
        return file.read()
status = dict(line.split(":\\t", 1) for line in read("status").splitlines() if ":\\t" in line)
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        pass # the directory itself
children = signal.getsignal(signal.SIGCHLD)
ours = ("HEAPSPY_", "LD_PRELOAD=")
print(json.dumps({
    "status": {key: status[key].strip() for key in ("Umask", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn",
               "SigCgt", "Seccomp", "NoNewPrivs", "CapEff", "Cpus_allowed")},
    "fds": {k: v for k, v in fds.items() if not v.startswith(("/proc", "pipe:"))}, "n_fds": len(fds),
    "limits": read("limits"), "oom": read("oom_score_adj"), "timerslack": read("timerslack_ns"),
    "cwd": os.getcwd(), "group": os.getpgrp() == os.getpgid(os.getppid()), "session": os.getsid(0),
    "nice": os.nice(0), "policy": os.sched_getscheduler(0), "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    "death": __import__("ctypes").CDLL(None).prctl(2, __import__("ctypes").byref(
        (v := __import__("ctypes").c_int()))) or v.value,
    "argv": sys.argv, "env": sorted(x for x in (f"{k}={v}" for k, v in os.environ.items())
                                    if not x.startswith(ours))}))
"""


def unusual():
    """A start that is not like others."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGCHLD])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
    os.umask(0o027)
    os.nice(3)
    signal.alarm(1000)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("7")


def test_the_program_sees_what_it_sees_alone(tmp_path):
    """Mask, ignored signals, descriptors, group, limits, environment, timers; even a SIGCHLD that is ignored."""
    argv = ["/usr/bin/python3", "-I", "-c", FACTS, "a word", ""]
    env = plain_environment(STRANGE="a\nb", LD_BIND_NOW="")
    kept = os.open(tmp_path, os.O_RDONLY)
    facts = []
    try:
        for line in (argv, words(*argv, q=True, dir=tmp_path / "run", sample=1)):
            done = subprocess.run(line, env=env, cwd=tmp_path, preexec_fn=unusual, pass_fds=[kept], timeout=30,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 0
            facts.append(json.loads(done.stdout))
    finally:
        os.close(kept)
    assert facts[0]["status"]["Threads"] == "1" and facts[0]["timer"]
    assert facts[1] == facts[0]


def test_closed_standard_streams_stay_closed(tmp_path):
    """What heapspy opens itself may get their numbers: it is not handed on, and nothing is written there."""
    script = "import os, sys; open(sys.argv[1], 'w').write(' '.join(sorted(os.listdir('/proc/self/fd')))); os._exit(6)"
    for name, line in (("bare", []), ("run", words(dir=tmp_path / "out", sample=1))):
        argv = [*line, "/usr/bin/python3", "-I", "-c", script, str(tmp_path / name)]
        done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *argv], env=plain_environment(),
                              timeout=30, check=False)
        assert done.returncode == 6
    assert (tmp_path / "run").read_text() == (tmp_path / "bare").read_text()
    assert hspy.info(hspy.snapshots(tmp_path / "out")[-1])["reason"] == "exit"


def test_an_alarm_set_before_reaches_the_program(tmp_path):
    """As perl -e 'alarm 1; exec ...' makes one."""
    def alarm():
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    assert run("sleep", 30, preexec=alarm, q=True, dir=tmp_path).returncode == 128 + signal.SIGALRM


def test_no_thread_and_no_descriptor_of_ours(tmp_path):
    with Started(hspy.victim("prog_rounds"), 3, sample=1, interval="50ms", dir=tmp_path) as job:
        pid = job.wait_ready()
        job.write("go")
        until(lambda: len(hspy.snapshots(tmp_path)) >= 3)
        assert len(os.listdir(f"/proc/{pid}/task")) == 4
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
        job.write("rest")
        assert "by_malloc" in job.read()
        job.process.stdin.close()
        assert job.process.wait(PATIENCE_S) == 0


def traced(argv, log):
    """What a program asks of the kernel between its first and its last write."""
    done = subprocess.run(["strace", "-ff", "-o", str(log), *map(str, argv)], env=plain_environment(), timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if "ptrace" in done.stderr.lower() and "not permitted" in done.stderr:
        pytest.skip(f"no ptrace here: {done.stderr.strip()}")
    assert done.returncode == 6, done.stderr
    (calls,) = [path.read_text().splitlines() for path in log.parent.glob(log.name + ".*")
                if 'write(1, "."' in path.read_text()]
    first = next(i for i, call in enumerate(calls) if call.startswith('write(1, "."'))
    return [re.match(r"\w+|[+-]+ .*", call)[0] for call in calls[first:]], calls[first:]


def test_strace_shows_the_growth_of_the_state_and_no_more(tmp_path):
    """From main() to the exit; the last question is who writes the last snapshot."""
    bare, _ = traced([hspy.victim("prog_job"), "write", 20000], tmp_path / "bare.log")
    ours, calls = traced(words(hspy.victim("prog_job"), "write", 20000, sample=1, q=True, interval="20ms",
                               dir=tmp_path / "run"), tmp_path / "run.log")
    assert len(hspy.snapshots(tmp_path / "run")) > 1
    more = Counter(ours) - Counter(bare)
    grown = sum("MADV_POPULATE_WRITE" in call for call in calls)
    assert grown and more.pop("madvise") == grown and more.pop("mprotect", 0) <= grown
    # Whether the program has room left there.
    assert more.pop("statfs") == grown
    # The name of the thread, once in 256 samples.
    names = sum(call.startswith("prctl(PR_GET_NAME") for call in calls)
    assert more.pop("prctl", 0) == names <= 20000 / 256 + 2
    # At the very end: whether the holder of the lease is there.
    assert more.pop("getpid", 0) <= 1 and more.pop("kill", 0) == 1 and calls[-3].startswith("kill("), calls[-4:]
    # The heap began at another place.
    assert set(more) <= {"brk"} and more["brk"] <= 2, more


# The lease.

def start_and_kill(argv, place):
    """A program whose heapspy run has been killed, and how many snapshots there were then."""
    job = Started(*argv, sample=1, interval="100ms", dir=place)
    if "rounds" in argv[0]:
        job.wait_ready()
        job.write("go")
    until(lambda: job.child and len(hspy.snapshots(place)) >= 2)
    job.process.kill()
    job.process.wait()
    return job, len(hspy.snapshots(place))


def test_the_library_takes_over_when_heapspy_is_killed(tmp_path, state_dir):
    """Of a program without and one with threads: within seconds, to the end, and nothing is left behind."""
    single, before_single = start_and_kill([hspy.victim("prog_basic"), 100, 7, 7], tmp_path / "single")
    threads, before_threads = start_and_kill([hspy.victim("prog_rounds"), 2], tmp_path / "threads")
    with single, threads:
        for place, before in ((tmp_path / "single", before_single), (tmp_path / "threads", before_threads)):
            until(lambda: len(hspy.snapshots(place)) >= before + 3, patience=10)
        threads.process.stdin.close()
        for job in (single, threads):
            until(lambda: state_of(job.child) in (None, "Z"))
    for place in (tmp_path / "single", tmp_path / "threads"):
        infos = [hspy.info(path) for path in hspy.snapshots(place)]
        assert [info["number"] for info in infos] == list(range(1, len(infos) + 1))
        assert infos[-1]["reason"] == "exit"
    assert os.listdir(state_dir) == []


def test_heapspy_that_was_stopped_takes_the_lease_back(tmp_path, state_dir):
    with Started(hspy.victim("prog_basic"), 100, 7, 60, sample=1, interval="300ms", dir=tmp_path) as job:
        pid = job.child
        until(lambda: len(hspy.snapshots(tmp_path)) >= 2)
        job.process.send_signal(signal.SIGSTOP)
        before = len(hspy.snapshots(tmp_path))
        # The first of these may be one that it was at when it was stopped.
        until(lambda: len(hspy.snapshots(tmp_path)) >= before + 3, patience=15)
        job.process.send_signal(signal.SIGCONT)
        before = len(hspy.snapshots(tmp_path))
        until(lambda: len(hspy.snapshots(tmp_path)) >= before + 5)
        os.kill(pid, signal.SIGTERM)
        code, _ = job.end()
    assert code == 128 + signal.SIGTERM and os.listdir(state_dir) == []
    infos = [hspy.info(path) for path in hspy.snapshots(tmp_path)]
    assert [info["number"] for info in infos] == list(range(1, len(infos) + 1))
    times = [info["cut_ns"] for info in infos]
    assert times == sorted(times)
    # On the grid: no two for one moment of it, whoever wrote them. The last one is that of the end.
    cells = [t // 300000000 for t in times[:-1]]
    assert len(set(cells)) >= len(cells) - 1, times


# Children.

FORKED = ["fork", "_Fork", "raw", "thread_fork", "fork_exec", "vfork_exec", "spawn", "chain", "double", "daemon",
          "vfork_first"]


def run_forks(mode, directory, **options):
    readable, writable = os.pipe()
    try:
        done = subprocess.run(words(hspy.victim("prog_fork"), mode, writable, dir=directory, sample=1, **options),
                              env=plain_environment(), pass_fds=[writable], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    finally:
        os.close(writable)
    with os.fdopen(readable) as said:
        child = int(said.read())
    assert done.returncode == 0, done.stderr
    return done, child


def figures(directory):
    found = hspy.sites(hspy.snapshots(directory)[-1])
    return {name: found.get(name, (0, 0))[:2] for name in ("keep_before", "keep_here")}


@pytest.mark.parametrize("mode", FORKED)
def test_every_process_has_its_own_directory(mode, tmp_path, state_dir):
    done, child = run_forks(mode, tmp_path)
    place = directory_of(tmp_path, child)
    assert figures(place) == {"keep_before": (0, 0), "keep_here": (100000, 100)}
    others = [path for path in directories(tmp_path) if path != place]
    if mode == "chain":
        # The first image: it ended before keep_here().
        (first,) = others
        assert figures(first) == {"keep_before": (50000, 50), "keep_here": (0, 0)}
    elif mode != "daemon":
        parent = directory_of(tmp_path, json.loads(done.stdout)["pid"])
        assert figures(parent) == {"keep_before": (50000, 50), "keep_here": (100000, 100)}
    if others:
        assert f"{len(others)} more process" in lines_of_heapspy(done.stderr)[-1], done.stderr
    assert os.listdir(state_dir) == []


@pytest.mark.parametrize("how", ["none", "exec"])
def test_children_can_be_left_out(how, tmp_path, state_dir):
    modes = {"fork": False, "spawn": how == "exec", "daemon": False}
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda mode: run_forks(mode, tmp_path / mode, children=how), modes))
    for (mode, counted), (_, child) in zip(modes.items(), runs):
        pids = [hspy.info(hspy.snapshots(path)[-1])["pid"] for path in directories(tmp_path / mode)]
        assert (child in pids) == counted, mode
    assert os.listdir(state_dir) == []


def test_the_process_that_matters_is_named(tmp_path):
    victim = shlex.quote(hspy.victim("prog_basic"))
    done = run("sh", "-c", f"{victim} 10 0; {victim} 3000 0; {victim} 20 0; exit 3", sample=1, dir=tmp_path)
    assert done.returncode == 3
    big = max(directories(tmp_path), key=lambda path: hspy.live_bytes(hspy.snapshots(path)[-1], "keep_blocks"))
    first, second = lines_of_heapspy(done.stderr)
    assert f"Most memory: prog_basic (pid {hspy.info(hspy.snapshots(big)[0])['pid']})." in first
    assert str(big) in first and str(big) in second and "3 more processes with snapshots" in second


def test_a_process_that_wrote_its_snapshots_itself_is_counted(tmp_path):
    """One that was there for long enough to be seen."""
    victim, python = shlex.quote(hspy.victim("prog_basic")), shlex.quote(sys.executable)
    script = "import time; kept = [bytes(3000) for i in range(100)]; time.sleep(1)"
    done = run("sh", "-c", f"{victim} 3000 0; HEAPSPY_WRITER=inline {python} -I -c '{script}'; exit 3", sample=1,
               dir=tmp_path)
    assert done.returncode == 3 and len(directories(tmp_path)) == 3
    assert "2 more processes with snapshots" in lines_of_heapspy(done.stderr)[1], done.stderr


def test_a_second_copy_of_the_library(tmp_path):
    """It is not the next image of its process: of the first there is a snapshot of its end."""
    script = ("import ctypes, sys\nlibc = ctypes.CDLL(None)\nlibc.dlmopen.restype = ctypes.c_void_p\n"
              "assert libc.dlmopen(ctypes.c_long(-1), sys.argv[1].encode(), 2)\n"
              "import time; time.sleep(.5); sys.kept = bytes(5000000)\nimport os; os.kill(os.getpid(), 9)")
    done = run(sys.executable, "-I", "-c", script, hspy.LIBRARY, sample=1, dir=tmp_path)
    assert done.returncode == 137
    assert max(hspy.info(path)["live_bytes"] for path in hspy.snapshots(tmp_path)) > 5e6, done.stderr


DAEMON = """
import os, sys, time
if os.fork(): os._exit(5)
os.setsid()
if os.fork(): os._exit(0)
open("pid.new", "w").write(str(os.getpid())); os.rename("pid.new", "pid")
kept = []
end = time.monotonic() + 60
while time.monotonic() < end and not os.path.exists("stop"):
    kept.append(bytearray(10000)); time.sleep(0.005)
"""


@pytest.mark.parametrize("leave", [False, True], ids=["stay", "Ctrl-C"])
def test_a_daemon_is_followed(leave, tmp_path, state_dir):
    """run stays for it and returns the code of the command; Ctrl-C lets it go on alone."""
    with Started("/usr/bin/python3", "-I", "-c", DAEMON, cwd=tmp_path, dir="out", sample="4KiB",
                 interval="100ms") as job:
        until((tmp_path / "pid").exists)
        pid = int((tmp_path / "pid").read_text())
        job.pids.append(pid)
        until(lambda: any(hspy.info(hspy.snapshots(path)[-1])["pid"] == pid for path in directories(tmp_path)))
        assert job.process.poll() is None
        if leave:
            job.process.send_signal(signal.SIGINT)
        else:
            (tmp_path / "stop").touch()
        code, stderr = job.end()
        assert code == 5 and "staying for 1 process" in stderr
        place = directory_of(tmp_path, pid)
        if leave:
            assert state_of(pid) in ("S", "R", "D")
            before = len(hspy.snapshots(place))
            until(lambda: len(hspy.snapshots(place)) >= before + 3, patience=10)
            (tmp_path / "stop").touch()
        until(lambda: state_of(pid) is None)
    assert hspy.info(hspy.snapshots(place)[-1])["reason"] == "exit"
    assert os.listdir(state_dir) == []


def test_children_of_other_sessions_are_followed(tmp_path, state_dir):
    victim = shlex.quote(hspy.victim("prog_basic"))
    done = run("sh", "-c", f"setsid -f {victim} 50 0 0.3; nohup {victim} 60 0 0.3 & setsid {victim} 70 0; true",
               sample=1, dir=tmp_path)
    assert done.returncode == 0
    held = {hspy.live_bytes(hspy.snapshots(path)[-1], "keep_blocks") for path in directories(tmp_path)}
    assert {50000, 60000, 70000} <= held
    assert os.listdir(state_dir) == []


def test_many_short_children_leave_one_directory(tmp_path, state_dir):
    script = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"
    # So that none of them is sampled by chance.
    with Started("sh", "-c", script, sample="1GiB", dir=tmp_path / "run") as job:
        peak = 0

        def ended():
            nonlocal peak
            try:
                status = pathlib.Path(f"/proc/{job.pid}/status").read_text()
                peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
            except OSError:
                pass
            return job.process.poll() is not None
        until(ended, patience=60)
        code, stderr = job.end()
    assert code == 0 and len(directories(tmp_path)) <= 1, stderr
    assert os.listdir(state_dir) == []
    assert 0 < peak < 40000, f"{peak} KiB"


def test_exec_chain_ends_each_image(tmp_path):
    done, _ = run_forks("chain", tmp_path)
    assert len(directories(tmp_path)) == 2
    infos = [hspy.info(hspy.snapshots(path)[-1]) for path in directories(tmp_path)]
    assert infos[0]["pid"] == infos[1]["pid"] and infos[0]["start_id"] != infos[1]["start_id"]
    assert sorted(info["reason"] for info in infos) == ["exit", "recovered"], done.stderr


# Signals and job control.

@pytest.mark.parametrize("name", ["TERM", "USR1", "HUP", "INT", "QUIT", "WINCH", "ALRM", "PIPE"])
def test_a_signal_sent_to_heapspy_arrives_once(name, tmp_path):
    with Started(hspy.victim("prog_job"), "signals", dir=tmp_path) as job:
        job.wait_ready()
        job.process.send_signal(getattr(signal, "SIG" + name))
        assert job.read() == f"{name} 0\n"
        job.process.send_signal(signal.SIGUSR2)
        assert job.end()[0] == 3 and not job.process.stdout.read()


def test_what_the_program_sends_to_its_group_is_not_passed_back(tmp_path):
    script = ("import os, signal, time\n"
              "got = []\n"
              "signal.signal(signal.SIGTERM, lambda *_: got.append(1))\n"
              "for _ in range(10):\n"
              "    os.kill(0, signal.SIGTERM); time.sleep(0.02)\n"
              "print(len(got))\n")
    done = subprocess.run(words("/usr/bin/python3", "-I", "-c", script, q=True, dir=tmp_path), text=True,
                          env=plain_environment(), stdout=subprocess.PIPE, start_new_session=True, timeout=30,
                          check=False)
    assert (done.returncode, done.stdout) == (0, "10\n")


def test_queued_values_pass(tmp_path):
    with Started(hspy.victim("prog_job"), "signals", dir=tmp_path) as job:
        job.wait_ready()
        for value in (5, 6):
            subprocess.run(["kill", f"-{signal.SIGRTMIN + 1}", "-q", str(value), str(job.pid)], check=True)
        assert [job.read(), job.read()] == ["RT 5\n", "RT 6\n"]
        job.process.send_signal(signal.SIGUSR2)
        assert job.end()[0] == 3


def test_a_key_on_the_terminal_arrives_once(tmp_path):
    with Shell(words(hspy.victim("prog_job"), "signals", q=True, dir=tmp_path)) as shell:
        pid = shell.job()
        shell.expect("ready")
        for key, name in ((b"\x03", "INT"), (b"\x1c", "QUIT"), (b"\x03", "INT")):
            shell.type(key)
            assert name not in shell.expect(f"{name} 0")
        subprocess.run(["stty", "-F", f"/proc/{pid}/fd/0", "cols", "77"],
                       check=True)
        shell.expect("WINCH 0")
        os.kill(pid, signal.SIGUSR2)
        rest = shell.expect("[end 3]")
        assert "INT" not in rest and "QUIT" not in rest and "WINCH" not in rest


@pytest.mark.parametrize("mode", ["tty", "stop"])
def test_ctrl_z_and_fg(mode, tmp_path):
    """Of programs that stop by default, and of those that answer by a SIGSTOP of their own."""
    with Shell(words(hspy.victim("prog_job"), mode, q=True, dir=tmp_path)) as shell:
        pid = shell.job()
        shell.expect("ready")
        (child,) = until(lambda: hspy.children_of(pid))
        for word in (b"one", b"two"):
            shell.type(b"\x1a")
            shell.expect("[stopped]")
            assert (state_of(pid), state_of(child)) == ("T", "T")
            shell.foreground()
            until(lambda: state_of(pid) != "T" and state_of(child) != "T")
            shell.type(word + b"\n")
            shell.expect("read " + word.decode())
        shell.type(b"end\n")
        shell.expect("[end 4]")


def test_tstp_and_cont_to_heapspy_alone(tmp_path):
    with Shell(words(hspy.victim("prog_job"), "signals", q=True, dir=tmp_path)) as shell:
        pid = shell.job()
        shell.expect("ready")
        (child,) = until(lambda: hspy.children_of(pid))
        os.kill(pid, signal.SIGTSTP)
        shell.expect("[stopped]")
        assert state_of(child) == "T"
        os.kill(pid, signal.SIGCONT)
        shell.expect("CONT 0")
        os.kill(child, signal.SIGUSR2)


def test_a_program_that_stops_itself(tmp_path):
    """Nobody asked it to: heapspy goes on, and so does the program when it is continued."""
    with Started(hspy.victim("prog_job"), "stop_now", dir=tmp_path) as job:
        until(lambda: state_of(job.child) == "T")
        assert state_of(job.pid) == "S"
        os.kill(job.child, signal.SIGCONT)
        job.wait_ready()
        job.write("end")
        assert job.end()[0] == 4


def test_a_shell_knows_that_the_program_stopped_itself(tmp_path):
    with Shell(words(hspy.victim("prog_job"), "stop_now", q=True, dir=tmp_path)) as shell:
        pid = shell.job()
        (child,) = until(lambda: hspy.children_of(pid))
        shell.expect("[stopped]")
        assert (state_of(pid), state_of(child)) == ("T", "T")
        shell.foreground()
        shell.expect("ready")
        shell.type(b"end\n")
        shell.expect("[end 4]")


def test_a_background_job_that_reads_the_terminal(tmp_path):
    with Shell(words(hspy.victim("prog_job"), "tty", q=True, dir=tmp_path), background=True) as shell:
        pid = shell.job()
        shell.expect("[stopped]")
        assert state_of(pid) == "T"
        shell.foreground()
        shell.type(b"hello\n")
        shell.expect("read hello")
        shell.type(b"end\n")
        shell.expect("[end 4]")


def test_in_a_pipeline(tmp_path):
    line = shlex.join(words("sort", q=True, dir=tmp_path))
    done = subprocess.run(f"printf 'b\\na\\n' | {line} | tail -n 1", shell=True, env=plain_environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("b\n", "")
    # The reader leaves: SIGPIPE is the program's affair.
    done = subprocess.run(["bash", "-c", f"{shlex.join(words('yes', q=True, dir=tmp_path))} | head -n 1; "
                           "exit ${PIPESTATUS[0]}"], env=plain_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode in (128 + signal.SIGPIPE, 1)


def test_nohup(tmp_path):
    """What ignores a hang-up goes on, and heapspy with it, also when only its children are left."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    script = f"{hspy.victim('prog_basic')} 10 0 1.2 & echo $!"
    process = subprocess.Popen(words("sh", "-c", script, dir=tmp_path, sample=1),
                               env=plain_environment(), preexec_fn=ignore, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    until(lambda: process.pid in [int(pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])])
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and state_of(child) is None
    assert hspy.info(hspy.snapshots(directory_of(tmp_path, child))[-1])["reason"] == "exit"


# Ends of the program.

@pytest.mark.parametrize("threads", [[], ["thread"]], ids=["one", "two"])
@pytest.mark.parametrize("mode", ["return", "exit", "_exit", "quick_exit", "in_handler", "in_destructor", "abort",
                                  "SIGTERM", "SIGKILL", "SIGSEGV"])
def test_the_last_snapshot_is_there(mode, threads, tmp_path, state_dir):
    done = run(hspy.victim("prog_exit"), mode, *threads, sample=1, interval=0, dir=tmp_path)
    killed = {"abort": 134, "SIGTERM": 143, "SIGKILL": 137, "SIGSEGV": 139}
    assert done.returncode == killed.get(mode, 42)
    (path,) = hspy.snapshots(tmp_path)
    assert hspy.info(path)["reason"] == ("recovered" if mode in killed else "exit")
    assert hspy.live_bytes(path, "keep_blocks") == 100000
    assert os.listdir(state_dir) == []


def test_a_program_whose_main_thread_leaves(tmp_path, state_dir):
    done = run(hspy.victim("prog_main_leaves"), sample="4KiB", interval="50ms", dir=tmp_path)
    assert done.stdout == "{}\n" and done.returncode == 0
    assert len(hspy.snapshots(tmp_path)) > 3 and os.listdir(state_dir) == []
    assert hspy.info(hspy.snapshots(tmp_path)[-1])["reason"] == "exit"


@pytest.mark.parametrize("argv", [["prog_exact", 1, 20000], ["prog_exact", 8, 20000], ["prog_exact_cxx", 8, 20000]],
                         ids=["one", "eight", "cxx"])
def test_figures_are_exact(argv, tmp_path):
    """To the byte: in a snapshot of the program's own, and in the last one, which heapspy wrote."""
    done = run(hspy.victim(argv[0]), *argv[1:], sample=1, state_max="256MiB", dir=tmp_path)
    assert done.returncode == 0, done.stderr
    truth = json.loads(done.stdout)
    for moment in (f"{tmp_path}@mark:end", f"{tmp_path}@last"):
        found = hspy.sites(moment)
        for name, site in truth.items():
            assert found.get(name, (0, 0, 0, 0)) == (site["live_bytes"], site["live"], site["bytes"], site["n"]), name
    assert "2 snapshots" in done.stderr, "the program's own is counted too"


# Settings and places.

def test_options_win_over_variables(tmp_path):
    env = plain_environment(HEAPSPY_SAMPLE="1MiB", HEAPSPY_DEPTH="3", HEAPSPY_DIR=str(tmp_path / "env"))
    run(hspy.victim("prog_basic"), env=env, sample="1", dir=tmp_path / "option")
    info = hspy.info(hspy.snapshots(tmp_path / "option")[-1])
    assert info["interval_bytes"] == 1 and not (tmp_path / "env").exists()
    run(hspy.victim("prog_basic"), env=env)
    assert hspy.info(hspy.snapshots(tmp_path / "env")[-1])["interval_bytes"] == 1 << 20


def test_a_wrong_variable_ends_it_before_the_start(tmp_path):
    done = run("touch", tmp_path / "started", env=plain_environment(HEAPSPY_SAMPLE="half"))
    assert done.returncode == 125 and "HEAPSPY_SAMPLE='half'" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "started").exists()


def test_directories(tmp_path):
    for name in ("relative", str(tmp_path / "absolute"), "a-%c-%p", "%h.%%"):
        done = run("sh", "-c", f"cd / && exec {hspy.victim('prog_basic')} 10 0", dir=name, cwd=tmp_path, sample=1)
        assert done.returncode == 0, done.stderr
    places = {path.relative_to(tmp_path).parts[0] for path in directories(tmp_path)}
    assert {"relative", "absolute"} <= places
    assert any(re.fullmatch(r"a-prog_basic-\d+", name) for name in places), places
    assert f"{os.uname().nodename}.%" in places


@as_root
@pytest.mark.other_user
def test_a_directory_that_cannot_be_written(tmp_path):
    """As nobody: snapshots go elsewhere, and the summary says where."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    done = subprocess.run(words(hspy.victim("prog_basic"), sample=1), cwd=closed, user=hspy.NOBODY,
                          group=hspy.NOBODY, extra_groups=[], env=plain_environment(TMPDIR=os.getcwd()), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 7 and not os.listdir(closed), done.stderr
    (place,) = directories(os.getcwd())
    assert str(place) in done.stderr and place.stat().st_uid == hspy.NOBODY


def test_no_room_for_snapshots(tmp_path, state_dir):
    """Said before anything is started."""
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 10, 200 << 10))
    done = run(hspy.victim("prog_exact"), 1, 20000, sample=1, dir=tmp_path, preexec=limited, interval=0)
    assert done.returncode == 125 and not done.stdout
    assert done.stderr == ("heapspy: files may not be larger than 204800 bytes here, which leaves no room for a "
                           "state; raise the limit (ulimit -f)\n")
    assert os.listdir(state_dir) == []


@pytest.mark.parametrize("option, value, why", [
    ("dir", "/etc/passwd", "Not a directory"), ("dir", "/etc/passwd/x", "Not a directory"),
    ("dir", "/proc/x", "No such file or directory"), ("dir", "/proc/x/y.%p", "No such file or directory"),
    ("state", "/nowhere", "No such file or directory"), ("state", "/etc", "it is not on tmpfs")])
def test_places_that_cannot_be_used_are_refused(option, value, why):
    done = run("true", **{option: value})
    assert done.returncode == 125
    assert done.stderr.startswith(f"heapspy: the {'snapshot' if option == 'dir' else 'state'} directory '{value}' "
                                  f"cannot be used: {why}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_directories_above_are_made(tmp_path):
    done = run(hspy.victim("prog_basic"), sample=1, dir=tmp_path / "a" / "b" / "run.%p")
    assert done.returncode == 7, done.stderr
    (made,) = (tmp_path / "a" / "b").iterdir()
    assert hspy.snapshots(made)
    assert run("true", dir=tmp_path / "c" / "d").returncode == 0
    assert not (tmp_path / "c" / "d").exists()


@pytest.fixture
def small_tmpfs(tmp_path):
    with hspy.small_tmpfs(tmp_path / "small", "1m") as path:
        yield path


def test_a_full_disk_is_one_line(small_tmpfs, state_dir, tmp_path):
    hspy.fill(small_tmpfs)
    done = run(hspy.victim("prog_basic"), 1000, 7, 0.3, sample=1, interval="50ms", dir=small_tmpfs / "run")
    assert (done.returncode, done.stdout) == (7, '{"live": 1000000}\n')
    lines = lines_of_heapspy(done.stderr)
    assert len(lines) <= 3 and "could not be written" in lines[-1] and "No space left" in lines[-1], lines
    # The end is not lost: it can be written when there is space, or somewhere else.
    hspy.heapspy("recover", "--state", state_dir, "--dir", tmp_path / "elsewhere")
    (last,) = (tmp_path / "elsewhere").rglob("*.hspy")
    assert hspy.live_bytes(last, "keep_blocks") == 1000000
    assert os.listdir(state_dir) == []


def test_a_full_state_directory(small_tmpfs, tmp_path):
    """The program profiles itself in private memory, and the summary knows."""
    hspy.fill(small_tmpfs)
    done = run(hspy.victim("prog_basic"), sample=1, state=small_tmpfs, dir=tmp_path / "run")
    assert done.returncode == 7 and hspy.live_bytes(hspy.snapshots(tmp_path / "run")[-1], "keep_blocks") == 1000000
    assert "wrote its snapshots itself" in done.stderr, done.stderr


@pytest.mark.parametrize("writer", ["auto", "external", "thread", "inline", "off"])
def test_who_writes(writer, tmp_path, state_dir):
    done = run(hspy.victim("prog_basic"), 1000, 7, 0.3, sample=1, interval="50ms", writer=writer, dir=tmp_path)
    assert done.returncode == 7 and done.stdout == '{"live": 1000000}\n'
    assert (len(hspy.snapshots(tmp_path)) > 1) == (writer != "off")
    lines = lines_of_heapspy(done.stderr)
    assert ("itself" in lines[-1]) == (writer in ("thread", "inline")), lines
    assert ("--writer off" in lines[-1]) == (writer == "off"), lines
    assert os.listdir(state_dir) == []


def test_a_private_state(tmp_path):
    done = run(hspy.victim("prog_basic"), sample=1, dir=tmp_path, state="anon")
    assert done.returncode == 7 and len(hspy.snapshots(tmp_path)) == 1
    assert "itself" in lines_of_heapspy(done.stderr)[-1]


def test_run_under_run(tmp_path, state_dir):
    inner = words(hspy.victim("prog_basic"), 1000, 7, dir=tmp_path / "inner")
    done = run(*inner, sample=1, dir=tmp_path / "outer")
    assert done.returncode == 7 and done.stdout == '{"live": 1000000}\n'
    (place,) = directories(tmp_path / "inner")
    assert hspy.live_bytes(hspy.snapshots(place)[-1], "keep_blocks") == 1000000
    assert os.listdir(state_dir) == []


def test_another_library_is_preloaded_too(tmp_path):
    env = plain_environment(LD_PRELOAD=hspy.victim("lib_plugin.so"))
    done = run("sh", "-c", 'echo "$LD_PRELOAD"', env=env, q=True, dir=tmp_path)
    assert done.stdout == f"{hspy.LIBRARY.resolve()}:{hspy.victim('lib_plugin.so')}\n"


# Elsewhere.

@as_root
@pytest.mark.parametrize("wrapper", [["unshare", "-m"], ["unshare", "-pf"], ["unshare", "-pf", "--mount-proc"],
                                     ["chroot", "ROOT"]],
                         ids=["mount", "pid", "pid-proc", "chroot"])
def test_in_other_namespaces(wrapper, tmp_path, state_dir):
    """run keeps to the process through pids and paths that are others inside."""
    if wrapper[-1] == "ROOT":
        root = tmp_path / "root"
        root.mkdir()
        hspy.need_mounts()
        script = ('mount --bind / "$1" && mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" && '
                  'mount --rbind "$2" "$1$2" && shift 2 && exec "$@"')
        wrapper = ["unshare", "-m", "sh", "-c", script, "sh", root, tmp_path.parent, "chroot", root]
        wrapper = [str(word) for word in wrapper]
    elif subprocess.run([*wrapper, "true"], check=False, stderr=subprocess.PIPE).returncode:
        pytest.skip("no such namespace here")
    done = run(*wrapper, hspy.victim("prog_basic"), 1000, 7, 0.5, sample=1, interval="100ms", dir=tmp_path / "run",
               timeout=20)
    assert done.returncode == 7, done.stderr
    found = [path for path in directories(tmp_path)
             if hspy.info(hspy.snapshots(path)[-1])["comm"] == "prog_basic"]
    assert len(found) == 1, (done.stderr, directories(tmp_path))
    assert 2 <= len(hspy.snapshots(found[0])) <= 8
    reasons = [hspy.info(path)["reason"] for path in hspy.snapshots(found[0])]
    assert reasons[-1] == "exit" and set(reasons[:-1]) <= {"interval", "peak"}, reasons
    assert os.listdir(state_dir) == []


def test_files_of_others_in_the_state_directory_do_not_hold_it_up(tmp_path, state_dir):
    for name in ("heapspy.nonsense", f"heapspy.{os.getuid()}.4999999.2-3", "else"):
        assert run("sh", "-c", f"touch {state_dir}/{name}; sleep 0.1", dir=tmp_path, timeout=20).returncode == 0
