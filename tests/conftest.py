"""Lets every suite import tests/hspy.py, and gives each test a state directory of its own."""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


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
