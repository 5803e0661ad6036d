"""heapspy diff on random pairs of snapshots, against a second computation of every figure.

Weights, thinning and ranges are computed here in floating point from their formulas
(docs/sampling.md), so figures may differ by the rounding of weights to whole bytes; sums must
agree to the byte.
"""
import json
import math
import random
import re

import pytest
import scenario
import snapshot_format as sf

Z = 1.959964
MIB = 1 << 20
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def chance(size, interval):
    return 1 if interval <= 1 else -math.expm1(-max(size, 1) / interval)


class Sum:
    """Samples as they count at one interval."""

    def __init__(self, interval, samples):
        self.interval = interval
        self.n = self.seen = self.bytes = self.variance = 0
        for s in samples:
            p = chance(s.size, interval)
            self.n += 1
            self.seen += s.size
            self.bytes += s.size / p
            self.variance += s.size ** 2 * (1 - p) / p ** 2

    def range(self):
        if self.interval <= 1:
            return self.bytes, self.bytes
        m, base = self.variance / self.interval ** 2, self.bytes - self.variance / self.interval
        root = 1 - 1 / (9 * m) - Z / (3 * math.sqrt(m)) if m > 0 else 0
        low = m * root ** 3 if root > 0 else 0
        high = (m + 1) * (1 - 1 / (9 * (m + 1)) + Z / (3 * math.sqrt(m + 1))) ** 3
        return max(self.seen, base + self.interval * low), base + self.interval * high


def growth(born, died):
    (born_lo, born_hi), (died_lo, died_hi) = born.range(), died.range()
    figure = born.bytes - died.bytes
    return (figure, figure - math.hypot(born.bytes - born_lo, died_hi - died.bytes),
            figure + math.hypot(born_hi - born.bytes, died.bytes - died_lo))


class Pair:
    """Two moments, made up: of one process or two, with intervals that may have been raised."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.same = rng.random() < .75
        self.first = [rng.choice((1, 4 << 10, 64 << 10, 512 << 10))]
        self.first.append(self.first[0] if self.same else rng.choice((4 << 10, 512 << 10)))
        levels = sorted(rng.choice((0, 0, 0, 1, 3)) for _ in range(2))
        self.levels = levels if max(self.first) > 1 else [0, 0]
        self.n_stacks = rng.choice((1, 5, 60, 200))
        sizes = rng.choice(((48,), (24, 4096, 3 * MIB), (0, 100000), (700, 1400, 2800)))
        n_old, n_new = rng.choice(((0, 30), (400, 3), (1500, 400), (30, 0), (0, 0), (200, 200)))
        shift = rng.randint(0, 8)
        old = [self.sample(i, sizes, shift, 0, rng.randint(0, self.levels[0])) for i in range(n_old)]
        new = [self.sample(n_old + i, sizes, shift, scenario.MINUTE, rng.randint(*self.levels))
               for i in range(n_new)]
        kept = [s for s in old if rng.random() < .9] if self.same else []
        self.live = [self.keep(old, 0), self.keep(kept + new, 1)]
        if rng.random() < .5:
            rng.shuffle(self.live[1])

    def sample(self, index, sizes, shift, born, level):
        stack = 1 + min(int(self.rng.expovariate(4 / self.n_stacks)) + (shift if born else 0),
                        self.n_stacks - 1)
        return sf.Sample(4096 + 16 * index, self.rng.choice(sizes), born + self.rng.randrange(10**9), stack,
                         self.rng.getrandbits(32), birth_level=level)

    def belongs(self, side, sample, level):
        first = self.first[side]
        return level <= sample.birth_level or sample.u / 2**32 < \
            chance(sample.size, first << level) / chance(sample.size, first << sample.birth_level)

    def keep(self, samples, side):
        """What a thinning leaves, at the level it stands at now."""
        kept = [sf.Sample(**vars(s)) for s in samples if self.belongs(side, s, self.levels[side])]
        for s in kept:
            s.level = self.levels[side]
        return kept

    def write(self, directory):
        for side, name in enumerate("ab"):
            unit = max(0, 2 * (self.first[side].bit_length() - 1) - 22)
            s = sf.Snapshot(number=side + 1, cut_ns=(side + 1) * scenario.MINUTE, interval_bytes=self.first[side],
                            level=self.levels[side], variance_unit_log2=unit)
            if side and not self.same:
                s.info.update(start_id=5, pid=77)
            s.modules = [sf.Module(1, "/nowhere/bin/api", 0x400000, 0x500000, 0x400000, 1)]
            s.threads = ["", "main"]
            s.stacks = [sf.Stack(i + 1, [sf.Frame(0x401001 + 32 * i, 1)]) for i in range(self.n_stacks)]
            self.rng.shuffle(s.stacks)
            s.live = self.live[side]
            s.write(directory / f"{name}.hspy")

    def expected(self):
        """Growth by address of the row's function, and of all; only what is live anywhere."""
        at = [self.first[0] << self.levels[0], self.first[1] << self.levels[1]]
        live = self.live
        if self.same:
            at = [max(at)] * 2
            level = max(self.levels)
            live = [[s for s in side if self.belongs(0, s, level)] for side in live]
        key = (lambda s: (s.address, s.birth_ns)) if self.same else id
        there = [{key(s) for s in side} for side in live]
        rows = {}
        for stack in [None, *range(1, self.n_stacks + 1)]:
            mine = [[s for s in side if stack in (None, s.stack)] for side in live]
            born = Sum(at[1], (s for s in mine[1] if key(s) not in there[0]))
            died = Sum(at[0], (s for s in mine[0] if key(s) not in there[1]))
            if mine[0] or mine[1] or stack is None:
                name = stack and f"api+0x{0x1000 + 32 * (stack - 1):x}"
                rows[name] = (*growth(born, died), born.n, died.n, Sum(at[0], mine[0]), Sum(at[1], mine[1]))
        return rows


def check_row(row, expected):
    figure, lo, hi, n_born, n_died, before, after = expected
    slack = 1 + .51 * (row["samples"] + before.n + after.n)
    # V is kept in units of 2^n: a part of the range in 10^6.
    wide = slack + 1e-6 * (hi - lo)
    assert (row["samples_born"], row["samples_died"]) == (n_born, n_died)
    assert abs(row["bytes"] - figure) <= slack
    assert abs(row["ci"][0] - lo) <= wide and abs(row["ci"][1] - hi) <= wide
    assert row["ci"][0] <= row["bytes"] <= row["ci"][1]
    for key, side in (("before", before), ("after", after)):
        assert abs(row[key] - side.bytes) <= slack
        assert all(abs(x - y) <= slack + 1e-6 * side.range()[1] for x, y in zip(row[key + "_ci"], side.range()))
    assert row["after"] - row["before"] == row["bytes"]


def printed(text):
    """"35.1 MiB" as bytes, and how far the text may be off."""
    number, unit = re.match(r"(-?[\d.]+) (\w+)", text).groups()
    value = abs(float(number))
    digit = 0 if unit == "B" else .5 if value >= 99.95 else .05 if value >= 9.995 else .005
    return float(number) * UNITS[unit], digit * UNITS[unit] + .51


def check_text(text, report):
    """What the table prints adds up to its last line."""
    lines = text[text.index("\n\n"):].splitlines()
    total, slack = printed(next(line for line in lines if line.startswith("  = "))[4:])
    assert abs(total - report["total"]["bytes"]) <= slack
    for line in lines:
        found = re.match(r"  ([-+]) (?:[\d ]+ more sites? (?:grew|shrank), together )? *(-?[\d.]+ \w+)", line) or \
            re.match(r"  (~) [\d ]+ sites?.*?(?:together|moved,) (-?[\d.]+ \w+)", line)
        if found:
            value, digit = printed(found.group(2))
            total -= -value if found.group(1) == "-" else value
            slack += digit
    assert abs(total) <= slack, text


@pytest.mark.parametrize("seed", range(40))
def test_every_figure(heapspy, tmp_path, seed):
    pair = Pair(seed)
    pair.write(tmp_path)
    words = ("a.hspy", "b.hspy", "-q", *(() if pair.same else ("--force",)))
    done = heapspy("diff", *words, "--json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    expected = pair.expected()
    assert report["same_process"] is pair.same
    rows = {row["where"]["function"]: row for row in report["rows"]}
    assert set(rows) == set(expected) - {None}
    for name, row in rows.items():
        check_row(row, expected[name])
        (stack,) = row["stacks"]
        assert (stack["bytes"], stack["ci"]) == (row["bytes"], row["ci"])
    check_row(report["total"], expected[None])
    for key in ("bytes", "before", "after", "samples", "samples_born", "samples_died"):
        assert sum(row[key] for row in report["rows"]) == report["total"][key]
        assert sum(row[key] for row in report["rows"] if row["verdict"] == "noise") == report["noise"][key]
    text = heapspy("diff", *words, *pair.rng.choice(((), ("-n", "1"), ("--min", "1MiB"), ("-n", "0")))).out
    if report["total"]["samples"]:
        check_text(text, report)
    else:
        assert "\nNo change seen (" in text and text.count("\n") <= 3


@pytest.mark.parametrize("seed", range(100, 110))
def test_kept_until_a_third_moment(heapspy, tmp_path, seed):
    """Nothing can have died there: ranges begin at the bytes that were seen."""
    pair = Pair(seed)
    while not pair.same or not any(s.birth_ns >= scenario.MINUTE for s in pair.live[1]):
        seed += 1000
        pair = Pair(seed)
    pair.write(tmp_path)
    c = sf.Snapshot.decode((tmp_path / "b.hspy").read_bytes())
    c.info.update(number=3, cut_ns=3 * scenario.MINUTE)
    c.live = [s for s in c.live if pair.rng.random() < .5]
    c.write(tmp_path / "c.hspy")
    report = json.loads(heapspy("diff", "a.hspy", "b.hspy", "--third", "c.hspy", "-q", "--json").out)
    before = {(s.address, s.birth_ns) for s in pair.live[0]}
    interval = pair.first[0] << max(pair.levels)
    kept = [s for s in c.live if (s.address, s.birth_ns) not in before and pair.belongs(0, s, max(pair.levels))]
    sums = Sum(interval, kept)
    total = report["total"]
    assert total["samples"] == sums.n == sum(row["samples"] for row in report["rows"])
    assert total["bytes"] == sum(row["bytes"] for row in report["rows"])
    assert abs(total["bytes"] - sums.bytes) <= 2 + sums.n
    assert all(abs(x - y) <= 2 + sums.n + 1e-6 * y for x, y in zip(total["ci"], sums.range()))
    for row in report["rows"]:
        assert 0 <= row["ci"][0] <= row["bytes"] <= row["ci"][1] and row["samples_died"] == 0
        assert row["verdict"] == ("grew" if row["bytes"] else "noise")
