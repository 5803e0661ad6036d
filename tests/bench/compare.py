#!/usr/bin/python3
"""What heapspy costs, beside an empty interposer and other heap profilers: one command, one set of tables.

    tests/bench/compare.py [--quick] [--only NAME]... [--rounds N] [BUILD]

Each round runs every variant once, in random order; tables show the median of the rounds' ratios with
its interval. docs/performance.md says how to read them. A run counts only if the program ended well and
said what it says without a profiler, and if the profiler left what it should.
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import compare_counts
import compare_figures
import compare_programs
import compare_report
import compare_servers
import compare_variants

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- compare.py begin -->", "<!-- compare.py end -->"
ROUNDS = {"ops": 11, "other": 7, "memory": 3}
SLOW_ROUNDS = 3
NEEDED = ("prog_ops", "prog_ops_cxx", "server_loop", "launch", "empty_interposer.so", "tc_sample_proof.so")
PACKAGES = {"redis": ("redis-server", "redis-server"), "memcached": ("memcached", "memcached"),
            "sqlite3": ("sqlite3", "sqlite3"), "cc1plus": ("g++", "g++"), "counts": ("valgrind", "valgrind")}
MEASURED_PACKAGES = ("libc6", "libgoogle-perftools4", "libjemalloc2", "heaptrack", "redis-server", "memcached",
                     "sqlite3", "python3", "g++-12")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=ROOT / "build", help="build directory")
    parser.add_argument("--quick", action="store_true", help="two minutes: little work, three rounds")
    parser.add_argument("--only", action="append", metavar="NAME", default=[],
                        help="an operation or a workload; --only=list names them")
    parser.add_argument("--rounds", type=int, metavar="N", help="11 for operations, 7 for programs")
    parser.add_argument("--ours", action="store_true", help="without the other profilers")
    parser.add_argument("--seed", type=int, default=1, help="of the order of variants")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keeps all figures there")
    parser.add_argument("--load", type=pathlib.Path, metavar="FILE", help="shows figures kept by --json; runs nothing")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    parser.add_argument("--update", type=pathlib.Path, metavar="PAGE",
                        help="puts them between the markers in a page such as docs/performance.md")
    parser.add_argument("--install", action="store_true", help="first installs the packages that are measured")
    given = parser.parse_args()
    if given.rounds is not None and given.rounds < 1:
        parser.exit(2, f"compare.py: --rounds takes a number from 1, not {given.rounds}\n")
    return given


class Stopped(Exception):
    """By a signal: what was measured so far is shown and kept."""


def stop(number, _frame):
    signal.signal(number, signal.SIG_IGN)  # timeout sends it twice
    raise Stopped


def refuse(text):
    sys.exit(f"compare.py: {text}")


def machine():
    """What the figures belong to."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    packages = []
    if shutil.which("dpkg-query"):
        packages = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *MEASURED_PACKAGES], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, check=False).stdout.splitlines()
    return {"processor": f"{len(os.sched_getaffinity(0))} x {model.group(1) if model else platform.machine()}",
            "system": f"{release}, Linux {platform.release()}",
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "packages": packages, "load": os.getloadavg()[0]}


class Run:
    """One run of compare.py: what is there to be measured, and what was found."""

    def __init__(self, given, inputs):
        self.given = given
        self.order = random.Random(given.seed)
        self.bench = compare_programs.Bench(given.build, given.quick)
        self.records, self.failures, self.missing = [], [], []
        self.variants = []
        for one in compare_variants.all_variants(given.build):
            if given.ours and not one.glibc:
                continue
            if one.missing():
                self.missing.append(f"{one.title}: install {one.package}" if one.package
                                    else f"{one.title}: no {one.missing()[0]}")
            else:
                self.variants.append(one)
        self.by_name = {one.name: one for one in self.variants}
        self.sampled = compare_programs.Ops(self.bench, list(compare_report.SAMPLED))
        self.sampled.name, self.sampled.title = "sampled", "the sampled path"
        self.counts = compare_counts.Counts(self.bench, inputs)
        self.workloads = [self.counts, compare_programs.Start(self.bench), compare_programs.Memory(self.bench),
                          *self.operations(), self.sampled, *compare_programs.programs(self.bench, inputs),
                          *compare_servers.servers(self.bench)]
        for name, (program, package) in PACKAGES.items():
            if not shutil.which(program):
                self.missing.append(f"{name}: install {package}")
                self.workloads = [one for one in self.workloads if one.name != name]
        self.choose()

    def operations(self):
        ops = [op for op in compare_report.OPS if op != "growth"]
        several = [op for op in ops if op != "replace"]
        lives = (0, 20000) if self.given.quick else (0, 20000, 200000)
        found = [compare_programs.Ops(self.bench, ops if threads == 1 else several, threads, live)
                 for threads in (1, 2) for live in lives]
        growth = compare_programs.Ops(self.bench, ["growth"])
        growth.name, growth.title = "growth", "realloc from 1 to 256 MiB"
        return [*found, growth]

    def choose(self):
        """Leaves what --only names: whole workloads, or single operations."""
        operations = {op for one in self.workloads if isinstance(one, compare_programs.Ops) for op in one.ops}
        names = {one.name for one in self.workloads}
        if self.given.only == ["list"]:
            print("\n".join(sorted(operations | names)))
            sys.exit(0)
        for name in self.given.only:
            if name not in operations | names:
                refuse(f"nothing is called {name!r}, or it is not installed; --only=list names all")
        if not self.given.only:
            return
        chosen = set(self.given.only)
        kept = []
        for one in self.workloads:
            if one.name not in chosen and isinstance(one, compare_programs.Ops):
                one.ops = [op for op in one.ops if op in chosen]
                if one.ops:
                    kept.append(one)
            elif one.name in chosen:
                kept.append(one)
        self.workloads = kept

    def rounds(self, workload):
        kind = "ops" if isinstance(workload, compare_programs.Ops) else workload.name
        return self.given.rounds or (3 if self.given.quick else ROUNDS.get(kind, ROUNDS["other"]))

    def jobs(self, workload, number):
        """[(variant, size)] of one round. Slow profilers come a few times, with what they are compared to."""
        found = [(one, "full") for one in self.variants if not one.slow]
        if workload is self.sampled or isinstance(workload, compare_programs.Ops) and (
                workload.live or workload.name == "growth"):
            found = [(one, "full") for one in self.variants if one.glibc]
        elif number < (1 if self.given.quick else SLOW_ROUNDS):
            small = isinstance(workload, (compare_programs.Program, compare_servers.Server))
            for one in (one for one in self.variants if one.slow):
                size = compare_report.SIZES[one.name] if small else "full"
                found.append((one, size))
                if small:
                    found += [(self.by_name[name], size) for name in dict.fromkeys(("bare", one.own))]
        self.order.shuffle(found)
        return found

    def measure(self):
        for workload in self.workloads:
            started = time.monotonic()
            if workload is self.counts:
                self.count()
            else:
                expected = {}
                for number in range(self.rounds(workload)):
                    for variant, size in self.jobs(workload, number):
                        if size not in expected:  # also warms what is read from disk
                            expected[size] = self.once(workload, self.by_name["bare"], size, None, None)
                        if expected[size] is None:
                            continue  # said already: it does not even run bare
                        self.once(workload, variant, size, number, expected[size])
            print(f"{workload.title}: {time.monotonic() - started:.0f} s", file=sys.stderr)

    def count(self):
        variants = [one for one in self.variants if one.glibc]
        for case, name, result in self.counts.run(variants):
            if isinstance(result, Exception):
                self.failed("counts", name, f"{case}: {result}")
            else:
                self.records.append(compare_figures.Record("counts", case, "full", 0, name, {"instructions": result}))

    def failed(self, workload, variant, why):
        text = f"{workload}, {variant}: {why}"
        if text not in self.failures:
            self.failures.append(text)
            print(f"not counted: {text}", file=sys.stderr)

    def once(self, workload, variant, size, number, expected):
        """One run, checked. Returns the output; a record is made when there is an output to compare it with."""
        try:
            with compare_variants.run_directory() as directory:
                cases, output = workload.run(variant, size, directory)
                variant.proof(directory, workload.name != "start")
            if number is not None and output != expected:
                raise compare_variants.Wrong("its output is not that of the bare program")
        except (compare_variants.Wrong, subprocess.TimeoutExpired) as error:
            self.failed(workload.name, variant.name, str(error))
            return None
        if number is not None:
            self.records += [compare_figures.Record(workload.name, case, size, number, variant.name, figures)
                             for case, figures in cases.items()]
        return output


def show(kept, given):
    """Prints everything that was kept; the tables are made from that alone."""
    variants = [compare_variants.Variant(**one) for one in kept["variants"]]
    records = [compare_figures.Record(**one) for one in kept["records"]]
    report = compare_report.Report(compare_figures.Figures(records), variants, kept["workloads"])
    tables = report.tables()
    about = kept["machine"]
    head = [f"Measured {kept['date']} in {kept['minutes']:.0f} minutes on {about['processor']}, "
            f"{about['memory_mib'] / 1024:.0f} GiB; {about['system']}. Load at the beginning {about['load']:.1f}.",
            ", ".join(about["packages"]) + "."]
    tail = [f"Left out: {text}." for text in kept["missing"]] + [f"Not counted: {text}." for text in kept["failures"]]
    if not given.markdown and not given.update:
        print("\n\n".join(["\n".join(head), *(table.text() for table in tables), *(["\n".join(tail)] if tail else [])]))
        return
    text = "\n\n".join([*head, *(table.markdown() for table in tables), *tail])
    if given.markdown:
        print(text)
    if given.update:
        page = given.update.read_text()
        before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
        given.update.write_text(f"{page[:before]}\n{text}\n{page[after:]}")


def measured(given):
    """All that was found, as --json keeps it."""
    if not given.build.is_dir():
        refuse(f"there is no build directory {given.build}")
    given.build = given.build.resolve()
    absent = [name for name in NEEDED if not (given.build / "tests" / "bench" / name).exists()]
    if absent or not (given.build / "preload" / "libheapspy.so").exists():
        refuse(f"{given.build} holds no {(absent or ['libheapspy.so'])[0]}: meson compile -C {given.build}")
    if given.install:
        subprocess.run([ROOT / "tests" / "install-packages.sh", "bench"], check=True)
    about, started = machine(), time.monotonic()
    inputs = compare_programs.Inputs()
    run = Run(given, inputs)
    try:
        run.measure()
    except Stopped:
        run.failures.append("all that would have followed: stopped by a signal")
    fields = ("name", "title", "package", "own", "slow")
    return {"date": datetime.date.today().isoformat(), "minutes": (time.monotonic() - started) / 60,
            "machine": about, "seed": given.seed, "missing": run.missing, "failures": run.failures,
            "workloads": [[one.name, one.title] for one in run.workloads],
            "variants": [{field: getattr(one, field) for field in fields} for one in run.variants],
            "records": [dataclasses.asdict(one) for one in run.records]}


def loaded(path):
    """What --json has kept."""
    try:
        kept = json.loads(path.read_text())
        if kept.keys() >= {"date", "minutes", "machine", "missing", "failures", "workloads", "variants", "records"}:
            return kept
    except (ValueError, AttributeError):
        pass
    return refuse(f"{path} was not made by --json")


def main():
    given = arguments()
    if not given.load:
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
    try:
        if given.update:
            page = given.update.read_text()
            if BEGIN not in page or END not in page:
                refuse(f"{given.update} has no lines {BEGIN} and {END}")
        if given.json:
            given.json.touch()  # now rather than in twenty minutes
        kept = loaded(given.load) if given.load else measured(given)
        if given.json:
            given.json.write_text(json.dumps(kept))
    except OSError as error:
        refuse(error)
    show(kept, given)
    if kept["failures"]:
        sys.exit(1)


main()
