"""The suites of suites.py: where each comes from, how it is built, and how its output is read.

A suite has a name, parts that can be run alone, and these functions: prepare(place) gets and builds it; words(part)
is the command; read(output) gives {test: "ok", "skipped" or something else}.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import hspy

PART_SECONDS_MAX = 3600


def done(words, **options):
    """Runs a command that must succeed; returns what it said."""
    result = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **options)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}: {result.returncode}\n{result.stdout[-3000:]}")
    return result.stdout


def release():
    with open("/etc/os-release", encoding="utf-8") as file:
        found = re.search(r"^VERSION_CODENAME=(\w+)$", file.read(), re.MULTILINE)
    if not found:
        raise SystemExit("/etc/os-release names no release: the source packages are Debian's")
    return found[1]


def source_entries():
    """The entries of this machine's apt sources that are of its release, for source packages.

    Those of other origins are left out. Returns the text of a .sources and of a .list file.
    """
    etc, stanzas, lines = pathlib.Path("/etc/apt"), [], []
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if suites and all(suite.startswith(release()) for suite in suites[1].split()):
                stanzas.append(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE))
    for path in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))):
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            entry = re.match(r"deb(?:-src)?\s+(\[[^]]*\]\s+)?\S+\s+(\S+)\s", line)
            if entry and entry[2].startswith(release()):
                lines.append(re.sub(r"^deb(-src)?", "deb-src", line))
    return "\n\n".join(stanzas) + "\n", "\n".join(dict.fromkeys(lines)) + "\n"


def unpack(package, place):
    """The unpacked source package at place/package; apt keeps its lists in a directory of their own."""
    wanted = place / package
    if wanted.exists():
        return wanted
    apt, got = place / "apt", place / f"{package}.tmp"
    for directory in ("parts", "lists/partial", "cache/archives/partial"):
        (apt / directory).mkdir(parents=True, exist_ok=True)
    stanzas, lines = source_entries()
    (apt / "parts/source.sources").write_text(stanzas, encoding="utf-8")
    (apt / "source.list").write_text(lines, encoding="utf-8")
    shutil.rmtree(got, ignore_errors=True)
    got.mkdir()
    options = [word for option in (f"Dir::Etc::sourcelist={apt}/source.list", f"Dir::Etc::sourceparts={apt}/parts",
                                   f"Dir::State::lists={apt}/lists", f"Dir::Cache={apt}/cache",
                                   "APT::Sandbox::User=") for word in ("-o", option)]
    done(["apt-get", *options, "update"])
    done(["apt-get", *options, "source", package], cwd=got)
    (tree,) = (path for path in got.iterdir() if path.is_dir())
    tree.rename(wanted)
    shutil.rmtree(got)
    return wanted


def kill_group(pid):
    """Ends the servers that a test has left behind."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Suite:
    name = ""
    parts, long_parts = (), ()
    needs = ()  # programs

    def __init__(self):
        self.tree, self.said = None, ""

    def prepare(self, place):
        missing = [str(program) for program in self.needs if not shutil.which(program)]
        if missing:
            raise SystemExit(f"{self.name}: not installed: {', '.join(missing)} "
                             "(tests/install-packages.sh build test stress)")
        place.mkdir(parents=True, exist_ok=True)
        self.get(place)

    def run(self, part, mode, settings):
        """{test: how it ended} of one part, empty if none was run. mode: as for hspy.started()."""
        with tempfile.TemporaryDirectory(prefix="heapspy-suite.") as own, \
                tempfile.TemporaryDirectory(prefix="heapspy-suite.", dir="/dev/shm") as state:
            os.chmod(own, 0o755)
            os.chmod(state, 0o1777)
            out = pathlib.Path(own, "out")
            words, env = hspy.started(mode, self.words(part, own), out, dict(settings, interval="1s"))
            env["TMPDIR"] = own
            if mode != "bare":
                env["HEAPSPY_STATE"] = state
            child = subprocess.Popen(words, env=env, cwd=self.directory(own), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                said = child.communicate(timeout=PART_SECONDS_MAX)[0]
            except subprocess.TimeoutExpired:
                kill_group(child.pid)
                said = child.communicate()[0] + b"\n(it hung)\n"
            finally:
                kill_group(child.pid)
            self.said = said.decode(errors="replace")
            if mode != "bare" and not any(out.rglob("*.hspy")):
                raise RuntimeError(f"{self.name}/{part}: heapspy left no snapshot: {self.said[-2000:]}")
            results = self.read(part, own)
            if results:
                results["(exit status)"] = "ok" if child.returncode == 0 else str(child.returncode)
            return results

    def get(self, place):
        raise NotImplementedError

    def directory(self, own):
        return self.tree

    def words(self, part, own):
        raise NotImplementedError

    def read(self, part, own):
        raise NotImplementedError


# The runner of Python's tests notes how each ended; messages and times are not compared.
PYTHON = """
import faulthandler, json, sys, unittest
faulthandler.enable()
from test import support
support.verbose = 1
class Result(unittest.TextTestResult):
    ends = {}
    def note(self, test, how):
        Result.ends[str(test)] = how
    def addSuccess(self, test): super().addSuccess(test); Result.ends.setdefault(str(test), "ok")
    def addError(self, test, error): super().addError(test, error); self.note(test, "error")
    def addFailure(self, test, error): super().addFailure(test, error); self.note(test, "failed")
    def addSkip(self, test, reason): super().addSkip(test, reason); self.note(test, "skipped")
    def addExpectedFailure(self, test, error): super().addExpectedFailure(test, error); self.note(test, "as expected")
    def addUnexpectedSuccess(self, test): super().addUnexpectedSuccess(test); self.note(test, "unexpected")
    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error: self.note(subtest, "failed")
suite = unittest.defaultTestLoader.loadTestsFromName("test." + sys.argv[1])
result = unittest.TextTestRunner(verbosity=2, resultclass=Result, stream=sys.stdout).run(suite)
with open(sys.argv[2], "w") as file: json.dump(Result.ends, file)
sys.exit(not result.wasSuccessful())
"""


class Python(Suite):
    name = "python"
    parts = ("test_dict", "test_json", "test_threading", "test_subprocess")
    long_parts = ("test_ctypes", "test_os", "test_posix", "test_signal", "test_faulthandler", "test_pickle",
                  "test_mmap", "test_resource", "test_sqlite3", "test_concurrent_futures", "test_fork1", "test_pty")
    needs = ("/usr/bin/python3",)

    def get(self, place):
        done(["/usr/bin/python3", "-c", "import test.test_dict"])

    def directory(self, own):
        return own

    def words(self, part, own):
        return ["/usr/bin/python3", "-c", PYTHON, part, pathlib.Path(own, "results.json")]

    def read(self, part, own):
        try:
            return json.loads(pathlib.Path(own, "results.json").read_text(encoding="utf-8"))
        except OSError:
            return {}


class Sqlite(Suite):
    """testfixture is sqlite's library inside a Tcl interpreter. A part is a pattern of files of its "veryquick"."""

    name = "sqlite"
    parts = ("select*", "where*", "trigger*", "index*", "join*", "alter*", "autoinc*", "vacuum*", "wal*", "thread*",
             "mem*", "tempdb*", "json*", "window*", "fts3a*", "pager*", "lock*", "shared*")
    long_parts = ("[a-e]*", "[f-i]*", "[j-r]*", "[s-z]*")
    needs = ("apt-get", "dpkg-source", "gcc", "make", "tclsh")

    def get(self, place):
        self.tree = unpack("sqlite3", place)
        if not (self.tree / "testfixture").exists():
            done(["sh", "configure", "--disable-amalgamation", "--disable-shared",
                  "--with-tcl=/usr/lib/x86_64-linux-gnu/tcl8.6"], cwd=self.tree)
            done(["make", "-j2", "testfixture"], cwd=self.tree)

    def directory(self, own):
        return own

    def words(self, part, own):
        return [self.tree / "testfixture", self.tree / "test/permutations.test", "veryquick", part + ".test"]

    def read(self, part, own):
        # "select1-1.1... Ok"; a failed one says what it expected in the lines that follow.
        found = {}
        for name, rest in re.findall(r"^(\S+?)\.\.\.(.*(?:\n! .*)?)", self.said, re.MULTILINE):
            how = "ok" if rest.strip() == "Ok" else "skipped" if "Omitted" in rest else "failed"
            # One try for each allocation; how many there are depends on the environment's variables.
            name = re.sub(r"(-(?:oom|ioerr|full|cantopen|shmerr)\S*)\.\d+$", r"\1", name)
            found[name] = how if found.get(name, "ok") == "ok" else found[name]
        return found


class Redis(Suite):
    """The tests of the source package, with the installed server, which is of the same version."""

    name = "redis"
    parts = ("unit/type/string", "unit/type/list", "unit/type/hash", "unit/type/zset", "unit/type/stream", "unit/dump",
             "unit/protocol", "unit/keyspace", "unit/scan", "unit/sort", "unit/expire", "unit/other", "unit/multi",
             "unit/info", "unit/aofrw", "unit/scripting", "unit/functions", "unit/maxmemory", "unit/introspection",
             "unit/lazyfree", "unit/memefficiency", "unit/limits", "unit/tracking", "unit/shutdown", "integration/aof",
             "integration/rdb", "integration/logging", "integration/shutdown", "integration/redis-cli",
             "integration/replication-psync", "integration/dismiss-mem")
    long_parts = ("unit/type/set", "unit/type/incr", "unit/type/list-2", "unit/type/list-3", "unit/type/stream-cgroups",
                  "unit/auth", "unit/acl", "unit/geo", "unit/hyperloglog", "unit/bitops", "unit/pubsub", "unit/pause",
                  "unit/client-eviction", "unit/querybuf", "unit/oom-score-adj", "integration/replication",
                  "integration/replication-2", "integration/replication-4", "integration/corrupt-dump",
                  "integration/failover", "integration/psync2", "integration/redis-benchmark")
    needs = ("apt-get", "dpkg-source", "tclsh", "redis-server", "redis-cli", "redis-benchmark")

    def get(self, place):
        self.tree = unpack("redis", place)
        for name in ("redis-server", "redis-sentinel", "redis-cli", "redis-benchmark", "redis-check-aof",
                     "redis-check-rdb"):
            link = self.tree / "src" / name
            link.unlink(missing_ok=True)
            # By this name the program knows what it is to be.
            link.symlink_to(pathlib.Path(shutil.which("redis-server" if "check" in name or "sentinel" in name
                                                      else name)).resolve())

    def words(self, part, own):
        port = hspy.free_port() // 100 * 100 % 20000 + 21000
        # Some tests want answers within milliseconds, which says nothing on a machine with other work.
        return ["tclsh", "tests/test_helper.tcl", "--clients", "1", "--no-latency", "--single", part,
                "--baseport", port, "--portcount", "1000"]

    def read(self, part, own):
        found = {}
        text = re.sub(r"\x1b\[[0-9;]*m", "", self.said)
        for how, name in re.findall(r"^\[(ok|err|exception|skip|ignore|timeout)\]: (.*)$", text, re.MULTILINE):
            name = re.sub(r" \(\d+ ms\)$| in tests/.*$", "", name)
            # Names tell figures of the run, and come more than once.
            name = re.sub(r"\d{4,}|\d+\.\d+|(?<=PID )\d+", "#", name)
            how = {"skip": "skipped", "ignore": "skipped", "err": "failed"}.get(how, how)
            found[name] = how if found.get(name, "ok") == "ok" else found[name]
        return found


class Memcached(Suite):
    """Each part is a file of perl tests, which start the server with its assertions on."""

    name = "memcached"
    parts = ("00-startup", "64bit", "binary", "binary-get", "cas", "chunked-items", "daemonize", "evictions",
             "expirations", "flags", "getset", "idle-timeout", "incrdecr", "issue_67", "item_size_max", "lru",
             "lru-crawler", "lru-maintainer", "maxconns", "metaget", "proxy", "restart", "shutdown", "slabs_reassign",
             "stats", "stats-conns", "touch", "udp", "unixsocket", "watcher")
    needs = ("apt-get", "dpkg-source", "gcc", "make", "perl", "prove")

    def get(self, place):
        self.tree = unpack("memcached", place)
        if not (self.tree / "memcached-debug").exists():
            done(["sh", "configure"], cwd=self.tree)
            done(["make", "-j2", "all"], cwd=self.tree)
        found = {path.stem for path in self.tree.glob("t/*.t")}
        self.parts = tuple(part for part in self.parts if part in found)
        # Those of TLS and SASL want a server with both; that of white space reads sources.
        self.long_parts = sorted(part for part in found - {"whitespace"}
                                 if not part.startswith(("ssl_", "binary-sasl")))

    def words(self, part, own):
        return ["prove", "--verbose", f"t/{part}.t"]

    def read(self, part, own):
        found = {}
        for bad, name in re.findall(r"^(not )?ok \d+ *(.*)$", self.said, re.MULTILINE):
            how = "failed" if bad else "skipped" if "# skip" in name else "ok"
            # Names tell figures and values of the run, and come more than once.
            name = re.sub(r"'.*'|\d+", "#", name)
            found[name] = how if found.get(name, "ok") == "ok" else found[name]
        if "skipped:" in self.said and not found:
            found[part] = "skipped"
        return found


SUITES = (Python(), Sqlite(), Redis(), Memcached())
