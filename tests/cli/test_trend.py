"""heapspy trend on made-up runs whose every block is known."""
import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess

import made_runs
import pytest
from conftest import BUILD
from made_runs import MIB
from pty_screen import PtyScreen

GOLDEN_TEXT = """\
api (pid 4121)  0:10:00 -> 0:30:00   41 snapshots, every 30 s   mean interval 512 KiB
1 leak-like site, losing 2.01 MiB/min (1.39..2.75).
Live heap: 12.5 MiB -> 52.7 MiB, RSS 32.5 MiB -> 72.7 MiB.

  verdict    rate/min  95 % range  live             now  why                                              where
  leak-like  2.01 MiB  1.39..2.75  ▁▁▂▃▄▅▆▇██  40.2 MiB  0 of 36 old samples freed; grew in 6 of 6 parts  api+0x2010
  steady 2   (--all)

Leak-like over 20 min: a cache that fills more slowly than 10 min would look the same. \
Slower than 410 KiB/min may go unseen.
"""
GOLDEN_HINT = "Stacks of the first: heapspy diff run@1 run@41 --by site --focus 'api\\+0x2010'\n"
# What an interval of 16 expected samples asks for, at 41 cuts 30 s apart.
SMALLEST_PER_MINUTE = 16 * made_runs.R / 20


def simple(n=40, **options):
    return made_runs.Run([*made_runs.leak("leak", n), *made_runs.steady("steady"),
                          *made_runs.churn("churn", n)], n=n, **options)


@pytest.fixture
def run(tmp_path):
    return simple().write(tmp_path / "run")


@pytest.fixture
def every(tmp_path):
    made = made_runs.everything()
    made.write(tmp_path / "run")
    return made


def report(heapspy, *words):
    done = heapspy("trend", "--json", "-q", "run", *words)
    assert done.code == 0 and done.err == "", done.err
    return json.loads(done.out)


def verdicts(heapspy, made, *words):
    names = {made.offset(site): site for site in made.sites}
    return {names[row["where"]["function"]]: row["verdict"] for row in report(heapspy, *words)["rows"]}


def text(heapspy, *words, **extra):
    done = heapspy("trend", "run", "-q", *words, **extra)
    assert done.code == 0 and done.err == "", done.err
    return done.out


def test_golden_text(heapspy, run):
    done = heapspy("trend", "run")
    assert done.out == GOLDEN_TEXT + GOLDEN_HINT
    assert done.err == ("heapspy: 5 of 5 addresses in api have no symbols (build id 6d9e85cf): "
                        "file not found\n")
    assert done.code == 0


def test_quiet_leaves_hints_and_warnings_out(heapspy, run):
    assert text(heapspy) == GOLDEN_TEXT


def test_every_verdict(heapspy, every):
    assert verdicts(heapspy, every) == {
        "leak": "leak-like", "slowing": "leak-like, slowing", "container": "growing container",
        "turning": "growing, blocks turn over", "sawtooth": "sawtooth/cache",
        "warm": "steady after warm-up", "churn": "steady", "steady": "steady", "shrinking": "shrinking",
        "one_off": "one-off step", "ramp": "load-following", "lru": "sawtooth/cache",
        "few": "too few samples"}


def test_the_answer_comes_first(heapspy, every):
    lines = text(heapspy).splitlines()
    assert re.match(r"2 leak-like sites \(1 slowing\), together losing [\d.]+ MiB/min \([\d.]+\.\.[\d.]+\); "
                    r"1 grows but turns over, 1 is a growing container\.$", lines[1])
    assert lines[5].startswith("  leak-like ")
    assert [line.split("  ")[1] for line in lines[5:] if line.endswith("010")] == [
        "leak-like", "slowing", "container", "turning over", "sawtooth"]
    assert ("  cache 1 · load-following 1 · one-off step 1 · steady, warmed up 1 · steady 2 · shrinking 1 · "
            "too few samples 1   (--all)") in lines


@pytest.mark.parametrize("site, words", [
    ("leak", r"0 of 36 old samples freed; grew in 6 of 6 parts"),
    ("slowing", r"growth has slowed by \d\d % though the load rose by \d+ %: a cache still filling, or a "
                r"leak with fewer triggers"),
    ("container", r"2\.04 -> 16 MiB in 1 block, each replaced by a larger one"),
    ("turning", r"levels off near [\d.]+ MiB \([\d.]+\.\.[\d.]+\); \d+ of \d+ old samples freed"),
    ("sawtooth", r"4 swings between 0 B and 48\.2 MiB"),
    ("lru", r"old blocks are renewed: [\d.]+ MiB of them freed; 28 of 28 old samples freed"),
    ("ramp", r"grew by [\d.]+ MiB \(.*\); 0 % of it is old"),
    ("one_off", r"10 MiB between 0:19:30 and 0:20:00"),
    ("warm", r"grew by 19\.6 MiB \(.*\); in the second half by 0 B \(.*\)"),
    ("shrinking", r"shrank by 20\.1 MiB \(.*\)"),
    ("steady", r"changed by 0 B \(.*\)"),
    ("few", r"2 samples")])
def test_why(heapspy, every, site, words):
    (row,) = [row for row in report(heapspy)["rows"] if row["where"]["function"] == every.offset(site)]
    assert re.fullmatch(words, row["why"]), row["why"]
    lines = text(heapspy, "--all").splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith(every.offset(site)))
    assert lines[at + 1] == "      " + row["why"]


def test_slowing_at_the_same_load(heapspy, tmp_path):
    made_runs.Run([*made_runs.slowing("slowing", 40), *made_runs.churn("churn", 40, per_epoch=30),
                   *made_runs.one_off("one", 40)]).write(tmp_path / "run")
    out = text(heapspy)
    assert re.search(r"growth has slowed by \d\d % at the same load: ", out)
    assert out.splitlines()[1].startswith("1 leak-like site (slowing), losing ")


def test_slowing_beyond_the_load(heapspy, tmp_path):
    made_runs.Run([*made_runs.slowing("slowing", 40), *made_runs.churn("churn", 20, per_epoch=40),
                   *[made_runs.Block("churn", e, e + 1) for e in range(21, 41) for _ in range(28)]]).write(
        tmp_path / "run")
    assert re.search(r"growth has slowed by \d\d % beyond the \d\d % by which the load fell: ", text(heapspy))


def test_json_reconciles(heapspy, every):
    found = report(heapspy)
    assert found["schema"] == "heapspy.trend/1" and found["has_verdicts"] is True
    assert found["n_intervals"] == 40 and found["interval_seconds"] == 30
    assert found["window_seconds"] == 1200 and found["alike_from_seconds"] == 600
    assert found["interval_bytes"] == made_runs.R and found["exact"] is False
    assert found["smallest_bytes_per_minute"] == round(SMALLEST_PER_MINUTE)
    assert [cut["number"] for cut in found["cuts"]] == list(range(1, 42))
    assert [cut["time_seconds"] for cut in found["cuts"]] == [600 + 30 * i for i in range(41)]
    assert found["last"]["number"] == 41 and found["limit"] is None
    rows = found["rows"]
    names = {every.offset(site): site for site in every.sites}
    assert len(rows) == len(every.sites)
    for row in rows:
        site = names[row["where"]["function"]]
        assert row["series"] == [every.live_bytes(site, cut) for cut in range(41)]
        assert (row["first"], row["last"]) == (row["series"][0], row["series"][-1])
        assert (row["min"], row["max"]) == (min(row["series"]), max(row["series"]))
        assert row["ci"][0] <= row["bytes_per_minute"] <= row["ci"][1]
        assert row["n_stacks"] == 1 and row["stacks"][0]["last"] == row["last"]
        growth = row["evidence"]["all"]["bytes"]
        assert growth == row["last"] - row["first"] == -row["evidence"]["shrink"]["bytes"]
    assert found["live"] == {"first": sum(row["first"] for row in rows),
                             "last": sum(row["last"] for row in rows)}
    leaks = [row for row in rows if row["verdict"].startswith("leak-like")]
    assert found["leaks"]["n_sites"] == len(leaks) == 2
    assert abs(found["leaks"]["bytes_per_minute"] - sum(row["bytes_per_minute"] for row in leaks)) <= 1
    assert sum(found["n_sites"].values()) == len(rows)
    assert found["n_sites"]["leak-like"] == 1 and found["n_sites"]["steady"] == 2
    order = list(found["n_sites"])
    assert [row["verdict"] for row in rows] == sorted((row["verdict"] for row in rows), key=order.index)


def test_the_rate_is_that_of_the_leak(heapspy, run):
    row = report(heapspy)["rows"][0]
    # Two samples of 4 KiB blocks in each half minute.
    assert row["bytes_per_minute"] == 4 * made_runs.bytes_of(4096)
    assert row["evidence"]["old_samples"] == 36 and row["evidence"]["old_died"] == 0
    assert row["evidence"]["strong"] is True and row["evidence"]["tested"] is True
    assert sum(row["evidence"]["bins"]) == 2 * 37 * made_runs.bytes_of(4096)


def test_csv_says_what_json_says(heapspy, every):
    done = heapspy("trend", "run", "-q", "--csv")
    lines = list(csv.DictReader(io.StringIO(done.out, newline=""), strict=True))
    rows = report(heapspy)["rows"]
    assert len(lines) == len(rows) and done.err == ""
    for line, row in zip(lines, rows):
        evidence = row["evidence"]
        assert list(line.values()) == ["" if value is None else str(value) for value in (
            row["where"]["function"], None, None, row["where"]["module"], None, row["verdict"],
            row["bytes_per_minute"], *row["ci"], row["first"], row["last"], row["min"], row["max"],
            evidence["samples"], evidence["old_samples"], evidence["old_died"], evidence["bins_up"],
            row["why"], None, None)]


def test_nothing_found_is_said_as_plainly(heapspy, tmp_path):
    made_runs.Run([*made_runs.steady("steady"), *made_runs.churn("churn", 40)]).write(tmp_path / "run")
    lines = text(heapspy).splitlines()
    assert lines[1] == ("No leak-like site among 2: a steady leak of 410 KiB/min or more at one of them would "
                        "probably show.")
    assert lines[3:] == ["", "  steady 2   (--all)", ""]
    assert heapspy("trend", "run", "-q", "--exit-code").code == 0


def test_other_growth_is_named_when_there_is_no_leak(heapspy, tmp_path):
    n = 40
    made_runs.Run([*made_runs.warm_up("warm", n), *made_runs.one_off("one", n), *made_runs.ramp("ramp", n)
                   ]).write(tmp_path / "run")
    assert text(heapspy).splitlines()[1].endswith(
        "; 1 follows the load, 1 grew at the start only, 1 grew once.")


def test_rss_that_no_site_explains(heapspy, tmp_path):
    def grow(mib):
        return lambda s: s.info.update(rss_bytes=(100 + mib * (s.info["number"] > 1)) * MIB)

    simple().write(tmp_path / "run", grow(100))
    line = "Live heap: 12.5 MiB -> 52.7 MiB, RSS 100 MiB -> 200 MiB"
    assert text(heapspy).splitlines()[2] == (
        line + "; 59.8 MiB of that is not heap (allocator, stacks, mappings).")
    assert "not heap" not in text(heapspy, "--focus", "0x2010")
    simple().write(tmp_path / "run", grow(44))
    assert text(heapspy).splitlines()[2] == "Live heap: 12.5 MiB -> 52.7 MiB, RSS 100 MiB -> 144 MiB."


def test_what_python_keeps_for_itself(heapspy, tmp_path):
    """Little beside other programs, and most of what grows here."""
    def change(s):
        s.info.update(comm="python3", rss_bytes=(9 + 3 * (s.info["number"] > 1)) * MIB)

    made_runs.Run([*made_runs.steady("steady")]).write(tmp_path / "run", change)
    assert ("RSS 9 MiB -> 12 MiB; 3 MiB of that is not heap (arenas of Python? run it with PYTHONMALLOC=malloc "
            "to see what they hold).\n") in text(heapspy)
    made_runs.Run([*made_runs.steady("steady")]).write(
        tmp_path / "run", lambda s: change(s) or s.info.update(comm="api"))
    assert "; 3 MiB of that is not heap (allocator, stacks, mappings).\n" in text(heapspy)
    # Next to an RSS of 90 MiB it is not worth a word.
    made_runs.Run([*made_runs.steady("steady")]).write(
        tmp_path / "run", lambda s: change(s) or s.info.update(rss_bytes=s.info["rss_bytes"] + 81 * MIB))
    assert "not heap" not in text(heapspy)


def give_limit(used_mib):
    def change(s):
        s.more.update(limit_kind=1, limit_bytes=1 << 30, limit_used_bytes=used_mib * MIB)
    return change


def test_forecast_to_the_limit_of_the_run(heapspy, tmp_path):
    simple().write(tmp_path / "run", give_limit(24))
    found = report(heapspy)
    limit, (lo, hi) = found["limit"], found["leaks"]["ci"]
    left = 1000 * MIB
    assert (limit["bytes"], limit["used_bytes"], limit["kind"]) == (1 << 30, 24 * MIB, "cgroup")
    assert abs(limit["reached_in_seconds"] - 60 * left / found["leaks"]["bytes_per_minute"]) <= 1
    assert abs(limit["ci"][0] - 60 * left / hi) <= 1 and abs(limit["ci"][1] - 60 * left / lo) <= 1
    assert text(heapspy).splitlines()[3] == (
        "At this rate the memory limit (1 GiB, cgroup; 24 MiB used) is reached in 8.3 h (6.1..12) from the "
        "last snapshot.")


def test_limit_from_the_command_line(heapspy, tmp_path, run):
    # What counts against it is the resident memory, 20 MiB above the live heap.
    line = text(heapspy, "--limit", "512MiB").splitlines()[3]
    assert line.startswith("At this rate the memory limit (512 MiB; 72.7 MiB used) is reached in 3.6 h (")
    assert text(heapspy, "--limit", "64MiB").splitlines()[3] == (
        "The memory limit (64 MiB) is reached: 72.7 MiB are used.")
    assert report(heapspy, "--limit", "64MiB")["limit"]["reached_in_seconds"] is None
    assert text(heapspy, "--limit", "1GiB", "--ignore", "0x2010").splitlines()[3] == (
        "Nothing grows for certain that would reach the memory limit (1 GiB; 72.7 MiB used).")
    # What the run knows is not in its way.
    simple().write(tmp_path / "run", give_limit(24))
    assert "(512 MiB; 72.7 MiB used)" in text(heapspy, "--limit", "512MiB")
    assert "memory limit" not in text(heapspy, "--ignore", "0x2010")
    for wrong in ("0", "much"):
        done = heapspy("trend", "run", "--limit", wrong)
        assert done.code == 2 and f"--limit: '{wrong}' is not a size like 512MiB or 4GiB" in done.err


def test_the_limit_is_that_of_the_newest_snapshot_that_knows_one(heapspy, tmp_path):
    """Those taken after the end of the process do not."""
    def change(s):
        if s.info["number"] <= 38:
            give_limit(10 + s.info["number"])(s)
        else:
            s.info.update(rss_bytes=0)

    simple().write(tmp_path / "run", change)
    assert re.search(r"^At this rate the memory limit \(1 GiB, cgroup; 48 MiB used\) is reached in .*"
                     r" from the snapshot at 0:28:30\.$", text(heapspy), re.M)
    limit = report(heapspy)["limit"]
    assert (limit["used_bytes"], limit["time_seconds"]) == (48 * MIB, 1710)
    # The RSS as well, where the limit is given.
    assert " (1 GiB; 69.7 MiB used) " in text(heapspy, "--limit", "1GiB")


def test_the_forecast_knows_what_grows_beside_leaks(heapspy, tmp_path):
    made_runs.Run([*made_runs.leak("leak", 40, per_epoch=2), *made_runs.turning_over("turning", 40, per_epoch=9)]
                  ).write(tmp_path / "run", give_limit(24))
    found = report(heapspy)
    limit, left = found["limit"], 60 * 1000 * MIB
    rates = [row["bytes_per_minute"] for row in found["rows"]]
    assert [row["verdict"] for row in found["rows"]] == ["leak-like", "growing, blocks turn over"]
    assert abs(limit["all_growth"]["bytes_per_minute"] - sum(rates)) <= 1
    assert abs(limit["with_all_growth"]["reached_in_seconds"] - left / sum(rates)) <= 1
    assert abs(limit["reached_in_seconds"] - left / rates[0]) <= 1
    assert re.search(r"^At the rate of the leaks the memory limit \(1 GiB, cgroup; 24 MiB used\) is reached in "
                     r"\S+ h \(\S+\) from the last snapshot; with all that grows \(\S+ MiB/min\) in \S+ h "
                     r"\(\S+\)\.$", text(heapspy), re.M)
    made_runs.Run(made_runs.turning_over("turning", 40, per_epoch=9)).write(tmp_path / "run", give_limit(24))
    out = text(heapspy)
    assert re.search(r"^No leak; if all that grows went on \(\S+ MiB/min\), the memory limit \(1 GiB, cgroup; "
                     r"24 MiB used\) would be reached in \S+ h \(\S+\) from the last snapshot\.$", out, re.M)
    # Beside it a leak might well go unseen.
    assert "probably show" not in out and report(heapspy)["limit"]["reached_in_seconds"] is None


def test_what_slows_down_may_never_reach_the_limit(heapspy, tmp_path):
    made_runs.Run(made_runs.slowing("slowing", 40)).write(tmp_path / "run", give_limit(24))
    assert re.search(r"is reached in [\d.]+ h \([\d.]+ or later; never, if growth goes on slowing\) from the "
                     r"last snapshot\.\n", text(heapspy))
    assert report(heapspy)["limit"]["ci"][1] is None


def test_fewer_cuts_than_verdicts_need(heapspy, tmp_path):
    simple().write(tmp_path / "run", cuts=range(6))
    out = text(heapspy)
    assert out.startswith("6 snapshots on time, every 30 s: verdicts need 9, in about 90 s. "
                          "What grew so far:\n\n")
    assert out.partition("\n\n")[2] == heapspy("diff", "run@1", "run@6", "-q").out
    assert heapspy("trend", "run", "-q", "--exit-code").code == 0
    found = json.loads(heapspy("trend", "run", "-q", "--json").out)
    assert (found["has_verdicts"], found["n_intervals"], found["n_intervals_needed"], found["rows"]) == (
        False, 5, 8, [])
    assert found["diff"] == json.loads(heapspy("diff", "run@1", "run@6", "-q", "--json").out)
    done = heapspy("trend", "run", "--csv")
    assert done.out.count("\n") == 1 and "verdicts need 9" in done.err
    simple().write(tmp_path / "run", cuts=[6, 7])
    assert "8 snapshots on time" in text(heapspy)
    simple().write(tmp_path / "run", cuts=[8])
    assert text(heapspy).splitlines()[1].startswith("1 leak-like site, losing ")


def test_a_short_run_that_has_ended_is_not_waited_for(heapspy, tmp_path):
    simple().write(tmp_path / "run", lambda s: s.info.update(reason=1 + (s.info["number"] == 5)),
                   cuts=range(5))
    assert text(heapspy).startswith("5 snapshots on time, every 30 s: verdicts need 9; run it longer, or "
                                    "with a shorter --interval. What grew so far:\n")


@pytest.mark.parametrize("words, code, message", [
    (("one",), 3, "'one' holds one snapshot (at 0:11:30): nothing to compare; snapshots come every "
     "HEAPSPY_INTERVAL (60s unless set); see: heapspy top one"),
    (("run/000003.hspy",), 2, "'run/000003.hspy' is a file: trend takes a run directory (one moment: "
     "heapspy top)"),
    (("run@last",), 2, "trend takes a whole run: 'run', and --since or --until for a part of it"),
    (("nun",), 3, "there is no run directory 'nun'; did you mean 'run'?"),
    (("run/",), 0, None),
    (("empty",), 3, "'empty' is a directory without snapshots (NNNNNN.hspy)"),
    ((), 2, "usage: heapspy trend [OPTION]... RUN (see heapspy help trend)"),
    (("run", "one"), 2, "usage: heapspy trend [OPTION]... RUN (see heapspy help trend)"),
    (("run", "--since", "@last", "--until", "first"), 2,
     "--since @last is not before --until first: nothing lies between"),
    (("run", "--since", "soon"), 2, "--since: 'run@soon' is no moment; use @first, @last, @peak, @3, @10m, "
     "@-5m, @14:03 or @mark:NAME"),
    (("run", "--since", "mark:x"), 3, "--since: no snapshot of 'run' has the mark 'x'; it has no marks"),
    (("run", "--until", "1"), 3, "--since and --until leave one of the 41 snapshots of 'run': nothing to "
     "compare"),
    (("run", "--count", "3"), 2, "--count goes with --watch"),
    (("run", "--watch", "--csv"), 2, "--watch goes on and on: --csv does not go with it"),
    (("run", "--watch", "-o", "x"), 2, "--watch goes on and on: --output does not go with it"),
    (("run", "--watch", "--until", "3"), 2, "--watch goes on and on: --until does not go with it"),
    (("run", "--json", "--csv"), 2, "--json and --csv exclude each other"),
    (("run", "--focus", "nowhere"), 3, "no samples match --focus 'nowhere' (3 sites)"),
    (("run", "--focus", "("), 2, None)])
def test_wrong_input_takes_one_line(heapspy, tmp_path, run, words, code, message):
    simple().write(tmp_path / "one", cuts=[3])
    (tmp_path / "empty").mkdir()
    done = heapspy("trend", *words)
    assert done.code == code and (code == 0 or done.out == "")
    if code:
        assert done.err.startswith("heapspy: ") and done.err.count("\n") == 1
    if message:
        assert done.err == f"heapspy: {message}\n"


def test_not_interposed_is_refused(heapspy, tmp_path):
    simple().write(tmp_path / "run", lambda s: s.info.update(flags=1, front_malloc="/usr/bin/api"))
    done = heapspy("trend", "run")
    assert done.code == 3 and done.out == ""
    assert done.err.startswith("heapspy: not interposed: malloc of /usr/bin/api stands before heapspy's")
    assert text(heapspy, "--force") == GOLDEN_TEXT


# -- leaks inside rows that do not leak --

GOLDEN_HIDDEN = """\
api (pid 4121)  0:10:00 -> 0:30:00   41 snapshots, every 30 s   mean interval 512 KiB
No function is leak-like as a whole, but 1 call path inside one that turns over is, losing 2.01 MiB/min (1.39..2.75).
Live heap: 48.2 MiB -> 88.3 MiB, RSS 68.2 MiB -> 108 MiB.

  verdict       rate/min  95 % range  live             now  where
  leak-like     2.01 MiB  1.39..2.75  ▁▁▂▃▄▅▆▇██  40.2 MiB  api+0x4010
      0 of 36 old samples freed; grew in 6 of 6 parts
      inside api+0x4010, which turns over; called from api+0x2010
  turning over  2.01 MiB  0.55..3.48  ▁▁▂▃▄▅▆▇██  88.3 MiB  api+0x4010
      64 of 108 old samples freed

Leak-like over 20 min: a cache that fills more slowly than 10 min would look the same. \
Slower than 410 KiB/min may go unseen.
"""


def hidden(*more, **options):
    """What leaks and what is cached, for most of the time, come from one function, of two callers."""
    n = options.setdefault("n", 40)
    blocks = 4 * (3 * n // 5)
    through = {"leak": "wrapper", "cache": "wrapper", **options.pop("through", {})}
    return made_runs.Run([*made_runs.leak("leak", n), *made_runs.lru("cache", n, blocks), *more],
                         sites=("leak", "cache", "wrapper", *dict.fromkeys(b.site for b in more)),
                         through=through, **options)


@pytest.fixture
def wrapped(tmp_path):
    made = hidden()
    made.write(tmp_path / "run")
    return made


def test_a_leak_of_one_caller_is_told(heapspy, wrapped):
    assert text(heapspy) == GOLDEN_HIDDEN
    assert heapspy("trend", "run").out.splitlines()[-1] == (
        "All stacks around the first: heapspy trend run --by site --focus 'api\\+0x4010'")
    assert heapspy("trend", "run", "--exit-code").code == 1
    assert heapspy("trend", "run", "--exit-code", "--ignore", "0x2010").code == 0
    assert heapspy("trend", "run", "--exit-code", "--watch", "--count", "1").code == 1


def test_the_hint_shows_the_same(heapspy, wrapped):
    first = report(heapspy, "--by", "site", "--focus", "api\\+0x4010")["rows"][0]
    (inside,) = report(heapspy)["rows"][0]["inside"]
    same = ("verdict", "bytes_per_minute", "ci", "why", "first", "last", "min", "max", "series")
    assert {key: first[key] for key in same} == {key: inside[key] for key in same}
    # A whole stack holds nothing else.
    assert not any(row["inside"] for row in report(heapspy, "--by", "site")["rows"])


def test_json_has_it_inside_its_row(heapspy, wrapped):
    found = report(heapspy)
    (row,) = found["rows"]
    (inside,) = row["inside"]
    assert row["verdict"] == "growing, blocks turn over" and inside["verdict"] == "leak-like"
    assert inside["kind"] == "call" and inside["called_from"] == f"called from {wrapped.offset('leak')}"
    assert inside["where"]["function"] == row["where"]["function"] == wrapped.offset("wrapper")
    assert inside["series"] == [wrapped.live_bytes("leak", cut) for cut in range(41)]
    assert set(row) - set(inside) == {"inside"} and set(row["evidence"]) - {"level_ci"} == set(inside["evidence"])
    assert inside["n_stacks"] == 1 and row["n_stacks"] == 2
    assert [frame["function"] for frame in inside["stacks"][0]["frames"]] == [
        wrapped.offset("wrapper"), wrapped.offset("leak"), "api+0x1000", "api+0x100"]
    # Sites are counted once, and what leaks is.
    assert found["leaks"]["n_sites"] == found["leaks"]["n_inside"] == 1
    assert found["leaks"]["bytes_per_minute"] == inside["bytes_per_minute"] == 4 * made_runs.bytes_of(4096)
    assert found["n_sites"]["leak-like"] == 0 and sum(found["n_sites"].values()) == 1
    assert found["live"]["last"] == row["last"]


def test_csv_has_it_as_a_line(heapspy, wrapped):
    lines = list(csv.DictReader(io.StringIO(heapspy("trend", "run", "-q", "--csv").out, newline="")))
    assert [(line["verdict"], line["inside"], line["called_from"]) for line in lines] == [
        ("leak-like", wrapped.offset("wrapper"), f"called from {wrapped.offset('leak')}"),
        ("growing, blocks turn over", "", "")]
    (row,) = report(heapspy)["rows"]
    assert lines[0]["bytes_per_minute"] == str(row["inside"][0]["bytes_per_minute"])


def test_forecast_of_a_hidden_leak(heapspy, wrapped):
    limit = report(heapspy, "--limit", "512MiB")["limit"]
    left = 512 * MIB - limit["used_bytes"]
    assert abs(limit["reached_in_seconds"] - 60 * left / (4 * made_runs.bytes_of(4096))) <= 1


def test_several_leaks_hidden_and_not(heapspy, tmp_path):
    made = hidden(*made_runs.leak("open", 40), *made_runs.slowing("slow", 40), *made_runs.lru("other", 40, 96),
                  through={"slow": "second", "other": "second"})
    made.sites += ("second",)
    made.write(tmp_path / "run")
    out = text(heapspy)
    assert re.match(r"3 leak-like sites \(1 slowing\), 2 of them inside functions that are not, together losing "
                    r"[\d.]+ MiB/min \([\d.]+\.\.[\d.]+\)\.$", out.splitlines()[1])
    assert [line.split("  ")[1] for line in out.splitlines()[5:] if line.endswith("010") and "inside" not in line
            ][:3] == ["leak-like", "leak-like", "slowing"]
    found = report(heapspy)
    assert found["leaks"]["n_sites"] == 3 and found["leaks"]["n_inside"] == 2
    rates = [row["bytes_per_minute"] for row in found["rows"] if row["verdict"].startswith("leak-like")]
    rates += [inside["bytes_per_minute"] for row in found["rows"] for inside in row["inside"]]
    assert len(rates) == 3 and abs(sum(rates) - found["leaks"]["bytes_per_minute"]) <= 2
    # They are rows like others.
    assert any(line.startswith("  slowing 1 ") and line.endswith("(-n 0)")
               for line in text(heapspy, "-n", "2").splitlines())
    assert "  leak-like 2   (--min 0)" in text(heapspy, "--min", "41MiB").splitlines()
    assert text(heapspy, "--focus", "0x2010").splitlines()[1].startswith("1 leak-like site, losing ")


def test_callers_of_callers(heapspy, tmp_path):
    """What is told ends at the caller that makes the difference."""
    made = hidden()

    def deepen(s):
        for stack in s.stacks:
            stack.frames[1:1] = [made_runs.sf.Frame(0x441000 + 0x100 * i, 1) for i in range(5)]

    made.write(tmp_path / "run", deepen)
    ((inside,),) = [row["inside"] for row in report(heapspy)["rows"]]
    assert inside["called_from"] == ("called from api+0x40fff < api+0x410ff < api+0x411ff < ... < "
                                     + made.offset("leak"))


def test_by_module_a_function_is_told(heapspy, tmp_path):
    made = made_runs.Run([*made_runs.leak("leak", 40), *made_runs.slowing("slowing", 40),
                           *made_runs.turning_over("turning", 40, per_epoch=48)])
    made.write(tmp_path / "run")
    (row,) = report(heapspy, "--by", "module")["rows"]
    assert {(inside["kind"], inside["where"]["function"], inside["verdict"]) for inside in row["inside"]} == {
        ("function", made.offset("leak"), "leak-like"), ("function", made.offset("slowing"), "leak-like, slowing")}
    out = text(heapspy, "--by", "module")
    assert out.splitlines()[1].startswith(
        "No module is leak-like as a whole, but 2 functions inside one that turns over are (1 slowing), together losing ")
    assert "\n      inside api, which turns over\n" in out


def test_each_look_of_a_watch_asks_hidden_leaks_for_more(heapspy, tmp_path):
    """Twelve intervals are enough for one look, and not for the first of a watch."""
    n, caches = 12, [f"cache {i}" for i in range(17)]
    made_runs.Run([*made_runs.leak("leak", n, per_epoch=1), *made_runs.lru(caches[0], n),
                   *(block for cache in caches[1:] for block in made_runs.lru(cache, n, 10, 2))], n=n,
                  through=dict.fromkeys(["leak", *caches], "wrapper")).write(tmp_path / "run")
    once = report(heapspy)["leaks"]["n_inside"]
    with start_watch(tmp_path, "--json", "--count", "1") as child:
        (watched,) = [json.loads(line) for line in child.stdout]
    assert (once, watched["leaks"]["n_inside"]) == (1, 0)


def test_bounded_callers_hide_nothing(heapspy, tmp_path):
    n, kinds = 40, (made_runs.lru, made_runs.churn, made_runs.sawtooth, made_runs.warm_up, made_runs.shrinking,
                    made_runs.one_off, made_runs.ramp)
    sites = [f"{kind.__name__} {i}" for kind in kinds for i in range(4)]
    made = made_runs.Run([block for i, site in enumerate(sites) for block in kinds[i // 4](site, n)],
                         through={site: f"wrapper {i % 5}" for i, site in enumerate(sites)}, n=n)
    made.write(tmp_path / "run")
    for by in ("function", "module", "site"):
        found = report(heapspy, "--by", by)
        assert found["leaks"]["n_inside"] == 0, [row["inside"] for row in found["rows"]]


def test_what_takes_the_place_of_another_is_none(heapspy, tmp_path):
    """Objects live as long as the run; more and more of them are made by another caller."""
    n = 40
    old = [made_runs.Block("old", 0, 1 + i // 2) for i in range(2 * n)]
    made_runs.Run([*old, *made_runs.leak("new", n)], n=n, through={"old": "wrapper", "new": "wrapper"}).write(
        tmp_path / "run")
    found = report(heapspy)
    assert found["leaks"]["n_sites"] == 0
    assert [row["verdict"] for row in report(heapspy, "--by", "site")["rows"]] == ["leak-like", "shrinking"]


def test_check_fails_for_a_hidden_leak(heapspy, tmp_path):
    made = hidden(n=60)
    made.write(tmp_path / "run")
    done = heapspy("check", "run", "--no-leaks")
    assert done.code == 1
    assert re.match(rf"FAIL  leaks .*\nFAIL  leak at {re.escape(made.offset('wrapper'))} .*; inside "
                    rf"{re.escape(made.offset('wrapper'))}, which .*; called from {re.escape(made.offset('leak'))}",
                    done.out)
    assert heapspy("check", "run", "--no-leaks", "-q", "--ignore", "0x4010").code == 0


# -- runs that are not as they should be --

def warned(heapspy, *words):
    """What is said of a run beside the symbols it lacks, and its output."""
    done = heapspy("trend", "run", *words)
    assert done.code == 0, done.err
    return [line.removeprefix("heapspy: ") for line in done.err.splitlines() if "no symbols" not in line], \
        done.out


def relabel(reason, every_nth):
    def change(s):
        if s.info["number"] % every_nth == 0:
            s.info.update(reason=reason, label="x" if reason == 3 else "")
    return change


def at_exit(share_left):
    def change(s):
        if s.info["number"] == 41:
            s.info.update(reason=2)
            s.live = s.live[:int(share_left * len(s.live))]
            s.tail = (*s.tail[:2], int(share_left * s.tail[2]))
    return change


def lose(s):
    s.info["flags"] = 1 << 6
    s.losses[2] = 17


def thin(s):
    """To 1 MiB behind the twentieth snapshot."""
    p = [1 - pow(2.718281828459045, -4096 / (made_runs.R << level)) for level in (0, 1)]
    if s.info["number"] > 20:
        s.info["level"] = 1
        s.more["level_ns"] = [0, 1193 * 10**9] + [0] * 14
        s.live = [dataclasses.replace(x, level=1) for x in s.live if x.u / 2**32 < p[1] / p[0]]


@pytest.mark.parametrize("changed, cuts, words, n_cuts", [
    (None, None, [], 41),
    (lambda s: s.info.update(pid=77, start_id=5) if s.info["number"] <= 12 else None, None,
     ["this run holds snapshots of 2 processes; these verdicts are of the last one, pid 4121; left out: "
      "12 snapshots"], 29),
    (relabel(3, 5), None, [], 33),
    (relabel(3, 2), None, ["snapshots left out: 20 taken at marks or limits"], 21),
    (relabel(5, 2), None, [], 21),
    (relabel(3, 1), None,
     ["snapshots that the program asked for count here as well: there are too few on time"], 41),
    (at_exit(0), None, ["snapshots left out: the one at exit, by which 100 % of the memory had been freed"], 40),
    (at_exit(1), None, [], 40),
    (None, [*range(15), *range(25, 41)],
     ["no snapshots from 0:17:00 to 0:22:30: what came and went there is not seen"], 31),
    (lambda s: s.info.update(flags=1 << 5), [*range(8), *range(12, 28), *range(38, 41)],
     ["no snapshots from 0:23:30 to 0:29:00, nor in 1 shorter gap (the process keeps its state to itself, "
      "and writes only as it allocates): what came and went there is not seen"], 27),
    (lose, None, ["'run/000041.hspy': 17 samples were lost; figures are lower bounds"], 41),
    (thin, None, ["at 0:19:53 sampling became sparser, from 512 KiB to 1 MiB: all of it is read at the "
                  "latter"], 41)])
def test_each_flaw_of_a_run_takes_one_line(heapspy, tmp_path, changed, cuts, words, n_cuts):
    made = simple()
    made.write(tmp_path / "run", changed, cuts)
    found, out = warned(heapspy)
    assert found == words
    assert re.search(rf"   {n_cuts} snapshots, every [36]0 s   ", out.splitlines()[0])
    assert out.splitlines()[1].startswith("1 leak-like site, losing ")
    assert text(heapspy).splitlines()[1] == out.splitlines()[1]
    lo, hi = report(heapspy)["rows"][0]["ci"]
    assert lo < 4 * made_runs.bytes_of(4096) < hi


def test_snapshots_that_cannot_be_read_are_passed_over(heapspy, tmp_path, run):
    (run / "000007.hspy").write_bytes(b"notes\n")
    (run / "000041.hspy").write_bytes((run / "000041.hspy").read_bytes()[:-50])
    damaged = bytearray((run / "000020.hspy").read_bytes())
    damaged[-30] ^= 1
    (run / "000020.hspy").write_bytes(damaged)
    (line,), out = warned(heapspy)
    assert line == ("3 snapshots were passed over; the first: cannot read 'run/000007.hspy': not a heapspy "
                    "snapshot (looks like text)")
    assert "0:10:00 -> 0:29:30   38 snapshots" in out
    assert report(heapspy)["left_out"]["unreadable"] == 3
    for path in run.glob("*.hspy"):
        path.write_bytes(b"notes\n")
    done = heapspy("trend", "run")
    assert done.code == 3 and "holds 41 snapshots and none can be read" in done.err


def test_an_exact_run_has_no_ranges(heapspy, tmp_path):
    simple(interval=1).write(tmp_path / "run", lambda s: s.info.update(variance_unit_log2=0))
    out = text(heapspy)
    assert out.splitlines()[0].endswith("   every allocation (exact)")
    assert out.splitlines()[1] == "1 leak-like site, losing 16 KiB/min."
    assert re.search(r"\n  leak-like    16 KiB  exact  \S+  320 KiB  0 of 36 old blocks freed; ", out)
    # Of what is certain the second half holds one block more or less by where it begins.
    lo, hi = report(heapspy)["rows"][0]["ci"]
    assert "unseen" not in out and lo + hi == 2 * 16384 and abs(hi - 16384 - 4096 / 9.5) <= 1


# -- what to look at, and how --

def test_since_and_until(heapspy, run):
    for words, begin, end, cuts in [
            (("--since", "20m"), "0:20:00", "0:30:00", 21), (("--since", "@20m"), "0:20:00", "0:30:00", 21),
            (("--since", "-10m"), "0:20:00", "0:30:00", 21), (("--since", "22:33:20"), "0:20:00", "0:30:00", 21),
            (("--since", "11", "--until", "@31"), "0:15:00", "0:25:00", 21),
            (("--until", "20m"), "0:10:00", "0:20:00", 21)]:
        assert text(heapspy, *words).splitlines()[0].startswith(
            f"api (pid 4121)  {begin} -> {end}   {cuts} snapshots, "), words
    assert report(heapspy, "--since", "20m")["left_out"]["outside"] == 20
    out = text(heapspy, "--since", "28m")
    assert out.startswith("5 snapshots on time in this part of the run, every 30 s: verdicts need 9. What ")


def test_warm_up_inside_asks_for_since(heapspy, tmp_path):
    made = made_runs.Run(made_runs.slowing("slowing", 40), start=30)
    made.write(tmp_path / "run")
    (line,) = [line for line in heapspy("trend", "run").out.splitlines() if "--since" in line]
    assert line == "The start of the program is among this; without it: heapspy trend run --since 330s"
    assert heapspy("trend", "run", "--since", "330s").out.splitlines()[0].startswith(
        "api (pid 4121)  0:05:30 -> 0:20:30   31 snapshots")
    assert "--since" not in heapspy("trend", "run", "--since", "330s").out
    dataclasses.replace(made, start=600).write(tmp_path / "run")
    assert "--since" not in heapspy("trend", "run").out


def test_rows_left_out_are_counted(heapspy, every):
    lines = text(heapspy, "-n", "2", "--min", "18MiB").splitlines()
    assert [line.split("  ")[1] for line in lines if line.endswith("010")] == ["leak-like", "slowing"]
    assert "  turning over 1 · sawtooth 1   (-n 0)" in lines and "  container 1   (--min 0)" in lines
    assert sum(line.endswith("010") for line in text(heapspy, "--all").splitlines()) == 13
    assert sum(line.endswith("010") for line in text(heapspy, "--all", "-n", "6").splitlines()) == 6


def test_filters_and_groups(heapspy, every):
    assert verdicts(heapspy, every, "--focus", re.escape(every.offset("leak"))) == {"leak": "leak-like"}
    assert "leak" not in verdicts(heapspy, every, "--ignore", re.escape(every.offset("leak")))
    out = text(heapspy, "--ignore", "0x[2-6]010")
    assert out.splitlines()[1].startswith("No leak-like site among 8 that match; ")
    assert out.splitlines()[2].startswith("The matching part of the live heap: ")
    (row,) = report(heapspy, "--by", "module")["rows"]
    assert row["where"]["module"] == "/nowhere/bin/api" and row["n_stacks"] == 13
    assert row["last"] == sum(every.live_bytes(site, 40) for site in every.sites)


@pytest.mark.parametrize("words", [("--focus", "0x2010"), ("--ignore", "0x2010"), ("--module", "api"),
                                   ("--focus", "0x[34]010", "--by", "site")])
def test_a_filter_changes_no_verdict(heapspy, every, words):
    """Sites are judged among all of the run, whichever are shown."""
    whole = {row["where"]["function"]: row for row in report(heapspy, *words[2:])["rows"]}
    shown = {row["where"]["function"]: row for row in report(heapspy, *words)["rows"]}
    assert 0 < len(shown) and set(shown) <= set(whole)
    assert len(shown) < len(whole) or words[0] == "--module"
    for name, row in shown.items():
        assert row["verdict"] == whole[name]["verdict"] and row["evidence"] == whole[name]["evidence"]


def test_many_snapshots_are_thinned(heapspy, tmp_path):
    made_runs.Run(made_runs.steady("steady", 3), n=899, step=1).write(tmp_path / "run")
    found, out = warned(heapspy)
    n_cuts = report(heapspy)["n_intervals"] + 1
    assert found == [f"900 snapshots: {n_cuts} of them, evenly spaced, are used"]
    assert report(heapspy)["left_out"]["thinned_from"] == 900


def test_where_since_is_not_what_it_says(heapspy, run):
    done = heapspy("trend", "run", "--since", "0s")
    assert "heapspy: --since 0s: nearest snapshot, at 0:10:00\n" in done.err
    assert "nearest" not in heapspy("trend", "run", "--since", "0s", "-q").err
    assert "--since" not in heapspy("trend", "run", "--since", "15m").err


def test_what_grew_late_is_not_called_over(heapspy, tmp_path):
    """A leak that begins shortly before the end: shown, with what to do, and not as warmed up."""
    made = made_runs.Run([*made_runs.leak("late", 40, per_epoch=12, first=38), *made_runs.steady("steady", 20)])
    made.write(tmp_path / "run")
    out = text(heapspy)
    assert "; 1 grew late: too early to tell, look again.\n" in out and "warmed up" not in out
    assert "at the start only" not in out and "grew once" not in out and "probably show" not in out
    assert re.search(r"^  grew late +- .*0x2010$", out, re.M)
    assert re.search(r"grew by \S+ MiB \(\S+\), mostly after 0:28:30: too early to tell, look again", out)
    rows = {row["where"]["function"]: row for row in report(heapspy)["rows"]}
    assert rows[made.offset("late")]["evidence"]["grew_late"]
    assert not rows[made.offset("steady")]["evidence"]["grew_late"]


def test_stacks_below_rows(heapspy, every):
    lines = text(heapspy, "--stacks", "2").splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith(every.offset("leak")))
    assert lines[at + 2:at + 6] == ["    +2.01 MiB/min, 40.2 MiB live", "      api+0x2010", "      api+0x1000",
                                    "      api+0x100"]
    assert text(heapspy, "--by", "site").count("      api+0x1000\n") == 5
    lines = text(heapspy, "--by", "module", "--stacks", "1", "--all").splitlines()
    assert "    (12 more stacks)" in lines


def test_exit_code_option(heapspy, run, tmp_path):
    assert heapspy("trend", "run", "--exit-code").code == 1
    assert heapspy("trend", "run", "--exit-code", "--ignore", "0x2010").code == 0
    assert heapspy("trend", "run", "--exit-code", "--watch", "--count", "1").code == 1
    made_runs.Run(made_runs.slowing("slowing", 40)).write(tmp_path / "run")
    assert heapspy("trend", "run", "--exit-code").code == 1


def test_pictures_without_utf8(heapspy, run):
    for out in (text(heapspy, "--ascii"), text(heapspy, LC_ALL="C")):
        assert out.isascii() and re.search(r"1\.39\.\.2\.75   +\.:-=\+\*##  40\.2 MiB", out)


def test_a_picture_has_a_blank_where_nothing_was_seen(heapspy, tmp_path):
    simple().write(tmp_path / "run", cuts=[*range(20), *range(30, 41)])
    assert re.search(r"  [▁-█]{5} {2}[▁-█]{3}  40\.2 MiB", text(heapspy))


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_fits_the_terminal(heapspy, every, columns):
    done = heapspy.on_terminal(columns, "trend", "run", "-q", TERM="dumb")
    lines = done.out.splitlines()
    table = lines[4:next(i for i, line in enumerate(lines) if line.endswith("(--all)"))]
    assert max(map(len, table)) <= columns
    assert any("▁" in line for line in table) == (columns >= 100)
    why = "0 of 36 old samples freed; grew in 6 of 6 parts"
    assert any(line.endswith("  api+0x2010") and why in line for line in table) == (columns >= 200)
    assert any(line == f"      {why}" for line in table) == (columns < 200)


def test_colors(heapspy, run):
    colored = heapspy("trend", "run", "-q", "--color", "always").out
    assert "\033[1;31mleak-like\033[0m" in colored and "\033[2msteady 2   (--all)\033[0m" in colored
    assert re.sub(r"\033\[[\d;]*m", "", colored) == GOLDEN_TEXT


def test_output_file(heapspy, run, tmp_path):
    done = heapspy("trend", "run", "-q", "-o", "out.txt")
    assert (done.out, done.code) == ("", 0) and (tmp_path / "out.txt").read_text() == GOLDEN_TEXT


def test_hint_leads_on(heapspy, run):
    line = heapspy("trend", "run").out.splitlines()[-1]
    done = heapspy(*["diff", "run@1", "run@41", "--by", "site", "--focus", "api\\+0x2010"])
    assert line == "Stacks of the first: heapspy diff run@1 run@41 --by site --focus 'api\\+0x2010'"
    assert done.code == 0 and "  + " in done.out and "      api+0x1000\n" in done.out


def test_completion(heapspy, tmp_path, run):
    (tmp_path / "run" / "000042.hspy").write_bytes(
        simple().snapshot(40, reason=3, label="loaded").encode())

    def complete(*words):
        return [line.partition("\t")[0] for line in heapspy("complete", "--", *words).out.splitlines()]

    assert complete("trend", "ru") == ["run", *(f"run@{w}" for w in ("first", "last", "peak", "mark:loaded"))]
    assert complete("trend", "run", "--since", "") == ["first", "last", "peak", "mark:loaded"]
    assert complete("trend", "run", "--until=4") == [f"--until={n}" for n in (4, 40, 41, 42)]
    assert complete("trend", "run", "--since", "@m") == ["@mark:loaded"]
    assert complete("trend", "--since", "") == []


# -- watching --

ENVIRONMENT = dict(LC_ALL="C.UTF-8", TERM="xterm", HEAPSPY_CACHE="off", PATH=os.environ["PATH"])


class Growing:
    """A run that gets snapshots one by one, each complete when it appears."""

    def __init__(self, directory, n):
        self.made, self.place, self.n = simple(), directory, n
        self.made.write(directory / "run", cuts=range(n))

    def add(self, **info):
        path = self.made.snapshot(self.n, **info).write(self.place / "next")
        self.n += 1
        os.rename(path, self.place / "run" / f"{self.n:06}.hspy")


def start_watch(tmp_path, *words):
    return subprocess.Popen([BUILD / "analyzer" / "heapspy", "trend", "run", "-q", "--watch", *words],
                            cwd=tmp_path, env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_watch_prints_a_line_of_json_for_each_look(tmp_path):
    growing = Growing(tmp_path, 8)
    with start_watch(tmp_path, "--json", "--count", "4") as child:
        looks = []
        for _ in range(4):
            looks.append(json.loads(child.stdout.readline()))
            growing.add()
        assert child.wait(60) == 0 and child.stderr.read() == ""
    # Looks count from the first that tests anything.
    assert [look["look"] for look in looks] == [None, 1, 2, 3]
    assert [look["has_verdicts"] for look in looks] == [False, True, True, True]
    assert [look["n_intervals"] for look in looks] == [7, 8, 9, 10]
    assert "diff" not in looks[0] and len(looks[1]["rows"]) == 3


def test_watch_waits_for_the_second_snapshot(tmp_path):
    growing = Growing(tmp_path, 1)
    with start_watch(tmp_path, "--count", "2") as child:
        assert child.stdout.readline() == "1 snapshot on time: verdicts need 9. Waiting for the next one.\n"
        growing.add()
        rest = child.stdout.read()
        assert child.wait(60) == 0 and child.stderr.read() == ""
    assert rest.startswith("\n2 snapshots on time, every 30 s: verdicts need 9, in about 3.5 min. What grew so far:")


def test_watch_of_one_snapshot_at_the_end_waits_for_nothing(tmp_path):
    simple().write(tmp_path / "run", lambda s: s.info.update(reason=2), cuts=[0])
    with start_watch(tmp_path) as child:
        assert child.stdout.read() == ("1 snapshot on time: verdicts need 9; run it longer, or with a shorter "
                                       "--interval.\n")
        assert child.wait(60) == 0


def test_each_look_asks_for_more_certainty(heapspy, tmp_path):
    """At eight intervals the leak is found by one look, and not yet by the first of a watch."""
    made = made_runs.Run([*made_runs.leak("leak", 11, per_epoch=1), *made_runs.steady("steady")], n=11)
    made.write(tmp_path / "run")
    with start_watch(tmp_path, "--json", "--count", "1") as child:
        (watched,) = [json.loads(line) for line in child.stdout]
    once = report(heapspy)
    assert [row["evidence"]["late"]["p"] for row in once["rows"]] == [
        row["evidence"]["late"]["p"] for row in watched["rows"]]
    assert [row["evidence"]["late"]["significant"] for row in once["rows"]] == [True, False]
    assert [row["evidence"]["late"]["significant"] for row in watched["rows"]] == [False, False]


def test_watch_ends_with_the_run(heapspy, tmp_path):
    growing = Growing(tmp_path, 12)
    with start_watch(tmp_path) as child:
        first = child.stdout.readline()
        assert first.endswith("   12 snapshots, every 30 s   mean interval 512 KiB   look 1 of this watch\n")
        growing.add(reason=2)
        rest = child.stdout.read()
        assert child.wait(60) == 0 and child.stderr.read() == ""
    # The one at exit ends the watch, and is not among those that are judged.
    assert "\n\napi (pid 4121)  0:10:00 -> 0:15:30   12 snapshots" in rest
    assert rest.endswith(text(heapspy).partition("\n")[2])


def test_watch_in_a_pipe_ends_by_its_signal(tmp_path):
    Growing(tmp_path, 12)
    with start_watch(tmp_path) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == -signal.SIGINT


@pytest.fixture
def screen(tmp_path):
    growing = Growing(tmp_path, 12)
    growing.screen = PtyScreen([BUILD / "analyzer" / "heapspy", "trend", "run", "--watch"], 80, 24,
                               ENVIRONMENT, cwd=tmp_path)
    yield growing
    if growing.screen.process.poll() is None:
        growing.screen.process.kill()
        growing.screen.process.wait()


def test_watch_draws_anew_on_a_terminal(screen):
    shown = screen.screen
    shown.wait_for("q quit")
    assert shown.on_alternate_screen() and "snapshots, every 30 s" in shown.lines()[0]
    # The title is longer than a line.
    assert shown.lines()[1].endswith("look 1 of this watch")
    screen.add()
    shown.wait_for("look 2 of this watch")
    assert shown.text().count("leak-like site") == 1
    shown.resize(60, 8)
    os.kill(shown.process.pid, signal.SIGWINCH)
    shown.wait_for("... q quit")
    shown.keys("q")
    assert shown.wait_end() == 0 and not shown.on_alternate_screen()
    # The last look stays, and what could not be said across the screen follows it.
    left = shown.raw.rpartition(b"\x1b[?1049l")[2].decode()
    assert "look 2 of this watch" in left and "Stacks of the first: " in left and "have no symbols" in left


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_watch_gives_the_terminal_back(screen, how):
    shown = screen.screen
    shown.wait_for("q quit")
    if how == "Ctrl-C":
        shown.keys(b"\x03")
    else:
        shown.process.send_signal(signal.SIGTERM)
    assert shown.wait_end() == -(signal.SIGINT if how == "Ctrl-C" else signal.SIGTERM)
    assert not shown.on_alternate_screen()


def test_watch_says_that_the_run_has_ended(screen):
    screen.screen.wait_for("q quit")
    screen.add(reason=2)
    screen.screen.wait_for("the run has ended   q quit")
    screen.screen.keys("q")
    assert screen.screen.wait_end() == 0
