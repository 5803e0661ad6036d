"""Signals, cancellations, exceptions and the ends of threads, many at a time; failures that stay heapspy's own."""
import resource
import sys

import hspy
import pytest


def storm(seconds, threads, sample, directory):
    # Above an allocator that handlers may call; the budget would soon end a storm of samples.
    return hspy.run([hspy.victim("prog_storm"), seconds, threads], directory, timeout=seconds * 6 + 60, sample=sample,
                    interval="100ms", cpu_max="off", preload=[hspy.LIBRARY, hspy.victim("lib_slots.so")]).truth


@pytest.mark.parametrize("sample", ["1", "4KiB"])
def test_eight_threads_whose_handlers_allocate(sample, tmp_path):
    """A signal every 100 us for each, as far as the machine can: in coroutines, on alternate stacks, in our code."""
    assert storm(2, 8, sample, tmp_path)["handled"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["1", "512KiB"])
def test_handlers_that_allocate_for_long(sample, tmp_path):
    truth = storm(10, 8, sample, tmp_path)
    print(f"{truth['handled'] / truth['seconds']:.0f} handlers a second", file=sys.stderr)
    assert truth["handled"] > 1000


@pytest.mark.parametrize("sample", ["1", "512KiB"])
def test_cancelled_threads_destroy_what_they_made(sample, tmp_path):
    """Forced unwinding through functions that allocate, with exceptions in between."""
    run = hspy.run([hspy.victim("prog_unwound"), 20], tmp_path, sample=sample, interval="20ms")
    assert run.truth == {"rounds": 20}


@pytest.mark.slow
@pytest.mark.parametrize("name, rounds", [("prog_unwound", 1000), ("prog_cancel", 20000)])
def test_cancelled_threads_for_long(name, rounds, tmp_path):
    run = hspy.run([hspy.victim(name), rounds], tmp_path, sample=1, interval="20ms", timeout=600)
    assert run.truth == {"rounds": rounds}


@pytest.mark.parametrize("sample", ["1", "512KiB"])
def test_operator_new_of_the_program_that_throws(sample, tmp_path):
    plain = hspy.run([hspy.victim("prog_new_throws")], tmp_path, preload=())
    loaded = hspy.run([hspy.victim("prog_new_throws")], tmp_path, sample=sample)
    assert loaded.truth == plain.truth and min(plain.truth.values()) > 1000


@pytest.mark.parametrize("writer", ["auto", "thread", "inline"])
@pytest.mark.parametrize("how", ["exit", "thrd_exit", "cancelled", "forked", "alone"])
def test_first_thread_that_ends_before_the_last(how, writer, tmp_path):
    """The helper neither keeps the process alive, nor says its last words."""
    words = [hspy.victim("prog_last_thread"), how]
    plain = hspy.run(words, tmp_path, preload=(), expect=None)
    loaded = hspy.run(words, tmp_path, writer=writer, interval="50ms", expect=plain.code, timeout=20)
    assert (loaded.stdout, loaded.stderr) == (plain.stdout, plain.stderr)
    assert plain.stdout.count("last words") == (2 if how in ("forked", "alone") else 1)


@pytest.fixture
def full_tmpfs(tmp_path):
    with hspy.small_tmpfs(tmp_path / "full", "1m") as path:
        hspy.fill(path)
        yield path


@pytest.mark.parametrize("writer", ["inline", "thread"])
@pytest.mark.parametrize("what", ["directory", "state", "both"])
def test_errno_when_there_is_no_room(what, writer, full_tmpfs, tmp_path):
    """Each snapshot, and each growth of the state, fails: in malloc, in free, at exit."""
    directory = tmp_path / "run" if what == "state" else full_tmpfs / "run"
    settings = {} if what == "directory" else {"state": full_tmpfs}
    run = hspy.run([hspy.victim("prog_errno"), 2000], directory, sample=1, interval="10ms", writer=writer,
                   **settings)
    assert run.stderr == ""


@pytest.mark.parametrize("writer", ["inline", "thread"])
@pytest.mark.parametrize("bytes_max", [0, 100 << 10])
def test_errno_when_files_may_not_grow(bytes_max, writer, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    run = hspy.run([hspy.victim("prog_errno"), 2000], tmp_path, sample=1, interval="10ms", writer=writer,
                   preexec=limited)
    assert run.stderr == ""


@pytest.mark.parametrize("writer", ["inline", "thread"])
def test_errno_when_no_file_can_be_opened(writer, tmp_path):
    run = hspy.run([hspy.victim("prog_errno"), 2000, "no files"], tmp_path, sample=1, interval="10ms", writer=writer)
    assert run.stderr == ""


@pytest.mark.parametrize("directory", ["/proc/self", "/no/such/place/at/all", "/dev/null"])
def test_errno_when_there_is_no_directory(directory, tmp_path):
    run = hspy.run([hspy.victim("prog_errno"), 2000], directory, sample=1, interval="10ms", state="anon")
    assert run.stderr == ""


def test_a_full_disk_changes_no_result(full_tmpfs, tmp_path):
    """Of any allocation function, for any size and alignment."""
    words = [hspy.victim("prog_contract")]
    plain = hspy.run(words, tmp_path, preload=())
    loaded = hspy.run(words, full_tmpfs / "run", sample=1, interval="10ms", writer="inline", state=full_tmpfs)
    assert loaded.stdout == plain.stdout and len(plain.stdout) > 50000
