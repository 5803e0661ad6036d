"""Names from elsewhere: living processes, perf maps, debuginfod, and names remembered."""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
import scenario
import snapshot_format as sf

SOURCE = """\
#include <stdlib.h>
#include <unistd.h>
void *volatile kept;
__attribute__((noinline)) void session_open(void)
{
	kept = malloc(1);
}
int main(void)
{
	session_open();
	write(1, "\\n", 1);
	pause();
}
"""


def build(place, *options):
    """A waiting program; its path, the address behind its call of malloc, its build id."""
    place.mkdir(exist_ok=True)
    (place / "waiter.c").write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-O1", "-no-pie", "-Wl,--build-id=sha1", "-o", "waiter", "waiter.c",
                    *options], cwd=place, check=True)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "waiter"], cwd=place, text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    text = text[text.index("<session_open>:"):]
    behind = int(re.search(r"call .*<malloc@plt>\n +([0-9a-f]+):", text).group(1), 16)
    notes = subprocess.run(["readelf", "-n", "waiter"], cwd=place, stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    return place / "waiter", behind, bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes).group(1))


@pytest.fixture(scope="module")
def waiter(tmp_path_factory):
    return build(tmp_path_factory.mktemp("waiter"))


class Process:
    """A started program, and what its snapshots would say of it."""

    def __init__(self, *words, innermost=None):
        self.child = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.child.stdout.read(1) == b"\n"
        self.pid = innermost(self.child.pid) if innermost else self.child.pid
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        self.info = {"pid": int(re.search(r"^NSpid:.*\t(\d+)$", status, re.M).group(1)),
                     "start_ticks": int(stat[stat.rindex(")"):].split()[20]),
                     "boot_id": bytes.fromhex(boot.strip().replace("-", "")),
                     "start_wall_ns": time.time_ns()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        self.child.wait()
        self.child.stdout.close()


def write_run(tmp_path, path, behind, build_id, info=None):
    def point(s):
        s.info.update(info or {})
        s.info["cut_wall_ns"] = s.info["start_wall_ns"] + s.info["cut_ns"]
        s.modules[0] = sf.Module(1, str(path), 0x400000, 0x500000, 0, 1, build_id)
        s.stacks[0].frames = [sf.Frame(behind, 1)]

    scenario.write_run(tmp_path / "run", point)


def functions(heapspy, *words, **extra):
    done = heapspy("top", "--json", "run", *words, **extra)
    assert done.code == 0, done.err
    return {row["where"]["function"]: row["where"] for row in json.loads(done.out)["rows"]}


def test_deleted_program_of_a_living_process(heapspy, tmp_path, waiter):
    program, behind, build_id = waiter
    copy = tmp_path / "gone"
    shutil.copy(program, copy)
    with Process(copy) as process:
        copy.unlink()
        write_run(tmp_path, f"{copy} (deleted)", behind, build_id, process.info)
        assert functions(heapspy)["session_open"]["line"] == 6
        # Another file in its place is not taken for it.
        shutil.copy("/bin/true", copy)
        assert functions(heapspy)["session_open"]["line"] == 6
        # Nor is another process for that one.
        write_run(tmp_path, f"{copy} (deleted)", behind, build_id,
                  dict(process.info, start_ticks=process.info["start_ticks"] + 1))
        assert "session_open" not in functions(heapspy)
        write_run(tmp_path, f"{copy} (deleted)", behind, build_id, dict(process.info, boot_id=bytes(16)))
        assert "session_open" not in functions(heapspy)
        write_run(tmp_path, f"{copy} (deleted)", behind, bytes(20), process.info)
        assert "session_open" not in functions(heapspy)
    write_run(tmp_path, f"{copy} (deleted)", behind, build_id, process.info)
    assert "session_open" not in functions(heapspy)


def may(*words):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def test_deleted_library_of_a_living_process(heapspy, tmp_path):
    """Only the mapping itself still leads to it."""
    (tmp_path / "plugin.c").write_text("#include <stdlib.h>\nvoid *plugin_load(void)\n{\n"
                                       "\tvoid *volatile p = malloc(1);\n\treturn p;\n}\n")
    subprocess.run(["gcc", "-g", "-O1", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o", "plugin.so",
                    "plugin.c"], cwd=tmp_path, check=True)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "plugin.so"], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    behind = int(re.search(r"<plugin_load>:.*?call .*?\n +([0-9a-f]+):", text, re.S).group(1), 16)
    notes = subprocess.run(["readelf", "-n", "plugin.so"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    build_id = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes).group(1))
    (tmp_path / "host.c").write_text("#include <dlfcn.h>\n#include <unistd.h>\nint main(int c, char **v)\n"
                                     "{\n\tif (!dlopen(v[1], RTLD_NOW))\n\t\treturn 1;\n"
                                     "\twrite(1, \"\\n\", 1);\n\tpause();\n}\n")
    subprocess.run(["gcc", "-o", "host", "host.c"], cwd=tmp_path, check=True)
    with Process(tmp_path / "host", tmp_path / "plugin.so") as process:
        (tmp_path / "plugin.so").unlink()
        links = pathlib.Path(f"/proc/{process.pid}/map_files")
        try:
            any(os.stat(link) for link in links.iterdir())
        except PermissionError:
            pytest.skip("opening files by their mapping is not permitted here")
        write_run(tmp_path, f"{tmp_path}/plugin.so", behind, build_id, process.info)
        assert functions(heapspy)["plugin_load"]["line"] == 4


def innermost_child(pid):
    """The process at the end of the line of only children."""
    while True:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return pid
        pid = int(children[0])


@pytest.fixture
def container(tmp_path, waiter):
    """A function that starts words in mount and pid namespaces of their own, with a /tmp of their own."""
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    if not may(*enter, "true"):
        pytest.skip("new namespaces are not permitted here")

    def start(script):
        return Process(*enter, "sh", "-c", f"mount -t tmpfs none /tmp && {script}",
                       innermost=innermost_child)

    return start


def test_other_mount_namespace(heapspy, tmp_path, waiter, container):
    program, behind, build_id = waiter
    inner = "/tmp/heapspy-test-app/server"
    assert not os.path.exists(inner)
    shutil.copy(program, tmp_path / "outside")
    # The program runs off a name of its own, and has the one in question below its root only.
    script = f"mkdir /tmp/heapspy-test-app && cp {program} {inner} && exec {inner}"
    if str(program).startswith("/tmp/"):
        keep = "/dev/shm/" + tmp_path.name
        shutil.copy(program, keep)
        script = script.replace(str(program), keep)
    else:
        keep = None
    try:
        with container(script) as process:
            write_run(tmp_path, inner, behind, build_id, process.info)
            assert functions(heapspy)["session_open"]["line"] == 6
            assert process.info["pid"] != process.pid
        assert "session_open" not in functions(heapspy)
    finally:
        if keep:
            os.unlink(keep)


def jit_run(tmp_path, info, name="run"):
    def point(s):
        s.info.update(info)
        s.info["cut_wall_ns"] = s.info["start_wall_ns"] + s.info["cut_ns"]
        s.stacks[0].frames = [sf.Frame(0x7E0000001011), *s.stacks[0].frames[1:]]

    scenario.write_run(tmp_path / name, point)


JIT_MAP = "7e0000001000 100 LazyCompile:*grow server.js:12:3\n"


def test_perf_map_of_a_living_process(heapspy, tmp_path, waiter):
    with Process(waiter[0]) as process:
        path = pathlib.Path(f"/tmp/perf-{process.pid}.map")
        try:
            path.write_text(JIT_MAP)
            jit_run(tmp_path, process.info)
            assert "LazyCompile:*grow server.js:12:3" in functions(heapspy)
            assert "LazyCompile:*grow server.js:12:3" in heapspy("diff", "run").out
            # Older than the process: of another one that had the number before.
            os.utime(path, (1000, 1000))
            assert "0x7e0000001010" in functions(heapspy)
            path.write_text("7e0000001000 100 \033[2Jwipe\n")
            out = heapspy("top", "run").out
            assert "\033" not in out and "wipe" in out
            if os.geteuid() == 0:
                os.chown(path, 12345, 12345)
                assert "0x7e0000001010" in functions(heapspy)
        finally:
            path.unlink()


def test_perf_map_of_a_process_that_is_gone(heapspy, tmp_path, waiter):
    with Process(waiter[0]) as process:
        pass
    path = pathlib.Path(f"/tmp/perf-{process.pid}.map")
    try:
        path.write_text(JIT_MAP)
        jit_run(tmp_path, process.info)
        assert "LazyCompile:*grow server.js:12:3" in functions(heapspy)
    finally:
        path.unlink()


def test_perf_map_in_a_container(heapspy, tmp_path, waiter, container):
    keep = pathlib.Path("/dev/shm") / tmp_path.name
    shutil.copy(waiter[0], keep)
    try:
        with container(f"printf '{JIT_MAP.strip()}\\n' > /tmp/perf-$$.map && exec {keep}") as process:
            assert process.info["pid"] != process.pid
            jit_run(tmp_path, dict(process.info, start_wall_ns=time.time_ns() - 10**9))
            assert "LazyCompile:*grow server.js:12:3" in functions(heapspy)
    finally:
        keep.unlink()


def test_perf_maps_of_two_processes(heapspy, tmp_path, waiter):
    """The same address is another function in each: neither name is right for both."""
    with Process(waiter[0]) as one, Process(waiter[0]) as other:
        maps = [pathlib.Path(f"/tmp/perf-{p.pid}.map") for p in (one, other)]
        try:
            for i, (path, process) in enumerate(zip(maps, (one, other))):
                path.write_text(JIT_MAP.replace("grow", f"grow{i}"))
                jit_run(tmp_path, dict(process.info, start_id=100 + i), f"run{i}")
            def named():
                done = heapspy("diff", "--json", "run0", "run1@first", "--force")
                assert done.code == 0, done.err
                return [row["where"]["function"] for row in json.loads(done.out)["rows"]]

            assert not [name for name in named() if "grow" in name] and "0x7e0000001010" in named()
            maps[1].write_text(maps[0].read_text())
            assert "LazyCompile:*grow0 server.js:12:3" in named()
        finally:
            for path in maps:
                path.unlink(missing_ok=True)


@pytest.fixture
def server():
    """A debuginfod of one file, on a port of this machine; .paths is what it was asked for."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            content = self.server.files.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.paths, httpd.files = [], {}
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


def has_debuginfod():
    listing = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return "libdebuginfod.so.1 " in listing


def test_debuginfod_only_when_asked(heapspy, tmp_path, server):
    if not has_debuginfod():
        pytest.skip("libdebuginfod1 is not installed")
    program, behind, build_id = build(tmp_path / "p")
    subprocess.run(["objcopy", "--only-keep-debug", "waiter", "waiter.debug"], cwd=tmp_path / "p", check=True)
    subprocess.run(["strip", "waiter"], cwd=tmp_path / "p", check=True)
    server.files[f"/buildid/{build_id.hex()}/debuginfo"] = (tmp_path / "p" / "waiter.debug").read_bytes()
    write_run(tmp_path, program, behind, build_id)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    extra = {"XDG_CACHE_HOME": str(cache), "HOME": str(cache), "HEAPSPY_CACHE": "",
             "no_proxy": "127.0.0.1"}
    assert "session_open" not in functions(heapspy, **extra)
    assert server.paths == [] and not (cache / "debuginfod_client").exists()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    assert "session_open" not in functions(heapspy, DEBUGINFOD_URLS="", **extra)
    assert server.paths == []
    assert functions(heapspy, DEBUGINFOD_URLS=url, **extra)["session_open"]["line"] == 6
    assert f"/buildid/{build_id.hex()}/debuginfo" in server.paths
    # The client keeps what it fetched, heapspy the names.
    n = server.paths.count(f"/buildid/{build_id.hex()}/debuginfo")
    assert functions(heapspy, DEBUGINFOD_URLS=url, **extra)["session_open"]["line"] == 6
    assert server.paths.count(f"/buildid/{build_id.hex()}/debuginfo") == n


def test_names_are_remembered(heapspy, tmp_path):
    program, behind, build_id = build(tmp_path / "p")
    write_run(tmp_path, program, behind, build_id)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    extra = {"XDG_CACHE_HOME": "", "HOME": str(home), "HEAPSPY_CACHE": ""}
    assert functions(heapspy, **dict(extra, HEAPSPY_CACHE="off"))["session_open"]["line"] == 6
    assert not (home / ".cache").exists()
    assert functions(heapspy, **extra)["session_open"]["line"] == 6
    (kept,) = (home / ".cache" / "heapspy").iterdir()
    assert kept.name.startswith(build_id.hex() + "-") and kept.stat().st_mode & 0o777 == 0o600
    assert functions(heapspy, **extra)["session_open"]["line"] == 6
    first = kept.stat().st_mtime_ns
    os.utime(kept, (1000, 1000))
    functions(heapspy, **extra)
    assert kept.stat().st_mtime_ns > first
    if os.geteuid() == 0:
        # As with sudo: a home of somebody else's stays untouched.
        shutil.rmtree(home / ".cache")
        os.chown(home, 12345, 12345)
        assert functions(heapspy, **extra)["session_open"]["line"] == 6
        assert not (home / ".cache").exists()
