"""heapspy check on made-up runs: verdicts, budgets, forms of output, and what is refused."""
import json
import random
import re
import xml.dom.minidom

import made_runs
import pytest
import scenario
import snapshot_format as sf
from scenario import B4K, MIB

LEAK, CACHE, PARSER = scenario.LEAK, scenario.CACHE, scenario.PARSER
# Samples of 4 KiB by site: each stands for about half a MiB.
USUAL = {LEAK: 1000, CACHE: 600, PARSER: 400}
LINES = re.compile(r"^(PASS|FAIL|SKIP)  (.*)$")


def make_run(path, seed, samples, spread=.02, total=6000 * MIB, peak=300 * MIB, changed=None, **info):
    """One run with a single snapshot at its end."""
    rng = random.Random(f"run {seed}")
    live = []
    for stack, n in samples.items():
        n = round(n * rng.gauss(1, spread))
        live += [scenario.sample(100000 * stack + i, 4096, 1000 + i, stack) for i in range(n)]
    s = scenario.snapshot(1, scenario.MINUTE, live, start_id=rng.getrandbits(60), pid=rng.randrange(1, 30000))
    seen = round(total * rng.gauss(1, spread))
    for stack in s.stacks:
        n = 3 * samples.get(stack.id, 0)
        stack.allocated = tuple(n * x for x in (1, 4096, B4K, scenario.V4K, scenario.C4K))
    half = round(peak * rng.gauss(1, spread) / 2)
    s.more = {"half_bytes": [half, half], "half_peak_bytes": [half, half], "half_other_bytes": [half, half]}
    s.tail = (2 * half + MIB, scenario.MINUTE, 2 * half)
    s.info.update(reason=2, bytes_seen=seen, bytes_seen_end=seen, samples=3 * sum(samples.values()))
    s.info.update(info)
    # What was sampled has to agree with what was counted.
    s.stacks[3].allocated = (1, 1, max(0, seen - sum(x.allocated[2] for x in s.stacks[:3])), 0, 1024)
    if changed:
        changed(s)
    path.mkdir(parents=True, exist_ok=True)
    s.write(path / "000001.hspy")


def make_side(directory, k, samples=None, **how):
    for i in range(1, k + 1):
        make_run(directory / str(i), f"{directory.name} {i}", samples or USUAL, **how)


@pytest.fixture
def sides(tmp_path):
    """main/ and pr/, five runs each; in pr/ the first site holds twice as much."""
    make_side(tmp_path / "main", 5)
    make_side(tmp_path / "pr", 5, {**USUAL, LEAK: 2000}, peak=360 * MIB, total=6100 * MIB)
    return tmp_path


BOTH = ("--baseline", "main", "--candidate", "pr")


def checks(heapspy, *words, code=0):
    done = heapspy("check", "--json", "-q", *words)
    assert done.code == code and done.err == "", (done.code, done.err)
    report = json.loads(done.out)
    assert report["schema"] == "heapspy.check/1" and report["verdict"] == ("fail" if code else "pass")
    return report


def by_name(report):
    return {row.get("name") or row["metric"] + ("" if "change" in row["limit"] else " budget"): row
            for row in report["checks"]}


def test_text(heapspy, sides):
    done = heapspy("check", *BOTH)
    lines = done.out.splitlines()
    assert done.code == 1
    assert re.fullmatch(r"PASS  total allocated  .* .iB -> .* .iB  +\S+ % \(\S+\.\.\S+\)  +limit \+5 %   5 \+ 5 runs",
                        lines[0])
    assert re.fullmatch(r"FAIL  peak live  +\d{3} MiB -> 3\d\d MiB  +\+\d\d % \(\S+\)  +limit \+5 %", lines[1])
    assert re.fullmatch(r"FAIL  site api\+0x2010  +\S+ .iB -> \S+ .iB  +\+\d+ % \(\d+\.\.\d+\)  +"
                        r"limit \+20 % and 4 MiB", lines[2])
    assert lines[3] == "PASS  2 sites within their limits (--all)"
    assert lines[-1] == ("FAIL  2 of 5 checks failed.  Reproduce: heapspy diff --force main/1 pr/1 "
                         "--focus 'api\\+0x2010'")
    # The command that is named shows it.
    shown = heapspy("diff", "--force", "main/1", "pr/1", "--focus", r"api\+0x2010")
    assert shown.code == 0 and "api+0x2010" in shown.out


def test_no_change_passes(heapspy, tmp_path):
    make_side(tmp_path / "main", 3)
    make_side(tmp_path / "pr", 3)
    done = heapspy("check", *BOTH, "--all")
    assert done.code == 0 and "FAIL" not in done.out
    assert done.out.splitlines()[-1] == "PASS  5 checks passed."
    assert done.out.count("PASS  site ") == 3


def test_quiet_leaves_the_verdict(heapspy, sides):
    done = heapspy("check", *BOTH, "-q")
    assert done.out.startswith("FAIL  2 of 5 checks failed.  Reproduce: ") and done.out.count("\n") == 1
    assert done.err == ""
    done = heapspy("check", *BOTH, "-q", "-o", "out.txt")
    assert done.out == "" and (sides / "out.txt").read_text().startswith("FAIL  2 of 5")


def test_json_says_the_same(heapspy, sides):
    report = checks(heapspy, *BOTH, code=1)
    assert (report["n_failed"], report["n_skipped"], report["n_passed"]) == (2, 0, 3)
    assert [len(report[side]["runs"]) for side in ("baseline", "candidate")] == [5, 5]
    assert report["baseline"]["runs"][0]["path"] == "main/1"
    site = by_name(report)["api+0x2010"]
    assert site["verdict"] == "fail" and site["where"]["module"] == "/nowhere/bin/api"
    assert site["change"] == pytest.approx(site["to"] / site["from"] - 1, abs=1e-5)
    assert site["change_ci"][0] < site["change"] < site["change_ci"][1]
    assert site["limit"] == {"change": .2, "bytes": 8 * 524288}
    assert site["p"] < .005 / 3
    total = by_name(report)["total"]
    assert total["verdict"] == "pass" and total["limit"] == {"change": .05}


def test_figures_are_those_of_the_runs(heapspy, sides):
    """Means over the runs: of sites the arithmetic one of the estimates, of totals the geometric one."""
    report = checks(heapspy, *BOTH, code=1)
    site, total = by_name(report)["api+0x2010"], by_name(report)["total"]
    runs = [sf.Snapshot.decode((sides / "main" / str(i) / "000001.hspy").read_bytes()) for i in range(1, 6)]
    assert site["from"] == round(sum(B4K * sum(x.stack == LEAK for x in run.live) for run in runs) / 5)
    product = 1
    for run in runs:
        product *= run.info["bytes_seen"] ** .2
    assert total["from"] == pytest.approx(product, rel=1e-9)


def test_allocated_bytes_of_sites(heapspy, sides):
    site = by_name(checks(heapspy, *BOTH, "--metric", "allocated", code=1))["api+0x2010"]
    assert (site["from"], site["to"]) == (3000 * B4K, 6000 * B4K)
    out = heapspy("check", *BOTH, "--metric", "allocated").out
    assert "Reproduce: heapspy diff --force --metric allocated main/1 pr/1 --focus 'api\\+0x2010'\n" in out
    assert "      sites by all bytes that they allocated\n" in out


def test_allocated_bytes_stand_in_for_live_ones(heapspy, tmp_path):
    """Programs that free everything at their end."""
    def free(s):
        s.live = s.live[:1]

    make_side(tmp_path / "main", 3, changed=free)
    make_side(tmp_path / "pr", 3, {**USUAL, LEAK: 2000}, changed=free)
    report = checks(heapspy, *BOTH, code=1)
    assert report["sites_of"] == "allocated bytes"
    assert by_name(report)["api+0x2010"]["from"] == 3000 * B4K
    assert "      sites by all bytes that they allocated\n" in heapspy("check", *BOTH).out
    # Not where it was asked otherwise.
    for words in (("--metric", "live"), ("--at", "last")):
        report = checks(heapspy, *BOTH, *words)
        assert report["sites_of"] == "live bytes" and report["n_too_small"] == 1
        out = heapspy("check", *BOTH, *words).out
        assert "      1 site of too few samples to tell; what they allocated may: --metric allocated\n" in out


def test_site_that_is_new(heapspy, sides):
    make_side(sides / "main", 5, {CACHE: 600, PARSER: 400})
    done = heapspy("check", *BOTH)
    line = next(line for line in done.out.splitlines() if "api+0x2010" in line)
    assert line.startswith("FAIL") and " 0 B -> " in line and "  new  " in line
    site = by_name(checks(heapspy, *BOTH, code=1))["api+0x2010"]
    assert site["change"] is None and site["change_ci"][1] is None and site["from"] == 0


def test_sites_are_found_in_another_build(heapspy, tmp_path):
    """The program lies elsewhere, is loaded elsewhere, and has another build id."""
    def rebuild(s):
        s.modules[0].path, s.modules[0].build_id = "/elsewhere/pr/api", b"\x01\x02"
        s.modules[1].path, s.modules[1].build_id = "/elsewhere/pr/libjson.so.1", b"\x03\x04"

    make_side(tmp_path / "main", 3)
    make_side(tmp_path / "pr", 3, {**USUAL, PARSER: 1000}, changed=rebuild)
    names = by_name(checks(heapspy, *BOTH, code=1))
    assert names["libjson.so.1+0x4030"]["verdict"] == "fail"
    assert names["libjson.so.1+0x4030"]["where"]["module"] == "/elsewhere/pr/libjson.so.1"
    assert names["api+0x2010"]["from"] > 0 and names["api+0x2010"]["to"] > 0
    names = by_name(checks(heapspy, *BOTH, "--by", "module", code=1))
    assert names["libjson.so.1"]["verdict"] == "fail" and names["api"]["verdict"] == "pass"


def test_small_sites_are_counted_only(heapspy, tmp_path):
    make_side(tmp_path / "main", 3, {LEAK: 200, PARSER: 2}, spread=0)
    make_side(tmp_path / "pr", 3, {LEAK: 200, PARSER: 2}, spread=0)
    done = heapspy("check", *BOTH)
    assert "      1 more site of too few samples to tell\n" in done.out
    assert checks(heapspy, *BOTH)["n_too_small"] == 1


def test_noisy_runs_are_skipped_and_say_so(heapspy, tmp_path):
    make_side(tmp_path / "main", 3, spread=.3)
    make_side(tmp_path / "pr", 3, spread=.3)
    done = heapspy("check", *BOTH)
    assert done.code == 0
    assert re.search(r"^SKIP  total allocated .* too noisy: would notice only \+\d+ %", done.out, re.M)
    assert re.search(r"^SKIP  \d more sites; the first: site \S+, too noisy: would notice only", done.out, re.M)
    assert done.out.splitlines()[-1].startswith("PASS  ")


def test_one_run_a_side(heapspy, sides):
    """Totals only, with a spread that is assumed; sites are told of and never fail."""
    report = checks(heapspy, "--baseline", "main/1", "--candidate", "pr/1/000001.hspy")
    assert {row["verdict"] for row in report["checks"] if "name" in row} == {"skip"}
    assert by_name(report)["api+0x2010"]["note"] == "would fail, but one run a side cannot tell"
    assert by_name(report)["total"]["note"] == "would notice only +87 %"
    make_run(sides / "big", "big", USUAL, total=18000 * MIB)
    report = checks(heapspy, "--baseline", "main/1", "--candidate", "big", code=1)
    assert by_name(report)["total"]["verdict"] == "fail"


def test_uneven_numbers_of_runs(heapspy, sides):
    report = checks(heapspy, "--baseline", "main", "--candidate", "pr/1")
    assert {row["verdict"] for row in report["checks"]} <= {"skip", "pass"}
    (sides / "pr" / "5" / "000001.hspy").unlink()
    (sides / "pr" / "5").rmdir()
    report = checks(heapspy, *BOTH, code=1)
    assert len(report["candidate"]["runs"]) == 4 and by_name(report)["api+0x2010"]["verdict"] == "fail"


def test_runs_lie_deeper_and_in_order_of_numbers(heapspy, tmp_path):
    make_side(tmp_path / "main" / "a" / "b", 3)
    make_side(tmp_path / "pr", 12)
    report = checks(heapspy, *BOTH)
    assert [run["path"] for run in report["baseline"]["runs"]] == [f"main/a/b/{i}" for i in (1, 2, 3)]
    assert [run["path"] for run in report["candidate"]["runs"]] == [f"pr/{i}" for i in range(1, 13)]


# -- the budget --

def test_budget(heapspy, sides):
    (sides / "budget").write_text("peak +40%   # more caches\n"
                                  "site api\\+0x2010 +150% 8MiB\n"
                                  "site .*json.* +10%\n"
                                  "site paser +5%\n"
                                  "ignore \\+0x3020\n"
                                  "no-leaks\n")
    done = heapspy("check", *BOTH, "--budget", "budget")
    assert done.code == 0
    assert done.err.startswith("heapspy: no-leaks and growth are checked of one long run, not here")
    report = checks(heapspy, *BOTH, "--budget", "budget")
    names = by_name(report)
    assert names["peak"]["limit"] == {"change": .4} and names["peak"]["budget_line"] == 1
    assert names["api+0x2010"]["limit"] == {"change": 1.5, "bytes": 8 * MIB}
    assert names["libjson.so.1+0x4030"]["limit"]["change"] == .1
    assert names["paser"]["verdict"] == "skip" and names["paser"]["note"] == "no such site in any run"
    assert "api+0x3020" not in names and report["n_ignored"] == 1
    # What the line is about is shown, though it passed.
    (sides / "budget").write_text("peak +40%\nsite api+0x2010 +150%\nsite api+0x2020 +5%\n")
    out = heapspy("check", *BOTH, "--budget", "budget").out
    assert re.search(r"^PASS  site api\+0x2010 .* limit \+150 % and 4 MiB$", out, re.M)
    assert re.search(r"^SKIP  site api\+0x2020 +no such site in any run; similar: api\+0x2010$", out, re.M)


def test_a_site_that_holds_nothing_is_told_from_one_that_is_not_there(heapspy, tmp_path):
    """0x2010 allocates, and nothing of it is live at the exit."""
    def allocate(s):
        s.stacks[LEAK - 1].allocated = tuple(100 * x for x in (1, 4096, B4K, scenario.V4K, scenario.C4K))

    for side in ("main", "pr"):
        make_side(tmp_path / side, 5, {**USUAL, LEAK: 0}, changed=allocate)
    (tmp_path / "budget").write_text("site api\\+0x2010 +5%\nsite nobody +5%\n")
    names = by_name(checks(heapspy, *BOTH, "--budget", "budget"))
    assert names["api\\+0x2010"]["note"] == (
        "it allocates, but nothing of it is live at the moment judged: --metric allocated compares it")
    assert names["nobody"]["note"] == "no such site in any run"


def test_options_go_before_the_budget(heapspy, sides):
    (sides / "budget").write_text("peak +1% 10GiB\n")
    assert heapspy("check", *BOTH, "--budget", "budget", "--ignore", "0x2010").code == 1
    names = by_name(checks(heapspy, *BOTH, "--budget", "budget", "--max-peak", "+40%", "--ignore", "0x2010"))
    assert names["peak"]["limit"] == {"change": .4} and names["peak budget"]["limit"] == {"bytes": 10 << 30}
    for option in ("--max-peak", "--max-total"):
        done = heapspy("check", *BOTH, option, "5%")
        assert done.code == 2 and done.err == f"heapspy: {option}: '5%' is not a size like 2GiB, nor growth like +5%\n"
    done = heapspy("check", *BOTH, "--ignore", "(")
    assert done.code == 2 and "--ignore '(' is no regular expression" in done.err


def test_limits_in_bytes(heapspy, sides):
    """The largest run counts; where the limit is within its range nobody can tell."""
    names = by_name(checks(heapspy, *BOTH, "--max-peak", "200MiB", "--max-total", "10GiB", code=1))
    assert names["peak budget"]["verdict"] == "fail" and names["total budget"]["verdict"] == "pass"
    low, high = names["peak budget"]["ci"]
    assert low < names["peak budget"]["bytes"] < high
    for limit, verdict in ((low - 1, "fail"), (low + 1000, "skip"), (high - 1000, "skip"), (high + 1, "pass")):
        names = by_name(checks(heapspy, *BOTH, "--max-peak", str(limit), code=1))
        assert names["peak budget"]["verdict"] == verdict
    assert "limit is within the range" in heapspy("check", *BOTH, "--max-peak", str(low + 1000)).out


@pytest.mark.parametrize("text, errors", [
    ("peak 5%\n", ["1:6: '5%' has no sign: write +5% for growth over the baseline"]),
    ("paek 2GiB\n\nsite new operator +5%\n", [
        "1:1: no line begins with 'paek'; did you mean peak?",
        "3:10: 'operator' is no limit such as +20% or 4MiB; a name with blanks stands in double quotes"]),
    ("x\n" * 12, [f"{i}:1: no line begins with 'x'; the words are total, peak, site, growth, no-leaks and ignore"
                  for i in range(1, 11)] + [" 2 more errors"]),
    ("peak\0", ["1:5: byte 0x00 is no text: a budget is lines of words, such as peak 2GiB"]),
    ("peak \033[2J", ["1:6: byte 0x1b is no text: a budget is lines of words, such as peak 2GiB"])])
def test_errors_in_the_budget(heapspy, sides, text, errors):
    (sides / "heap.budget").write_text(text)
    done = heapspy("check", *BOTH, "--budget", "heap.budget")
    assert done.code == 2 and done.out == ""
    assert done.err == "".join(f"heapspy: heap.budget:{error}\n" for error in errors)


def test_budget_that_cannot_be_read(heapspy, sides):
    for name, words in (("nothing", "cannot open 'nothing'"), ("main", "not a regular file")):
        done = heapspy("check", *BOTH, "--budget", name)
        assert done.code == 3 and words in done.err and done.err.count("\n") == 1
    (sides / "large").write_bytes(b"#" * (2 << 20))
    done = heapspy("check", *BOTH, "--budget", "large")
    assert done.code == 3 and "larger than 1 MiB" in done.err


# -- other forms of output --

def rename(name):
    def change(s):
        s.modules[0].path = "/nowhere/bin/" + name
    return change


def test_junit(heapspy, tmp_path):
    nasty = 'a<&>"\'\x01\udcff\ufffe]]>'
    make_side(tmp_path / "main", 3, changed=rename(nasty))
    make_side(tmp_path / "pr", 3, {**USUAL, LEAK: 2500, PARSER: 2}, changed=rename(nasty))
    (tmp_path / "budget").write_text("site .*4030 +1%\nsite nobody +1%\n")
    done = heapspy("check", *BOTH, "--junit", "out.xml", "--budget", "budget")
    assert done.code == 1 and done.out.startswith("PASS")
    suite = xml.dom.minidom.parse(str(tmp_path / "out.xml")).documentElement.getElementsByTagName("testsuite")[0]
    cases = {case.getAttribute("name"): case for case in suite.getElementsByTagName("testcase")}
    assert len(cases) == int(suite.getAttribute("tests")) == 6
    assert (suite.getAttribute("failures"), suite.getAttribute("skipped")) == ("1", "1")
    assert cases["site nobody"].getElementsByTagName("skipped")[0].getAttribute("message") == \
        "no such site in any run"
    (site,) = [case for name, case in cases.items() if name.endswith("+0x2010")]
    assert 'a<&>"\'' in site.getAttribute("name") and "\ufffd" in site.getAttribute("name")
    message = site.getElementsByTagName("failure")[0].getAttribute("message")
    assert "limit +20 % and 4 MiB" in message and "-> " in message
    assert heapspy("check", *BOTH, "--junit", "no/such/out.xml").code == 4


def test_github(heapspy, sides):
    (sides / "bud,get").write_text("\npeak +5%\n")
    done = heapspy("check", *BOTH, "--github", "--budget", "bud,get")
    errors = [line for line in done.out.splitlines() if line.startswith("::")]
    assert done.code == 1 and done.out.startswith("::error ") and len(errors) == 2
    assert errors[0].startswith("::error file=bud%2Cget,line=2,title=heapspy%3A peak live::")
    assert re.fullmatch(r"::error title=heapspy%3A site api\+0x2010::\S+ .iB -> \S+ .iB, \+\d+ %25 \(\S+\), "
                        r"limit \+20 %25 and 4 MiB", errors[1])
    done = heapspy("check", *BOTH, "--github", "-o", "out.txt")
    assert done.out.count("::error") == done.out.count("\n") == 2
    assert "::error" not in (sides / "out.txt").read_text()
    done = heapspy("check", *BOTH, "--github", "--json")
    assert done.code == 2 and "both print to standard output" in done.err
    assert json.loads((heapspy("check", *BOTH, "--github", "--json", "-o", "out.json"),
                       (sides / "out.json").read_text())[1])["verdict"] == "fail"


def test_names_cannot_steer_a_terminal_or_a_build_server(heapspy, tmp_path):
    evil = rename("a\033[31m\n::error title=x::%0A")
    make_side(tmp_path / "main", 3, changed=evil)
    make_side(tmp_path / "pr", 3, {**USUAL, LEAK: 2500}, changed=evil)
    done = heapspy("check", *BOTH, "--github", "--all", "--full-names")
    assert "\033" not in done.out + done.err
    assert sum(line.startswith("::") for line in done.out.splitlines()) == 1
    assert not any(line.startswith("::error title=x") for line in (done.out + done.err).splitlines())


def test_colors(heapspy, sides):
    out = heapspy("check", *BOTH, "--color", "always").out
    assert "\033[1;31mFAIL\033[0m" in out and "\033[32mPASS\033[0m" in out


# -- a second batch --

CONFIRM = """\
import os, pathlib, shutil
side, number = os.environ["HEAPSPY_CHECK_SIDE"], os.environ["HEAPSPY_CHECK_RUN"]
with open("log", "a") as log:
    print(side, number, file=log)
print("noise on standard output")
shutil.copy(pathlib.Path("again", side, number, "000001.hspy"), os.environ["HEAPSPY_DIR"])
"""


@pytest.fixture
def again(sides, tmp_path):
    """A command that makes runs like those that lie in again/."""
    (tmp_path / "again.py").write_text(CONFIRM)
    for side, k in (("baseline", 5), ("candidate", 5)):
        for i in range(1, k + 1):
            make_run(tmp_path / "again" / side / str(i), f"again {side} {i}", USUAL)
    return "/usr/bin/python3 again.py"


def test_confirm_passes_what_does_not_fail_again(heapspy, again, tmp_path):
    done = heapspy("check", *BOTH, "--confirm", again, TMPDIR=str(tmp_path))
    assert done.code == 0 and done.out.splitlines()[-1] == "PASS  5 checks passed."
    assert re.search(r"^PASS  site api\+0x2010 .*failed at first, \S+ % when run again$", done.out, re.M)
    assert done.err.count("heapspy: confirming: run ") == 10 and "noise on standard output" in done.err
    assert (tmp_path / "log").read_text().split("\n")[:4] == [
        "baseline 1", "candidate 1", "baseline 2", "candidate 2"]
    assert not list(tmp_path.glob("heapspy-check.*"))


def test_confirm_fails_what_fails_again(heapspy, again, tmp_path):
    for i in range(1, 6):
        make_run(tmp_path / "again" / "candidate" / str(i), f"again {i}", {**USUAL, LEAK: 2000})
    report = checks_with_confirm(heapspy, again)
    names = by_name(report)
    assert names["api+0x2010"]["verdict"] == "fail" and names["api+0x2010"]["note"].startswith("confirmed: +")
    # The peak did not grow again: its note is about another batch than its figures.
    assert names["peak"]["verdict"] == "pass" and names["peak"]["note"].startswith("failed at first, ")


def checks_with_confirm(heapspy, again):
    done = heapspy("check", "--json", *BOTH, "--confirm", again)
    assert done.code == 1
    return json.loads(done.out)


@pytest.mark.parametrize("command, words", [
    ("false", "run 1 of the baseline exited 1: false"),
    ("true", "run 1 of the baseline left no snapshot in HEAPSPY_DIR"),
    ("kill -9 $$", "run 1 of the baseline was ended by signal 9: kill -9 $$"),
    ("no-such-program-here", "exited 127")])
def test_confirm_that_does_not_run(heapspy, sides, command, words):
    done = heapspy("check", *BOTH, "-q", "--confirm", command, TMPDIR=str(sides))
    assert done.code == 4 and done.out == "" and words in done.err
    assert not list(sides.glob("heapspy-check.*"))


def test_confirm_runs_nothing_where_nothing_failed(heapspy, tmp_path):
    make_side(tmp_path / "main", 3)
    make_side(tmp_path / "pr", 3)
    assert heapspy("check", *BOTH, "--confirm", "touch ran").code == 0
    assert not (tmp_path / "ran").exists()


# -- what cannot be compared --

def refused(heapspy, *words):
    done = heapspy("check", *BOTH, *words)
    assert done.code == 3 and done.out == "" and 1 <= done.err.count("\n") <= 3, done.err
    return done.err


def test_different_programs(heapspy, sides):
    make_run(sides / "pr" / "3", "other", USUAL, comm="sh")
    assert refused(heapspy) == (
        "heapspy: runs of different programs: api ('main/1') and sh ('pr/3')\n"
        "heapspy: choose one with --program NAME, or compare them anyway with --force\n")
    assert heapspy("check", *BOTH, "--force").code in (0, 1)
    assert len(checks(heapspy, *BOTH, "--program", "api", code=1)["candidate"]["runs"]) == 4
    assert refused(heapspy, "--program", "apo") == "heapspy: no run of the program 'apo' below 'main'\n"


def test_program_inside_another(heapspy, tmp_path):
    """A shell that started what matters: its runs lie in those of the shell."""
    for side in ("main", "pr"):
        for i in range(1, 4):
            make_run(tmp_path / side / str(i), f"shell {side} {i}", {LEAK: 20}, comm="sh")
            make_run(tmp_path / side / str(i) / "api.7", f"api {side} {i}", USUAL)
    assert {run["program"] for run in checks(heapspy, *BOTH)["baseline"]["runs"]} == {"sh"}
    report = checks(heapspy, *BOTH, "--program", "api")
    assert [run["path"] for run in report["baseline"]["runs"]] == [f"main/{i}/api.7" for i in (1, 2, 3)]


def test_forked_children_are_no_runs(heapspy, sides):
    make_run(sides / "pr" / "worker", "worker", {LEAK: 1}, flags=2)
    done = heapspy("check", *BOTH)
    assert "heapspy: 1 forked children beside the runs are left out\n" in done.err
    assert len(checks(heapspy, *BOTH, code=1)["candidate"]["runs"]) == 5


def test_the_same_run_twice(heapspy, sides):
    done = heapspy("check", "--baseline", "main", "--candidate", "main/../main")
    assert done.code == 3 and "are the same: nothing to compare" in done.err
    (sides / "pr" / "6").mkdir()
    (sides / "pr" / "6" / "000001.hspy").write_bytes((sides / "main" / "2" / "000001.hspy").read_bytes())
    assert "'main/2' and 'pr/6' are the same run" in refused(heapspy)


def test_runs_with_and_without_an_end(heapspy, sides):
    make_run(sides / "pr" / "2", "killed", USUAL, reason=1)
    assert refused(heapspy).startswith("heapspy: 'pr/2' has no snapshot of its end (killed, or still running), "
                                       "'main/1' has one:\n")
    make_side(sides / "main", 5, reason=1)
    make_side(sides / "pr", 5, reason=1)
    done = heapspy("check", *BOTH)
    assert done.code == 0
    assert ("no run has a snapshot of its end: each is taken at its last, 0:01:00 to 0:01:00 from its start"
            in done.err)


def test_lost_samples(heapspy, sides):
    def lose(n):
        def change(s):
            s.losses[2] = n
            s.info["flags"] = 1 << 6
        return change

    make_side(sides / "pr", 5, changed=lose(20))
    done = heapspy("check", *BOTH)
    assert done.code == 0 and "5 of 10 runs: samples were lost; figures are lower bounds\n" in done.err
    make_side(sides / "pr", 5, changed=lose(5000))
    assert "'pr/1' lost 5000 of " in refused(heapspy)
    assert heapspy("check", *BOTH, "--force").code == 0


def test_totals_that_are_lower_bounds(heapspy, sides):
    make_run(sides / "pr" / "2", "lower", {**USUAL, LEAK: 2000}, flags=1 << 2)
    report = checks(heapspy, *BOTH, code=1)
    assert by_name(report)["total"]["verdict"] == "skip"
    assert by_name(report)["total"]["note"] == "1 of 10 runs had more threads than are counted"


def test_peaks_that_nobody_kept(heapspy, sides):
    make_side(sides / "main", 5, changed=lambda s: s.more.clear())
    report = checks(heapspy, *BOTH, code=1)
    assert by_name(report)["peak"]["note"] == "5 of 10 runs are of a library that does not keep the peak"


def test_not_interposed(heapspy, sides):
    make_run(sides / "pr" / "4", "blind", USUAL, flags=1, front_malloc="/usr/bin/api")
    assert refused(heapspy).startswith("heapspy: not interposed: malloc of /usr/bin/api stands before heapspy's")


def test_mixed_and_thinned_intervals(heapspy, sides):
    def thin(s):
        s.info["level"] = 1
        for x in s.live:
            x.birth_level = x.level = 1

    make_side(sides / "pr", 5, {LEAK: 500, CACHE: 300, PARSER: 200}, changed=thin)
    done = heapspy("check", *BOTH)
    assert done.code == 0
    assert ("runs are sampled at intervals of 512 KiB to 1 MiB (5 thinned): what is small is judged by the "
            "largest\n") in done.err
    site = by_name(checks(heapspy, *BOTH))["api+0x2010"]
    assert site["limit"]["bytes"] == 8 << 20 and site["change"] == pytest.approx(0, abs=.1)


def test_damaged_runs(heapspy, sides):
    data = (sides / "pr" / "1" / "000001.hspy").read_bytes()
    (sides / "pr" / "1" / "000001.hspy").write_bytes(data[:-5])
    assert "'pr/1' holds one snapshot, which cannot be read:" in refused(heapspy)
    (sides / "pr" / "1" / "000002.hspy").write_bytes(data)
    assert "1 of 10 runs: snapshots that cannot be read were passed over\n" in heapspy("check", *BOTH).err


def test_exact_runs(heapspy, tmp_path):
    def exact(s):
        s.info.update(interval_bytes=1, variance_unit_log2=0)
        for stack in s.stacks:
            stack.allocated = (100, 409600, s.info["bytes_seen"] // 4, 0, 102400)

    for side, n in (("main", 200), ("pr", 300)):
        make_side(tmp_path / side, 3, {LEAK: n, CACHE: 100}, spread=0, changed=exact)
    site = by_name(checks(heapspy, *BOTH, code=1))["api+0x2010"]
    assert (site["from"], site["to"], site["limit"]["bytes"]) == (200 * 4096, 300 * 4096, 8)


@pytest.mark.parametrize("words, message", [
    ((), "check needs a RUN, or --baseline and --candidate (see heapspy help check)"),
    (("--baseline", "main"), "--baseline needs --candidate beside it"),
    (("--candidate", "main"), "--candidate needs --baseline beside it"),
    ((*BOTH, "x"), "x is for one long RUN; --baseline and --candidate compare many"),
    ((*BOTH, "--no-leaks"), "--no-leaks is for one long RUN; --baseline and --candidate compare many"),
    (("main/1", "--no-leaks", "--confirm", "x"), "--confirm compares runs: it needs --baseline and --candidate"),
    (("main/1",), "nothing to check of one run: give --no-leaks, --max-peak 2GiB, --max-growth 5MiB/h or a "
                  "--budget with these"),
    (("main/1", "--max-growth", "5"), "--max-growth: '5' is not a size per time like 5MiB/h (s, min, h, d)"),
    (("main", "--no-leaks"), "'main' holds 5 runs: check one of them ('main/1'), or compare with --baseline and "
                             "--candidate")])
def test_wrong_usage(heapspy, sides, words, message):
    done = heapspy("check", *words)
    assert (done.code, done.out, done.err) == (2, "", f"heapspy: {message}\n")


def test_places_that_are_none(heapspy, sides):
    done = heapspy("check", "--baseline", "mian", "--candidate", "pr")
    assert done.code == 3 and done.err.startswith("heapspy: there is no baseline 'mian'")
    (sides / "empty").mkdir()
    done = heapspy("check", "--baseline", "main", "--candidate", "empty")
    assert done.code == 3 and "no runs in 'empty': the candidate is a run, or a directory with" in done.err


# -- one long run --

def test_leaks_of_a_long_run(heapspy, tmp_path):
    run = made_runs.everything(60)
    run.write(tmp_path / "soak")
    done = heapspy("check", "soak", "--no-leaks")
    assert done.code == 1
    lines = done.out.splitlines()
    assert re.fullmatch(r"FAIL  leaks  +1 leak-like site in 61 snapshots over 30 min", lines[0])
    assert re.match(rf"FAIL  leak at {re.escape(run.offset('leak'))}  +\S+ [MG]iB/h \(.*\)  +0 of \d+ old samples "
                    r"freed, it grew in [4-6] of 6 parts", lines[1])
    assert re.match(rf"SKIP  leak at {re.escape(run.offset('slowing'))}  .*leak-like, slowing, but not certain", lines[2])
    assert lines[-1] == "FAIL  1 of 1 check failed.  Reproduce: heapspy trend soak"
    # Nothing else of all that sites can do fails.
    report = checks(heapspy, "soak", "--no-leaks", code=1)
    assert [row["name"] for row in report["checks"] if row["verdict"] == "fail" and "name" in row] == [
        run.offset("leak")]
    row = report["checks"][1]
    per_second = 2 * B4K / 30
    assert row["ci"][0] < per_second < row["ci"][1]
    assert heapspy("check", "soak", "--no-leaks", "--ignore", "0x2010").code == 0


def test_no_leaks(heapspy, tmp_path):
    run = made_runs.Run([*made_runs.steady("a"), *made_runs.churn("b", 40), *made_runs.lru("c", 40)])
    run.write(tmp_path / "soak")
    done = heapspy("check", "soak", "--no-leaks")
    assert done.code == 0
    assert re.match(r"PASS  leaks +no leak-like site in 41 snapshots over 20 min; slower than \S+ MiB/h would not be "
                    r"seen\n", done.out)
    run.write(tmp_path / "short", cuts=range(3))
    done = heapspy("check", "short", "--no-leaks")
    assert done.code == 0 and "SKIP  leaks" in done.out and "a verdict needs 9" in done.out
    assert done.out.splitlines()[-1] == "PASS  nothing failed, but the only check was skipped."


def test_growth(heapspy, tmp_path):
    """Two samples of half a MiB in 30 s are 120 MiB/h."""
    made_runs.Run([*made_runs.leak("leak", 60), *made_runs.steady("rest")], n=60).write(tmp_path / "soak")
    (row,) = checks(heapspy, "soak", "--max-growth", "10MiB/h", code=1)["checks"]
    true = 2 * B4K / 30
    assert row["ci"][0] < row["bytes_per_second"] < row["ci"][1]
    assert row["bytes_per_second"] == pytest.approx(true, rel=.1)
    for rate, verdict in ((row["ci"][0] * .99, "fail"), (true, "skip"), (row["ci"][1] * 1.01, "pass")):
        report = checks(heapspy, "soak", "--max-growth", f"{int(rate)}/s", code=int(verdict == "fail"))
        assert report["checks"][0]["verdict"] == verdict, (rate, row)


def test_what_rises_and_falls_does_not_grow(heapspy, tmp_path):
    """A sawtooth is at its crest at the end, and was low in the middle of the run."""
    made_runs.Run([*made_runs.sawtooth("batch", 59, periods=5, per_epoch=40)], n=59).write(tmp_path / "soak")
    (row,) = checks(heapspy, "soak", "--max-growth", "400MiB/h")["checks"]
    assert row["bytes_per_second"] < 100 * MIB / 3600


def test_limits_of_one_run(heapspy, tmp_path):
    make_run(tmp_path / "run", "run", USUAL)
    (tmp_path / "budget").write_text("peak 2GiB +5%\ntotal 100MiB\ngrowth 5MiB/h\nno-leaks\nsite x +5%\n")
    done = heapspy("check", "run", "--budget", "budget")
    assert done.code == 1
    assert done.err.startswith("heapspy: growth in % and sites are checked against a baseline, not here\n")
    verdicts = [LINES.match(line).group(1, 2) for line in done.out.splitlines()]
    assert [(verdict, text.split("  ")[0]) for verdict, text in verdicts[:-1]] == [
        ("FAIL", "total allocated"), ("PASS", "peak live"), ("SKIP", "growth"), ("SKIP", "leaks")]
    assert verdicts[-1] == ("FAIL", "1 of 4 checks failed, 2 skipped.  Reproduce: heapspy top --metric allocated run")
    assert checks(heapspy, "run/000001.hspy", "--max-peak", "1GiB")["form"] == "run"
    done = heapspy("check", "run/000001.hspy", "--no-leaks")
    assert done.code == 2 and done.err == ("heapspy: 'run/000001.hspy' is one snapshot: leaks and growth take a run "
                                           "directory\n")
