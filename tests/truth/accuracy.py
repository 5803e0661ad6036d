#!/usr/bin/python3
"""Measures what docs/accuracy.md shows: how often ranges hold the truth, what heaptrack says of the exact run, and
how often verdicts are right.

    HEAPSPY_BUILD=build tests/truth/accuracy.py [--runs N] [--verdicts N] [--update PAGE]

Prints tables in Markdown; --update puts them between the marks of a page instead. tests/preload/test_truth.py and
test_verdicts.py assert the same of fewer runs.
"""
import argparse
import datetime
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import hspy
from truth import coverage, heaptrack, runs, verdicts

BEGIN, END = "<!-- accuracy.py begin -->", "<!-- accuracy.py end -->"
NOTHING = "–"


def arguments():
    parser = argparse.ArgumentParser(usage="accuracy.py [--runs N] [--verdicts N] [--update PAGE]")
    parser.add_argument("--runs", type=int, default=200, help="sampled runs (200)")
    parser.add_argument("--verdicts", type=int, default=20, metavar="N", help="runs of each behaviour (20)")
    parser.add_argument("--update", type=pathlib.Path, metavar="PAGE", help="page that holds the marks")
    given = parser.parse_args()
    if not hspy.LIBRARY.exists():
        parser.error(f"there is no {hspy.LIBRARY}: meson compile -C {hspy.BUILD}, or set HEAPSPY_BUILD")
    if given.runs < 2 or given.verdicts < 1:
        parser.error("two runs at least, and one for verdicts")
    if given.update and not all(mark in given.update.read_text() for mark in (BEGIN, END)):
        parser.error(f"{given.update} has no lines {BEGIN} and {END}")
    return given


def markdown(title, header, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in
             [header, ["---"] + ["---:"] * (len(header) - 1), *rows]]
    return "\n".join([f"### {title}", "", *lines])


def thousands(number):
    return f"{number:,}".replace(",", " ")


def held(found):
    return f"{found.percent:.1f} ({thousands(found.n)})" if found else NOTHING


def table_by_samples(readings, plan):
    found, rows = coverage.by_samples(readings, plan), []
    for i, low in enumerate(coverage.STEPS[:-1]):
        high = coverage.STEPS[i + 1]
        one = [found.get((i, metric)) for metric in coverage.METRICS]
        width = next((f"± {each.half_width_percent:.0f} %" for each in one[:2] if each), NOTHING)
        rows.append([f"{low} to {high}" if i + 2 < len(coverage.STEPS) else f"{low} and more", *map(held, one), width])
    return markdown("Blocks of up to 1 KiB, by expected samples",
                    ["samples", "live: held, %", "allocated: held, %", "growth: held, %", "half width"], rows)


def table_by_group(readings, plan):
    found, rows = coverage.by_group(readings, plan), []
    for group in dict.fromkeys(group for group, _ in found):
        one = [found[group, metric] for metric in coverage.METRICS]
        rows.append([group or "the sum of all sites", *map(held, one),
                     f"{sum(each.below for each in one)} / {sum(each.above for each in one)}",
                     ", ".join(f"{each.bias:+.1f}" for each in one)])
    return markdown("All blocks, by kind of site", ["kind", "live: held, %", "allocated: held, %", "growth: held, %",
                                                    "truth below / above", "bias, standard errors"], rows)


def table_of_counts(readings, plan):
    found, rows = coverage.by_group(readings, plan), []
    for group in dict.fromkeys(group for group, _ in found):
        row = [group or "the sum of all sites"]
        live = found[group, coverage.COUNTS[0]]
        two_sided = coverage.Coverage(each for each in live.readings if each.figure.high is not None)
        row.append(held(two_sided) if two_sided.n else NOTHING)
        for metric in coverage.COUNTS:
            one = found[group, metric]
            row.append(f"{100 - 100 * one.below / one.n:.1f} ({thousands(one.n)})")
        rows.append(row)
    return markdown("Numbers of blocks", ["kind", "live: range held, where there is an upper end, %",
                                          "live: lower end held, %", "allocated: lower end held, %"], rows)


def table_of_heaptrack(truth, plan, directory):
    path = heaptrack.record([runs.program(), "serial"], directory)
    accounts, peak = heaptrack.read(path, plan)
    calls, peak_said, leaked_said = heaptrack.summary(path)
    theirs, ours = heaptrack.total(accounts), truth.ended["total"]
    equal = sum(accounts[site] == truth.ended[site] for site in plan)
    rows = [["calls that allocate", thousands(ours.blocks), thousands(theirs.blocks), thousands(calls)],
            ["bytes allocated", thousands(ours.bytes), thousands(theirs.bytes), NOTHING],
            ["blocks at the end", thousands(ours.left_blocks), thousands(theirs.left_blocks), NOTHING],
            ["bytes at the end", thousands(ours.left_bytes), thousands(theirs.left_bytes), leaked_said],
            ["peak, bytes", thousands(truth.peak_bytes), thousands(peak), peak_said],
            ["sites equal in the first four", f"{equal} of {len(plan)}", "", ""]]
    return markdown("The exact run beside heaptrack", ["", "heapspy", "heaptrack's file", "heaptrack_print"], rows)


def labels(said):
    """The verdicts of some runs: the name, or each with its number."""
    found = verdicts.counted(said)
    if len(found) == 1:
        return found[0][0]
    return ", ".join(f"{n} {label or 'no sample'}" for label, n in found)


def table_of_verdicts(directory, n_runs):
    found = verdicts.repeated(directory, n_runs)
    rows = [[behaviour, " or ".join(expected), labels(found[behaviour, behaviour]), labels(found[verdicts.ALL, behaviour])]
            for behaviour, expected in verdicts.EXPECTED.items()]
    return markdown("Verdicts", ["behaviour", "must be", "alone", "all in one process"], rows)


def table_of_slow_leaks(directory, n_runs):
    rows = []
    for behaviour, n_bytes in verdicts.LEAKED_BYTES.items():
        found = verdicts.by_interval(directory / behaviour.replace(" ", "-"), behaviour, verdicts.INTERVALS, n_runs)
        rows += [[behaviour, sample, f"{n_bytes / (int(sample[:-3]) << 10):.0f}",
                  f"{100 * sum(bool(each) and each.startswith(verdicts.LEAK) for each in said) / n_runs:.0f} %", labels(said)]
                 for sample, said in found.items()]
    return markdown("Leaks by the samples they leave", ["behaviour", "R", "samples expected", "leak-like, slowing included",
                                                        "verdicts"], rows)


def table_of_windows(directory, n_runs):
    rows = []
    for behaviour, (own_seconds, windows) in verdicts.OWN_TIMES.items():
        found = verdicts.by_window(directory / behaviour.replace(" ", "-"), behaviour, windows, n_runs)
        rows += [[behaviour, f"{own_seconds / seconds:.2f}", labels(said)] for seconds, said in found.items()]
    return markdown("Seen for too short", ["behaviour", "its own time, in parts of the run", "verdicts"],
                    rows)


def main():
    given, started = arguments(), time.monotonic()
    plan, readings = runs.planned(), []
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        truth = runs.Truth(directory / "exact")
        for i in range(given.runs):
            readings += runs.sampled(directory / str(i), truth)
        tables = [table_by_samples(readings, plan), table_by_group(readings, plan), table_of_counts(readings, plan)]
        if heaptrack.missing():
            tables.append(f"{heaptrack.missing()} is not installed: no comparison.")
        else:
            tables.append(table_of_heaptrack(truth, plan, directory / "heaptrack"))
        tables += [table_of_verdicts(directory / "verdicts", given.verdicts),
                   table_of_slow_leaks(directory / "leaks", given.verdicts),
                   table_of_windows(directory / "windows", given.verdicts)]
    head = (f"{given.runs} runs at 64 KiB on {datetime.date.today().isoformat()}, {len(plan)} sites, "
            f"{thousands(len(readings))} figures; {given.verdicts} runs of each behaviour; "
            f"{(time.monotonic() - started) / 60:.1f} minutes.")
    text = "\n\n".join([head, *tables])
    if not given.update:
        print(text)
        return
    page = given.update.read_text()
    before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
    given.update.write_text(f"{page[:before]}\n{text}\n{page[after:]}")


if __name__ == "__main__":
    main()
