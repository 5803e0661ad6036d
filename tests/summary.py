#!/usr/bin/python3
"""Adds up the results of tests/run.sh.

summary.py STEPS [NAME=JUNIT_XML...]

STEPS holds lines "passed|failed<TAB>name", one for each build step. Every JUnit file counts by its
test cases; a file that is missing, unreadable or empty is a failure of its own. Prints failures, then
skips with their reasons, then one line "N passed, N failed[, N skipped]"; exit 1 when anything failed.
"""
import sys
import xml.etree.ElementTree as ElementTree


def read_steps(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            result, name = line.rstrip("\n").split("\t", 1)
            yield result, name, ""


def reason_of(element):
    text = element.get("message") or (element.text or "").strip()
    return text.splitlines()[0] if text else "no reason given"


def read_junit(name, path):
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        yield "failed", name, f"no results: {error}"
        return
    if not cases:
        yield "failed", name, "no test ran"
    for case in cases:
        title = " ".join(filter(None, (name + ":", case.get("classname"), case.get("name"))))
        bad = case.find("failure")
        bad = case.find("error") if bad is None else bad
        skipped = case.find("skipped")
        if bad is not None:
            yield "failed", title, reason_of(bad)
        elif skipped is not None:
            yield "skipped", title, reason_of(skipped)
        else:
            yield "passed", title, ""


def main(arguments):
    results = list(read_steps(arguments[0]))
    for argument in arguments[1:]:
        name, path = argument.split("=", 1)
        results += read_junit(name, path)
    count = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for result, title, reason in results:
        count[result] += 1
        if result != "passed":
            print(f"{result}: {title}" + (f": {reason}" if reason else ""))
    last = f'{count["passed"]} passed, {count["failed"]} failed'
    if count["skipped"]:
        last += f', {count["skipped"]} skipped'
    print(last)
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
