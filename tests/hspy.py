"""How the whole-program tests run victims under the library and read what it wrote.

Snapshots are read through the heapspy command only, so the tests know names, not bytes.
"""
import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("HEAPSPY_BUILD", ROOT / "build"))
LIBRARY = BUILD / "preload" / "libheapspy.so"
COMMAND = BUILD / "analyzer" / "heapspy"
VICTIMS = BUILD / "tests" / "preload"
NOBODY = 65534


def victim(name):
    return str(VICTIMS / name)


def environment(directory, preload=(LIBRARY,), **settings):
    """The caller's environment with the library preloaded; settings become HEAPSPY_* variables."""
    env = dict(os.environ, HEAPSPY_DIR=str(directory), LC_ALL="C.UTF-8")
    if preload:
        env["LD_PRELOAD"] = ":".join(str(path) for path in preload)
    for name, value in settings.items():
        env["HEAPSPY_" + name.upper()] = str(value)
    return env


class Run:
    """One finished program: its end, its output, and the snapshots it left."""

    def __init__(self, directory, code, stdout, stderr):
        self.dir = pathlib.Path(directory)
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def truth(self):
        return json.loads(self.stdout)

    @property
    def snapshots(self):
        return snapshots(self.dir)

    @property
    def last(self):
        assert self.snapshots, f"no snapshot in {self.dir}; the program said: {self.stderr}"
        return self.snapshots[-1]

    def children(self):
        """Directories of other processes, by name."""
        return sorted(path for path in self.dir.iterdir() if path.is_dir())


def snapshots(directory):
    """The snapshots of one directory, oldest first."""
    return sorted(pathlib.Path(directory).glob("*.hspy"))


def run(argv, directory, *, timeout=60, expect=0, preload=(LIBRARY,), stdin=None, cwd=None,
        preexec=None, pass_fds=(), **settings):
    """Runs a program to its end under the library. expect: its exit code, None for any."""
    child = subprocess.Popen(
        [str(word) for word in argv], env=environment(directory, preload, **settings),
        stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=cwd, preexec_fn=preexec, pass_fds=pass_fds)
    try:
        stdout, stderr = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        stdout, stderr = child.communicate()
        raise AssertionError(f"{argv} hangs (> {timeout} s); stderr: {stderr}") from None
    if expect is not None:
        assert child.returncode == expect, f"{argv}: {child.returncode}, stderr: {stderr}"
    return Run(directory, child.returncode, stdout, stderr)


def started(mode, argv, directory, settings):
    """The words and the environment that start a program: mode is "bare", "preload" or "run"."""
    argv = [str(word) for word in argv]
    if mode == "preload":
        return argv, environment(directory, **settings)
    env = dict(os.environ, LC_ALL="C.UTF-8")
    if mode == "bare":
        return argv, env
    assert mode == "run", mode
    chosen = [word for name, value in settings.items()
              for word in ("--" + name.replace("_", "-"), str(value))]
    return [str(COMMAND), "run", "--dir", str(directory), *chosen, "--", *argv], env


def children_of(pid):
    """The pids of the children of a process, which may be gone."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            pass
    return found


def free_port():
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A program that runs until the end of a with block, which stops it by its pid.

    mode: how it is started, see started(). stop: the signal that ends it; None: the end of its stdin, which
    is a pipe then. errors: a file for its stderr, which else goes to the log together with its stdout.
    """

    def __init__(self, argv, directory, *, stop=signal.SIGTERM, log=None, settings=None, mode="preload",
                 errors=None, **options):
        self.dir, self.stop, self.mode = pathlib.Path(directory), stop, mode
        self.log = pathlib.Path(log or str(directory) + ".log")
        self.errors = pathlib.Path(errors or self.log)
        self.children = []
        words, env = started(mode, argv, directory, settings or {})
        with open(self.log, "wb") as out, open(self.errors, "ab") as err:
            self.process = subprocess.Popen(
                words, env=env, stdin=subprocess.PIPE if stop is None else subprocess.DEVNULL,
                stdout=out, stderr=err if errors else subprocess.STDOUT, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def kill(self):
        """The end of a program that does not stop; the program that heapspy run started goes first."""
        for pid in self.children if self.mode == "run" else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.kill()
        self.process.wait()

    def running(self):
        """Whether it runs; notes what to kill in case heapspy run should die before its program."""
        if self.process.poll() is None:
            self.children = children_of(self.process.pid) or self.children
            return True
        if self.process.returncode < 0:
            self.kill()
        return False

    def end(self, timeout=30):
        """Stops the program and returns its exit code."""
        if self.running():
            if self.stop is None:
                self.process.stdin.close()
            else:
                self.process.send_signal(self.stop)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.process.args} did not stop") from None
        return self.process.returncode

    def wait_until(self, ready, timeout=30):
        """Polls ready() until it is true; an exception counts as not yet."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if ready():
                    return
            except (OSError, subprocess.SubprocessError):
                pass
            assert self.running(), f"ended early: {self.output()}"
            assert time.monotonic() < deadline, f"not ready: {self.output()}"
            time.sleep(0.05)

    def snapshot_after_now(self):
        """Waits for a snapshot that was begun after this call, on time; returns its path."""
        # The first one to come may have been under way.
        wanted = len(snapshots(self.dir)) + 2
        self.wait_until(lambda: len(snapshots(self.dir)) >= wanted)
        return snapshots(self.dir)[wanted - 1]

    def output(self):
        """All that was written, for the reader of a failure."""
        files = dict.fromkeys((self.log, self.errors))
        return "".join(path.read_text(errors="replace") for path in files)

    def stderr(self):
        """What the program itself wrote to stderr: heapspy run adds its summary behind that."""
        lines = self.errors.read_text().splitlines(True)
        if self.mode == "run":
            assert lines and lines[-1].startswith("heapspy: "), lines[-5:]
            lines = [line for line in lines if not line.startswith("heapspy: ")]
        return "".join(lines)

    def threads(self):
        """How many threads the program has now."""
        pid = self.process.pid
        if self.mode == "run":
            (pid,) = children_of(pid)
        return len(os.listdir(f"/proc/{pid}/task"))


class Connection:
    """A client that sends a batch and reads up to the answer to the batch's last word."""

    def __init__(self, port, last, answer):
        """last: what ends each batch; answer: the bytes it is answered with, found nowhere else."""
        self.last, self.answer = last, answer
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, batch):
        """The whole answer to one batch, which must fit into the socket's buffers both ways."""
        self.socket.sendall(batch + self.last)
        heard = bytearray()
        while not heard.endswith(self.answer):
            part = self.socket.recv(1 << 20)
            assert part, f"connection closed after {bytes(heard[-200:])!r}"
            heard += part
        return bytes(heard)


def first_difference(heard, expected):
    """Where two lists of answers part, with the answers around, cut short; None when they are equal."""
    for number, (one, other) in enumerate(zip(heard, expected)):
        if one != other:
            at = next((i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1]),
                      min(len(one), len(other)))
            return number, one[max(at - 40, 0):at + 80], other[max(at - 40, 0):at + 80]
    return None if len(heard) == len(expected) else (len(heard), len(expected))


def command(*words):
    return subprocess.run([str(COMMAND), *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120, check=False)


def heapspy(*words):
    """Runs the command, which must succeed; returns its stdout."""
    done = command(*words)
    assert done.returncode == 0, f"heapspy {words}: {done.returncode}: {done.stderr}"
    return done.stdout


def refusal(*words):
    """Runs the command, which must find its input unusable (exit 3); returns its stderr."""
    done = command(*words)
    assert done.returncode == 3 and not done.stdout, f"heapspy {words}: {done}"
    return done.stderr


def dump(moment):
    return json.loads(heapspy("dump", "--json", moment))


def top(moment, *options):
    return json.loads(heapspy("top", "--json", *options, moment))


def diff(before, after, *options):
    return json.loads(heapspy("diff", "--json", *options, before, after))


def by_function(report):
    """Rows of a report by the function they name; rows without a name are left out."""
    rows = {}
    for row in report["rows"]:
        name = row["where"].get("function")
        if name:
            rows.setdefault(name.split("(")[0], row)
    return rows


def names_of(rows):
    """All function names in rows of a report and in their stacks."""
    return {frame["function"] for row in rows for frame in [row["where"]] +
            [frame for stack in row["stacks"] for frame in stack["frames"]] if frame.get("function")}


def info(moment):
    """The INFO section of a snapshot."""
    return dump(moment)["info"]


def sites(moment):
    """What each function holds and has made, as (live bytes, live blocks, bytes, blocks)."""
    live = by_function(top(moment, "-n0"))
    made = by_function(top(moment, "-n0", "--metric", "allocated"))
    result = {}
    for name in live.keys() | made.keys():
        held, total = live.get(name, {}), made.get(name, {})
        result[name] = (held.get("bytes", 0), held.get("blocks", 0),
                        total.get("bytes", 0), total.get("blocks", 0))
    return result


def live_bytes(moment, function):
    return sites(moment).get(function, (0,))[0]


@contextlib.contextmanager
def small_tmpfs(path, size):
    """A tmpfs of that size ("8m") at path; mounting one needs more rights than every test machine gives."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", path],
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        # Lazily: what a failed test has left running there keeps it no longer than itself.
        subprocess.run(["umount", "-l", path], check=True)


CAP_IPC_LOCK, CAP_SYS_PTRACE = 14, 19


def has_capability(number):
    """Whether we have it; root of a plain container has few. linux/capability.h"""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("CapEff:")[1].split()[0], 16) >> number & 1


def need_look_at_others():
    """A skip where root cannot look into processes of other users."""
    if os.getuid() == 0 and not has_capability(CAP_SYS_PTRACE):
        pytest.skip("root may not look into other users' processes here (CAP_SYS_PTRACE)")


@functools.cache
def why_no_mounts():
    """What stands against mounts in a namespace of one's own; "": nothing. In a plain container, much."""
    done = subprocess.run(["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"],
                          stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def need_mounts():
    """A skip where unshare -m cannot be followed by mount."""
    if why_no_mounts():
        pytest.skip(f"no mounts of our own here: {why_no_mounts()}")


def fill(directory):
    """Leaves no room in the file system of a directory."""
    with open(directory / "ballast", "wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
