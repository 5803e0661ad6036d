"""heapspy trend and check on a program whose functions leak at one line, or for one caller, and not as a whole."""
import json
import subprocess

import hspy
import pytest

SECONDS = 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Directory and truth of each run; they are made at the same time."""
    place, started = tmp_path_factory.mktemp("hidden"), {}
    for how in ("leaks", "bounded", "brief"):
        env = hspy.environment(place / how, sample="4KiB", interval="100ms", cpu_max="off")
        started[how] = subprocess.Popen([hspy.victim("prog_hidden"), str(SECONDS), how], env=env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    found = {}
    for how, child in started.items():
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0
        found[how] = place / how, json.loads(out)
    return found


def heapspy(*words):
    done = subprocess.run([hspy.COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    return done.returncode, done.stdout


def trend(run, *words):
    code, out = heapspy("trend", run, "-q", "--json", *words)
    assert code == 0
    return json.loads(out)


def row(report, function):
    (found,) = [row for row in report["rows"] if row["where"]["function"] == function]
    return found


def test_leaks_are_found_inside_functions_that_turn_over(runs):
    where, truth = runs["leaks"]
    report = trend(where)
    rate = truth["forgotten_bytes"] / SECONDS * 60
    assert report["leaks"]["n_sites"] == report["leaks"]["n_inside"] == 2
    line, wrapper = row(report, "handle"), row(report, "wrapper")
    for of, kind in ((line, "line"), (wrapper, "call")):
        assert not of["verdict"].startswith("leak-like")
        (leak,) = of["inside"]
        assert leak["kind"] == kind and leak["verdict"] == "leak-like"
        # Ranges of two rates at once, and time on a busy machine.
        assert .6 * rate < leak["bytes_per_minute"] < 1.5 * rate
    assert line["inside"][0]["where"]["line"] == truth["leaking"]
    assert line["inside"][0]["called_from"] is None
    assert wrapper["inside"][0]["called_from"].startswith("called from forget_some ")
    # Of both ways to it, which are one leak.
    assert wrapper["inside"][0]["n_stacks"] >= 2


def test_the_answer_counts_them(runs):
    where, truth = runs["leaks"]
    code, out = heapspy("trend", where, "--exit-code")
    lines = out.splitlines()
    assert code == 1
    assert lines[1].startswith("No function is leak-like as a whole, but 2 parts inside 2 of them are, together losing ")
    assert any(line.endswith(f"  prog_hidden.c:{truth['leaking']}") and "leak-like" in line for line in lines)
    assert any(line.startswith("      inside wrapper, which ") and "; called from forget_some prog_hidden.c:" in line
               for line in lines)


def test_by_line_and_by_site_they_are_rows(runs):
    where, truth = runs["leaks"]
    report = trend(where, "--by", "line", "--focus", "handle")
    verdicts = {row["where"]["line"]: row["verdict"] for row in report["rows"]}
    assert verdicts[truth["leaking"]] == "leak-like" and not verdicts[truth["cache"]].startswith("leak-like")
    assert report["leaks"]["n_inside"] == 0
    report = trend(where, "--by", "site")
    assert report["leaks"] == {**report["leaks"], "n_inside": 0, "n_sites": 3}


def test_check_fails(runs):
    code, out = heapspy("check", runs["leaks"][0], "--no-leaks")
    assert code == 1 and out.startswith("FAIL  leaks  ") and "; inside handle, which " in out
    assert heapspy("check", runs["bounded"][0], "--no-leaks")[0] == 0


def test_what_is_bounded_hides_nothing(runs):
    for by in ("function", "line", "module"):
        report = trend(runs["bounded"][0], "--by", by)
        assert report["leaks"]["n_sites"] == 0, report["rows"]
    assert heapspy("trend", runs["bounded"][0], "-q", "--exit-code")[0] == 0


def test_a_function_that_leaks_is_shown_at_the_line_that_does(runs):
    """Its cache is renewed so fast that the function leaks as a whole, and holds more than the leak."""
    where, truth = runs["brief"]
    report = trend(where)
    assert row(report, "handle")["verdict"].startswith("leak-like") and not row(report, "handle")["inside"]
    assert row(report, "handle")["where"]["line"] == truth["leaking"]
