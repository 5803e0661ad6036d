"""--debuginfod: a server of debug files is asked where the user says so, and never otherwise."""
import http.server
import re
import shutil
import subprocess
import threading

import pytest
import scenario
import snapshot_format as sf
from test_names import program  # noqa: F401 (a fixture)


@pytest.fixture
def server(tmp_path, program):  # noqa: F811
    """A run of the stripped program, and a server that has its debug file."""
    path, calls, build_id = program
    (tmp_path / "files").mkdir()
    stripped = tmp_path / "server"
    shutil.copy(path, stripped)
    subprocess.run(["strip", "--strip-all", str(stripped)], check=True)
    debug = tmp_path / "files" / "debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(path), str(debug)], check=True)

    def point(s):
        s.modules[0] = sf.Module(1, str(stripped), 0x400000, 0x500000, 0, 1, build_id)
        s.stacks[0].frames = [sf.Frame(calls["session_open", "malloc"], 1)]

    scenario.write_run(tmp_path / "run", point)
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = debug.read_bytes() if self.path == f"/buildid/{build_id.hex()}/debuginfo" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield asked, {"DEBUGINFOD_URLS": f"http://127.0.0.1:{http_server.server_address[1]}",
                      "DEBUGINFOD_CACHE_PATH": str(tmp_path / "files" / "cache"), "HEAPSPY_CACHE": "off",
                      "HOME": str(tmp_path), "no_proxy": "127.0.0.1"}
        http_server.shutdown()
        thread.join()


def test_asked_where_its_address_is_set(heapspy, server):
    asked, variables = server
    done = heapspy("top", "run", **variables)
    assert done.code == 0 and " grow " in done.out and asked, (done.out, done.err)


def test_off_asks_nobody(heapspy, server):
    asked, variables = server
    for words in (("top", "run", "--debuginfod=off"), ("diff", "run", "--debuginfod", "off"),
                  ("complete", "--", "top", "run", "--focus", "")):
        done = heapspy(*words, **variables)
        assert done.code == 0 and " grow " not in done.out and "session_open" not in done.out
    assert not asked


def test_nobody_is_asked_by_default(heapspy, server):
    asked, variables = server
    del variables["DEBUGINFOD_URLS"]
    done = heapspy("top", "run", **variables)
    assert done.code == 0 and " grow " not in done.out and not asked
    assert re.search(r"^heapspy: 6 of 6 addresses in server have no symbols \(build id [0-9a-f]{40}\): stripped; "
                     r"install its debug package, or set DEBUGINFOD_URLS$", done.err, re.M), done.err
