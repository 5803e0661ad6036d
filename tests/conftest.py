"""Lets every suite import tests/hspy.py, and gives each test a state directory of its own."""
import atexit
import os
import pathlib
import shutil
import signal
import stat
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# Names that heapspy remembers: not among the user's.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="heapspy-tests-cache.")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


# A shell's background job, and nohup, have some ignored, and their children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
    signal.signal(number, signal.SIG_DFL)


def closed_to_others():
    """The directory above the build that another user cannot enter, or None."""
    build = pathlib.Path(os.environ.get("HEAPSPY_BUILD", pathlib.Path(__file__).parent.parent / "build")).resolve()
    return next((path for path in (build, *build.parents) if not path.stat().st_mode & stat.S_IXOTH), None)


def pytest_configure(config):
    config.addinivalue_line("markers", "other_user: starts what was built as user nobody")


def pytest_runtest_setup(item):
    if item.get_closest_marker("other_user") and closed_to_others():
        pytest.skip(f"{closed_to_others()} is closed to other users")


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
