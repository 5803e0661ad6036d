"""What heaptrack says of a program: totals and figures of each site, from the data file it writes.

Its file is text, one letter and hexadecimal numbers a line: "s LENGTH TEXT" is the next string, "i" the next
address with its functions (as numbers of strings), "t ADDRESS PARENT" the next stack, "a SIZE STACK" the next kind
of block, and "+ KIND" and "- KIND" are what was allocated and freed. All numbers count from 1, kinds from 0.
"""
import collections
import dataclasses
import pathlib
import re
import shutil
import subprocess

TOOLS = ("heaptrack", "heaptrack_print", "zstd")


def missing():
    """The first of the programs needed that is not installed, or None."""
    return next((tool for tool in TOOLS if not shutil.which(tool)), None)


@dataclasses.dataclass
class Account:
    """Allocations of a site or of all; what is left at the end is leaked in heaptrack's words."""
    blocks: int = 0
    bytes: int = 0
    left_blocks: int = 0
    left_bytes: int = 0

    def add(self, size, made, freed):
        self.blocks += made
        self.bytes += made * size
        self.left_blocks += made - freed
        self.left_bytes += (made - freed) * size


def record(argv, directory):
    """Runs a program under heaptrack; returns the data file."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True)
    subprocess.run(["heaptrack", "-o", directory / "data", *argv], check=True, timeout=300,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(directory.glob("data*"))


def summary(path):
    """What heaptrack_print says: calls, and peak and leaked bytes as it rounds them."""
    said = subprocess.run(["heaptrack_print", "-p", "0", "-a", "0", "-T", "0", "-f", path], check=True, text=True,
                          capture_output=True, timeout=300).stdout
    found = {}
    for key, words in (("calls", "calls to allocation functions"), ("peak", "peak heap memory consumption"),
                       ("leaked", "total memory leaked")):
        found[key] = re.search(rf"^{words}: (\S+)", said, re.M).group(1)
    return int(found["calls"]), found["peak"], found["leaked"]


def rounded(n_bytes):
    """As heaptrack prints sizes: units of 1000, two digits."""
    units = iter(("B", "K", "M", "G", "T"))
    unit = next(units)
    while n_bytes >= 1000:
        n_bytes, unit = n_bytes / 1000, next(units)
    return f"{n_bytes:.0f}{unit}" if unit == "B" else f"{n_bytes:.2f}{unit}"


def functions_of(address, strings):
    """The names in an "i" line, innermost first: ADDRESS MODULE [FUNCTION [FILE LINE [FUNCTION FILE LINE]..]]"""
    words = [int(word, 16) for word in address.split()[2:]]
    return [strings[word] for word in [words[0], *words[3::3]] if word] if words else []


def read(path, sites):
    """Accounts by site, and the peak in bytes. A stack's site is the innermost of its functions in sites."""
    strings, addresses, stacks, kinds = [""], [[]], [None], []
    made, freed = collections.Counter(), collections.Counter()
    live = peak = 0
    with subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE, text=True) as unpack:
        for line in unpack.stdout:
            letter = line[0]
            if letter == "+":
                made[line] += 1
                live += kinds[int(line[2:], 16)][0]
                peak = max(peak, live)
            elif letter == "-":
                freed[line] += 1
                live -= kinds[int(line[2:], 16)][0]
            elif letter == "a":
                size, stack = (int(word, 16) for word in line.split()[1:])
                kinds.append((size, stacks[stack]))
            elif letter == "s":
                strings.append(line.rstrip("\n").split(" ", 2)[2])
            elif letter == "i":
                addresses.append(functions_of(line[2:], strings))
            elif letter == "t":
                address, parent = (int(word, 16) for word in line.split()[1:])
                here = next((name.split("(")[0] for name in addresses[address] if name.split("(")[0] in sites), None)
                stacks.append(here or stacks[parent])
    assert unpack.returncode == 0
    accounts = collections.defaultdict(Account)
    for line, n in made.items():
        size, site = kinds[int(line[2:], 16)]
        accounts[site].add(size, n, freed["-" + line[1:]])
    return accounts, peak


def total(accounts):
    everything = Account()
    for account in accounts.values():
        for field in dataclasses.fields(Account):
            setattr(everything, field.name, getattr(everything, field.name) + getattr(account, field.name))
    return everything
