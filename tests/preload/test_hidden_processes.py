"""
A /proc mounted with hidepid shows a user nothing of its own processes that are not dumpable. They live all the same,
and nobody may take their states for those of the dead.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import hspy
import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems, and becomes another user")

NOBODY = 65534
# prctl(PR_SET_DUMPABLE, 0), a word, and to stay until stdin ends.
UNDUMPABLE = "import ctypes, sys; ctypes.CDLL(None).prctl(4, 0); print(flush=True); sys.stdin.read()"
# A file that counts as states of the dead and is none: it fills more than the half that they may have.
BALLAST = f"heapspy.{NOBODY}.1.1-999999999999999999"
SCRIPT = """
set -e
mount -t tmpfs -o size=4m,mode=1777 none "$STATES"
mount -t proc -o hidepid=invisible proc /proc
exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '
    mkfifo "$WORK/in"
    LD_PRELOAD="$LIBRARY" "$PYTHON" -I -c "$UNDUMPABLE" <"$WORK/in" >"$WORK/out" &
    exec 3>"$WORK/in"
    until [ -s "$WORK/out" ]; do sleep 0.05; done
    [ ! -e /proc/$! ] || echo shown
    cp /dev/null "$STATES/$BALLAST"; head -c 2200000 /dev/zero >"$STATES/$BALLAST"
    ls "$STATES"
    echo --
    "$@" || true
    echo --
    ls "$STATES"
    exec 3>&-; wait' sh "$@"
"""


@pytest.fixture
def open_dir():
    """A directory that another user can reach, with the library and the command in it."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        for directory in (path, path / "work", path / "states"):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o777)
        for file in (hspy.LIBRARY, hspy.COMMAND):
            shutil.copyfile(file, path / file.name)
            (path / file.name).chmod(0o755)
        yield path


def states_before_and_after(argv, open_dir):
    hspy.need_mounts()
    work = open_dir / "work"
    env = dict(os.environ, STATES=str(open_dir / "states"), WORK=str(work), BALLAST=BALLAST, PYTHON=sys.executable,
               LIBRARY=str(open_dir / hspy.LIBRARY.name), UNDUMPABLE=UNDUMPABLE,
               HEAPSPY_STATE=str(open_dir / "states"), HEAPSPY_DIR=str(work / "%p"), HEAPSPY_VERBOSE="1")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", SCRIPT, "sh", *map(str, argv)], env=env, cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if "shown" in done.stdout:
        pytest.skip("this /proc shows it all the same")
    before, said, after = done.stdout.split("--\n")
    pattern = rf"heapspy\.{NOBODY}\.\d+\.\d+-\d{{1,17}}\n"
    return re.findall(pattern, before), re.findall(pattern, after), said + done.stderr


def test_a_new_process_sweeps_no_state_of_a_hidden_one(open_dir):
    before, after, said = states_before_and_after(
        ["env", f"LD_PRELOAD={open_dir / hspy.LIBRARY.name}", sys.executable, "-I", "-c", ""], open_dir)
    assert len(before) == 1 and set(before) <= set(after), (before, after, said)


def test_recover_leaves_the_state_of_a_hidden_one(open_dir):
    before, after, said = states_before_and_after([open_dir / hspy.COMMAND.name, "recover"], open_dir)
    assert len(before) == 1 and before == after, (before, after, said)
