"""The profilers that compare.py measures: how each is put into a program, and how one sees that it worked."""
import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import typing

LIBRARY_DIR = pathlib.Path("/usr/lib/x86_64-linux-gnu")
TCMALLOC = LIBRARY_DIR / "libtcmalloc.so.4"
JEMALLOC = LIBRARY_DIR / "libjemalloc.so.2"
HEAPTRACK = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")
INTERVAL = 524288


class Wrong(Exception):
    """A run that must not be counted: it failed, said something else, or was not profiled."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """title: as in the tables. package: Debian's, "" for what the build holds. own: the name of the
    variant that has the same allocator and no profiler. settings and proof get the directory of the run;
    proof raises Wrong. slow: it stops at every call, so it gets less to do."""
    name: str
    title: str
    package: str = ""
    preload: tuple = ()
    own: str = "bare"
    settings: typing.Callable = lambda directory: {}
    proof: typing.Callable = lambda directory, sampled: None
    slow: bool = False

    @property
    def glibc(self):
        """Whether the allocator is glibc's, and everything is in its place but for what is compared."""
        return self.name in ("bare", "again", "empty", "heapspy")

    def missing(self):
        return [str(path) for path in self.preload if not path.exists()]

    def environment(self, directory):
        """Variables for the program, LD_PRELOAD among them."""
        variables = dict(self.settings(directory))
        if self.preload:
            variables["LD_PRELOAD"] = ":".join(map(str, self.preload))
        return variables


def clean_environment():
    """The caller's, without what would change a measured program."""
    env = {name: value for name, value in os.environ.items()
           if not re.match(r"HEAPSPY_|MALLOC_|GLIBC_TUNABLES|LD_PRELOAD|TCMALLOC_|HEAP|PYTHON", name)}
    return dict(env, LC_ALL="C.UTF-8", PYTHONHASHSEED="0")


# Where states go: the caller's place for them, if there is one.
STATES = pathlib.Path(os.environ.get("HEAPSPY_STATE", "/dev/shm"))


@contextlib.contextmanager
def run_directory():
    """A place for what one run writes. Under the same name heapspy's states get a place on tmpfs of their own:
    what other processes have left there is not measured."""
    with tempfile.TemporaryDirectory(prefix="heapspy-bench.", ignore_cleanup_errors=True) as directory:
        try:
            yield directory
        finally:
            shutil.rmtree(STATES / pathlib.Path(directory).name, ignore_errors=True)


def heapspy_settings(directory):
    states = STATES / pathlib.Path(directory).name
    states.mkdir(exist_ok=True)
    # No budget: operations that are samples and little else are to cost what they cost.
    return {"HEAPSPY_DIR": f"{directory}/heapspy", "HEAPSPY_STATE": states, "HEAPSPY_CPU_MAX": "off"}


def need_file(pattern, *, holds=b""):
    found = [path for path in glob.glob(pattern) if os.path.getsize(path)]
    if not found:
        raise Wrong(f"left no {os.path.basename(pattern)}")
    with open(found[0], "rb") as file:
        if holds and holds not in file.read(1 << 20):
            raise Wrong(f"{os.path.basename(found[0])} holds no {holds.decode()!r}")


def snapshot_info(command, directory):
    """(INFO, live samples) of the newest snapshot in a directory; several processes have one each."""
    found = sorted(pathlib.Path(directory).rglob("*.hspy"))
    if not found:
        raise Wrong("heapspy left no snapshot")
    done = subprocess.run([command, "dump", "--json", found[-1]], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Wrong(f"heapspy dump: {done.stderr.strip()}")
    dump = json.loads(done.stdout)
    return dump["info"], dump["n_live"]


def heapspy_proof(command):
    def proof(directory, sampled):
        if not sampled:
            return
        info, _ = snapshot_info(command, f"{directory}/heapspy")
        if not info["samples"]:
            raise Wrong("heapspy took no sample")
        if info["interval_bytes"] != INTERVAL:
            raise Wrong(f"heapspy sampled every {info['interval_bytes']} bytes, not {INTERVAL}")
    return proof


def all_variants(build):
    """In the order of the tables."""
    command = build / "analyzer" / "heapspy"
    tc_proof = build / "tests" / "bench" / "tc_sample_proof.so"
    return [
        Variant("bare", "bare"),
        Variant("again", "bare again"),
        Variant("empty", "empty interposer", preload=(build / "tests" / "bench" / "empty_interposer.so",)),
        Variant("heapspy", "heapspy", preload=(build / "preload" / "libheapspy.so",),
                settings=heapspy_settings, proof=heapspy_proof(command)),
        Variant("tcmalloc", "tcmalloc", "libgoogle-perftools4", (TCMALLOC, tc_proof)),
        Variant("tc-sample", "tcmalloc, sampling", "libgoogle-perftools4", (TCMALLOC, tc_proof), "tcmalloc",
                lambda d: {"TCMALLOC_SAMPLE_PARAMETER": INTERVAL, "TC_SAMPLE_PROOF": f"{d}/tc_sample"},
                lambda d, _: need_file(f"{d}/tc_sample", holds=b"heap_v2/%d" % INTERVAL)),
        Variant("jemalloc", "jemalloc", "libjemalloc2", (JEMALLOC,)),
        Variant("je-prof", "jemalloc, prof", "libjemalloc2", (JEMALLOC,), "jemalloc",
                lambda d: {"MALLOC_CONF": f"prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:{d}/je"},
                lambda d, _: need_file(f"{d}/je.*.heap", holds=b"heap_v2/%d" % INTERVAL)),
        Variant("heaptrack", "heaptrack", "heaptrack", (HEAPTRACK,), "bare",
                lambda d: {"DUMP_HEAPTRACK_OUTPUT": f"{d}/heaptrack"},
                lambda d, sampled: need_file(f"{d}/heaptrack*", holds=b"\n+ " if sampled else b""), slow=True),
        Variant("tc-heapprof", "tcmalloc, HEAPPROFILE", "libgoogle-perftools4", (TCMALLOC, tc_proof), "tcmalloc",
                lambda d: {"HEAPPROFILE": f"{d}/tc"},
                lambda d, _: need_file(f"{d}/tc.*.heap", holds=b"heap profile:"), slow=True),
    ]
