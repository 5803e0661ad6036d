#!/usr/bin/python3
"""What heapspy trend says of real programs that leak or do not, and were not made for it.

    HEAPSPY_BUILD=build tests/truth/programs.py [SECONDS]        30 seconds unless given

Prints a table in Markdown. Looked at by a person; nothing is asserted: docs/accuracy.md has a copy.
"""
import contextlib
import json
import os
import pathlib
import random
import socket
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import hspy

SETTINGS = {"sample": "8KiB", "interval": "300ms", "cpu_max": "20%"}
GROWING = ("leak-like", "leak-like, slowing", "growing container", "growing, blocks turn over")

PYTHON = """
import functools, sys, time
kept = []
class Node:
    def __init__(self, n):
        self.data = [n] * 20
@functools.lru_cache(maxsize=2000)
def cached(n):
    return "c%d" % n * 60
i = 0
while True:
    for _ in range(20):
        i += 1
        cached(i * 7919 % 100003)
        if {leaks}:
            kept.append(Node(i))
    time.sleep(.002)
"""
SQLITE = """
import random, sqlite3, time
pages = sqlite3.connect({path!r})
pages.execute("pragma cache_size=-4000")
while True:
    for _ in range(20):
        pages.execute("select b from t where a=?", (random.randrange(100000),)).fetchone()
    time.sleep(.002)
"""


def redis_request(n):
    key, value = b"k%d" % n, b"x" * (20 + n * 37 % 400)
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value), len(b"+OK\r\n")


def memcached_request(n):
    value = b"x" * (50 + n * 37 % 1800)
    return b"set k%d 0 0 %d\r\n%s\r\n" % (n, len(value), value), len(b"STORED\r\n")


class Client:
    """Asks for new keys at an even pace, to the end of the server."""

    def __init__(self, port, request):
        self.port, self.request, self.n = port, request, 0
        self.socket = None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return True

    def ask(self, n_requests):
        parts = [self.request(self.n + i) for i in range(n_requests)]
        self.n += n_requests
        self.socket.sendall(b"".join(part for part, _ in parts))
        left = sum(size for _, size in parts)
        while left:
            left -= len(self.socket.recv(65536))


def start_all(stack, directory):
    """Starts everything; returns (name, what it does, directory) of each, and the clients."""
    rows, clients = [], []

    def server(name, what, words, request):
        port = hspy.free_port()
        started = stack.enter_context(hspy.Server([*words, port], directory / name, settings=SETTINGS,
                                                  cwd=directory))
        clients.append(Client(port, request))
        started.wait_until(clients[-1].connect)
        rows.append((name, what, directory / name))

    def script(name, what, text):
        stack.enter_context(hspy.Server(["env", "PYTHONMALLOC=malloc", "/usr/bin/python3", "-c", text],
                                        directory / name, settings=SETTINGS))
        rows.append((name, what, directory / name))

    table = directory / "pages.db"
    with contextlib.closing(sqlite3.connect(table)) as pages:
        pages.execute("create table t(a integer primary key, b)")
        noise = random.Random(1)
        pages.executemany("insert into t values(?, ?)", ((i, noise.randbytes(500)) for i in range(100000)))
        pages.commit()
    server("redis", "20 MB, allkeys-lru, new keys all the time",
           ["redis-server", "--save", "", "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru", "--port"],
           redis_request)
    server("memcached", "16 MB, new keys all the time",
           ["memcached", "-u", "root", "-l", "127.0.0.1", "-m", "16", "-p"], memcached_request)
    script("python, cache", "functools.lru_cache of 2000, random keys", PYTHON.format(leaks=False))
    script("python, leak", "the same, and a list that grows", PYTHON.format(leaks=True))
    script("sqlite", "random reads, page cache of 4 MB", SQLITE.format(path=str(table)))
    return rows, clients


def row_of(name, what, directory):
    report = json.loads(hspy.heapspy("trend", "--json", directory))
    counts = ", ".join(f"{n} {verdict}" for verdict, n in report["n_sites"].items() if n and verdict not in GROWING)
    growing = [f"`{row['where']['function'] or row['where']['module']}` {row['verdict']} ({row['why']})"
               for row in report["rows"] if row["verdict"] in GROWING]
    return f"| {name} | {what} | {'; '.join(growing) or '–'} | {counts} |"


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        directory = pathlib.Path(temporary)
        rows, clients = start_all(stack, directory)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for client in clients:
                client.ask(20)
            time.sleep(.004)
        # What a program frees when it ends is no part of this: looked at while all run.
        lines = [row_of(*row) for row in rows]
    print("| program | does | what grows | all other sites |", "| --- | --- | --- | --- |", *lines, sep="\n")


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    main()
