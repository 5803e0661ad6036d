"""A guest changes nothing: output, exit codes, errno, descriptors, threads, masks, handlers."""
import os
import subprocess

import hspy
import pytest

COMMANDS = [
    ["ls", "-l", "/usr/bin"],
    ["sh", "-c", "echo out; echo err >&2; exit 3"],
    ["sh", "-c", "kill -TERM $$"],
    ["sort", "-r", "/etc/services"],
    ["awk", "BEGIN { for (i = 0; i < 50000; i++) a[i] = i \"x\"; print length(a), a[777] }"],
    ["grep", "-c", "nothing-like-this", "/etc/passwd"],
    ["cat", "/no/such/file"],
    ["bash", "-c", "diff <(seq 5) <(seq 6)"],
    ["tar", "cf", "-", "--sort=name", "-C", "/etc", "passwd", "services"],
    ["/usr/bin/python3", "-c", "import json, re, sys; print(json.dumps(list(range(1000)))); sys.exit(5)"],
    ["/usr/bin/perl", "-e", "my %h = map { $_ => \"x$_\" } 1..20000; print scalar(keys %h), \"\\n\"; exit 9"],
    ["gcc", "-fsyntax-only", "-x", "c", "/no/such/file.c"],
    ["env", "true"],
    # Needs a process of one thread.
    ["unshare", "-U", "sh", "-c", "id -u"],
    ["find", "/usr/share/doc/gcc", "-maxdepth", "1"],
]


def outcome(argv, env):
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("sample", ["512KiB", "1"])
@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: os.path.basename(argv[0]))
def test_output_and_exit_code_are_the_same(argv, sample, tmp_path):
    plain = hspy.environment(tmp_path / "plain", preload=(), sample=sample)
    loaded = hspy.environment(tmp_path / "loaded", sample=sample)
    assert outcome(argv, loaded) == outcome(argv, plain)


@pytest.mark.parametrize("writer", ["auto", "inline", "thread"])
@pytest.mark.parametrize("threads", [[], ["thread"]], ids=["one", "two"])
def test_process_state_is_the_same(threads, writer, tmp_path):
    """Descriptors, threads, mask, handlers, umask, directory, limits, environment. A program that has
    made a thread itself may see one more, named heapspy; any other may not."""
    settings = {"interval": "20ms", "sample": "64KiB", "writer": writer}
    plain = hspy.run([hspy.victim("prog_guest"), *threads], tmp_path, preload=(), **settings)
    loaded = hspy.run([hspy.victim("prog_guest"), *threads], tmp_path, **settings)
    lines = [line for line in loaded.stdout.splitlines() if not line.startswith("LD_PRELOAD=")]
    expected = plain.stdout.splitlines()
    helper_allowed = writer == "thread" or (writer == "auto" and threads)
    if helper_allowed:
        lines = [line for line in lines if not line.startswith("/proc/self/task")]
        expected = [line for line in expected if not line.startswith("/proc/self/task")]
    assert lines == expected
    assert loaded.stderr == ""
    assert len(loaded.snapshots) >= 1


@pytest.mark.parametrize("sample", ["512KiB", "4KiB", "1"])
def test_errno_is_preserved(sample, tmp_path):
    hspy.run([hspy.victim("prog_errno"), 1000], tmp_path, sample=sample, interval="10ms")


@pytest.mark.parametrize("name", ["prog_fpe", "prog_small_stack"])
@pytest.mark.parametrize("sample", ["512KiB", "4KiB", "1"])
def test_odd_surroundings(name, sample, tmp_path):
    """Trapping floating point; stacks of 8 and 16 KiB, alternate and made by hand."""
    hspy.run([hspy.victim(name)], tmp_path, sample=sample, interval="20ms")


@pytest.mark.parametrize("sample", ["512KiB", "1"])
def test_library_that_allocates_first(sample, tmp_path):
    """Before our constructor, under a lock of the C library; and after our destructor."""
    run = hspy.run([hspy.victim("prog_early")], tmp_path, sample=sample, timeout=10)
    if sample == "1":
        assert hspy.live_bytes(run.last, "early_keep") == run.truth["early_keep"]


def test_small_stacks_are_counted(tmp_path):
    run = hspy.run([hspy.victim("prog_small_stack")], tmp_path, sample=1)
    assert hspy.live_bytes(run.last, "keep_small") == run.truth["keep_small"]


@pytest.mark.parametrize("sample", ["4KiB", "1"])
def test_cancelled_threads_leave_no_lock_behind(sample, tmp_path):
    hspy.run([hspy.victim("prog_cancel"), 300], tmp_path, sample=sample, interval="10ms")


@pytest.mark.parametrize("mode", ["preload", "run"])
@pytest.mark.parametrize("way", ["strict", "strict raw", "tsc", "tsc raw", "tsc fork", "tsc filter", "tsc fork filter"])
def test_no_sample_after_the_clock_is_gone(mode, way, tmp_path):
    words, env = hspy.started(mode, [hspy.victim("prog_clock"), *way.split()], tmp_path / "run", {"sample": 1})
    done = subprocess.run(words, env=env, timeout=30, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, b"alive\n"), (done, hspy.snapshots(tmp_path / "run"))
    if mode == "run" or "filter" not in way:
        assert hspy.live_bytes(hspy.snapshots(tmp_path / "run")[-1], "keep_blocks") == 100000


def test_run_rests_beside_a_program_without_a_clock(tmp_path):
    """What there was to tell is told: no snapshot every 100 ms, and no waiting in circles for one."""
    words, env = hspy.started("run", [hspy.victim("prog_clock"), "tsc", "linger"], tmp_path / "run",
                              {"sample": 1, "interval": "100ms"})
    child = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0 and len(hspy.snapshots(tmp_path / "run")) <= 2
    assert usage.ru_utime + usage.ru_stime < 0.5


@pytest.mark.parametrize("way", ["strict fails", "tsc fails", "tsc raw fails", "tsc fork fails"])
def test_profiling_goes_on_when_the_clock_stays(way, tmp_path):
    run = hspy.run([hspy.victim("prog_clock"), *way.split()], tmp_path, sample=1)
    assert hspy.info(run.last)["samples"] > 1100
    assert hspy.live_bytes(run.last, "keep_blocks") == 100000


@pytest.mark.parametrize("way", ["prctl", "syscall"])
def test_seccomp_filter_that_kills(way, tmp_path):
    run = hspy.run([hspy.victim("prog_seccomp"), way], tmp_path, expect=42, sample=1, interval="20ms",
                   state_max="256MiB")
    assert run.stdout == "alive\n"


def test_descriptors_closed_and_used_again(tmp_path):
    """A daemon closes everything and opens files of its own: no byte of ours may get into them."""
    script = ("import os, time\n"
              "os.closerange(3, 1024)\n"
              "files = [open(f'{n}.txt', 'wb', buffering=0) for n in range(20)]\n"
              "deadline = time.monotonic() + 0.5\n"
              "while time.monotonic() < deadline:\n"
              "    for file in files: file.write(str([0] * 300)[:1].encode())\n"
              "print(min(os.fstat(file.fileno()).st_size for file in files))\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path / "run", cwd=tmp_path, sample="4KiB",
                   interval="20ms")
    assert len(run.snapshots) > 3
    for number in range(20):
        assert set((tmp_path / f"{number}.txt").read_bytes()) == {ord("[")}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to drop it")
def test_root_that_becomes_another_user(tmp_path):
    """A server started as root: its snapshots go on, or their loss is counted, and nothing breaks."""
    tmp_path.chmod(0o777)
    script = ("import os, time\n"
              f"os.setgroups([]); os.setgid({hspy.NOBODY}); os.setuid({hspy.NOBODY})\n"
              "deadline = time.monotonic() + 0.5\n"
              "while time.monotonic() < deadline: [str(i) for i in range(10000)]\n"
              "print('done')\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path / "run", sample="4KiB", interval="100ms")
    assert run.stdout == "done\n"
    assert run.stderr == ""


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to lock all memory")
def test_locked_memory(tmp_path):
    """mlockall makes every mapping resident: the library may cost megabytes, not its whole cap."""
    plain = hspy.run([hspy.victim("prog_mlock")], tmp_path, preload=())
    loaded = hspy.run([hspy.victim("prog_mlock")], tmp_path, state_max="1GiB")
    assert loaded.truth["resident"] - plain.truth["resident"] < 8 << 20


def signals(seconds, directory):
    return hspy.run([hspy.victim("prog_signals"), seconds], directory, timeout=seconds + 30, sample=64,
                    interval="100ms", cpu_max="off",
                    preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])


def test_handlers_that_allocate(tmp_path):
    assert signals(2, tmp_path).truth["handled"] > 100


@pytest.mark.slow
def test_handlers_that_allocate_for_long(tmp_path):
    """Not longer: lib_bump.so, whose malloc may be interrupted, gives no memory back (0.5 GB/s)."""
    assert signals(15, tmp_path).truth["handled"] > 10000


def test_a_handler_that_allocates_at_any_instruction(tmp_path):
    """Each block is a sample still; those of a handler but while the library is at work, which is counted."""
    run = hspy.run([hspy.victim("prog_interrupted"), 200, 53], tmp_path, sample=1,
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    sites, info = hspy.sites(run.last), hspy.info(run.last)
    assert run.truth["rounds"] > 230
    assert sites["interrupted"] == (0, 0, 100 * run.truth["rounds"], run.truth["rounds"])
    # In the dozen instructions between counting a block and putting it back, nothing is sampled.
    seen = sites["in_handler"][3] + info["losses"]["reentry"]
    assert run.truth["in_handlers"] - 10 * 16 <= seen <= run.truth["in_handlers"] + 10


@pytest.mark.parametrize("way, first, n, least", [("jump", 100, 60, 60 * 100), ("deep", 800, 3, 3 * 1000)])
def test_sampling_goes_on_after_a_handler_has_jumped_out(way, first, n, least, tmp_path):
    """Out of a sampled malloc: each time soon for blocks from the same place, late for those from below."""
    run = hspy.run([hspy.victim("prog_left"), way, first, 30, n], tmp_path, sample=1, interval=0, cpu_max="off",
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    assert hspy.sites(run.last)["deeper" if way == "deep" else "again"][3] >= least


def test_sampling_comes_back_where_a_countdown_was_left_below_zero(tmp_path):
    """The handler has jumped out of the dozen instructions before the real malloc: a free mends it."""
    run = hspy.run([hspy.victim("prog_left"), "freed", 1, 1, 40], tmp_path, sample=1, interval=0, cpu_max="off",
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    assert hspy.sites(run.last)["again"][3] >= 40 * 200


@pytest.mark.parametrize("mode", ["fork", "alias", "resize"])
def test_blocks_from_before_the_allocator_was_found(mode, tmp_path):
    """No allocator knows them: whoever frees them, and whenever, must not get that far."""
    run = hspy.run([hspy.victim("prog_boot"), mode], tmp_path, sample=2, cpu_max="off")
    assert run.truth["early"] > 0


def test_no_memory_contents_in_snapshots(tmp_path):
    """A snapshot holds addresses and sizes, never what a block contained."""
    canary = "heap-canary-7d1f"
    run = hspy.run(["/usr/bin/python3", "-c", f"a = ['{canary[:11]}' + '{canary[11:]}' * 9 for _ in range(9999)]"],
                   tmp_path, sample=1)
    for path in run.snapshots:
        assert canary.encode() not in path.read_bytes()


def test_snapshots_are_private_files(tmp_path):
    run = hspy.run(["sh", "-c", 'umask 0; exec "$0"', hspy.victim("prog_basic")], tmp_path, expect=7)
    assert [path.stat().st_mode & 0o777 for path in run.snapshots] == [0o600] * len(run.snapshots)
    assert {path.name for path in tmp_path.iterdir()} == {".owner", "000001.hspy"}


def test_words_that_belong_to_the_program(tmp_path):
    """What lies behind syscall()'s arguments; what dlerror() is about to say."""
    hspy.run([hspy.victim("prog_words")], tmp_path)


def test_descriptor_numbers_belong_to_the_program(tmp_path):
    """The helper thread opens files while the program closes, reuses and inherits its numbers."""
    run = hspy.run([hspy.victim("prog_numbers")], tmp_path, sample="4KiB", interval="10ms")
    assert len(run.snapshots) > 3


def test_program_mapped_with_holes(tmp_path):
    run = hspy.run([hspy.victim("prog_holes"), 1000], tmp_path, sample=1, expect=7)
    assert hspy.live_bytes(run.last, "keep_blocks") == 1000 * 1000
    assert hspy.info(run.last)["losses"]["broken_stacks"] < 10
