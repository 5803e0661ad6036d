"""heapspy diff on made-up snapshots whose every figure is known."""
import json
import re

import pytest
import scenario
import snapshot_format as sf
from scenario import B4K, MIB

GOLDEN_TEXT = """\
api (pid 4121)  0:01:00 -> 0:20:00 (exit)   mean interval 512 KiB
Live heap grew by 35.1 MiB (21.4..49.2), from 104 MiB to 139 MiB. RSS +20 MiB. 1 site grew, 1 shrank, 2 unchanged.

       growth    95 % range    before     after  samples  where
  +  55.2 MiB    45.2..66.5       0 B  55.2 MiB      110  api+0x2010
  -  20.1 MiB  -27.3..-14.1  30.1 MiB    10 MiB       40  api+0x3020
  ~ 2 sites within noise, together 0 B (-6.69..6.69 MiB)
  = 35.1 MiB   sum of all sites
"""
GOLDEN_HINTS = """
"Grew" is not "leaks". What was new and is still there at a later moment C: --third C.
Stacks of one site: heapspy diff run --by site --focus 'api\\+0x2010'
"""


@pytest.fixture
def run(tmp_path):
    return scenario.write_run(tmp_path / "run")


def rows(heapspy, *words):
    done = heapspy("diff", "--json", "-q", *words)
    assert done.code == 0 and done.err == "", done.err
    return json.loads(done.out)


def test_golden_text(heapspy, run):
    done = heapspy("diff", "run")
    assert done.out == GOLDEN_TEXT + GOLDEN_HINTS
    assert done.err == ("heapspy: 6 of 6 addresses in api have no symbols (build id 6d9e85cf): "
                        "file not found\n")
    assert done.code == 0


def test_quiet_leaves_hints_and_warnings_out(heapspy, run):
    done = heapspy("diff", "run", "-q")
    assert (done.out, done.err) == (GOLDEN_TEXT, "")


def test_json_says_the_same(heapspy, run):
    report = rows(heapspy, "run")
    assert report["schema"] == "heapspy.diff/1"
    assert report["a"]["number"] == 1 and report["b"]["number"] == 3
    assert report["b"]["wall_time"] == "2023-11-14T22:33:20.000Z"
    assert (report["n_grew"], report["n_shrank"], report["n_noise"]) == (1, 1, 2)
    names = [row["where"]["function"] for row in report["rows"]]
    assert names[0] == "api+0x2010" and names[-1] == "api+0x3020" and len(names) == 4
    first = report["rows"][0]
    assert first["bytes"] == 110 * B4K and first["before"] == 0 and first["after"] == 110 * B4K
    assert first["ci"][0] < first["bytes"] < first["ci"][1]
    assert first["verdict"] == "grew" and report["rows"][-1]["verdict"] == "shrank"
    assert first["samples"] == 110 and first["where"]["module"] == "/nowhere/bin/api"
    assert [f["function"] for f in first["stacks"][0]["frames"]] == [
        "api+0x2010", "api+0x1000", "api+0x100"]
    assert sum(row["bytes"] for row in report["rows"]) == report["total"]["bytes"]
    assert report["total"]["after"] - report["total"]["before"] == report["total"]["bytes"]


def test_first_reference_case_of_the_statistics(heapspy, tmp_path):
    """Six new blocks of 4096 bytes: D 3158032 [385604, 6859369], p .01255, hence significant."""
    a = scenario.snapshot(1, scenario.MINUTE, [])
    b = scenario.snapshot(2, 2 * scenario.MINUTE,
                          [scenario.sample(i, 4096, 90 * 10**9, scenario.LEAK) for i in range(6)])
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    (row,) = rows(heapspy, "a.hspy", "b.hspy")["rows"]
    assert abs(row["bytes"] - 3158032) <= 6
    assert abs(row["ci"][0] - 385604) <= 20 and abs(row["ci"][1] - 6859369) <= 20
    assert row["verdict"] == "grew"


def test_nothing_changed(heapspy, tmp_path):
    live = scenario.moments()[0].live
    scenario.write_run(tmp_path / "run", lambda s: setattr(s, "live", live))
    done = heapspy("diff", "run")
    assert done.code == 0
    assert done.out.splitlines()[1].startswith("No change seen (resolution +-1.83 MiB).")
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize("words, message", [
    (("run@3", "run@3"), "'run@3' and 'run@3' are the same snapshot ('run/000003.hspy', at exit, "
     "0:20:00): nothing to compare; first to last: heapspy diff run"),
    (("run", "run"), "'run' and 'run' are the same snapshot ('run/000003.hspy', at exit, "
     "0:20:00): nothing to compare; first to last: heapspy diff run"),
    (("run@1m", "run@2m"), "'run@1m' and 'run@2m' are the same snapshot ('run/000001.hspy', at "
     "0:01:00): nothing to compare; first to last: heapspy diff run"),
    (("copy.hspy", "run/000001.hspy"), "'copy.hspy' and 'run/000001.hspy' are the same snapshot "
     "('copy.hspy', at 0:01:00): nothing to compare; see: heapspy top copy.hspy"),
    (("one",), "'one' holds one snapshot (at exit, 0:20:00): nothing to compare; snapshots come "
     "every HEAPSPY_INTERVAL (60s unless set); see: heapspy top one"),
    (("one@1m", "one@20m"), "'one' holds one snapshot (at exit, 0:20:00): nothing to compare; "
     "snapshots come every HEAPSPY_INTERVAL (60s unless set); see: heapspy top one"),
])
def test_a_snapshot_is_not_compared_with_itself(heapspy, run, tmp_path, words, message):
    (tmp_path / "one").mkdir()
    scenario.moments()[2].write(tmp_path / "one" / "000003.hspy")
    scenario.moments()[0].write(tmp_path / "copy.hspy")
    for option in ((), ("--force",), ("--json",)):
        done = heapspy("diff", *words, *option)
        assert (done.code, done.out, done.err) == (3, "", f"heapspy: {message}\n")


def three_samples_each(*stacks):
    """A and B, where B has three more samples of each stack: no site alone is certain to have grown."""
    return (scenario.snapshot(1, scenario.MINUTE, []), scenario.snapshot(2, 2 * scenario.MINUTE, [
        scenario.sample(1000 * k + i, 4096, 90 * 10**9, stack)
        for k, stack in enumerate(stacks) for i in range(3)]))


def test_noise_that_grew_together_is_not_called_noise(heapspy, tmp_path):
    a, b = three_samples_each(1, 2, 3, 4)
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    out = heapspy("diff", "a.hspy", "b.hspy").out
    (line,) = [line for line in out.splitlines() if line.startswith("  ~ 4 sites")]
    assert line.startswith(
        "  ~ 4 sites, those above among them, none alone beyond noise, together 6.02 MiB (")
    assert " within noise" not in out and out.count("\n  ~ ") == 5
    assert " 0 sites grew, 0 shrank, 4 uncertain.\n" in out
    assert "Memory grew, but no single site is certain" in out


def test_likely_sites_beside_one_that_grew(heapspy, tmp_path):
    a, b = three_samples_each(2, 3, 4)
    b.live += [scenario.sample(9000 + i, 4096, 90 * 10**9, scenario.LEAK) for i in range(12)]
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    lines = heapspy("diff", "a.hspy", "b.hspy").out.splitlines()[4:9]
    assert [line[2] for line in lines] == ["+", "~", "~", "~", "~"]
    assert lines[4].startswith("  ~ 3 sites, those above among them, none alone beyond noise, together")
    # One row asked for: it is the certain one.
    assert "  ~  1.5" not in heapspy("diff", "a.hspy", "b.hspy", "-n", "1").out
    # A small part of the growth is not worth a row.
    b.live += [scenario.sample(20000 + i, 4096, 90 * 10**9, scenario.LEAK) for i in range(60)]
    b.write(tmp_path / "b.hspy")
    assert [line[2] for line in heapspy("diff", "a.hspy", "b.hspy").out.splitlines()[4:6]] == ["+", "~"]
    assert "  ~ 3 sites" in heapspy("diff", "a.hspy", "b.hspy").out.splitlines()[5]


def test_hints_quote_names_for_the_shell(heapspy, tmp_path):
    scenario.write_run(tmp_path / "it's $mine")
    out = heapspy("diff", "it's $mine").out
    assert "heapspy diff 'it'\\''s $mine' --by site --focus 'api\\+0x2010'\n" in out
    for path in (tmp_path / "it's $mine").glob("00000[12].hspy"):
        path.unlink()
    assert "see: heapspy top 'it'\\''s $mine'\n" in heapspy("diff", "it's $mine").err


def test_rss_that_no_site_explains(heapspy, tmp_path):
    def grow(mib):
        return lambda s: s.info.update(rss_bytes=(100 + mib * (s.info["number"] > 1)) * MIB)

    scenario.write_run(tmp_path / "run", grow(100))
    out = heapspy("diff", "run").out
    assert ("  = 35.1 MiB   sum of all sites; RSS grew by 64.9 MiB (50.8..78.6) more: allocator, stacks, "
            "mappings\n" in out)
    # Not of some of the sites, nor inside the range of what they grew by (up to 49.2 MiB).
    assert "RSS grew" not in heapspy("diff", "run", "--focus", "0x2010").out
    scenario.write_run(tmp_path / "run", grow(52))
    assert "  = 35.1 MiB   sum of all sites\n" in heapspy("diff", "run").out
    a, b = scenario.snapshot(1, 1, [scenario.sample(i, 4096, 0, 1) for i in range(20)]), \
        scenario.snapshot(2, 2, [])
    b.info.update(rss_bytes=a.info["rss_bytes"] + 30 * MIB)
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    assert ("sum of all sites; RSS grew by 30 MiB: allocator, stacks, mappings\n"
            in heapspy("diff", "a.hspy", "b.hspy").out)


@pytest.mark.parametrize("broken, words", [(156, "39 % of the stacks end early"), (80, None)])
def test_many_broken_stacks_are_said(heapspy, tmp_path, broken, words):
    scenario.write_run(tmp_path / "run", lambda s: s.losses.__setitem__(11, broken))
    for command in ("diff", "top"):
        err = heapspy(command, "run").err
        assert err.count("stacks end early") == (words is not None)
        assert words is None or (f"heapspy: {words}, at code without frame information: rows may be too "
                                 "deep in libraries\n") in err
        assert "end early" not in heapspy(command, "run", "-q").err


def test_frames_of_the_library_itself_are_left_out(heapspy, tmp_path):
    def wrap(s):
        s.modules.append(sf.Module(3, "/usr/lib/heapspy/libheapspy.so", 0x600000, 0x700000, 0x600000))
        for stack in s.stacks:
            stack.frames.insert(1, sf.Frame(0x600100, 3))
            stack.frames.insert(0, sf.Frame(0x600200, 3))
        s.stacks.append(sf.Stack(9, [sf.Frame(0x600300, 3)]))
        s.live.append(scenario.sample(7000, 64 * MIB, 0, 9))

    scenario.write_run(tmp_path / "run", wrap)
    report = rows(heapspy, "run", "--hide", "none")
    assert [f["function"] for f in report["rows"][0]["stacks"][0]["frames"]] == [
        "api+0x2010", "api+0x1000", "api+0x100"]
    assert "<no stack>" in [row["where"]["function"] for row in report["rows"]]
    for words in (("diff", "run"), ("top", "run"), ("top", "run", "--by", "module")):
        assert "libheapspy" not in heapspy(*words, "--stacks", "3").out
        assert "libheapspy" not in heapspy(*words, "--json").out


def test_offsets_are_never_cut(heapspy, tmp_path):
    def rename(s):
        s.modules[1].path = "/nowhere/lib/lib" + "long" * 40 + ".so"
        s.modules[1].bias = 0

    scenario.write_run(tmp_path / "run", rename)
    for columns in (60, 120):
        done = heapspy.on_terminal(columns, "top", "run", "-q", TERM="dumb")
        (line,) = [line for line in done.out.splitlines() if "..." in line]
        assert line.endswith("g.so+0x7f0000004030")


def test_one_is_one(heapspy, run):
    out = heapspy("diff", "run@1", "run@2", "-q", "--stacks", "1", "--focus", "0x2010|0x3020").out
    assert "1 samples" not in out
    out = heapspy("top", "run", "-q", "--stacks", "1").out
    assert "    64 MiB (64..65.8), 1 sample\n" in out and "110 samples\n" in out
    out = heapspy("top", "run", "-q", "--focus", "0x4041").out
    assert "   1 sample\n" in out and "; 1 of 4 sites match\n" in out


def test_reversed_order_is_swapped_and_said(heapspy, run):
    done = heapspy("diff", "run@3", "run@1")
    assert done.out.startswith(GOLDEN_TEXT)
    assert "heapspy: A is later than B: they are compared the other way round\n" in done.err


def test_rows_left_out_are_counted(heapspy, run):
    done = heapspy("diff", "run", "-q", "-n", "1")
    assert "api+0x3020" not in done.out
    assert "  - 1 more site shrank, together 20.1 MiB (14.1..27.3); all rows: -n 0\n" in done.out
    assert "= 35.1 MiB" in done.out
    done = heapspy("diff", "run", "-q", "--min", "100MiB")
    assert "  + 1 more site grew, together 55.2 MiB (45.2..66.5); all rows: -n 0 --min 0\n" in done.out
    assert "where" not in done.out


def test_stacks_below_rows(heapspy, run):
    lines = heapspy("diff", "run", "-q", "--stacks", "2").out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("api+0x2010"))
    assert lines[at + 1:at + 5] == ["    +55.2 MiB (45.2..66.5), 110 samples", "      api+0x2010", "      api+0x1000",
                                    "      api+0x100"]
    assert heapspy("diff", "run", "-q", "--by", "site").out.count("      api+0x1000\n") == 2


def test_by_module_groups_before_statistics(heapspy, run):
    report = rows(heapspy, "run", "--by", "module")
    by_module = {row["where"]["module"]: row for row in report["rows"]}
    api = by_module["/nowhere/bin/api"]
    assert api["bytes"] == (110 - 40) * B4K and api["samples"] == 150
    assert api["where"]["function"] is None
    assert "  api\n" in heapspy("diff", "run", "-q", "--by", "module").out


def test_third_keeps_what_is_still_live(heapspy, run):
    report = rows(heapspy, "run@1", "run@2", "--third", "run@3")
    (row,) = report["rows"]
    assert row["bytes"] == 50 * B4K and row["samples_died"] == 0
    assert report["third"]["number"] == 3
    text = heapspy("diff", "-q", "run@1", "run@2", "--third", "run@3").out
    assert "still live at 0:20:00" in text and "25.1 MiB (18.7..33.1) of what A to B allocated" in text
    assert " still live at C. 1 site kept some.\n" in text and "within noise" not in text
    assert "  +  25.1 MiB  18.7..33.1       50  api+0x2010\n" in text
    done = heapspy("diff", "run@2", "run@3", "--third", "run@1")
    assert done.code == 2 and "C is not later than B" in done.err


def test_focus_ignore_module(heapspy, run):
    report = rows(heapspy, "run", "--focus", "libjson")
    assert [row["where"]["function"] for row in report["rows"]] == ["libjson.so.1+0x4030"]
    assert len(rows(heapspy, "run", "--ignore", "libjson")["rows"]) == 3
    assert len(rows(heapspy, "run", "--module", "/lib/")["rows"]) == 1
    assert "The matching part of the live heap" in heapspy("diff", "run", "--focus", "libjson").out
    done = heapspy("diff", "run", "--focus", "libjsn.so+0x4030")
    assert done.code == 3 and done.out == ""
    assert done.err == ("heapspy: no samples match --focus 'libjsn.so+0x4030' (4 sites); similar: "
                        "libjson.so.1+0x4030\n")
    done = heapspy("diff", "run", "--focus", "(")
    assert done.code == 2 and "--focus '(' is no regular expression" in done.err


def test_exit_code_option(heapspy, run):
    assert heapspy("diff", "run", "--exit-code").code == 1
    assert heapspy("diff", "run", "--exit-code", "--focus", "0x3020").code == 0


def test_output_file(heapspy, run, tmp_path):
    done = heapspy("diff", "run", "-q", "-o", "out.txt", "--color", "auto")
    assert (done.out, done.code) == ("", 0)
    assert (tmp_path / "out.txt").read_text() == GOLDEN_TEXT
    done = heapspy("diff", "run", "-q", "-o", "no/such/out.txt")
    assert done.code == 4 and "cannot write 'no/such/out.txt'" in done.err
    done = heapspy("diff", "run", "-q", "-o", "/dev/full")
    assert done.code == 4 and "No space left" in done.err


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_fits_the_terminal(heapspy, run, tmp_path, columns):
    """On a terminal the table takes its width; long names lose their middle, places stay."""
    done = heapspy.on_terminal(columns, "diff", "run", "-q", TERM="dumb")
    table = done.out.splitlines()[3:6]
    assert "growth" in table[0] and max(map(len, table)) <= columns
    assert ("before" in table[0]) == (columns >= 100)


def test_colors(heapspy, run):
    colored = heapspy("diff", "run", "--color", "always")
    assert "\033[1;31m+\033[0m" in colored.out and "\033[32m-\033[0m" in colored.out
    assert "\033[2m~ 2 sites" in colored.out and colored.err.startswith("\033[33mheapspy: ")
    # Nothing but colour was added.
    plain = colored.out
    for code in ("\033[1;31m", "\033[32m", "\033[2m", "\033[0m"):
        plain = plain.replace(code, "")
    assert plain == GOLDEN_TEXT + GOLDEN_HINTS
    assert "\033" not in heapspy("diff", "run").out
    assert "\033[1;31m" in heapspy("diff", "run", "--color=always", NO_COLOR="1").out


def test_different_programs_and_processes(heapspy, run, tmp_path):
    other = scenario.moments()[2]
    other.info.update(comm="worker", pid=77, start_id=5)
    other.write(tmp_path / "other.hspy")
    done = heapspy("diff", "run@1", "other.hspy")
    assert done.code == 3
    assert done.err == ("heapspy: A and B are different programs (api, worker); compare them anyway with "
                        "--force\n")
    done = heapspy("diff", "run@1", "other.hspy", "--force")
    assert done.code == 0 and "Different processes: nothing cancels" in done.out
    report = rows(heapspy, "run@1", "other.hspy", "--force")
    assert report["same_process"] is False
    index = next(row for row in report["rows"] if row["where"]["function"] == "api+0x4041")
    # One block of 64 MiB on each side: certain, so it cancels even here.
    assert index["bytes"] == 0 and index["samples"] == 2
    other.info.update(comm="api")
    other.write(tmp_path / "other.hspy")
    done = heapspy("diff", "run@1", "other.hspy")
    assert done.code == 3 and "different processes of api (pid 4121 and 77)" in done.err
    done = heapspy("diff", "run@1", "run@2", "--third", "other.hspy", "--force")
    assert done.code == 3 and "--third needs three moments of one process" in done.err


def test_exact_run(heapspy, tmp_path):
    def exact(s):
        s.info.update(interval_bytes=1, variance_unit_log2=0)
        for stack in s.stacks:
            stack.allocated = (100, 409600, 409600, 0, 102400)
        s.info.update(bytes_seen=1638400, bytes_seen_end=1638400)

    scenario.write_run(tmp_path / "run", exact)
    done = heapspy("diff", "run", "-q")
    assert "every allocation (exact)" in done.out
    growth = next(line for line in done.out.splitlines() if line.endswith("api+0x2010"))
    assert growth.split() == ["+", "440", "KiB", "exact", "0", "B", "440", "KiB", "110", "api+0x2010"]
    row = rows(heapspy, "run")["rows"][0]
    assert row["bytes"] == 110 * 4096 and row["ci"] == [row["bytes"]] * 2
    assert heapspy("diff", "run").err.count("self test") == 0


def test_thinned_run_lifts_both_sides(heapspy, run, tmp_path):
    """B was thinned to 1 MiB: half of the samples are gone, and survivors still cancel."""
    def keeps(sample):
        p = [1 - pow(2.718281828459045, -sample.size / (512 * 1024 << level)) for level in (0, 1)]
        return sample.u / 2**32 < p[1] / p[0]

    a, b = scenario.moments()[:2]
    survivors = [s for s in b.live if s.stack == scenario.CACHE]
    b.info["level"] = 1
    b.live = [s for s in b.live if keeps(s)]
    for sample in b.live:
        sample.level = 1
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    report = rows(heapspy, "a.hspy", "b.hspy")
    assert report["interval_bytes"] == 1 << 20
    cache = next(row for row in report["rows"] if row["where"]["function"] == "api+0x3020")
    assert cache["samples_born"] == 0
    assert cache["samples_died"] == sum(keeps(s) for s in a.live if s.stack == scenario.CACHE) - \
        sum(keeps(s) for s in survivors)


def test_not_interposed_is_said_instead_of_no_growth(heapspy, tmp_path):
    scenario.write_run(tmp_path / "run", lambda s: s.info.update(flags=1, front_malloc="/usr/bin/api"))
    done = heapspy("diff", "run")
    assert done.code == 3 and done.out == ""
    assert done.err.startswith(
        "heapspy: not interposed: malloc of /usr/bin/api stands before heapspy's")
    assert heapspy("diff", "run", "--force").code == 0


def test_lost_samples_are_said_once(heapspy, run, tmp_path):
    def lose(s, n):
        s.info["flags"] = 1 << 6
        s.losses[2] = n

    def lost(*words):
        return [line for line in heapspy("diff", *words).err.splitlines() if " lost" in line]

    scenario.write_run(tmp_path / "run", lambda s: lose(s, 17))
    assert lost("run") == ["heapspy: 17 samples were lost, 17 of them before A: no figure holds their blocks, "
                           "alive or dead"]
    assert json.loads(heapspy("diff", "run", "--json").out)["a"]["lower_bound"] is True
    scenario.write_run(tmp_path / "run", lambda s: s.info["number"] > 1 and lose(s, 1))
    assert lost("run") == ["heapspy: 1 sample was lost after A: growth is a lower bound"]
    assert lost("run", "-q") == []
    # Of two processes each is told of.
    other = scenario.moments()[2]
    lose(other, 4)
    other.info.update(pid=5, start_id=5)
    other.write(tmp_path / "other.hspy")
    assert lost("run@3", "other.hspy", "--force") == [
        "heapspy: 'run/000003.hspy': 1 sample was lost; figures are lower bounds",
        "heapspy: 'other.hspy': 4 samples were lost; figures are lower bounds"]


@pytest.mark.parametrize("since, until", [("10m", "-4m"), ("2", "last"), ("mark:loaded", None), (None, "10m"),
                                          ("first", "mark:loaded"), ("22:14", "22:33:20")])
def test_since_and_until_are_moments_of_the_run(heapspy, run, since, until):
    words = [*(("--since", since) if since else ()), *(("--until", until) if until else ())]
    a, b = f"run@{since}" if since else "run@first", f"run@{until}" if until else "run"
    for options in (("-q",), ("--json", "-q"), ("--csv", "-q")):
        one, two = heapspy("diff", "run", *words, *options), heapspy("diff", a, b, *options)
        assert (one.code, one.out, one.err) == (two.code, two.out, two.err) and one.code == 0
    hint = f"Stacks of one site: heapspy diff {a if since else 'run'} {b} --by site "
    assert hint in heapspy("diff", "run", *words).out or "0 sites grew" in heapspy("diff", "run", *words).out


@pytest.mark.parametrize("words, code, message", [
    (("run@1", "run@2", "--since", "10m"), 2, "--since and --until say which part of a RUN"),
    (("run@2", "--until", "10m"), 2, "--since and --until say which part of a RUN"),
    (("run", "--since", "tomorrow"), 2, "'run@tomorrow' is no moment"),
    (("run", "--since", "mark:none"), 3, "no snapshot of 'run' has the mark 'none'"),
    (("run", "--since", "19m"), 3, "'run@19m' and 'run' are the same snapshot"),
    (("run", "--metric", "objects"), 2, "--metric: 'objects' is not live or allocated"),
    (("run", "--metric", "allocated", "--third", "run@3"), 2, "--third asks what is still live"),
    (("run", "--by", "thread"), 2, "--by: 'thread' is not function, line, site or module"),
])
def test_options_that_cannot_be_meant(heapspy, run, words, code, message):
    done = heapspy("diff", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"heapspy: {message}") and done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("since, until", [("20m", "1m"), ("10m", "10m")])
def test_until_before_since_is_a_mistake(heapspy, run, since, until):
    done = heapspy("diff", "run", "--since", since, "--until", until)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"heapspy: --since {since} is not before --until {until}: nothing lies between\n"


def allocate(run_directory, *numbers):
    """Gives the snapshots of a run so many samples of 4096 bytes allocated at LEAK, 5 at CACHE."""
    for number, n in enumerate(numbers, 1):
        s = scenario.moments()[number - 1]
        for stack, samples in zip(s.stacks, (n, 5, 0, 0)):
            stack.allocated = tuple(samples * x for x in (1, 4096, B4K, scenario.V4K, scenario.C4K))
            stack.deaths = {}
        s.info.update(bytes_seen=(n + 5) * B4K + 1000, bytes_seen_end=(n + 5) * B4K + 1000)
        s.write(run_directory / f"{number:06}.hspy")


def test_what_was_allocated_between_two_moments(heapspy, run):
    allocate(run, 100, 100, 107)
    out = heapspy("diff", "run", "--metric", "allocated", "-q").out.splitlines()
    assert out[1:] == [
        "3.51 MiB (1.42..7.23) was allocated in between, exact count 3.51 MiB. 1 site did.", "",
        "     allocated  95 % range  samples  where",
        "  +   3.51 MiB  1.42..7.23        7  api+0x2010",
        "  = 3.51 MiB   sum of all sites"]
    report = rows(heapspy, "run", "--metric", "allocated")
    (row,) = report["rows"]
    # The reference case of seven blocks of 4096 bytes.
    assert abs(row["bytes"] - 3684371) <= 4 and row["bytes"] == 7 * B4K
    assert abs(row["ci"][0] - 1484691) <= 6 and abs(row["ci"][1] - 7576292) <= 6
    assert report["metric"] == "allocated" and report["total"]["bytes"] == row["bytes"]
    assert row["after"] - row["before"] == row["bytes"]
    out = heapspy("diff", "run@1", "run@2", "--metric", "allocated", "-q").out.splitlines()
    assert out[1:] == ["0 B (0..1.83 MiB) was allocated in between, exact count 0 B. 0 sites did."]


def test_what_two_processes_allocated(heapspy, run, tmp_path):
    allocate(run, 100, 100, 140)
    other = scenario.moments()[0]
    other.info.update(start_id=5, pid=5)
    for stack, n in zip(other.stacks, (10, 5, 0, 0)):
        stack.allocated = tuple(n * x for x in (1, 4096, B4K, scenario.V4K, scenario.C4K))
    other.write(tmp_path / "other.hspy")
    report = rows(heapspy, "other.hspy", "run@3", "--metric", "allocated", "--force")
    assert [row["verdict"] for row in report["rows"]] == ["grew", "noise"]
    first = report["rows"][0]
    assert first["bytes"] == 130 * B4K and first["before"] == 10 * B4K and first["samples"] == 150
    text = heapspy("diff", "other.hspy", "run@3", "--metric", "allocated", "--force", "-q").out
    assert "\nWhat was allocated grew by 65.3 MiB (" in text and "RSS" not in text


def test_a_long_run_is_for_trend(heapspy, tmp_path):
    directory = scenario.write_run(tmp_path / "my run")
    last = scenario.moments()[2]
    for number, hint in ((8, '"Grew" is not "leaks". What was new '),
                         (9, '"Grew" is not "leaks": heapspy trend \'my run\'\n')):
        for i in range(3, number + 1):
            last.info.update(number=i, cut_ns=(10 * i - 10) * scenario.MINUTE)
            last.write(directory / f"{i:06}.hspy")
        assert hint in heapspy("diff", "my run@1", "my run").out
        assert '"leaks". What' in heapspy("diff", "my run/000001.hspy", "my run/000003.hspy").out


def test_exit_code_looks_at_min(heapspy, run):
    assert heapspy("diff", "run", "--exit-code", "--min", "50MiB").code == 1
    assert heapspy("diff", "run", "--exit-code", "--min", "60MiB").code == 0


def test_another_start_and_a_forked_child(heapspy, run, tmp_path):
    other = scenario.moments()[2]
    other.info.update(start_id=5, start_wall_ns=1700003600 * 10**9)
    other.write(tmp_path / "other.hspy")
    done = heapspy("diff", "run@1", "other.hspy")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "heapspy: A and B are two starts of api (pid 4121, 2023-11-14 22:13:20 and 2023-11-14 23:13:20); "
        "nothing of one lives on in the other;\nheapspy: compare them anyway with --force\n")
    other.info.update(pid=4122, flags=1 << 1)
    other.write(tmp_path / "other.hspy")
    done = heapspy("diff", "run@1", "other.hspy")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "heapspy: A and B are different processes of api (pid 4121 and 4122); a forked child counts from its "
        "fork on;\nheapspy: compare them anyway with --force\n")
    assert heapspy("diff", "run@1", "other.hspy", "--force").code == 0


def test_moments_tell_what_they_are(heapspy, run, tmp_path):
    names = {5: "peak", 6: "limit", 7: "recovered"}
    for reason, name in names.items():
        scenario.write_run(tmp_path / "run", lambda s: s.info.update(reason=reason) if s.info["number"] == 3 else None)
        out = heapspy("diff", "run@1", "run@3", "-q").out
        assert f"  0:01:00 -> 0:20:00 ({name})   mean interval 512 KiB\n" in out
        assert ("B: taken when the heap was at its highest so far" in out) == (name == "peak")
    out = heapspy("diff", "run@1", "run@2", "-q").out
    assert "  0:01:00 -> 0:10:00 (loaded)   mean" in out


def test_raised_interval_is_said(heapspy, run, tmp_path):
    a, b = scenario.moments()[:2]
    b.info["level"] = 2
    b.live = []
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    out = heapspy("diff", "a.hspy", "b.hspy", "-q").out
    assert "   mean interval 2 MiB (before: mean interval 512 KiB)\n" in out


def test_failed_self_test_is_a_warning(heapspy, tmp_path):
    def lie(s):
        s.info.update(bytes_seen=3 * 400 * B4K, bytes_seen_end=3 * 400 * B4K)

    scenario.write_run(tmp_path / "run", lie)
    done = heapspy("diff", "run")
    assert done.code == 0 and "fails its self test" in done.err


def test_failed_self_test_tells_the_figures_apart(heapspy, tmp_path):
    def lie(s):
        seen = sum(stack.allocated[2] for stack in s.stacks) - 250000
        s.info.update(interval_bytes=1, bytes_seen=seen, bytes_seen_end=seen)

    scenario.write_run(tmp_path / "run", lie)
    err = heapspy("diff", "run").err
    figures = re.search(r"stand for (.*), the exact count is (.*); do", err).groups()
    assert figures[0] != figures[1], err


def test_blocks_of_no_bytes_do_not_divide_by_zero(heapspy, tmp_path):
    a = scenario.snapshot(1, scenario.MINUTE, [])
    b = scenario.snapshot(2, 2 * scenario.MINUTE,
                          [scenario.sample(i, 0, 90 * 10**9, scenario.LEAK) for i in range(3)])
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    report = rows(heapspy, "a.hspy", "b.hspy")
    assert [row["bytes"] for row in report["rows"]] == [0]
    assert heapspy("top", "b.hspy", "--metric", "objects").code == 0


def test_names_cannot_steer_the_terminal(heapspy, tmp_path):
    def rename(s):
        s.info["comm"] = "api\033]0;x\007"
        s.modules[0].path = "/nowhere/a\033[31m\nb"

    scenario.write_run(tmp_path / "run", rename)
    done = heapspy("diff", "run", "--stacks", "1")
    assert done.code == 0
    assert "\033" not in done.out + done.err and "\007" not in done.out
    assert "api\\x1b]0;x\\x07 (pid 4121)" in done.out
    assert json.loads(heapspy("diff", "run", "--json").out)["a"]["program"] == "api\033]0;x\007"


def test_module_that_is_a_fifo_does_not_hang(heapspy, tmp_path):
    import os
    os.mkfifo(tmp_path / "fifo")
    scenario.write_run(tmp_path / "run", lambda s: setattr(s.modules[0], "path", str(tmp_path / "fifo")))
    assert heapspy("diff", "run").code == 0


def test_big_run_reconciles(heapspy, tmp_path):
    """Many stacks and sizes: rows sum up to the total in whole bytes, each verdict is counted."""
    import random
    rng = random.Random(7)
    a = scenario.snapshot(1, scenario.MINUTE, [])
    b = scenario.snapshot(2, 2 * scenario.MINUTE, [])
    for s in (a, b):
        s.stacks = [sf.Stack(i + 1, [sf.Frame(0x401001 + 32 * i, 1)]) for i in range(300)]
        s.info.update(bytes_seen=0, bytes_seen_end=0)
    old = [sf.Sample(16 * i, rng.choice((24, 4096, 3 * MIB)), i, rng.randint(1, 300), rng.getrandbits(32))
           for i in range(3000)]
    new = [sf.Sample(16 * i + 2**20, rng.choice((24, 4096, 3 * MIB)), 90 * 10**9, rng.randint(1, 30),
                     rng.getrandbits(32)) for i in range(500)]
    a.live, b.live = old, [s for s in old if rng.random() < .9] + new
    a.write(tmp_path / "a.hspy")
    b.write(tmp_path / "b.hspy")
    report = rows(heapspy, "a.hspy", "b.hspy")
    total = report["total"]
    for key in ("bytes", "before", "after", "samples"):
        assert sum(row[key] for row in report["rows"]) == total[key]
    assert total["after"] - total["before"] == total["bytes"]
    verdicts = [row["verdict"] for row in report["rows"]]
    assert verdicts.count("grew") == report["n_grew"] > 0
    assert verdicts == sorted(verdicts, key=["grew", "noise", "shrank"].index)
    lows = [row["ci"][0] for row in report["rows"] if row["verdict"] == "grew"]
    assert lows == sorted(lows, reverse=True)
