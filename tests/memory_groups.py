"""Memory control groups of the tests' own, of version 1 or 2, whichever this machine lets us make."""
import contextlib
import os
import pathlib
import signal
import time

import pytest

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")
MIB = 1 << 20


class Group:
    """One group. What limits swap is set too: a program that swaps would not be killed."""

    def __init__(self, path, version):
        self.path, self.version = path, version

    def set_limit(self, size):
        """In bytes; None for no limit."""
        if self.version == 2:
            self._write("memory.max", "max" if size is None else size)
            self._write("memory.swap.max", 0 if size else "max", optional=True)
            return
        # That of memory and swap together is never below that of memory.
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        size = -1 if size is None else size
        for name in [*names, *reversed(names), *names]:
            self._write(name, size, optional=True)
        assert size < 0 or self._number(names[0]) == size

    def _write(self, name, value, optional=False):
        try:
            (self.path / name).write_text(str(value))
        except OSError:
            if not optional:
                raise

    def _number(self, name):
        return int((self.path / name).read_text())

    def join(self):
        """For preexec_fn: the process, before it becomes the program."""
        with open(self.path / "cgroup.procs", "w") as procs:
            procs.write("0")

    @property
    def used(self):
        return self._number("memory.current" if self.version == 2 else "memory.usage_in_bytes")

    @property
    def kills(self):
        """How many processes the kernel has killed here for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        words = (self.path / name).read_text().split()
        return int(words[words.index("oom_kill") + 1])

    def child(self, name):
        """A group inside, without a limit; it goes with this one."""
        if self.version == 2:
            self._write("cgroup.subtree_control", "+memory")
        inside = Group(self.path / name, self.version)
        inside.path.mkdir()
        return inside

    def remove(self):
        """With the processes in it, and the groups inside."""
        for inside in [path for path in self.path.iterdir() if path.is_dir()]:
            Group(inside, self.version).remove()
        deadline = time.monotonic() + 10
        while True:
            for pid in map(int, (self.path / "cgroup.procs").read_text().split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                self.path.rmdir()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def make(size):
    """A group with a limit in bytes, or a skip that says why there can be none. The caller removes it."""
    name = f"heapspy-tests-{os.getpid()}-{time.monotonic_ns()}"
    why = "no memory controller in /sys/fs/cgroup"
    if os.geteuid():
        pytest.skip("memory groups are made by root")
    for parent, version, sign in [(V1, 1, "memory.limit_in_bytes"), (V2, 2, "memory.max")]:
        if version == 2 and "memory" not in _words(parent / "cgroup.subtree_control"):
            continue
        group = Group(parent / name, version)
        try:
            group.path.mkdir()
        except OSError as error:
            why = str(error)
            continue
        try:
            if (group.path / sign).exists():
                group.set_limit(size)
                return group
        except OSError as error:
            why = str(error)
        group.path.rmdir()
    pytest.skip(f"no memory group can be made here: {why}")


def _words(path):
    try:
        return path.read_text().split()
    except OSError:
        return []
