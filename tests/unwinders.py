"""What HEAPSPY_UNWIND=compare says at the end of a process: how many stacks, and where the unwinders part."""
import re

LINES = (
    re.compile(r"heapspy: unwinders: (?P<compared>\d+) stacks compared: (?P<equal>\d+) equal, "
               r"(?P<by_rules>\d+) equal up to code without frame information, "
               r"(?P<registered>\d+) libunwind differs behind registered code, "
               r"(?P<libunwind_differs>\d+) libunwind differs, (?P<libgcc_differs>\d+) libgcc differs, "
               r"(?P<own_differs>\d+) own differs, (?P<all_differ>\d+) all differ; (?P<left_out>\d+) not compared\n"),
    re.compile(r"heapspy: unwinders: to the last frame: (?P<equal_libunwind>\d+) equal to libunwind, "
               r"(?P<equal_libgcc>\d+) equal to libgcc\n"),
    re.compile(r"heapspy: unwinders: (?P<again>\d+) stacks walked again: (?P<reuse_differs>\d+) reuse differs, "
               r"(?P<slow_differs>\d+) slow walk differs; (?P<cut>\d+) cut, (?P<broken>\d+) broken, "
               r"(?P<approximate>\d+) approximate, (?P<signal>\d+) with a signal; by frame pointers "
               r"(?P<fp_equal>\d+) equal, (?P<fp_shorter>\d+) shorter, (?P<fp_different>\d+) different\n"),
)
FIELDS = [name for line in LINES for name in line.groupindex]
CLASSES = ["equal", "by_rules", "registered", "libunwind_differs", "libgcc_differs", "own_differs", "all_differ"]
# Behind a table of __register_frame() libunwind is known not to find its way; anything else wants an explanation.
WRONG = ["libunwind_differs", "libgcc_differs", "own_differs", "all_differ", "reuse_differs", "slow_differs"]


def reports(text):
    """The figures of each process that spoke, in the order of their ends; for processes that end one by one."""
    found = [list(line.finditer(text)) for line in LINES]
    return [{name: int(value) for part in parts for name, value in part.groupdict().items()}
            for parts in zip(*found)]


def total(texts):
    """The figures of all processes that spoke in some texts."""
    result = dict.fromkeys(FIELDS, 0)
    for text in texts:
        for line in LINES:
            for part in line.finditer(text):
                for name, value in part.groupdict().items():
                    result[name] += int(value)
    return result
