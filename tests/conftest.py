"""Lets every suite import tests/hspy.py, and gives each test a state directory of its own."""
import atexit
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# Names that heapspy remembers: not among the user's.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="heapspy-tests-cache.")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def state_dir(monkeypatch):
    """HEAPSPY_STATE in a directory that goes away, so that killed victims leave nothing behind."""
    path = tempfile.mkdtemp(prefix="heapspy-tests.", dir="/dev/shm")
    os.chmod(path, 0o1777)
    monkeypatch.setenv("HEAPSPY_STATE", path)
    # Where snapshots go when HEAPSPY_DIR cannot be used.
    fallback = tempfile.mkdtemp(prefix="heapspy-tests.")
    os.chmod(fallback, 0o1777)
    monkeypatch.chdir(fallback)
    yield path
    shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(fallback, ignore_errors=True)
