"""heapspy churn on made-up snapshots whose every figure is known."""
import csv
import io
import json
import math

import pytest
import scenario
from scenario import B4K, C4K, CACHE, INDEX, LEAK, MIB, MINUTE, PARSER, V4K

YOUNG, SECONDS = 2**27 / 1e9, 60

GOLDEN_TEXT = """\
api (pid 4121)  0:01:00 -> 0:02:00   57.6 MiB/s allocated (exact); 91 % of the bytes die within 134 ms.
To a garbage collector: 52.2 MiB/s die young (51.8..52.6), 5 MiB/s in mid-life, after 1 s (4.63..5.4).   \
mean interval 512 KiB, 6 890 samples

  allocated/s  95 % range  share  temporary  median life      live  flag      where
     50.2 MiB  48.9..51.5   87 %      100 %    1..2.1 ms    10 MiB  heavy     libjson.so.1+0x4030
     2.01 MiB  1.76..2.28    3 %      100 %    1..2.1 ms       0 B  hot       api+0x4041
     5.02 MiB  4.63..5.44    9 %        0 %   2.1..4.3 s  30.1 MiB  mid-life  api+0x3020
3 sites allocate 99.3 % of all bytes. Below 1 %: 1 site, together 0.7 % (-n 0).
"""
GOLDEN_HINTS = """
Stacks of one site: heapspy churn run --by site --focus 'libjson\\.so\\.1\\+0x4030'
"""


def add(stack, n, deaths):
    """n more samples of 4096 bytes; deaths: how many by bucket."""
    stack.allocated = tuple(have + n * one for have, one in zip(stack.allocated, (1, 4096, B4K, V4K, C4K)))
    for bucket, died in deaths.items():
        have = stack.deaths.get(bucket, (0, 0, 0))
        stack.deaths[bucket] = tuple(x + died * one for x, one in zip(have, (1, B4K, C4K)))


def moments():
    """Minutes 1 and 2. PARSER makes 6000 samples that live for a millisecond, INDEX 240 of these, CACHE
    600 that live for some seconds, LEAK 50 that stay; 20 of PARSER's were there before and stay."""
    cache = [scenario.sample(100 + i, 4096, 58 * 10**9 + i, CACHE) for i in range(30)]
    stays = [scenario.sample(200 + i, 4096, 30 * 10**9 + i, PARSER) for i in range(20)]
    fresh = [scenario.sample(1000 + i, 4096, 118 * 10**9 + i, CACHE) for i in range(60)]
    leak = [scenario.sample(2000 + i, 4096, (61 + i) * 10**9, LEAK) for i in range(50)]
    a = scenario.snapshot(1, MINUTE, cache + stays)
    b = scenario.snapshot(2, 2 * MINUTE, stays + fresh + leak)
    stacks = {stack.id: stack for stack in b.stacks}
    add(stacks[PARSER], 6000, {20: 6000})
    add(stacks[INDEX], 240, {20: 240})
    add(stacks[CACHE], 600, {31: 570})
    add(stacks[LEAK], 50, {})
    b.info["bytes_seen"] += 6890 * B4K
    b.info["bytes_seen_end"] = b.info["bytes_seen"]
    return a, b


def write(directory, changed=None, snapshots=None):
    directory.mkdir(exist_ok=True)
    for number, s in enumerate(snapshots or moments(), 1):
        if changed:
            changed(s)
        s.write(directory / f"{number:06}.hspy")
    return directory


@pytest.fixture
def run(tmp_path):
    return write(tmp_path / "run")


def report(heapspy, *words):
    done = heapspy("churn", "--json", "-q", *words)
    assert done.code == 0 and done.err == "", done.err
    return json.loads(done.out)


def by_name(result):
    return {row["where"]["function"]: row for row in result["rows"]}


def test_golden_text(heapspy, run):
    done = heapspy("churn", "run")
    assert done.out == GOLDEN_TEXT + GOLDEN_HINTS
    assert done.err.count("\n") == 2 and done.err.count(" have no symbols ") == 2
    done = heapspy("churn", "run@1m", "run@2m", "-q")
    assert (done.code, done.out, done.err) == (0, GOLDEN_TEXT, "")


def test_json_says_the_same(heapspy, run):
    result = report(heapspy, "run")
    assert result["schema"] == "heapspy.churn/1" and result["metric"] == "allocated"
    assert (result["a"]["number"], result["b"]["number"], result["window_seconds"]) == (1, 2, 60)
    assert (result["young_seconds"], result["mid_life_seconds"]) == (0.134217728, 1.073741824)
    total = 6890 * B4K / SECONDS
    assert result["process"] == {"bytes_per_second": round(total), "ci": [round(total)] * 2, "exact": True}
    assert result["total"]["bytes"]["per_second"] == round(total)
    assert result["total"]["bytes"]["temporary"] == pytest.approx(6240 / 6890, abs=1e-4)
    rows = by_name(result)
    assert [row["flags"] for row in result["rows"]] == [["hot", "heavy"], ["hot"], ["mid-life"], []]
    parser = rows["libjson.so.1+0x4030"]["bytes"]
    assert parser["per_second"] == parser["young_per_second"] == round(6000 * B4K / SECONDS)
    assert parser["ci"][0] < parser["per_second"] < parser["ci"][1]
    assert parser["young_ci"][0] == pytest.approx(parser["ci"][0], rel=1e-4)
    assert parser["temporary_ci"][0] > .999 and parser["temporary_ci"][1] == 1
    assert parser["median_life_seconds"] == pytest.approx(2**20.5 / 1e9)
    assert parser["median_life_ci"] == [2**20 / 1e9, 2**21 / 1e9]
    # Turnover and mean life by Little's law, from the mean of what was live: 45 samples.
    cache = rows["api+0x3020"]
    assert (cache["live_before"], cache["live"]) == (30 * B4K, 60 * B4K)
    assert cache["bytes"]["turnover_per_second"] == pytest.approx(600 / 60 / 45, rel=1e-5)
    assert cache["bytes"]["mean_life_seconds"] == pytest.approx(4.5, rel=1e-5)
    assert cache["samples_died"] == 570 and cache["bytes"]["mid_life_ci"][0] > 4.6 * MIB
    assert cache["survival"] == [[2.147483648, 1], [4.294967296, 0]]
    leak = rows["api+0x2010"]
    assert leak["bytes"]["median_life_seconds"] is None and leak["bytes"]["median_life_ci"] == [60, None]
    assert leak["survival"] == []
    assert leak["bytes"]["temporary"] == 0 and leak["bytes"]["temporary_ci"][1] > .05
    assert [f["function"] for f in leak["stacks"][0]["frames"]] == ["api+0x2010", "api+0x1000", "api+0x100"]
    assert sum(row["bytes"]["share"] for row in result["rows"]) == pytest.approx(1, abs=1e-3)


def test_csv_says_what_json_says(heapspy, run):
    lines = list(csv.DictReader(io.StringIO(heapspy("churn", "run", "-q", "--csv").out), strict=True))
    rows = report(heapspy, "run")["rows"]
    assert len(lines) == len(rows) == 4
    for line, row in zip(lines, rows):
        m = row["bytes"]
        expected = [m["per_second"], *m["ci"], m["share"], m["temporary"], *m["temporary_ci"],
                    m["median_life_seconds"], m["young_per_second"], *m["young_ci"], m["mid_life_per_second"],
                    *m["mid_life_ci"], m["turnover_per_second"], m["mean_life_seconds"], row["live_before"],
                    row["live"], row["blocks"]["per_second"], *row["blocks"]["ci"], row["samples"]]
        values = list(line.values())
        assert values[0] == row["where"]["function"] and values[3] == row["where"]["module"]
        assert [float(value) if value else None for value in values[5:-1]] == expected
        assert values[-1] == "+".join(flag for flag in row["flags"] if flag != "hot" or len(row["flags"]) == 1)


def test_blocks_in_place_of_bytes(heapspy, run):
    result = report(heapspy, "run", "--metric", "objects")
    assert result["metric"] == "objects"
    parser = by_name(result)["libjson.so.1+0x4030"]["blocks"]
    assert parser["per_second"] == pytest.approx(6000 * C4K / 1024 / SECONDS, abs=.001)
    # Blocks of one size are bounded from above, to the same part as their bytes.
    assert parser["ci"][1] / parser["per_second"] == pytest.approx(1 + 1.96 / math.sqrt(6000), abs=1e-3)
    lines = heapspy("churn", "run", "-q", "--metric", "objects").out.splitlines()
    assert lines[3].split() == ["blocks/s", "95", "%", "range", "share", "temporary", "median", "life", "live",
                                "flag", "where"]
    assert lines[4].startswith("    12.9 k  12.5..13.2   87 %      100 %    1..2.1 ms  2.57 k  heavy")
    assert "of all blocks." in lines[-1]


def test_sizes_that_differ_leave_the_number_open(heapspy, tmp_path):
    def mix(s):
        stack = s.stacks[PARSER - 1]
        if s.info["number"] == 2:  # as many samples of 16 bytes
            stack.allocated = tuple(x + 6000 * y for x, y in zip(
                stack.allocated, (1, 16, 524296, 4194304, 33554944)))

    write(tmp_path / "run", mix)
    blocks = by_name(report(heapspy, "run"))["libjson.so.1+0x4030"]["blocks"]
    assert blocks["ci"][0] > 12000 and blocks["ci"][1] is None and blocks["young_ci"][1] is None
    line = heapspy("churn", "run", "-q", "--metric", "objects").out.splitlines()[4]
    assert line.startswith("   ~3.29 M      3.22..  ")


def test_more_columns_where_there_is_room(heapspy, run):
    def header(columns):
        return heapspy.on_terminal(columns, "churn", "run", "-q", TERM="dumb").out.splitlines()[3].split("  ")

    words = [[word.strip() for word in header(columns) if word.strip()] for columns in (120, 140, 160)]
    assert "blocks/s" not in words[0] and "blocks/s" in words[1] and "turnover/s" not in words[1]
    assert words[2] == ["allocated/s", "95 % range", "share", "blocks/s", "temporary", "median life",
                        "turnover/s", "live", "flag", "where"]
    full = heapspy("churn", "run", "-q", "--full-names").out.splitlines()
    assert "turnover/s" in full[3] and "  12.9 k  " in full[4]


def test_a_share_of_few_samples_is_a_range(heapspy, tmp_path):
    a, b = moments()
    b.stacks = a.stacks
    a.stacks = scenario.snapshot(1, MINUTE, []).stacks
    add(b.stacks[LEAK - 1], 4, {20: 4})
    b.info["bytes_seen"] = b.info["bytes_seen_end"] = a.info["bytes_seen"] + 4 * B4K
    b.live = a.live
    write(tmp_path / "run", snapshots=(a, b))
    out = heapspy("churn", "run").out
    assert "; 51..100 % of the bytes die within 134 ms.\n" in out
    assert "  51..100 %  " in out.splitlines()[4] and "flag" not in out
    assert "\nFew samples: take moments further apart, or run with a smaller HEAPSPY_SAMPLE" in out
    assert "1 site allocates 100 % of all bytes.\n" in out


def test_a_window_too_short_for_what_dies_young(heapspy, tmp_path):
    def shorten(s):
        if s.info["number"] == 2:
            s.info["cut_ns"] = MINUTE + 10**8
            s.live = [x for x in s.live if x.birth_ns <= MINUTE]

    write(tmp_path / "run", shorten)
    out = heapspy("churn", "run", "-q").out
    assert "; 100 ms are too short to tell what dies within 134 ms.\n" in out
    assert out.splitlines()[1] == "mean interval 512 KiB, 6 890 samples"
    # By rate, and no word of what is not known.
    lines = out.splitlines()[4:]
    assert [line.split()[-1] for line in lines[:3]] == ["libjson.so.1+0x4030", "api+0x3020", "api+0x4041"]
    assert all("  -  " in line for line in lines[:3]) and ">= 100 ms" in lines[1]
    row = report(heapspy, "run")["rows"][0]
    assert row["bytes"]["temporary"] is None and row["bytes"]["young_ci"] == [None, None]
    assert row["flags"] == []


def test_a_window_too_short_for_mid_life(heapspy, tmp_path):
    write(tmp_path / "run", lambda s: s.info.update(
        cut_ns=MINUTE + 10**9 * (s.info["number"] == 2)) or s.live.clear())
    assert "die young (" in heapspy("churn", "run", "-q").out.splitlines()[1]
    assert "mid-life" not in heapspy("churn", "run", "-q").out
    assert report(heapspy, "run")["total"]["bytes"]["mid_life_per_second"] is None


def test_across_a_thinning(heapspy, tmp_path):
    """Rates keep the weights of their time, ranges are those of the larger interval."""
    before = by_name(report(heapspy, write(tmp_path / "one")))
    write(tmp_path / "run", lambda s: s.info.update(level=2 * (s.info["number"] == 2)))
    result = report(heapspy, "run")
    after = by_name(result)
    assert result["interval_bytes"] == 2 * MIB
    assert ".   mean interval 512 KiB at A, 2 MiB at B, 6 890 samples\n" in heapspy("churn", "run").out
    for name, row in after.items():
        one = before[name]
        assert row["bytes"]["per_second"] == one["bytes"]["per_second"]
        assert row["bytes"]["ci"][1] - row["bytes"]["ci"][0] >= .9 * (one["bytes"]["ci"][1] - one["bytes"]["ci"][0])
    # What is live counts at the larger interval, so that survivors weigh the same at both ends.
    stays = after["libjson.so.1+0x4030"]
    assert stays["live_before"] == stays["live"] != 20 * B4K


def test_what_was_lost_is_said_in_one_line(heapspy, tmp_path):
    def lose(deaths, replaced):
        def change(s):
            s.losses[8], s.losses[3] = 100, 50
            if s.info["number"] == 2:
                s.losses[8] += deaths
                s.losses[3] += replaced
        return change

    says = "heapspy: between A and B "
    for losses, words in (((2, 1), "2 samples died without room for the lifetime, and 1 was found dead only when "
                                   "the address was used again: lifetimes look longer than they are\n"),
                          ((1, 0), "1 sample died without room for the lifetime: "),
                          ((0, 7), "7 were found dead only when the address was used again: ")):
        write(tmp_path / "run", lose(*losses))
        assert says + words in heapspy("churn", "run").err
        assert heapspy("churn", "run", "-q").err == ""
        result = report(heapspy, "run")
        assert (result["lost_deaths"], result["replaced_samples"]) == losses
    write(tmp_path / "run", lose(0, 0))
    assert says not in heapspy("churn", "run").err


def test_a_total_that_missed_something_is_an_estimate(heapspy, tmp_path):
    write(tmp_path / "run", lambda s: s.info.update(flags=4))
    out = heapspy("churn", "run").out
    assert "   57.6 MiB/s allocated (56.3..59); 91 % of" in out
    process = report(heapspy, "run")["process"]
    assert not process["exact"] and process["ci"][0] < process["bytes_per_second"] < process["ci"][1]


def test_nothing_allocated(heapspy, tmp_path):
    a, b = moments()
    b.stacks, b.live = a.stacks, a.live
    b.info.update(bytes_seen=a.info["bytes_seen"], bytes_seen_end=a.info["bytes_seen"])
    write(tmp_path / "run", snapshots=(a, b))
    done = heapspy("churn", "run")
    assert done.code == 0 and done.out.splitlines() == [
        "api (pid 4121)  0:01:00 -> 0:02:00   0 B/s allocated (exact).", "mean interval 512 KiB, 0 samples",
        "No allocation was sampled."]
    result = report(heapspy, "run")
    assert result["rows"] == [] and result["total"]["bytes"]["share"] is None


def test_a_median_between_buckets_is_a_guess(heapspy, tmp_path):
    """40 of 100 die within 2^20 ns, 20 in the next bucket: half way in the logarithm of both."""
    a, b = moments()
    b.stacks = scenario.snapshot(1, MINUTE, []).stacks
    a.stacks = scenario.snapshot(1, MINUTE, []).stacks
    a.live = b.live = []
    add(b.stacks[PARSER - 1], 1000, {19: 400, 20: 200, 25: 400})
    b.info["bytes_seen"] = b.info["bytes_seen_end"] = a.info["bytes_seen"] + 1000 * B4K
    write(tmp_path / "run", snapshots=(a, b))
    m = report(heapspy, "run")["rows"][0]["bytes"]
    median = 2**20 * 2 ** (math.log(.6 / .5) / math.log(.6 / .4)) / 1e9
    assert m["median_life_seconds"] == pytest.approx(median, rel=1e-6)
    assert m["median_life_ci"] == [2**20 / 1e9, 2**21 / 1e9]
    assert "   100 %      ~1.4 ms   " in heapspy("churn", "run", "-q").out


def test_since_and_until_are_moments_of_the_run(heapspy, run):
    expected = heapspy("churn", "run@1m", "run@2m")
    done = heapspy("churn", "run", "--since", "1m", "--until", "2m")
    assert (done.code, done.out) == (0, expected.out)
    assert "heapspy churn run@1m run@2m --by site" in done.out
    for words, code, message in (
            (("run", "--since", "2m", "--until", "1m"), 2, "--since 2m is not before --until 1m: nothing lies"),
            (("run@1", "run@2", "--since", "1m"), 2, "--since and --until say which part of a RUN: heapspy churn"),
            (("run", "--since", "mark:none"), 3, "no snapshot of 'run' has the mark 'none'")):
        done = heapspy("churn", *words)
        assert (done.code, done.out) == (code, "") and done.err.startswith(f"heapspy: {message}"), done.err


def test_what_is_not_shown_is_the_rest_of_all(heapspy, tmp_path):
    """What was counted is more than the samples stand for: the shares of all rows are 1 in truth."""
    def count(s):
        if s.info["number"] == 2:
            s.info["bytes_seen"] += 600 * B4K
            s.info["bytes_seen_end"] = s.info["bytes_seen"]

    write(tmp_path / "run", count)
    closing = heapspy("churn", "run", "-q", "-n", "1").out.splitlines()[-1]
    assert closing == "1 site allocates 80 % of all bytes. Not shown: 3 sites, together 20 % (-n 0)."


def test_a_rate_for_min_is_told_what_it_should_be(heapspy, run):
    done = heapspy("churn", "run", "--min", "1MiB/s")
    assert (done.code, done.err) == (2, "heapspy: --min: '1MiB/s' is not a size; did you mean 1MiB?\n")
    assert "--min: 'x/s' is not a size like 4096" in heapspy("churn", "run", "--min", "x/s").err


def test_order_and_identity_of_the_moments(heapspy, run, tmp_path):
    done = heapspy("churn", "run@2", "run@1")
    assert done.out.startswith(GOLDEN_TEXT)
    assert "heapspy: A is later than B: they are taken the other way round\n" in done.err
    assert heapspy("churn", "run@2", "run@1", "-q").err == ""
    other = moments()[1]
    other.info.update(comm="worker", pid=77, start_id=5)
    other.write(tmp_path / "other.hspy")
    for words in (("run@1", "other.hspy"), ("run@1", "other.hspy", "--force")):
        done = heapspy("churn", *words)
        assert (done.code, done.out) == (3, "")
        assert done.err == (
            "heapspy: A and B are of different processes (api, pid 4121, and worker, pid 77): nothing was "
            "allocated between them; churn needs two moments of one\n")


@pytest.mark.parametrize("words, message", [
    (("run@2", "run@2"), "A and B are both of 0:02:00 ('run/000002.hspy'): nothing was allocated in between; "
     "first to last: heapspy churn run"),
    (("run/000001.hspy", "copy.hspy"), "A and B are both of 0:01:00 ('run/000001.hspy'): nothing was allocated "
     "in between"),
    (("one",), "'one' holds one snapshot, and a rate needs two; they come every HEAPSPY_INTERVAL (60s unless "
     "set); see: heapspy top --metric allocated one"),
    (("one@1m", "one@5m"), "'one' holds one snapshot, and a rate needs two; they come every HEAPSPY_INTERVAL "
     "(60s unless set); see: heapspy top --metric allocated one"),
])
def test_no_time_no_rate(heapspy, run, tmp_path, words, message):
    (tmp_path / "one").mkdir()
    moments()[0].write(tmp_path / "one" / "000001.hspy")
    moments()[0].write(tmp_path / "copy.hspy")
    for option in ((), ("--json",), ("--force",)):
        done = heapspy("churn", *words, *option)
        assert (done.code, done.out, done.err) == (3, "", f"heapspy: {message}\n")


def test_wrong_usage(heapspy, run):
    done = heapspy("churn", "run@1")
    assert done.code == 2 and done.err == (
        "heapspy: churn needs two moments, or a run directory for its first and last\n")
    for metric in ("live", "rate"):
        done = heapspy("churn", "run", "--metric", metric)
        assert done.code == 2 and done.err == f"heapspy: --metric: '{metric}' is not allocated or objects\n"
    assert heapspy("top", "run", "--metric", "live").code == 0
    assert heapspy("churn", "run", "--exit-code").code == 2


def test_a_run_that_freed_everything_ends_before_its_exit(heapspy, tmp_path):
    a, b = moments()
    end = moments()[1]
    end.info.update(number=3, cut_ns=3 * MINUTE, reason=2)
    end.live = []
    for s, live_mib in ((a, 25), (b, 65), (end, 0)):
        s.tail = (65 * MIB, MINUTE, live_mib * MIB)
    write(tmp_path / "run", snapshots=(a, b, end))
    out = heapspy("churn", "run", "-q").out
    assert "  0:01:00 -> 0:02:00   57.6 MiB/s" in out and "\nB: " in out
    assert "  0:01:00 -> 0:03:00 (exit)   28.8 MiB/s" in heapspy("churn", "run@first", "run@last").out


def test_rows_left_out_are_counted(heapspy, run):
    def closing(*words):
        return heapspy("churn", "run", "-q", *words).out.splitlines()[-1]

    assert closing("-n", "0") == "4 sites allocate 100 % of all bytes."
    assert closing("-n", "1") == "1 site allocates 87 % of all bytes. Not shown: 3 sites, together 13 % (-n 0)."
    assert closing("--min", "4MiB") == ("2 sites allocate 96 % of all bytes. Not shown: 2 sites, together 4 % "
                                        "(-n 0 --min 0).")
    assert closing("--min", "1KiB") == "4 sites allocate 100 % of all bytes."


def test_many_small_sites_are_shown_all_the_same(heapspy, tmp_path):
    a, b = moments()
    a.info.update(bytes_seen=0, bytes_seen_end=0)
    b.info.update(bytes_seen=10**12, bytes_seen_end=10**12)
    write(tmp_path / "run", snapshots=(a, b))
    lines = heapspy("churn", "run", "-q").out.splitlines()
    assert len(lines) == 9 and lines[4].endswith("libjson.so.1+0x4030")
    assert lines[-1] == "4 sites allocate 0.4 % of all bytes."


def test_filters(heapspy, run):
    out = heapspy("churn", "run", "-q", "--focus", "libjson").out
    assert ("57.6 MiB/s allocated (exact), 50.2 MiB/s of it by what matches (48.9..51.5); 100 % of the bytes die"
            in out)
    assert len(report(heapspy, "run", "--ignore", "libjson")["rows"]) == 3
    assert len(report(heapspy, "run", "--module", "/lib/")["rows"]) == 1
    done = heapspy("churn", "run", "--focus", "libjsn.so+0x4030")
    assert done.code == 3 and done.err == (
        "heapspy: no samples match --focus 'libjsn.so+0x4030' (4 sites); similar: libjson.so.1+0x4030\n")


def test_by_module_groups_before_statistics(heapspy, run):
    rows = {row["where"]["module"]: row for row in report(heapspy, "run", "--by", "module")["rows"]}
    api = rows["/nowhere/bin/api"]
    assert api["bytes"]["per_second"] == round(890 * B4K / SECONDS) and api["samples"] == 890
    assert api["bytes"]["temporary"] == pytest.approx(240 / 890, abs=1e-3)
    assert sorted(api["flags"]) == ["hot", "mid-life"]
    assert "  hot+mid-life  api\n" in heapspy("churn", "run", "-q", "--by", "module").out


def test_stacks_below_rows(heapspy, run):
    lines = heapspy("churn", "run", "-q", "--stacks", "2").out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("api+0x3020"))
    assert lines[at + 1:at + 5] == ["    5.02 MiB/s, 600 samples", "      api+0x3020", "      api+0x1000",
                                    "      api+0x100"]
    assert heapspy("churn", "run", "-q", "--by", "site").out.count("      api+0x1000\n") == 3
    assert "    12.9 k/s, 6000 samples\n" in heapspy("churn", "run", "--stacks", "1", "--metric", "objects").out


def test_another_malloc_in_front(heapspy, tmp_path):
    write(tmp_path / "run", lambda s: s.info.update(flags=1, front_malloc="libother.so"))
    done = heapspy("churn", "run")
    assert done.code == 3 and "malloc of libother.so stands before heapspy's" in done.err
    assert heapspy("churn", "run", "--force").code == 0


def test_hostile_counters(heapspy, tmp_path):
    """Sums that fall, or that are as large as they can be, are no reason to stop, nor to print no number."""
    huge = 2**64 - 1

    def spoil(s):
        s.stacks[0].allocated = (huge,) * 5 if s.info["number"] == 2 else (5, 5, 5, 5, 5)
        s.stacks[0].deaths = {j: (huge, huge, huge) for j in range(48)}
        if s.info["number"] == 2:
            s.stacks[1].allocated = (9, 0, 0, 0, 0)

    write(tmp_path / "run", spoil)
    for words in ((), ("--metric", "objects"), ("--full-names",), ("--csv",)):
        done = heapspy("churn", "run", *words)
        assert done.code == 0 and "nan" not in done.out and "inf" not in done.out
    report(heapspy, "run")


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_fits_the_terminal(heapspy, tmp_path, columns):
    def rename(s):
        s.modules[1].path = "/nowhere/lib/lib" + "long" * 30 + ".so"

    write(tmp_path / "run", rename)
    table = heapspy.on_terminal(columns, "churn", "run", "-q", TERM="dumb").out.splitlines()[3:7]
    assert table[0].endswith("where") and max(map(len, table)) <= max(columns, 110)


def test_completion(heapspy, run):
    def complete(*words):
        return {line.split("\t")[0] for line in heapspy("complete", "--", *words).out.splitlines()}

    assert complete("churn", "--metric", "") == {"allocated", "objects"}
    assert complete("chu") == {"churn"}
    assert "run@first" in complete("churn", "run@")
