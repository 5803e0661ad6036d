"""What others may put where heapspy reads and writes: no reader waits, nobody's files are touched."""
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import threading
import time

import hspy
import pytest

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
BASIC_CODE = 7   # of prog_basic
PATIENCE_S = 60  # of a command that would wait for ever


def command(*words, **options):
    """Its end; an AssertionError if it does not come to one."""
    try:
        return subprocess.run([str(hspy.COMMAND), *map(str, words)], stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"heapspy {words} hangs") from None


def listening(path):
    """A socket at path; addresses are short, so by way of the directory."""
    here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"/proc/self/fd/{here}/{path.name}")
        return server
    finally:
        os.close(here)


TRAPS = ["fifo", "socket", "directory", "loop", "zero", "device", "huge", "empty", "noise", "unreadable"]


def plant(trap, path):
    """Puts a trap at path; returns what has to stay alive with it."""
    if trap == "fifo":
        os.mkfifo(path)
    elif trap == "socket":
        return listening(path)
    elif trap == "directory":
        path.mkdir()
    elif trap == "loop":
        path.symlink_to(path)
    elif trap == "zero":
        path.symlink_to("/dev/zero")
    elif trap == "device":
        if os.getuid():
            pytest.skip("only root makes devices")
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    elif trap == "huge":
        with open(path, "wb") as file:
            # As large as this file system lets a file be; there is nothing in it.
            for bits in range(63, 30, -1):
                try:
                    os.truncate(file.fileno(), 2**bits - 1)
                    break
                except OSError:
                    pass
            assert file.seek(0, os.SEEK_END) > 2**31
    else:
        path.write_bytes(os.urandom(9000) if trap == "noise" else b"")
        if trap == "unreadable":
            path.chmod(0)
    return None


# Readers of snapshots.

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a program that is over, with two snapshots."""
    directory = tmp_path_factory.mktemp("run")
    hspy.run([hspy.victim("prog_basic")], directory, expect=BASIC_CODE, sample=1, interval=0, state="anon")
    assert hspy.snapshots(directory)
    return directory


READERS = [("top",), ("dump",), ("diff",), ("trend",), ("churn",), ("check",), ("live", "--count", "1")]


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("reader", READERS, ids=lambda words: words[0])
def test_a_file_that_is_none(tmp_path, reader, trap):
    """One line and an end."""
    path = tmp_path / "000001.hspy"
    held = plant(trap, path)
    done = command(*reader, path)
    assert done.returncode in (2, 3), done
    assert not done.stdout or reader[0] == "live", done
    assert 1 <= len(done.stderr.splitlines()) <= 2 and done.stderr.startswith(b"heapspy: "), done
    del held


@pytest.mark.parametrize("trap", TRAPS)
def test_a_run_with_traps_in_it(tmp_path, run, trap):
    """The sound snapshots of a directory are used, whatever lies beside them."""
    directory = tmp_path / "run"
    directory.mkdir()
    (sound, *_) = hspy.snapshots(run)
    (directory / "000002.hspy").write_bytes(sound.read_bytes())
    held = [plant(trap, directory / name) for name in ("000001.hspy", "000003.hspy", ".owner")]
    for words in (("top",), ("dump",), ("trend",), ("live", "--count", "1")):
        done = command(*words, directory)
        assert done.returncode in (0, 1, 3), done
        if words[0] in ("top", "dump"):
            assert done.returncode == 0 and done.stdout, done
    del held


def test_a_file_that_grows(tmp_path, run):
    """Under the reader; what it was when it was opened is read, or it is refused."""
    (sound, *_) = hspy.snapshots(run)
    path = tmp_path / "000001.hspy"
    path.write_bytes(sound.read_bytes())
    ended = threading.Event()

    def grow():
        with open(path, "ab", buffering=0) as file:
            while not ended.is_set() and file.tell() < 64 << 20:
                file.write(bytes(4096))
    thread = threading.Thread(target=grow)
    thread.start()
    try:
        ends = [command("top", path) for _ in range(5)]
    finally:
        ended.set()
        thread.join()
    for done in ends:
        assert done.returncode in (0, 3) and len(done.stderr.splitlines()) <= 2, done


@pytest.mark.parametrize("trap", TRAPS)
def test_a_module_that_is_none(tmp_path, trap):
    """What a snapshot names as a program may have been replaced by anything."""
    program = tmp_path / "program"
    program.write_bytes(open(hspy.victim("prog_basic"), "rb").read())
    program.chmod(0o755)
    done = hspy.run([program], tmp_path / "run", expect=BASIC_CODE, sample=1, interval=0)
    program.unlink()
    held = plant(trap, program)
    for words in (("top",), ("top", "--json"), ("dump", "--live")):
        end = command(*words, done.last)
        assert end.returncode == 0 and end.stdout, end
    del held


# Control characters.

EVIL = "e\033]0;owned\007v\ni\rl\x7f\x9b"
# Of CSV a line break in quotes is no control; and UTF-8 has the C1 controls in two bytes.
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def test_control_characters_are_shown(tmp_path, run, state_dir):
    """Of names of files, programs, threads and directories none reaches the terminal as it is."""
    program = tmp_path / f"prog{EVIL}"
    program.write_bytes(open(hspy.victim("prog_job"), "rb").read())
    program.chmod(0o755)
    directory = tmp_path / f"run{EVIL}"
    victim = subprocess.Popen([program, "tty"], env=hspy.environment(directory, sample=1, interval=0),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    outputs = []

    def see(*words, codes=(0, 1)):
        done = command(*words)
        assert done.returncode in codes, (words, done)
        outputs.append((words, done.stdout + done.stderr))
    try:
        assert victim.stdout.readline() == b"ready\n"
        for words in (("snapshot", victim.pid, "--label", "l" + EVIL.replace("\n", "")), ("snapshot", victim.pid),
                      ("live", "--count", "1", victim.pid), ("live",), ("doctor", victim.pid), ("doctor",),
                      ("doctor", "--json", victim.pid), ("doctor", "--", program), ("recover", "--dry-run", state_dir)):
            see(*words, codes=(0, 1, 2))
        see("snapshot", victim.pid, "-o", tmp_path / f"x{EVIL}.hspy")
        see("snapshot", victim.pid, "-o", tmp_path / f"x{EVIL}.hspy", codes=(4,))
        victim.kill()
        victim.wait()
        for words in (("recover", "--dry-run", "--json", state_dir),
                      ("recover", "--keep", "-o", tmp_path / f"o{EVIL}"), ("recover", state_dir)):
            see(*words, codes=(0, 3))
    finally:
        victim.kill()
        victim.wait()
        victim.stdin.close()
        victim.stdout.close()
    first, held, *_ = hspy.snapshots(directory)
    for words in (("top",), ("top", "--json"), ("top", "--csv"), ("top", "--by", "module"), ("dump",),
                  ("dump", "--json"), ("dump", "--live", "--stacks"), ("diff", first),
                  ("diff", "--json", first), ("diff", "--csv", first)):
        see(*words, held)
    for words in (("trend",), ("trend", "--json"), ("top", "nowhere"), ("live", "--count", "1")):
        see(*words, directory, codes=(0, 1, 2, 3))
    see("top", tmp_path / f"nowhere{EVIL}", codes=(2, 3))
    see("run", "--dir", directory, "--", tmp_path / f"nowhere{EVIL}", codes=(126, 127))
    see("run", "--dir", tmp_path / f"r{EVIL}", "--", program, "no such word", codes=range(256))
    for words, output in outputs:
        assert not CONTROL.search(output), (words, output)


# Readers of the state directory.

def test_a_state_directory_full_of_traps(tmp_path, state_dir):
    """Of every sort, under the names of states: all that looks there comes to an end, and the program runs."""
    place = hspy.pathlib.Path(state_dir)
    held = []
    for number, trap in enumerate(TRAPS):
        if trap != "device" or not os.getuid():
            held.append(plant(trap, place / f"heapspy.{os.getuid()}.{4000000 + number}.5-{number}"))
    for words in (("doctor",), ("recover", "--dry-run"), ("recover",), ("recover", "--remove-damaged"), ("live",),
                  ("run", "--dir", tmp_path / "run", "--sample", "1", "--", hspy.victim("prog_basic"))):
        done = command(*words)
        if words[0] == "run":
            assert done.returncode == BASIC_CODE, done
        else:
            assert done.returncode in (0, 1, 2, 3), (words, done)
    assert hspy.snapshots(tmp_path / "run")
    for number, trap in enumerate(TRAPS):
        if trap in ("fifo", "socket", "directory", "zero"):
            assert os.path.lexists(place / f"heapspy.{os.getuid()}.{4000000 + number}.5-{number}"), trap
    del held


# Writers.

class Waiting:
    """A program that begins when it is told: whatever its names will be made of is known before."""

    def __init__(self, name, directory, preexec=None, cwd=None, **settings):
        env = hspy.environment(directory or "", (), **settings)
        if directory is None:
            del env["HEAPSPY_DIR"]
        self.process = subprocess.Popen(
            ["sh", "-c", 'read x && exec env LD_PRELOAD="$0" "$@"', hspy.LIBRARY, *name], env=env, cwd=cwd,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def start_ticks(self):
        return int(open(f"/proc/{self.pid}/stat", encoding="ascii").read().rpartition(")")[2].split()[19])

    def go(self):
        """To its end, which has to be the usual one."""
        out, err = self.process.communicate("go\n", timeout=PATIENCE_S)
        assert self.process.returncode == BASIC_CODE and out, (self.process.returncode, out, err)
        return err


def check_untouched(precious):
    assert precious.read_text() == "precious" and precious.stat().st_mode & 0o777 == 0o644


PLANTED = ["symlink", "hardlink", "fifo", "directory", "dangling"]


def plant_at(what, path, precious):
    if what == "symlink":
        path.symlink_to(precious)
    elif what == "dangling":
        path.symlink_to(precious.parent / "behind")
    elif what == "hardlink":
        os.link(precious, path)
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


def everywhere(*places):
    return [path for place in places for path in place.rglob("*.hspy") if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("name", [".owner", ".{pid}.tmp", "000001.hspy"])
def test_planted_where_snapshots_go(tmp_path, name, what):
    """
    Never written through, never waited for. Snapshots go to another name or another directory; only a directory that
    cannot be removed, in the place of the temporary file, keeps them away.
    """
    directory, precious = tmp_path / "run", tmp_path / "precious"
    directory.mkdir()
    precious.write_text("precious")
    precious.chmod(0o644)
    with Waiting([hspy.victim("prog_basic")], directory, sample=1, interval=0) as victim:
        plant_at(what, directory / name.format(pid=victim.pid), precious)
        victim.go()
    check_untouched(precious)
    assert not (tmp_path / "behind").exists()
    made = [path for path in everywhere(directory) if path.stat().st_ino != precious.stat().st_ino]
    if not (what == "directory" and name.endswith("tmp")):
        assert made and all(path.stat().st_mode & 0o777 == 0o600 for path in made), made
        assert hspy.info(made[0])["samples"] > 0


def test_a_fifo_with_a_writer_for_an_owner(tmp_path):
    """Reading one that is open for writing would wait, or say "again"."""
    directory = tmp_path / "run"
    directory.mkdir()
    os.mkfifo(directory / ".owner")
    held = os.open(directory / ".owner", os.O_RDWR | os.O_NONBLOCK)
    try:
        hspy.run([hspy.victim("prog_basic")], directory, expect=BASIC_CODE, sample=1, interval=0)
    finally:
        os.close(held)
    assert everywhere(directory)


@pytest.mark.parametrize("what", PLANTED)
def test_planted_in_the_place_of_the_directory(tmp_path, what):
    """The usual name, heapspy.COMMAND.PID in the working directory, is taken by somebody: not followed."""
    work, precious = tmp_path / "work", tmp_path / "precious"
    work.mkdir()
    precious.write_text("precious")
    precious.chmod(0o644)
    with Waiting([hspy.victim("prog_basic")], None, cwd=work, sample=1, interval=0) as victim:
        plant_at(what, work / f"heapspy.prog_basic.{victim.pid}", precious)
        usual = hspy.pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"heapspy.prog_basic.{victim.pid}"
        try:
            victim.go()
            check_untouched(precious)
            assert not (tmp_path / "behind").exists()
            assert everywhere(work, usual), "nowhere"
        finally:
            subprocess.run(["rm", "-rf", usual], check=False)


@as_root
@pytest.mark.other_user
def test_a_directory_of_somebody_else(tmp_path):
    """In a sticky directory, under the name that is to come: not used, though root could write there."""
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o1777)
    with Waiting([hspy.victim("prog_basic")], None, cwd=work, sample=1, interval=0) as victim:
        theirs = work / f"heapspy.prog_basic.{victim.pid}"
        theirs.mkdir()
        theirs.chmod(0o777)
        os.chown(theirs, hspy.NOBODY, hspy.NOBODY)
        usual = hspy.pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"heapspy.prog_basic.{victim.pid}"
        try:
            victim.go()
            assert not list(theirs.iterdir()) and list(usual.glob("*.hspy"))
        finally:
            subprocess.run(["rm", "-rf", usual], check=False)


@pytest.mark.parametrize("what", PLANTED)
def test_planted_where_the_state_goes(tmp_path, state_dir, what):
    """Its name ends in a time that nobody can foresee; whatever has the rest of it is left alone."""
    place, precious = hspy.pathlib.Path(state_dir), hspy.pathlib.Path(state_dir) / "precious"
    precious.write_text("precious")
    precious.chmod(0o644)
    with Waiting([hspy.victim("prog_basic")], tmp_path / "run", sample=1, interval=0) as victim:
        name = f"heapspy.{os.getuid()}.{victim.pid}.{victim.start_ticks()}"
        planted = [place / (name + end) for end in ("", "-1", "-x")]
        for path in planted:
            plant_at(what, path, precious)
        victim.go()
    check_untouched(precious)
    assert not (place / "behind").exists()
    assert hspy.info(hspy.snapshots(tmp_path / "run")[-1])["samples"] > 0


@pytest.mark.parametrize("mask", [0, 0o777, 0o077])
def test_modes_whatever_the_umask(tmp_path, state_dir, mask):
    """0600 and 0700; and what it creates it can use, as a user too."""
    seen = {}
    victim = subprocess.Popen([hspy.victim("prog_job"), "tty"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=hspy.environment(tmp_path / "run", sample=1, interval="100ms"),
                              preexec_fn=lambda: os.umask(mask))
    try:
        assert victim.stdout.readline() == b"ready\n"
        for path in hspy.pathlib.Path(state_dir).iterdir():
            seen[path.name] = path.stat().st_mode & 0o7777
        assert seen and set(seen.values()) == {0o600}, seen
        done = subprocess.run([str(hspy.COMMAND), "snapshot", str(victim.pid)], stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, preexec_fn=lambda: os.umask(mask))
        assert done.returncode == 0, done
        victim.communicate(b"end\n", timeout=PATIENCE_S)
    finally:
        victim.kill()
        victim.wait()
    assert (tmp_path / "run").stat().st_mode & 0o7777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "run").iterdir()}
    assert len(modes) >= 3 and set(modes.values()) == {0o600}, modes


@as_root
def test_a_directory_that_is_swapped_as_soon_as_it_is_made(tmp_path, state_dir):
    """Root at work in a directory of somebody else, who puts a link where root has just made a directory."""
    theirs, precious = tmp_path / "theirs", tmp_path / "precious"
    for path in (theirs, precious):
        path.mkdir()
    precious.chmod(0o755)
    os.chown(theirs, hspy.NOBODY, hspy.NOBODY)
    hspy.run([hspy.victim("prog_exit"), "SIGKILL"], theirs / "out", expect=-9, sample=1, interval=0)
    words = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:delay_exit=300000",
             hspy.COMMAND, "recover"]
    with subprocess.Popen(words, cwd=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command_:
        deadline = time.monotonic() + PATIENCE_S
        while not (made := list(theirs.glob("heapspy.*"))) and command_.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(.001)
        if not made:
            pytest.skip(f"no strace here: {command_.stderr.read()}")
        made[0].rename(theirs / "moved")
        made[0].symlink_to(precious)
        command_.communicate(timeout=PATIENCE_S)
    for path in pathlib.Path("/tmp").glob(f"{made[0].name}*"):
        shutil.rmtree(path)
    assert stat.S_IMODE(precious.stat().st_mode) == 0o755 and os.listdir(precious) == []


# Every open of theirs.

def test_how_files_are_made(tmp_path, state_dir):
    """By strace: what is created is created anew, follows no link, is 0600, and closed by an exec."""
    log = tmp_path / "strace"
    words = ["strace", "-f", "-o", str(log), "-e", "trace=open,openat,creat", "-E", f"LD_PRELOAD={hspy.LIBRARY}",
             hspy.victim("prog_basic")]
    done = subprocess.run(words, env=hspy.environment(tmp_path / "run", (), sample=1, interval="50ms"), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
    if done.returncode and not log.exists():
        pytest.skip(f"no strace here: {done.stderr}")
    made = [line for line in log.read_text().splitlines() if "O_CREAT" in line or "creat(" in line]
    assert len(made) >= 3, log.read_text()
    for line in made:
        assert all(flag in line for flag in ("O_EXCL", "O_NOFOLLOW", "O_CLOEXEC", ", 0600)")), line
    ours = [line for line in log.read_text().splitlines() if "heapspy" in line and "libheapspy" not in line]
    assert all("O_CLOEXEC" in line for line in ours), ours
