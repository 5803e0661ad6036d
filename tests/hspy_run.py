"""How the tests of heapspy run start it, with pipes or a terminal of its own, and find what it wrote."""
import os
import pathlib
import pty
import select
import signal
import subprocess
import time

import hspy

PATIENCE_S = 30


def until(ready, what="", patience=PATIENCE_S):
    """Polls until ready() gives something; returns that."""
    deadline = time.monotonic() + patience
    while True:
        found = ready()
        if found:
            return found
        assert time.monotonic() < deadline, f"never: {what or ready}"
        time.sleep(0.01)


def words(*argv, **options):
    """The command line; options: of heapspy run. A last word of None ends them."""
    chosen = []
    for name, value in options.items():
        chosen += ["-" + name] if value is True else ["--" + name.replace("_", "-"), str(value)]
    return [str(hspy.COMMAND), "run", *chosen, "--", *map(str, argv)]


def plain_environment(**variables):
    """The caller's, without a HEAPSPY_DIR."""
    return dict({k: v for k, v in os.environ.items() if k != "HEAPSPY_DIR"}, LC_ALL="C.UTF-8", **variables)


def run(*argv, stdin=subprocess.DEVNULL, preexec=None, cwd=None, env=None, text=True, data=None,
        timeout=60, **options):
    """Runs a command under heapspy run to the end of it."""
    return subprocess.run(words(*argv, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text,
                          env=env or plain_environment(), cwd=cwd, preexec_fn=preexec, timeout=timeout,
                          check=False, **({"input": data} if data is not None else {"stdin": stdin}))


class Started:
    """heapspy run with a program at the other end of pipes, to the end of a with block."""

    def __init__(self, *argv, cwd=None, env=None, **options):
        self.process = subprocess.Popen(
            words(*argv, **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=env or plain_environment(), cwd=cwd, bufsize=0)
        self.pid = self.process.pid
        self.pids = []
        self.said = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [self.pid, *self.pids]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    @property
    def child(self):
        """The pid of the program."""
        if not self.pids:
            self.pids = until(lambda: hspy.children_of(self.pid))
        return self.pids[0]

    def read(self):
        """The next line of its output."""
        while b"\n" not in self.said:
            assert select.select([self.process.stdout], [], [], PATIENCE_S)[0], "says nothing"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, f"ended after {self.said}"
            self.said += part
        line, _, self.said = self.said.partition(b"\n")
        return line.decode() + "\n"

    def wait_ready(self):
        assert self.read() == "ready\n"
        return self.child

    def write(self, line):
        os.write(self.process.stdin.fileno(), line.encode() + b"\n")

    def end(self):
        """Waits for the end of heapspy run; returns its code and what was said on stderr."""
        code = self.process.wait(PATIENCE_S)
        stderr = b""
        while select.select([self.process.stderr], [], [], 0)[0]:
            part = os.read(self.process.stderr.fileno(), 65536)
            if not part:
                break
            stderr += part
        return code, stderr.decode()


def state_of(pid):
    """R, S, T, Z ..., or None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def lines_of_heapspy(stderr):
    return [line[len("heapspy: "):] for line in stderr.splitlines() if line.startswith("heapspy: ")]


def directories(place):
    """All directories with snapshots at or below a place."""
    return sorted({path.parent for path in pathlib.Path(place).rglob("*.hspy")})


def directory_of(place, pid):
    """Where a process wrote; its last program image, when it was several."""
    found = []
    for path in directories(place):
        info = hspy.info(hspy.snapshots(path)[0])
        if info["pid"] == pid:
            found.append((info["start_ns"], path))
    assert found, (pid, directories(place))
    return max(found)[1]


class Shell:
    """A session on a terminal of its own, in which this process's child acts as the shell."""

    def __init__(self, argv, *, background=False, env=None, cwd=None):
        """Starts argv as a job, in a process group of its own."""
        self.group = None
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            try:
                self.be_the_shell(argv, background, env or plain_environment(), cwd)
            finally:
                os._exit(99)
        self.said = b""

    @staticmethod
    def be_the_shell(argv, background, env, cwd):
        """Says what becomes of the job; "fg" through SIGUSR1."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.chdir(cwd or ".")
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            if not background:
                os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
            os.execve(argv[0], argv, env)
        os.write(1, b"[job %d]\r\n" % job)
        while True:
            status = os.waitpid(job, os.WUNTRACED)[1]
            os.tcsetpgrp(0, os.getpid())
            if not os.WIFSTOPPED(status):
                os.write(1, b"[end %d]\r\n" % os.waitstatus_to_exitcode(status))
                os._exit(0)
            os.write(1, b"[stopped]\r\n")
            signal.sigwait([signal.SIGUSR1])
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)

    def expect(self, text):
        """Waits for text on the terminal; what is before it is done with."""
        text = text.encode()
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < deadline, f"never {text}: {self.said}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.terminal, 65536)
                except OSError:
                    raise AssertionError(f"the terminal is gone before {text}: {self.said}") from None
        before, _, self.said = self.said.partition(text)
        return before.decode(errors="replace")

    def job(self):
        self.expect("[job ")
        self.group = int(self.expect("]"))
        return self.group

    def type(self, keys):
        os.write(self.terminal, keys)

    def foreground(self):
        os.kill(self.pid, signal.SIGUSR1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        try:
            os.killpg(self.group or self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self.terminal)
        os.waitpid(self.pid, 0)
