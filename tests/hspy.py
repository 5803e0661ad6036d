"""How the whole-program tests run victims under the library and read what it wrote.

Snapshots are read through the heapspy command only, so the tests know names, not bytes.
"""
import json
import os
import pathlib
import signal
import subprocess
import time

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


class Server:
    """A program that runs until the end of a with block, which stops it by its pid."""

    def __init__(self, argv, directory, *, stop=signal.SIGTERM, log=None, settings=None, **options):
        self.dir, self.stop = pathlib.Path(directory), stop
        self.log = pathlib.Path(log or str(directory) + ".log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [str(word) for word in argv], env=environment(directory, **(settings or {})),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self, timeout=30):
        """Stops the program and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
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
            assert self.process.poll() is None, f"ended early: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"not ready: {self.log.read_text()}"
            time.sleep(0.05)


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
