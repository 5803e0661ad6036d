"""Fixtures of the command's tests: a place for snapshots, and a way to call the command."""
import fcntl
import os
import pathlib
import pty
import struct
import subprocess
import sys
import termios

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("HEAPSPY_BUILD") or os.environ.get("HEAPSPY_TEST_BUILD_DIR")
                     or ROOT / "build")


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


@pytest.fixture
def heapspy(tmp_path):
    """Calls the command in an empty directory, away from any terminal."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("NO_COLOR", "DEBUGINFOD_URLS", "LD_PRELOAD")}
    environment.update(LC_ALL="C.UTF-8", TZ="UTC", TERM="xterm", HEAPSPY_CACHE="off")

    def call(*words, user=None, **extra):
        return Result(subprocess.run(
            [str(BUILD / "analyzer" / "heapspy"), *map(str, words)], cwd=None if user else tmp_path,
            text=True, user=user,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            env=dict(environment, **extra), check=False))

    def on_terminal(columns, *words, **extra):
        """The same with standard output on a terminal of some width."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with subprocess.Popen(
                [str(BUILD / "analyzer" / "heapspy"), *map(str, words)], cwd=tmp_path, stdout=theirs,
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=dict(environment, **extra)) as child:
            os.close(theirs)
            out = b""
            while True:
                try:
                    part = os.read(ours, 65536)
                except OSError:
                    break
                if not part:
                    break
                out += part
            err = child.stderr.read()
        os.close(ours)
        return Result(subprocess.CompletedProcess(
            words, child.returncode, out.decode().replace("\r\n", "\n"), err.decode()))

    call.on_terminal = on_terminal
    return call
