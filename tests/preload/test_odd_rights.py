"""Programs that give up rights, descriptors or namespaces on their way, or have more than their caller."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import hspy
import pytest

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to give it up")
WAYS = ["none", "setuid", "setresuid", "seteuid", "keepcaps", "capset", "dumpable", "nonewprivs", "securebits"]
# After these another user's files are closed to the program, its own old ones included.
OTHER_USER = {"setuid", "setresuid", "seteuid", "keepcaps"}
# These are each thread's own: a helper would keep what the program has given up.
OWN_THREAD = {"capset", "securebits"}


@pytest.fixture
def open_dir():
    """A directory that every user gets to, and may write to."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="heapspy-rights."))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def as_nobody():
    os.setgroups([])
    os.setgid(hspy.NOBODY)
    os.setuid(hspy.NOBODY)


def threads_of(stdout):
    """What was printed of the program's threads and of itself, and the rights of heapspy's threads"""
    blocks = re.split(r"(?m)^(?=Name:|dumpable)", stdout)[1:]
    ours = [block for block in blocks if block.startswith("Name:\theapspy\n")]
    return [block for block in blocks if block not in ours], [block.partition("\n")[2] for block in ours]


@needs_root
@pytest.mark.parametrize("way, threads", [(way, ["thread"]) for way in WAYS] + [("setuid", []), ("capset", [])],
                         ids=lambda value: value if isinstance(value, str) else str(1 + len(value)))
def test_rights_given_up(way, threads, open_dir):
    """All calls succeed as without heapspy, every thread has the same rights, and snapshots go on."""
    words = [hspy.victim("prog_rights"), way, *threads]
    bare = hspy.run(words, open_dir / "run", preload=(), expect=4, cwd=open_dir)
    loaded = hspy.run(words, open_dir / "run", expect=4, cwd=open_dir, sample=1, interval="50ms", cpu_max="off",
                      state_max="256MiB")
    theirs, ours = threads_of(loaded.stdout)
    assert theirs == threads_of(bare.stdout)[0]
    assert loaded.stderr == ""
    assert not ours or threads and way not in OWN_THREAD
    assert all(rights in (theirs[0].partition("\n")[2], theirs[1].partition("\n")[2]) for rights in ours)
    # In its own directory, or as the user it has become beside it.
    found = sorted(open_dir.rglob("*.hspy"), key=lambda path: path.stat().st_mtime_ns)
    assert hspy.live_bytes(found[-1], "keep_after") == 100000
    assert hspy.live_bytes(found[-1], "keep_before") == 100000
    assert (found[-1].stat().st_uid == hspy.NOBODY) == (way in OTHER_USER)


@pytest.mark.other_user
@pytest.mark.parametrize("mode", ["preload", "run"])
@pytest.mark.parametrize("way", ["dumpable", "nonewprivs"])
def test_rights_given_up_by_another_user(way, mode, open_dir):
    words, env = hspy.started(mode, [hspy.victim("prog_rights"), way, "thread"], open_dir / "run",
                              {"sample": "64KiB", "interval": "50ms"})
    done = subprocess.run(words, env=env, cwd=open_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          preexec_fn=as_nobody if os.getuid() == 0 else None, check=False)
    assert done.returncode == 4, done.stderr
    assert mode == "run" or done.stderr == b""
    assert list(open_dir.rglob("*.hspy"))


SECURE = """
mount --bind "$1/etc" /etc || exit 1
cd "$1"
for program in ./setuid ./capable; do
	setpriv --reuid {nobody} --regid {nobody} --clear-groups env -u LD_PRELOAD HEAPSPY_DIR="$1/all" \\
		HEAPSPY_VERBOSE=1 HEAPSPY_SAMPLE=nonsense HEAPSPY_STATE="$1/all" sh -c 'exec "$0"' $program || exit 1
done
"""


@pytest.mark.other_user
@needs_root
def test_program_with_raised_rights(open_dir):
    """LD_PRELOAD is ignored there by the loader. Loaded by the administrator's list instead, the library
    believes no variable and leaves nothing; and that list is another one in this mount namespace only."""
    source = open_dir / "secure.c"
    source.write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/auxv.h>\n"
                      "int main(void) { char line[512]; FILE *maps = fopen(\"/proc/self/maps\", \"r\"); int n = 0;\n"
                      "while (fgets(line, sizeof(line), maps)) n += !!strstr(line, \"libheapspy.so\");\n"
                      "for (int i = 0; i < 1000; i++) free(malloc(99999));\n"
                      "printf(\"secure %lu, loaded %d\\n\", getauxval(AT_SECURE), n > 0); }\n", encoding="ascii")
    for name in ("setuid", "capable"):
        subprocess.run(["gcc", "-fno-builtin", source, "-o", open_dir / name], check=True)
        (open_dir / name).chmod(0o4755 if name == "setuid" else 0o755)
    if subprocess.run(["setcap", "cap_net_raw+ep", open_dir / "capable"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file capabilities here")
    shutil.copy(hspy.LIBRARY, open_dir / "libheapspy.so")
    (open_dir / "all").mkdir(mode=0o777)
    (open_dir / "all").chmod(0o777)
    (open_dir / "etc").mkdir()
    for name in ("ld.so.cache", "passwd", "group", "nsswitch.conf"):
        if pathlib.Path("/etc", name).exists():
            shutil.copy(f"/etc/{name}", open_dir / "etc" / name)
    hspy.need_mounts()
    for listed in (False, True):
        if listed:
            (open_dir / "etc/ld.so.preload").write_text(f"{open_dir}/libheapspy.so\n")
        else:
            (open_dir / "etc/ld.so.preload").touch()
        done = subprocess.run(["unshare", "-m", "sh", "-c", SECURE.format(nobody=hspy.NOBODY), "sh", open_dir],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.stdout == f"secure 1, loaded {int(listed)}\n" * 2, done
        # The shell that becomes the program has no raised rights, and speaks.
        said = [line for line in done.stderr.splitlines() if re.search(r"\((pid|comm).*(setuid|capable)", line)]
        assert not said
    assert not [path for path in (open_dir / "all").rglob("*") if re.search(r"setuid|capable", path.name)]
    bare = subprocess.run([open_dir / "setuid"], env={"LD_PRELOAD": str(hspy.LIBRARY), "HEAPSPY_VERBOSE": "1"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=as_nobody, check=False)
    assert (bare.stdout, bare.stderr) == ("secure 1, loaded 0\n", "")
    said = subprocess.run([hspy.COMMAND, "run", "--", open_dir / "setuid"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=as_nobody, check=False)
    assert said.returncode == 125 and "runs with raised rights (set-user-id root)" in said.stderr


@pytest.mark.parametrize("way, threads, mode", [
    (way, ["thread"], "preload") for way in ("close_range", "closefrom", "proc", "each", "dup2", "shared")] +
    [("close_range", [], "preload"), ("each", [], "preload"), ("close_range", ["thread"], "run")],
    ids=lambda value: value if isinstance(value, str) else str(1 + len(value)))
def test_descriptors_taken_away(way, threads, mode, tmp_path):
    """Its files hold what it wrote, under the numbers it expects; snapshots are written all the while."""
    words, env = hspy.started(mode, [hspy.victim("prog_descriptors"), way, *threads], tmp_path / "run",
                              {"sample": "4KiB", "interval": "10ms"})
    done = subprocess.run(words, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (9, "40 files are mine\n"), done.stderr
    assert all(line.startswith("heapspy: ") for line in done.stderr.splitlines())
    for number in range(40):
        assert re.fullmatch(rf"{number} of round \d+\n", (tmp_path / f"file.{number}").read_text(encoding="ascii"))
    assert len(hspy.snapshots(tmp_path / "run")) >= 2


# unshare and setns by number: Python has no functions for them before 3.12.
NAMESPACES = """
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def spend(seconds):
	until = time.monotonic() + seconds
	while time.monotonic() < until:
		[str(i) for i in range(5000)]
threads = sys.argv[2] == "two"
if threads:
	thread = threading.Thread(target=spend, args=(0.1,))
	thread.start()
	thread.join()
	while len(os.listdir("/proc/self/task")) > 1 + (len(sys.argv) > 3):
		time.sleep(0.01)
way, result = sys.argv[1], -1
if way == "user":
	result = libc.unshare(0x10000000)
elif way == "user by number":
	result = libc.syscall(ctypes.c_long(272), ctypes.c_long(0x10000000))
elif way == "mount":
	result = libc.unshare(0x00020000)
elif way == "setns":
	result = libc.setns(os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)
elif way == "pid":
	result = libc.unshare(0x20000000)
	if os.fork() == 0:
		spend(0.1)
		print("I am", "like before" if result else os.getpid(), flush=True)
		os._exit(0)
	os.wait()
print(way, result, ctypes.get_errno())
spend(0.2)
if threads and way != "pid":
	thread = threading.Thread(target=spend, args=(0.1,))
	thread.start()
	thread.join()
"""


@needs_root
@pytest.mark.parametrize("way, threads, mode", [
    (way, "two", "preload") for way in ("user", "user by number", "mount", "setns", "pid")] +
    [("user", "one", "preload"), ("user", "two", "run"), ("pid", "two", "run")])
def test_other_namespaces_from_inside(way, threads, mode, tmp_path):
    """A user namespace is for processes of one thread: a helper goes before, and leaves no gap."""
    outcomes = []
    for loaded in (False, True):
        # The helper, of which the program that has joined its threads cannot know.
        more = ["helper"] if loaded and mode == "preload" and threads == "two" else []
        argv = ["/usr/bin/python3", "-c", NAMESPACES, way, threads, *more]
        words, env = hspy.started(mode if loaded else "bare", argv, tmp_path / "run",
                                  {"sample": "64KiB", "interval": "50ms"})
        done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                              cwd=tmp_path, check=False)
        outcomes.append((done.returncode, done.stdout))
    if outcomes[0][1].startswith(f"{way} -1"):
        pytest.skip("no such namespace here")
    assert outcomes[0] == outcomes[1], done.stderr
    assert len(hspy.snapshots(tmp_path / "run")) >= 3


def bubblewrapped(*options):
    return ["bwrap", "--ro-bind", "/", "/", *options, "--"]


@pytest.mark.parametrize("wrapper", [
    ["unshare", "-r"], ["unshare", "-rm"], ["unshare", "-rpf", "--mount-proc"], ["unshare", "-rn"],
    bubblewrapped("--dev", "/dev", "--proc", "/proc"), bubblewrapped("--unshare-all", "--dev", "/dev"),
    bubblewrapped("--unshare-user", "--dev", "/dev", "--tmpfs", "/run"),
    ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/dev/shm", "--"]], ids=" ".join)
def test_other_namespaces_by_programs(wrapper, open_dir):
    """What the wrapper does to itself, and what runs in it: where it cannot write it says nothing."""
    if not shutil.which(wrapper[0]):
        pytest.skip(f"no {wrapper[0]} here")
    words = [*wrapper, "/bin/sh", "-c", "echo in; awk 'BEGIN { for (; i < 30000; i++) a[i] = i; print length(a) }'"]
    env = hspy.environment(open_dir / "run", (), sample="4KiB")
    bare = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    if bare.returncode:
        pytest.skip(bare.stderr.decode().strip())
    env = hspy.environment(open_dir / "run", sample="4KiB")
    loaded = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (bare.returncode, bare.stdout, bare.stderr)


SIGNALS = """
import ctypes, os, signal, sys, threading
waited_for = [signal.SIGTERM, signal.SIGUSR1]
signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
by_file = ctypes.CDLL(None).signalfd(-1, (ctypes.c_uint64 * 16)(sum(1 << number - 1 for number in waited_for)), 0)
threads = [threading.Thread(target=lambda: [str(i) for i in range(30000)]) for _ in range(int(sys.argv[1]))]
for thread in threads:
	thread.start()
for round in range(20):
	os.kill(os.getpid(), signal.SIGTERM if round % 2 else signal.SIGUSR1)
	if round % 4 < 2:
		print(signal.sigwait(waited_for).name)
	else: # its number comes first
		print(signal.Signals(int.from_bytes(os.read(by_file, 128)[:4], "little")).name)
for thread in threads:
	thread.join()
"""


@pytest.mark.parametrize("writer", ["auto", "thread"])
def test_signals_go_to_who_waits_for_them(writer, tmp_path):
    """A signal for the process goes to any thread that does not block it: a helper has to."""
    expected = "SIGUSR1\nSIGTERM\n" * 10
    for threads in (0, 2):
        run = hspy.run([sys.executable, "-c", SIGNALS, threads], tmp_path / "run", sample="4KiB", interval="20ms",
                       writer=writer)
        assert run.stdout == expected and run.stderr == ""
