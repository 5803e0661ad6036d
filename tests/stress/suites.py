#!/usr/bin/python3
"""Test suites of real programs, each run bare and under heapspy: every test must end the same way.

    tests/install-packages.sh build test stress
    tests/stress/suites.py [--sample 1,512KiB] [--modes preload,run] [--parts all] BUILD [SUITE[/PART]...]

Suites are python, sqlite, redis and memcached. Debian's source packages are unpacked and built in BUILD/suites; the
apt sources of this machine are read, not changed. Prints a line for each part of a suite and way of running it: how
many tests passed, were skipped and failed, and what ended otherwise than bare. A part that differs is run again, bare
and not, up to twice: a test that ends bare both ways proves nothing. The exit status is 1 if a difference stays.
"""
import argparse
import collections
import os
import pathlib
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(
        usage="suites.py [--sample LIST] [--modes LIST] [--parts all] BUILD [SUITE[/PART]...]")
    parser.add_argument("--sample", default="1,512KiB", help="mean sampling intervals")
    parser.add_argument("--modes", default="preload,run", help="how heapspy is started")
    parser.add_argument("--parts", choices=["usual", "all"], default="usual", help="all: those that take long as well")
    parser.add_argument("build", metavar="BUILD")
    parser.add_argument("suites", nargs="*", metavar="SUITE[/PART]")
    return parser.parse_args()


WORDS = arguments()
os.environ["HEAPSPY_BUILD"] = os.path.abspath(WORDS.build)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from stress import suite_sources  # pylint: disable=wrong-import-position

REPEATS = 2


def counts(results):
    found = collections.Counter(results.values())
    return f"{found.pop('ok', 0)} ok, {found.pop('skipped', 0)} skipped, {sum(found.values())} failed"


def differing(one, other):
    """{test: (how it ended in one, in the other)}"""
    return {name: (one.get(name), other.get(name)) for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name)}


def tell(words, results, begun, what=""):
    print(f"{' '.join(words):44} {counts(results):36} {time.monotonic() - begun:6.0f} s  {what}", flush=True)


class Part:
    """One part of a suite, its results bare, and whatever else it was seen to do bare."""

    def __init__(self, suite, name):
        self.suite, self.name = suite, name
        self.bare = collections.defaultdict(set)
        self.run_bare()

    def run(self, mode, **settings):
        begun = time.monotonic()
        results = self.suite.run(self.name, mode, settings)
        for _ in range(3):
            if results or "address already in use" not in self.suite.said:
                break
            results = self.suite.run(self.name, mode, settings)
        if not results:
            raise RuntimeError(f"{self.suite.name}/{self.name}, {mode}: no test was run:\n{self.suite.said[-3000:]}")
        return results, begun

    def run_bare(self):
        results, begun = self.run("bare")
        for test, how in results.items():
            self.bare[test].add(how)
        # A test that was not run this time.
        for test in self.bare.keys() - results.keys():
            self.bare[test].add(None)
        tell([self.suite.name, self.name, "bare"], results, begun)
        self.last = results

    def compare(self, mode, sample):
        """The differences that stay."""
        seen = None
        for repeat in range(1 + REPEATS):
            if repeat:
                self.run_bare()
            results, begun = self.run(mode, sample=sample)
            found = {test: ends for test, ends in differing(self.last, results).items()
                     if ends[1] not in self.bare.get(test, {None})}
            # What came out as bare but once is no difference of heapspy's.
            seen = found if seen is None else {test: ends for test, ends in seen.items() if test in found}
            tell([self.suite.name, self.name, mode, sample], results, begun,
                 "same" if not found else f"{len(found)} differ")
            for test, ends in found.items():
                print(f"    {test[:200]}: {ends[0]} bare, {ends[1]}", flush=True)
            if not seen:
                break
        return seen


def chosen():
    """(suite, part), in the order of the command line; a suite is ready by then."""
    known = {suite.name: suite for suite in suite_sources.SUITES}
    unknown = {word.partition("/")[0] for word in WORDS.suites} - set(known)
    if unknown:
        sys.exit(f"no suite {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for word in WORDS.suites or known:
        name, _, part = word.partition("/")
        suite = known[name]
        suite.prepare(pathlib.Path(WORDS.build).resolve() / "suites")
        usual = dict.fromkeys(suite.parts)
        for each in [part] if part else {**usual, **dict.fromkeys(suite.long_parts)} if WORDS.parts == "all" else usual:
            yield suite, each


def main():
    wrong = []
    for suite, name in chosen():
        try:
            part = Part(suite, name)
            for sample in WORDS.sample.split(","):
                for mode in WORDS.modes.split(","):
                    if part.compare(mode, sample):
                        wrong.append(f"{suite.name}/{name} {mode} {sample}")
        except RuntimeError as error:
            print(error, flush=True)
            wrong.append(f"{suite.name}/{name}")
    print(f"differ: {', '.join(wrong)}" if wrong else "each test ended as it does bare")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
