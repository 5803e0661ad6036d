#!/usr/bin/python3
"""Runs the commands of samples/README.md, to write their outputs into it or to check them.

update-readme.py [SECTION...]

Rewrites the outputs of the sections named; without a name, of all that no longer agree. A section is what stands under a
"### name" heading; its program is samples/findings/name. Only indented blocks that start with "$ "
count: such a line is a command for the shell, what follows up to the next one or the end of the
block is its output. Uses build/, or the build directory in HEAPSPY_BUILD, as it is.

How tests/preload/test_samples.py compares: the same lines in the same order, with the same markers,
names and places; times, process ids and widths of columns do not count. Of numbers: a range must
overlap the other one, both widened by half on each side; bytes, counts and shares may differ as much
as samples do; the rows of an exact report (--sample 1) may not differ at all. The peak that
`heapspy run` tells is left out: it depends on when that looked.
"""
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / "samples" / "findings"
README = ROOT / "samples" / "README.md"
BUILD = pathlib.Path(os.environ.get("HEAPSPY_BUILD", ROOT / "build")).resolve()
INDENT = "    "
PROMPT = INDENT + "$ "

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
INTERVAL_BYTES = 512 * 1024
NUMBER = r"[-+~]?\d+(?: \d{3})*(?:\.\d+)?"
UNIT = r"(?: (?:B|KiB|MiB|GiB|%)(?![\w/]))?"
# Not a part of a name or a place: "leak.c:33", "@2".
TOKEN = re.compile(
    rf"(?<![\w.:@/-])(?:({NUMBER})\.\.({NUMBER})({UNIT})|({NUMBER})({UNIT}))(?![\w.:]\w)")
# What differs from run to run without meaning: clocks, ages, processes; and words that depend on where
# exactly a range ends.
MASKS = [(re.compile(pattern), by) for pattern, by in [
    (r"\(profiler: [^,]* CPU,", "(profiler: SHARE,"),
    (r"\b\d+:\d\d:\d\d(\.\d+)?\b", "TIME"),
    (r"\b\d+(\.\d+)? (us|ms|s|min|h)\b", "AGE"),
    (r"\(pid \d+\)", "(pid PID)"),
    (r"\b(\w+)\.\d+\.[0-9a-f]+(?=[\s/@]|$)", r"\1.PID.START"),
    (r"; RSS grew by .* mappings", ""),
    (r"; VmHWM [^)]*", ""),
    (r"\b\d+ more process", "N more process"),
    (r"\b(site|snapshot|sample)s\b", r"\1"),
    (r"\bprocesses\b", "process"),
    (r"\buncertain\b", "unchanged"),
]]


class Section:
    """One finding: its name and its commands, each with the lines of its output."""

    def __init__(self, name):
        self.name, self.commands = name, []

    @property
    def program(self):
        return BUILD / "samples" / "findings" / self.name

    @property
    def source(self):
        """The name of the file that the program is made from."""
        return next(SOURCES.glob(self.name + ".*")).name


def sections(text):
    """The sections of the README that hold commands, in order."""
    found, section, in_block = [], None, False
    for line in text.splitlines():
        if line.startswith("#"):
            section = Section(line[4:].split()[0]) if line.startswith("### ") else None
            if section:
                found.append(section)
        elif section and line.startswith(PROMPT):
            section.commands.append((line[len(PROMPT):], []))
            in_block = True
        elif in_block and (line.startswith(INDENT) or not line):
            section.commands[-1][1].append(line[len(INDENT):])
        else:
            in_block = False
    for section in found:
        section.commands = [(command, trimmed(lines)) for command, lines in section.commands]
    return [section for section in found if section.commands]


def trimmed(lines):
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def prepare(directory):
    """Makes a tree that looks like a built checkout, but keeps what the commands write."""
    build = pathlib.Path(directory) / "build"
    build.mkdir()
    for name in ("analyzer", "preload", "samples"):
        (build / name).symlink_to(BUILD / name)


def run(command, directory):
    """Runs one command of the README in such a tree; returns the lines it prints."""
    keep = {name: value for name, value in os.environ.items()
            if name == "HEAPSPY_STATE" or not name.startswith(("HEAPSPY_", "LD_PRELOAD"))}
    path = f"{directory}/build/analyzer:{keep['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, env=dict(keep, PATH=path, LC_ALL="C.UTF-8"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}")
    return trimmed(done.stdout.splitlines())


def masked(line):
    for pattern, by in MASKS:
        line = pattern.sub(by, line)
    return line


def narrow(line):
    return " ".join(line.split())


def value(number, unit):
    return float(number.lstrip("~").replace(" ", "")) * UNITS.get(unit.strip(), 1)


class Token:
    """A figure or a range of a line. before: the text in front of it."""

    def __init__(self, match, before, last_unit):
        low, high, range_unit, number, unit = match.groups()
        self.before, self.is_range = before, low is not None
        self.unit = (range_unit or last_unit) if self.is_range else unit.strip()
        if self.is_range:
            self.low, self.high = value(low, self.unit), value(high, self.unit)
        else:
            self.low = self.high = value(number, unit)


def split(line):
    """A masked line as its skeleton, where # stands for figures, and the tokens."""
    tokens = []
    for match in TOKEN.finditer(line):
        figures = [token.unit for token in tokens if not token.is_range]
        tokens.append(Token(match, line[:match.start()], figures[-1] if figures else ""))
    return narrow(TOKEN.sub(lambda match: "#..#" if match.group(1) else "#", line)), tokens


def ranges_overlap(a, b):
    slack = (a.high - a.low) / 2 + (b.high - b.low) / 2 + 1024
    return a.low <= b.high + slack and b.low <= a.high + slack


def figures_agree(a, b, exact):
    smaller, larger = sorted((abs(a.low), abs(b.low)))
    apart = abs(a.low - b.low)
    if a.before.endswith("mean interval "):
        return not apart
    if "%" in (a.unit, b.unit):
        return apart <= 20
    if not (a.unit or b.unit):
        return apart <= 3 or larger <= 3 * smaller
    if re.search(r"(RSS|peak) $", a.before):
        return apart <= larger / 4 + 8 * UNITS["MiB"]
    if exact:
        return apart <= larger / 50 + UNITS["KiB"]
    return apart <= 4 * math.sqrt((smaller + larger) * INTERVAL_BYTES) + INTERVAL_BYTES


def difference(expected, found, source):
    """Why two outputs do not agree, or None. source: file whose rows must be equal when exact."""
    exact = any("every allocation (exact)" in line for line in expected)
    if len(expected) != len(found):
        return f"{len(expected)} lines became {len(found)}"
    for old, new in zip(map(masked, expected), map(masked, found)):
        (old_text, old_tokens), (new_text, new_tokens) = split(old), split(new)
        if old_text != new_text or exact and f" {source}:" in old and narrow(old) != narrow(new):
            return f"{old!r} became {new!r}"
        # The last line repeats the sum of the headline, which has the range.
        for i, (a, b) in enumerate(zip(old_tokens, new_tokens) if "sum of all" not in old else ()):
            if a.is_range:
                agree = ranges_overlap(a, b)
            else:
                has_range = i + 1 < len(old_tokens) and old_tokens[i + 1].is_range
                agree = has_range or figures_agree(a, b, exact)
            if not agree:
                return f"{old!r} became {new!r}: {a.low:g}..{a.high:g}, {b.low:g}..{b.high:g}"
    return None


def rewritten(text, outputs):
    """The README with the outputs given, by section and command."""
    result, section, skipping = [], None, False
    for line in text.splitlines():
        if line.startswith("#"):
            section = line[4:].split()[0] if line.startswith("### ") else None
        command = line[len(PROMPT):] if line.startswith(PROMPT) else None
        if section in outputs and command:
            if skipping:
                result.append("")
            result.append(line)
            result += [(INDENT + new).rstrip() for new in outputs[section][command]]
            skipping = True
        elif not skipping or line and not line.startswith(INDENT):
            if skipping:
                result.append("")
            result.append(line)
            skipping = False
    return "\n".join(result) + "\n"


def main(names):
    text, outputs = README.read_text(encoding="utf-8"), {}
    for section in sections(text):
        if names and section.name not in names:
            continue
        with tempfile.TemporaryDirectory() as directory:
            prepare(directory)
            new = {command: run(command, directory) for command, _ in section.commands}
        if names or any(difference(old, new[command], section.source)
                        for command, old in section.commands):
            outputs[section.name] = new
    print("rewritten:", *outputs or ["nothing"])
    README.write_text(rewritten(text, outputs), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
