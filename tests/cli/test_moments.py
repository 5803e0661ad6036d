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


def test_peak_snapshots_come_before_rss(heapspy, tmp_path):
    def mark(s):
        if s.info["number"] == 2:
            s.info["reason"] = 5

    scenario.write_run(tmp_path / "run", mark)
    assert number(heapspy, "run@peak") == 2


def test_a_file_with_an_at_sign_is_a_file(heapspy, tmp_path):
    scenario.moments()[1].write(tmp_path / "odd@3")
    assert number(heapspy, "odd@3") == 2


@pytest.mark.parametrize("moment, code, words", [
    ("run@lasst", 2, "'run@lasst' is no moment"),
    ("run@9", 3, "no readable snapshot 9 (it has 3, 1..3)"),
    ("run@mark:nope", 3, "no snapshot of 'run' has the mark 'nope'"),
    ("run/000001.hspy@first", 2, "is one snapshot; @first needs a run directory"),
    ("nothing", 3, "cannot open 'nothing': No such file or directory"),
    ("nothing@first", 3, "there is no run directory 'nothing'")])
def test_mistakes(heapspy, run, moment, code, words):
    done = heapspy("top", moment)
    assert (done.code, done.out) == (code, "") and words in done.err
    assert done.err.count("\n") == 1


def test_directories_without_snapshots(heapspy, tmp_path):
    (tmp_path / "empty").mkdir()
    done = heapspy("top", "empty")
    assert done.code == 3 and "is a directory without snapshots" in done.err
    (tmp_path / "outer").mkdir()
    scenario.write_run(tmp_path / "outer" / "api.4121.5")
    done = heapspy("top", "outer")
    assert done.code == 3 and "did you mean 'outer/api.4121.5'?" in done.err


def test_unreadable_snapshots_of_a_run_are_passed_over_and_counted(heapspy, run):
    (run / "000004.hspy").write_bytes(b"")
    (run / "000005.hspy").write_bytes((run / "000001.hspy").read_bytes()[:-9])
    (run / ".tmp-6").write_bytes(b"half")
    (run / "notes.txt").write_text("mine")
    done = heapspy("top", "run")
    assert done.code == 0 and "2 snapshots beside 'run/000003.hspy' cannot be read" in done.err
    for path in list(run.glob("00000[123].hspy")):
        path.unlink()
    done = heapspy("top", "run")
    assert done.code == 3 and "holds 2 snapshots and none can be read" in done.err


def test_diff_of_one_file_wants_another(heapspy, run):
    done = heapspy("diff", "run/000001.hspy")
    assert done.code == 2 and "two moments" in done.err
