"""Runs a program bare and under heapspy, and compares all that comes out of it, byte by byte."""
import os
import re
import shutil
import subprocess
from typing import NamedTuple

import hspy

# Another word for each moment at which a snapshot may be written while the program runs.
INTERVAL = "20ms"
# Lines in which a program tells its environment: what heapspy's users add to it themselves.
OURS = re.compile(rb"^(env )?(LD_PRELOAD|HEAPSPY_[A-Z_]+)=.*\n", re.MULTILINE)


class Way(NamedTuple):
    """How a program is started: by LD_PRELOAD with a writer, or by heapspy run."""

    mode: str
    writer: str
    sample: str

    def __str__(self):
        return "-".join(filter(None, self))


def ways(samples=("1", "512KiB"), writers=("auto", "inline", "thread")):
    return [Way("preload", writer, sample) for sample in samples for writer in writers] + \
        [Way("run", "", sample) for sample in samples]


class Outcome(NamedTuple):
    code: int
    stdout: bytes
    stderr: bytes
    tree: dict  # of the directory it ran in: {path: (mode, contents or target)}


def tree(directory):
    """Without what .git holds, which are times and inodes."""
    found = {}
    for place, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name != ".git"]
        for name in directories + files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            if os.path.islink(path):
                contents = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    contents = file.read()
            else:
                contents = None
            found[os.path.relpath(path, directory)] = (status.st_mode, contents)
    return found


def outcome(argv, place, way=None, timeout=900, prefix=(), environment=None, **settings):
    """One run. way: None is bare. It runs in a new directory, place/work, with its outputs in files beside.

    prefix: words in front of the program's, as setarch -R. environment: more of it.
    """
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    argv = [*prefix, *argv]
    if way is None:
        words, env = hspy.started("bare", argv, place, {})
    else:
        chosen = {"sample": way.sample, "interval": INTERVAL, **settings}
        if way.mode == "preload":
            chosen["writer"] = way.writer
        words, env = hspy.started(way.mode, argv, place / f"heapspy.{way}", chosen)
        if way.mode == "run":
            words.insert(2, "-q")
    env.pop("PYTEST_CURRENT_TEST", None)
    with open(place / "stdout", "wb") as out, open(place / "stderr", "wb") as err:
        done = subprocess.run(words, cwd=work, env=dict(env, **(environment or {})), stdin=subprocess.DEVNULL,
                              stdout=out, stderr=err, timeout=timeout, check=False)
    return Outcome(done.returncode, OURS.sub(b"", (place / "stdout").read_bytes()),
                   OURS.sub(b"", (place / "stderr").read_bytes()), tree(work))


def first_difference(seen, bare):
    """What differs, for the reader of a failure; None if nothing does."""
    if seen.code != bare.code:
        return f"exit {bare.code} bare, {seen.code}: {seen.stderr[-1000:]}"
    for name in ("stdout", "stderr"):
        found = hspy.first_difference(getattr(seen, name).splitlines(True), getattr(bare, name).splitlines(True))
        if found:
            return f"{name}, line {found[0]}: {found[1:]}"
    if seen.tree != bare.tree:
        paths = sorted(path for path in seen.tree.keys() | bare.tree.keys()
                       if seen.tree.get(path) != bare.tree.get(path))
        return f"files: {paths[:10]}"
    return None


def expect_same(argv, place, way, bare, may_lack_snapshots=False, **options):
    """may_lack_snapshots: of a program that leaves no memory for one; else one proves that heapspy was there."""
    seen = outcome(argv, place, way, **options)
    assert may_lack_snapshots or any((place / f"heapspy.{way}").rglob("*.hspy")), f"no snapshot: {seen.stderr[-1000:]}"
    found = first_difference(seen, bare)
    assert found is None, f"{way}: {found}"
