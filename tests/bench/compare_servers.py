"""redis and memcached for compare.py: a fixed dialogue over one connection, and the server's CPU time for it."""
import hashlib
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import threading
import time

from compare_variants import Wrong, clean_environment

START_S, DIALOGUE_S, STOP_S = 20, 250, 60


def redis_dialogue(n):
    dice = random.Random(6379)
    for number in range(n):
        key = b"key:%d" % dice.randrange(n // 3 + 1)
        kind = dice.randrange(8)
        if kind < 3:
            yield b"SET %s %s\r\n" % (key, b"v" * dice.choice((16, 40, 64, 64, 200, 900)))
        elif kind < 5:
            yield b"GET %s\r\n" % key
        elif kind == 5:
            yield b"LPUSH list:%d item:%d\r\n" % (number % 2000, number)
        elif kind == 6:
            yield b"HSET hash:%d field:%d %s\r\n" % (number % 3000, number % 50, key)
        else:
            yield b"DEL %s\r\n" % key


def memcached_dialogue(n):
    dice = random.Random(11211)
    for number in range(n):
        key = b"key:%d" % dice.randrange(n // 3 + 1)
        if number % 10 < 3:
            size = dice.choice((16, 64, 200, 900, 3000))
            yield b"set %s 0 0 %d\r\n%s\r\n" % (key, size, b"v" * size)
        else:
            yield b"get %s\r\n" % key


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_clock(pid):
    """The kernel's number for the CPU clock of another process, as clock_getcpuclockid makes it."""
    return (~pid << 3) | 2


def peak_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status).group(1))


class Server:
    """One kind of server; words(port, directory) start it, last and answer are the end of the dialogue."""

    def __init__(self, bench, name, title, words, dialogue, last, answer, *, sizes):
        self.bench, self.name, self.title, self.words = bench, name, title, words
        self.dialogue, self.last, self.answer = dialogue, last, answer
        self.sizes, self.prepared = sizes, {}

    def batches(self, size):
        """The whole dialogue in bytes, made once."""
        if size not in self.prepared:
            self.prepared[size] = b"".join(self.dialogue(self.sizes[size])) + self.last
        return self.prepared[size]

    def run(self, variant, size, directory):
        script, port = self.batches(size), free_port()
        cpus = self.bench.cpus
        with open(f"{directory}/log", "wb") as log:
            child = subprocess.Popen(
                self.words(port, directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                env=dict(clean_environment(), **{k: str(v) for k, v in variant.environment(directory).items()}),
                preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
        try:
            figures, heard = self.talk(child, port, script)
            child.terminate()
            code = child.wait(STOP_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if code:
            raise Wrong(f"ended with {code}")
        return {self.name: figures}, heard

    def talk(self, child, port, script):
        os.sched_setaffinity(0, {self.bench.cpus[0]})
        try:
            with self.connection(child, port) as connection:
                clock = cpu_clock(child.pid)
                cpu, wall = time.clock_gettime(clock), time.monotonic()
                sender = threading.Thread(target=connection.sendall, args=(script,), daemon=True)
                sender.start()
                heard = self.hear(connection)
                sender.join()
                figures = {"cpu": time.clock_gettime(clock) - cpu, "wall": time.monotonic() - wall,
                           "peak_kib": peak_kib(child.pid)}
        finally:
            os.sched_setaffinity(0, set(self.bench.cpus))
        return figures, heard

    @staticmethod
    def connection(child, port):
        deadline = time.monotonic() + START_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=DIALOGUE_S)
            except OSError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise Wrong("the server did not start") from None
                time.sleep(0.02)

    def hear(self, connection):
        """A hash of all that was answered."""
        digest, tail = hashlib.sha256(), b""
        while not tail.endswith(self.answer):
            try:
                part = connection.recv(1 << 20)
            except OSError as error:
                raise Wrong(f"no answer: {error}") from None
            if not part:
                raise Wrong("the server closed the connection")
            digest.update(part)
            tail = (tail + part)[-len(self.answer):]
        return digest.hexdigest()


def servers(bench):
    """The servers that are installed."""
    quick = bench.quick
    found = []
    if shutil.which("redis-server"):
        found.append(Server(
            bench, "redis", "redis-server", lambda port, directory: [
                "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
            redis_dialogue, b"ECHO :end:\r\n", b"$5\r\n:end:\r\n",
            sizes={"full": 60000 if quick else 400000, "heaptrack": 60000, "heapprof": 10000}))
    if shutil.which("memcached"):
        found.append(Server(
            bench, "memcached", "memcached", lambda port, directory: [
                "memcached", "-u", "root", "-U", "0", "-l", "127.0.0.1", "-p", str(port), "-t", "2"],
            memcached_dialogue, b"mn\r\n", b"MN\r\n",
            sizes={"full": 60000 if quick else 300000, "heaptrack": 60000, "heapprof": 60000}))
    return found
