"""Names of the same addresses from heapspy, llvm-symbolizer and addr2line, and where they differ."""
import collections
import functools
import json
import os
import random
import re
import subprocess

Frame = collections.namedtuple("Frame", "function file line")


def pick_addresses(program, n, seed=1):
    """n addresses in functions of program, ascending; each function is as likely as any other."""
    listing = subprocess.run(["nm", "-S", "--defined-only", str(program)], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    functions = []
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tTwW":
            functions.append((int(words[0], 16), int(words[1], 16)))
    dice = random.Random(seed)
    functions.sort()
    return sorted({start + dice.randrange(size)
                   for start, size in (dice.choice(functions) for _ in range(n))})


def heapspy(tool, program, addresses, options=()):
    """({address: frames, innermost first}, seconds, KiB at the start, peak KiB)."""
    done = subprocess.run([str(tool), *options, str(program)], check=True, text=True,
                          input="\n".join(f"{a:x}" for a in addresses),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    chains = {a: [] for a in addresses}
    for line in done.stdout.splitlines():
        address, function, file, number = line.split("\t")
        chains[int(address, 16)].append(Frame(function, file, int(number)))
    seconds, before, peak = done.stderr.split()[-3:]
    return chains, float(seconds), int(before), int(peak)


def llvm_symbolizer(program, addresses):
    """As the first of heapspy(), with linker names."""
    done = subprocess.run(
        ["llvm-symbolizer", "--obj=" + str(program), "--no-demangle", "--inlines",
         "--output-style=JSON"], check=True, text=True, env=dict(os.environ, DEBUGINFOD_URLS=""),
        input="\n".join(f"0x{a:x}" for a in addresses), stdout=subprocess.PIPE)
    chains = {}
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        chains[int(answer["Address"], 16)] = [
            Frame(s["FunctionName"], s["FileName"], s["Line"]) for s in answer["Symbol"]]
    return chains


def addr2line(program, addresses):
    """As llvm_symbolizer()."""
    done = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", str(program)], check=True, text=True,
                          input="\n".join(f"0x{a:x}" for a in addresses), stdout=subprocess.PIPE)
    chains, lines = {}, done.stdout.splitlines()
    i = 0
    while i < len(lines):
        if lines[i].startswith("0x"):
            chain = chains[int(lines[i], 16)] = []
            i += 1
            continue
        place = re.sub(r" \(discriminator \d+\)$", "", lines[i + 1])
        file, _, number = place.rpartition(":")
        chain.append(Frame(lines[i], file, int(number) if number.isdigit() else 0))
        i += 2
    return chains


def demangle(tool, chains):
    """Linker names to what heapspy makes of the same ones."""
    names = sorted({f.function for chain in chains.values() for f in chain})
    done = subprocess.run([str(tool), "--demangle"], check=True, text=True, input="\n".join(names) + "\n",
                          stdout=subprocess.PIPE).stdout.split("\n")
    text = dict(zip(names, done))
    return {address: [f._replace(function=text[f.function]) for f in chain]
            for address, chain in chains.items()}


def same_function(ours, theirs):
    """
    A function of one file has no linker name in DWARF: others then give its name alone, we the
    scopes before it; or they give that of the symbol, with parameters, where we give none.
    """
    if ours == theirs or ours.endswith("::" + theirs):
        return True
    return theirs.startswith(ours + "(") or ours.startswith(theirs + "(") or (
        "::" in ours and re.sub(r"<.*", "", ours.split("(")[0]).endswith("::" + theirs.split("<")[0]))


def same_file(ours, theirs):
    return os.path.basename(ours) == os.path.basename(theirs) or not theirs or theirs == "??"


@functools.lru_cache(maxsize=None)
def n_lines(file):
    """Lines of a source file; None when it is not here."""
    try:
        with open(file, "rb") as source:
            return sum(1 for _ in source)
    except OSError:
        return None


def is_no_line(frame):
    """Whether the file ends before that line: addr2line 2.40 takes one file of DWARF 5 for another."""
    n = n_lines(frame.file)
    return n is not None and frame.line > n


def difference(ours, theirs):
    """None, or in a word what is not the same in two chains. Words in brackets: theirs is wrong."""
    if not theirs or theirs[0].function in ("", "??"):
        return "unnamed there"
    if ours and re.search(r"\+0x[0-9a-f]+$", ours[0].function):
        return "unnamed here"
    if len(ours) != len(theirs):
        return "length of the inline chain"
    for mine, other in zip(ours, theirs):
        if not same_function(mine.function, other.function):
            # addr2line gives an inlined function without linker name the name of the outermost.
            return ("[outer name]" if len(ours) > 1 and mine is ours[0]
                    and other.function == theirs[-1].function else "function")
    for depth, (mine, other) in enumerate(zip(ours, theirs)):
        if mine.line == other.line and is_no_line(other) and not is_no_line(mine):
            return "[no such line]"
        if mine.line == other.line == 0:
            continue  # code of no line, whatever file it is said to be of
        if mine.line != other.line or not same_file(mine.file, other.file):
            return "line" if depth == 0 else "line of a call"
    return None


def compare(ours, theirs):
    """({difference: [address]}, share of the same, share where nothing but the other is wrong)."""
    found = collections.defaultdict(list)
    for address, chain in ours.items():
        kind = difference(chain, theirs.get(address, []))
        if kind:
            found[kind].append(address)
    n = sum(map(len, found.values()))
    n_theirs = sum(len(where) for kind, where in found.items() if kind.startswith("["))
    return found, 1 - n / len(ours), 1 - (n - n_theirs) / len(ours)
