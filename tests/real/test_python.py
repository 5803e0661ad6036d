"""Debian's python3 with PYTHONMALLOC=malloc: a server of one thread a client, and a list that grows."""
import random

import hspy
import pytest

SCRIPT = """
import signal, socketserver, sys, threading

kept, words = [], {}

def answer(line):
    verb, *rest = line.split()
    if verb == "keep":
        for _ in range(int(rest[0])):
            kept.append(None)
        return len(kept)
    if verb == "put":
        words[rest[0]] = rest[1]
        return "ok"
    if verb == "get":
        return words[rest[0]]
    if verb == "sorted":
        return " ".join(sorted(words)[:int(rest[0])])
    raise ValueError(verb)

class Client(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        for line in self.rfile:
            try:
                said = answer(line.decode())
            except Exception as error:
                said = repr(error)
                print("refused:", said, file=sys.stderr, flush=True)
            self.wfile.write(f"{said}\\n".encode())

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

server = Server(("127.0.0.1", int(sys.argv[1])), Client)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
server.server_close()
print("kept", len(kept), "words", len(words))
sys.exit(7)
"""
BATCHES = 300
EACH = 10000
LIST_GROWTH = {"list_resize", "list_append", "app1", "PyList_Append", "list.append", "_PyList_Append"}


def dialogue():
    dice = random.Random(3)
    for number in range(BATCHES):
        lines = [f"keep {EACH}"]
        for _ in range(20):
            key = f"k{dice.randrange(number * 20 + 20)}"
            lines.append(dice.choice((f"put {key} {dice.getrandbits(200):x}", f"get {key}", "sorted 5",
                                      f"keep {key}", f"lose {key}", "put")))
        yield "".join(line + "\n" for line in lines).encode()


def serve(mode, place):
    """One run: everything that must not depend on heapspy, and the snapshots before and after."""
    port = hspy.free_port()
    with hspy.Server(["/usr/bin/python3", "-c", SCRIPT, port], place / "run",
                     settings={"interval": "250ms", "sample": "64KiB"}, mode=mode,
                     errors=place / "stderr") as server:
        server.wait_until(lambda: hspy.Connection(port, b"", b"").socket.close() or True)
        with hspy.Connection(port, b"get end of batch\n", b"KeyError('end')\n") as client:
            first = mode != "bare" and server.snapshot_after_now()
            answers = [client.ask(batch) for batch in dialogue()]
            # At its exit the interpreter frees everything, so the last snapshot does not show it.
            last = mode != "bare" and server.snapshot_after_now()
        code = server.end()
    return (answers, code, server.log.read_text(), server.stderr()), (first, last)


@pytest.fixture(autouse=True, scope="module")
def plain_malloc():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONMALLOC", "malloc")
        yield


@pytest.fixture(scope="module")
def bare(tmp_path_factory, plain_malloc):
    return serve("bare", tmp_path_factory.mktemp("python"))[0]


def test_growing_list_is_named(mode, tmp_path, bare):
    heard, moments = serve(mode, tmp_path)
    assert hspy.first_difference(heard[0], bare[0]) is None
    assert heard[1:] == bare[1:]
    kept = BATCHES * EACH
    assert heard[1] == 7 and heard[2].startswith(f"kept {kept} words ")
    row = hspy.diff(*moments)["rows"][0]
    # A pointer for each element, with an eighth to spare.
    assert row["ci"][0] <= kept * 8 * 9 / 8 and row["ci"][1] >= kept * 8, row
    if hspy.names_of([row]) & LIST_GROWTH:
        return
    # Debian strips the interpreter: static functions have no name, the module is what can be told.
    assert row["where"]["module"].startswith("/usr/bin/python3"), row
