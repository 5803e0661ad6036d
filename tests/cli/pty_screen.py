"""A command on a pseudo-terminal, and the screen it draws there (python3-pyte)."""
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
UP, DOWN, PAGE_UP, PAGE_DOWN = b"\x1b[A", b"\x1b[B", b"\x1b[5~", b"\x1b[6~"
# Long enough for a loaded machine; nothing waits for it but a failing test.
PATIENCE_S = 60


class PtyScreen:
    """argv runs as the leader of a session of its own on a new terminal."""

    def __init__(self, argv, columns, lines, env, cwd=None):
        self.ours, theirs = os.openpty()
        self.slave = os.open(os.ttyname(theirs), os.O_RDWR | os.O_NOCTTY)
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self.slave)

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([str(word) for word in argv], stdin=theirs, stdout=theirs,
                                        stderr=theirs, env=env, cwd=cwd, preexec_fn=take_terminal)
        os.close(theirs)

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def on_alternate_screen(self):
        return self.raw.rfind(ENTER) > self.raw.rfind(LEAVE)

    def pump(self, seconds):
        """Draws what comes within the time; returns whether anything did."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        data = os.read(self.ours, 65536)
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def wait(self, good, what=""):
        """Draws until good(text of the screen) is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not good(self.text()):
            # What it has written before its end is still to be read.
            ended = self.process.poll() is not None
            assert self.pump(0.1) or not ended, f"ended without {what}:\n{self.text()}"
            assert time.monotonic() < deadline, f"never saw {what}:\n{self.text()}"
        return self.text()

    def wait_for(self, words):
        return self.wait(lambda text: words in text, repr(words))

    def keys(self, data):
        os.write(self.ours, data if isinstance(data, bytes) else data.encode())

    def wait_end(self):
        """Draws until the process has ended; returns its code (negative: the signal)."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end:\n{self.text()}"
            self.pump(0.05)
        while self.pump(0):
            pass
        return self.process.returncode

    def modes_now(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.ours)
