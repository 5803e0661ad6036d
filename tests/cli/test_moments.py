"""What may stand for a moment on the command line."""
import json

import pytest
import scenario


@pytest.fixture
def run(tmp_path):
    return scenario.write_run(tmp_path / "run")


def number(heapspy, moment):
    done = heapspy("dump", "--json", moment)
    assert done.code == 0, done.err
    return json.loads(done.out)["info"]["number"]


@pytest.mark.parametrize("when, expected", [
    ("@first", 1), ("@last", 3), ("@2", 2), ("@10m", 2), ("@1m", 1), ("@0s", 1), ("@-10m", 2),
    ("@-1h", 1), ("@22:24", 2), ("@22:33:20", 3), ("@mark:loaded", 2), ("@peak", 3), ("", 3)])
def test_moments_of_a_run(heapspy, run, when, expected):
    assert number(heapspy, f"run{when}") == expected


def test_the_time_of_the_nearest_snapshot_is_said(heapspy, run):
    assert "nearest snapshot, at 0:10:00" in heapspy("top", "run@8m").out
    assert "nearest" not in heapspy("top", "run@10m").out
    assert "B: nearest snapshot, at 0:20:00" in heapspy("diff", "run@1", "run@5h").out
    assert "largest RSS" in heapspy("top", "run@peak").out


def with_live(*live, exits=False):
    """Sets the live bytes that each snapshot of the scenario tells of itself, and the last one's reason."""
    def change(s):
        number = s.info["number"]
        s.tail = (max(live), 90 * 10**9, live[number - 1])
        if exits and number == len(live):
            s.info["reason"] = 2
    return change


def test_peak_is_the_snapshot_with_most(heapspy, tmp_path):
    scenario.write_run(tmp_path / "run", with_live(5000, 9000, 7000))
    assert number(heapspy, "run@peak") == 2
    assert "fullest" not in heapspy("top", "run@peak").out
    scenario.write_run(tmp_path / "missed", lambda s: with_live(5000, 9000, 7000)(s) or
                       setattr(s, "tail", (20000, 90 * 10**9, s.tail[2])))
    said = "the fullest snapshot; the peak, at 0:01:30, was about 2.2 times as high"
    assert said in heapspy("top", "missed@peak").out
    scenario.write_run(tmp_path / "near", lambda s: with_live(5000, 9000, 7000)(s) or
                       setattr(s, "tail", (11250, 90 * 10**9, s.tail[2])))
    assert "the peak, at 0:01:30, was about 25 % higher" in heapspy("top", "near@peak").out


def test_a_run_ends_before_the_exit_that_freed_it(heapspy, tmp_path):
    scenario.write_run(tmp_path / "kept", with_live(5000, 9000, 8000, exits=True))
    assert number(heapspy, "kept") == 3
    scenario.write_run(tmp_path / "freed", with_live(5000, 9000, 100, exits=True))
    assert number(heapspy, "freed") == 2
    assert number(heapspy, "freed@last") == 3
    said = "the last before the exit, by which it had freed all but 100 B (@last)"
    assert said in heapspy("top", "freed").out
    assert said in heapspy("diff", "freed").out
    done = heapspy("diff", "freed@first", "freed@last")
    assert said not in done.out and "(exit)" in done.out.splitlines()[0]


def test_a_part_freed_at_exit_is_enough_where_it_is_no_noise(heapspy, tmp_path):
    """2 sqrt(live * interval) is 32 MiB of 512 MiB, 6.3 %."""
    mib_512 = 512 << 20
    scenario.write_run(tmp_path / "noise", with_live(5000, mib_512, mib_512 * 94 // 100, exits=True))
    assert number(heapspy, "noise") == 3
    scenario.write_run(tmp_path / "freed", with_live(5000, mib_512, mib_512 * 90 // 100, exits=True))
    assert number(heapspy, "freed") == 2
    assert "the last before the exit, by which it had freed 10 % (@last)" in heapspy("diff", "freed").out


def test_larger_processes_inside_are_said(heapspy, tmp_path):
    """A shell's run, and inside it that of the server which the shell started."""
    run = scenario.write_run(tmp_path / "run", with_live(10, 20, 30))
    scenario.write_run(run / "leaky.7.1", with_live(1000, 2000, 3 << 20))
    scenario.write_run(run / "small.8.1", with_live(1, 2, 3))
    said = "heapspy: 2 more processes of this run have a directory inside; most memory: run/leaky.7.1 (peak about 3 MiB)\n"
    assert said in heapspy("top", "run").err
    assert heapspy("diff", "run").err.count(said) == 1
    assert "inside" not in heapspy("diff", "run", "-q").err
    assert "inside" not in heapspy("top", "run/leaky.7.1").err


def test_peak_snapshots_come_before_rss(heapspy, tmp_path):
    def mark(s):
        if s.info["number"] == 2:
            s.info["reason"] = 5

    scenario.write_run(tmp_path / "run", mark)
    assert number(heapspy, "run@peak") == 2


def test_peak_snapshots_are_not_the_ends_of_a_run(heapspy, tmp_path):
    """They were chosen for being high: what is compared with one would seem to shrink."""
    def mark(*peaks):
        def change(s):
            s.info["reason"] = 5 if s.info["number"] in peaks else 1
        return change

    scenario.write_run(tmp_path / "last", mark(3))
    assert [number(heapspy, f"last{when}") for when in ("", "@first", "@last", "@3")] == [2, 1, 2, 3]
    assert "  0:01:00 -> 0:10:00" in heapspy("diff", "last").out
    assert "  0:01:00 -> 0:10:00" in heapspy("diff", "last@first", "last@last").out
    scenario.write_run(tmp_path / "first", mark(1))
    assert [number(heapspy, f"first{when}") for when in ("", "@first", "@last", "@1")] == [3, 2, 3, 1]
    assert "  0:10:00 (loaded) -> 0:20:00" in heapspy("diff", "first").out
    # Times take the nearest, whatever it is.
    assert number(heapspy, "last@19m") == 3
    scenario.write_run(tmp_path / "only", mark(1, 2, 3))
    assert [number(heapspy, f"only{when}") for when in ("", "@first", "@last")] == [3, 1, 3]


def test_a_file_with_an_at_sign_is_a_file(heapspy, tmp_path):
    scenario.moments()[1].write(tmp_path / "odd@3")
    assert number(heapspy, "odd@3") == 2


@pytest.mark.parametrize("moment, code, words", [
    ("run@lasst", 2, "'run@lasst' is no moment"),
    ("run@loaded", 2, "'run@loaded' is no moment; did you mean run@mark:loaded?"),
    ("run@9", 3, "no readable snapshot 9 (it has 3, 1..3)"),
    ("run@mark:nope", 3, "no snapshot of 'run' has the mark 'nope'"),
    ("run/000001.hspy@first", 2, "is one snapshot; @first needs a run directory"),
    ("nothing", 3, "cannot open 'nothing': No such file or directory"),
    ("nothing@first", 3, "there is no run directory 'nothing'"),
    ("ru", 3, "cannot open 'ru': No such file or directory; did you mean 'run'?"),
    ("./ru@3", 3, "there is no run directory './ru'; did you mean './run@3'?")])
def test_mistakes(heapspy, run, moment, code, words):
    done = heapspy("top", moment)
    assert (done.code, done.out) == (code, "") and words in done.err
    assert done.err.count("\n") == 1


def test_directories_without_snapshots(heapspy, tmp_path):
    (tmp_path / "empty").mkdir()
    done = heapspy("top", "empty")
    assert done.code == 3 and "is a directory without snapshots" in done.err
    (tmp_path / "outer" / "aaa").mkdir(parents=True)
    done = heapspy("top", "outer/")
    assert done.code == 3 and done.err == ("heapspy: 'outer/' is a directory without snapshots "
                                           "(NNNNNN.hspy)\n")
    # What is called like a run comes before other directories, a run before that.
    (tmp_path / "outer" / "heapspy.x.1").mkdir()
    assert "did you mean 'outer/heapspy.x.1'?" in heapspy("top", "outer/").err
    scenario.write_run(tmp_path / "outer" / "zzz")
    done = heapspy("top", "outer")
    assert done.code == 3 and "did you mean 'outer/zzz'?" in done.err


def test_a_name_that_is_cut_short_is_completed(heapspy, tmp_path):
    scenario.write_run(tmp_path / "heapspy.srv.4707")
    (tmp_path / "heapspy.other").mkdir()
    (tmp_path / "inner").mkdir()
    done = heapspy("top", "inner/../heapspy.srv")
    assert done.code == 3 and done.err.endswith("; did you mean 'inner/../heapspy.srv.4707'?\n")


def test_unreadable_snapshots_of_a_run_are_passed_over_and_counted(heapspy, run):
    (run / "000004.hspy").write_bytes(b"")
    (run / "000005.hspy").write_bytes((run / "000001.hspy").read_bytes()[:-9])
    (run / ".tmp-6").write_bytes(b"half")
    (run / "notes.txt").write_text("mine")
    done = heapspy("top", "run")
    assert done.code == 0
    assert ("2 snapshots beside 'run/000003.hspy' were passed over; the first: cannot read "
            "'run/000004.hspy': not a heapspy snapshot (is empty)\n") in done.err
    assert heapspy("diff", "run").err.count("passed over") == 1
    (run / "000004.hspy").unlink()
    assert ("heapspy: one snapshot beside 'run/000003.hspy' was passed over: 'run/000005.hspy' is cut "
            "short") in heapspy("top", "run").err
    (run / "000004.hspy").write_bytes(b"")
    for path in list(run.glob("00000[123].hspy")):
        path.unlink()
    done = heapspy("top", "run")
    assert done.code == 3 and "holds 2 snapshots and none can be read" in done.err
    (run / "000005.hspy").unlink()
    done = heapspy("top", "run")
    assert done.code == 3 and "'run' holds one snapshot, which cannot be read" in done.err


def test_newer_runs_inside_are_said(heapspy, run):
    """A directory used again: the later processes wrote into directories of their own inside it."""
    def later(minutes):
        def change(s):
            s.info.update(pid=99, start_id=100 + minutes, cut_wall_ns=s.info["cut_wall_ns"] +
                          minutes * scenario.MINUTE)
        return change

    scenario.write_run(run / "child.7.1", later(-30))
    (run / "empty").mkdir()
    assert "newer run" not in heapspy("top", "run").err
    scenario.write_run(run / "api.99.5", later(60))
    assert ("heapspy: beside 'run/000003.hspy' lies 1 newer run; the newest: run/api.99.5\n"
            in heapspy("top", "run").err)
    scenario.write_run(run / "api.98.4", later(30))
    for words in (("top", "run"), ("diff", "run"), ("diff", "run@1", "run@2")):
        done = heapspy(*words)
        assert done.err.count(" lie 2 newer runs; the newest: run/api.99.5\n") == 1
        assert "newer run" not in heapspy(*words, "-q").err
    assert "newer run" not in heapspy("top", "run/000001.hspy").err


def test_diff_of_one_file_wants_another(heapspy, run):
    done = heapspy("diff", "run/000001.hspy")
    assert done.code == 2 and "two moments" in done.err


@pytest.mark.parametrize("moment, code, words", [
    ("nonexist", 3, "cannot open 'nonexist': No such file or directory"),
    ("run@99", 3, "no readable snapshot 99"),
    ("run@nonsense", 2, "'run@nonsense' is no moment"),
    ("run@2", 2, "diff needs two moments, or a run directory"),
    ("run/000001.hspy", 2, "diff needs two moments, or a run directory")])
def test_diff_of_one_moment_says_first_what_is_wrong_with_it(heapspy, run, moment, code, words):
    done = heapspy("diff", moment)
    assert (done.code, done.out) == (code, "") and words in done.err
    assert done.err.count("\n") == 1
