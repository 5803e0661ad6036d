"""The tables of compare.py, in text or Markdown; the bars are those of docs/performance.md."""
import compare_figures

OPS = ("pair", "mix", "calloc", "realloc", "batch", "new", "replace", "growth")
LIVE_BARS = {0: 1.05, 20000: 1.05, 200000: 1.08}
SAMPLED = {"sampled": ("the same stack again", 300), "sampled-near-cold": ("a core's own caches flushed", None),
           "sampled-cold": ("all caches flushed", 2000), "sampled-new": ("each stack new", None)}
PEERS = ("tcmalloc", "tc-sample", "jemalloc", "je-prof", "heaptrack", "tc-heapprof")
SIZES = {"heaptrack": "heaptrack", "tc-heapprof": "heapprof"}
INSTRUCTIONS_BAR, START_BAR_MS = 1.02, 1.0
NOTHING = "–"


class Table:
    def __init__(self, title, header, note=""):
        self.title, self.header, self.note, self.rows = title, header, note, []

    def add(self, *cells):
        self.rows.append([NOTHING if cell is None else str(cell) for cell in cells])

    def text(self):
        widths = [max(len(row[i]) for row in [self.header, *self.rows]) for i in range(len(self.header))]
        lines = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                           for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
                 for row in [self.header, *self.rows]]
        return "\n".join([self.title, *([self.note] if self.note else []), *lines])

    def markdown(self):
        lines = ["| " + " | ".join(row) + " |" for row in
                 [self.header, ["---"] + ["---:"] * (len(self.header) - 1), *self.rows]]
        return "\n".join([f"### {self.title}", "", *([self.note, ""] if self.note else []), *lines])


def ratio(found):
    return found and f"{found.median:.3f}" if not found or found.median < 9.5 else f"{found.median:.0f}"


def with_interval(found):
    return found and f"{found.median:.3f} ({found.low:.3f}..{found.high:.3f})"


def verdict(found, bar):
    """Of a figure against its bar: the interval decides whether that can be told."""
    if found.median <= bar:
        return "met" if found.high <= bar and found.n > 5 else "met?"
    return "above" if found.low > bar and found.n > 5 else "above?"


class Report:
    """title_of, own_of: of variants by name; judged: all figures that have a bar, by group."""

    def __init__(self, figures, variants, workloads):
        self.figures, self.workloads, self.judged = figures, workloads, {}
        self.title_of = {one.name: one.title for one in variants}
        self.own_of = {one.name: one.own for one in variants}

    def has(self, workload):
        return any(key[0] == workload for key in self.figures.rounds)

    def peers(self, workload):
        seen = {key[4] for key in self.figures.value if key[0] == workload}
        return [name for name in PEERS if name in seen]

    def judge(self, group, case, found, bar, shown, bar_shown):
        """Cells for a bar and the verdict; found is a spread, or a figure without one."""
        if found is None or bar is None:
            return None, None
        exact = compare_figures.exactly(found)
        said = verdict(exact, bar)
        self.judged.setdefault(group, []).append((exact.median / bar, case, shown, bar_shown, said))
        return bar_shown, said

    def bars(self):
        table = Table("Bars", ["what", "met", "nearest to its bar, or farthest above", "figure", "bar", ""])
        for group, judged in self.judged.items():
            _, case, shown, bar_shown, said = max(judged)
            n_met = sum(one[-1].startswith("met") for one in judged)
            table.add(group, f"{n_met} of {len(judged)}", case, shown, bar_shown, said)
        return table

    def operations(self):
        table = Table("Operations", ["operation", "threads", "live samples", "bare, ns", "bare again", "empty",
                                     "heapspy : bare", "heapspy : empty", "bar", ""],
                      "CPU time of one operation and its free. \"bare again\" and \"empty\" are ratios to bare.")
        get = self.figures.compared
        for name, (threads, live) in self.ops_workloads():
            for op in OPS:
                bare = self.figures.median(name, op, "bare", "ns")
                if bare is None:
                    continue
                to_bare = get(name, op, "heapspy", "bare", "ns")
                to_empty = get(name, op, "heapspy", "empty", "ns")
                bar, judged, base = LIVE_BARS.get(live), to_empty, "of empty"
                if op in ("new", "growth"):
                    judged, base = to_bare, "of bare"
                    bar = 1.15 if op == "growth" else 1.0 if not live else bar
                elif op == "realloc":
                    bar = 1.08
                elif op == "replace":
                    bar = None
                group = {"growth": "realloc growth", "new": "new and delete"}.get(op, "operations")
                table.add(op, threads, live, f"{bare:.2f}" if bare < 1e5 else f"{bare:.3g}",
                          ratio(get(name, op, "again", "bare", "ns")), ratio(get(name, op, "empty", "bare", "ns")),
                          with_interval(to_bare), with_interval(to_empty),
                          *self.judge(group if op == "growth" else f"{group}, {live} live samples",
                                      f"{op}, {threads} thread{'s' * (threads > 1)}", judged, bar,
                                      with_interval(judged), f"≤ {bar} {base}"))
        return table

    def ops_workloads(self):
        """(name, (threads, live samples)) of those that were run."""
        found = {key[0] for key in self.figures.rounds if key[0].startswith("ops-")}
        rows = [(name, tuple(map(int, name[4:].split("t-")))) for name in found]
        return sorted(rows, key=lambda row: row[1][::-1]) + [("growth", (1, 0))]

    def sampled(self):
        table = Table("A sample and its free, about 30 frames",
                      ["", "empty, ns", "heapspy, ns", "difference", "bar", ""])
        for op, (title, bar) in SAMPLED.items():
            found = self.figures.difference("sampled", op, "heapspy", "empty", "ns")
            if found:
                shown = f"{found.median:.0f} ({found.low:.0f}..{found.high:.0f})"
                table.add(title, *(f"{self.figures.median('sampled', op, name, 'ns'):.0f}"
                                   for name in ("empty", "heapspy")),
                          shown, *self.judge(f"a sample and its free, {title}", op, found, bar, f"{shown} ns",
                                             f"≤ {bar} ns"))
        return table

    def beside(self, title, rows, figure, note, show=ratio):
        """heapspy and the others, one row a case: ratio to the same allocator unprofiled, and to bare."""
        names = [name for name in PEERS if any(name in self.peers(workload) for workload, _, _ in rows)]
        table = Table(title, ["", "bare", "bare again", "empty", "heapspy", *(self.title_of[n] for n in names)], note)
        for workload, case, row in rows:
            bare = self.figures.median(workload, case, "bare", figure)
            if bare is None:
                continue
            cells = [row, {"ns": "{:.1f} ns", "cpu": "{:.2f} s", "wall": "{:.2f} s",
                           "peak_kib": "{:.0f} KiB"}[figure].format(bare),
                     *(ratio(self.figures.compared(workload, case, name, "bare", figure))
                       for name in ("again", "empty")),
                     with_interval(self.figures.compared(workload, case, "heapspy", "bare", figure))]
            for name in names:
                size = SIZES.get(name, "full") if not workload.startswith("ops-") else "full"
                to_bare = ratio(self.figures.compared(workload, case, name, "bare", figure, size))
                to_own = show(self.figures.compared(workload, case, name, self.own_of[name], figure, size))
                cells.append(to_bare if self.own_of[name] == "bare" or to_own is None else f"{to_own} ({to_bare})")
            table.add(*cells)
        return table

    def peak(self, rows):
        names = ["empty", "heapspy", *(n for n in PEERS if any(n in self.peers(w) for w, _, _ in rows))]
        table = Table("Resident memory, MiB", ["", "bare", *(self.title_of[name] for name in names)],
                      "More than bare; those of other allocators more than the same allocator unprofiled, and "
                      "in brackets more than bare. Of programs the peak, which the kernel knows to half a MiB.")
        for workload, case, row in rows:
            bare = self.figures.median(workload, case, "bare", "peak_kib")
            if bare is None:
                continue
            cells = [row, f"{bare / 1024:.1f}"]
            for name in names:
                size = SIZES.get(name, "full") if workload != "memory" else "full"
                own, plain = (self.figures.difference(workload, case, name, base, "peak_kib", size)
                              for base in (self.own_of[name], "bare"))
                shown = own and f"{own.median / 1024:+.1f}"
                cells.append(shown if self.own_of[name] == "bare" or not own
                             else f"{shown} ({plain.median / 1024:+.1f})")
            table.add(*cells)
        return table

    def memory_bars(self):
        """What follows from the peaks, for heapspy over bare."""
        table = Table("Memory of heapspy", ["", "figure", "bar", ""])

        def more(case):
            found = self.figures.difference("memory", case, "heapspy", "bare", "peak_kib")
            return found and found.median

        for case in ("heap of 16 MiB", "heap of 256 MiB", "heap of 1 GiB"):
            bare, extra = self.figures.median("memory", case, "bare", "peak_kib"), more(case)
            if extra is not None:
                bar = 4096 + bare / 100
                shown = f"{extra / 1024:.1f} MiB"
                table.add(case, shown, *self.judge("memory", case, extra, bar, shown, f"≤ {bar / 1024:.1f} MiB"))
        if more("101 threads") is not None:
            kib = (more("101 threads") - more("1 thread")) / 100
            shown = f"{kib:.1f} KiB"
            table.add("a thread", shown, *self.judge("memory of a thread", "sampled often", kib, 16, shown, "≤ 16 KiB"))
        if more("200 000 live samples") is not None:
            table.add("a live sample", f"{(more('200 000 live samples') - more('heap of 16 MiB')) * 1024 / 2e5:.0f} B",
                      None, None)
        return table

    def start(self):
        names = [name for name in self.title_of if self.figures.values("start", "start", name, "ms")]
        table = Table("Start and end of a process (/bin/true)", ["", "ms", "over empty", "bar", ""])
        for name in names:
            over = self.figures.difference("start", "start", name, "empty", "ms")
            bar = START_BAR_MS if name == "heapspy" else None
            shown = over and f"{over.median:+.2f} ({over.low:+.2f}..{over.high:+.2f})"
            table.add(self.title_of[name], f"{self.figures.median('start', 'start', name, 'ms'):.2f}", shown,
                      *self.judge("start and end of a process", "/bin/true", over, bar, f"{shown} ms", "≤ 1 ms"))
        return table

    def counts(self):
        table = Table("Instructions (callgrind)", ["", "bare", "empty", "heapspy", "heapspy − empty", "heapspy : bare",
                                                   "bar", ""], "Of an operation with its free, and of whole programs.")
        for case in sorted({key[1] for key in self.figures.rounds if key[0] == "counts"},
                           key=lambda case: (case not in OPS, case)):
            bare, empty, ours = (self.figures.median("counts", case, name, "instructions")
                                 for name in ("bare", "empty", "heapspy"))
            if None in (bare, empty, ours):
                continue
            if case in OPS:
                table.add(case, *(f"{n:.1f}" for n in (bare, empty, ours, ours - empty)), f"{ours / bare:.3f}",
                          *self.judge("instructions of a pair", case, ours - empty, 16 if case == "pair" else None,
                                      f"{ours - empty:.1f}", "≤ 16 over empty"))
            else:
                shown = f"{ours / bare:.4f}"
                table.add(case, *(f"{n / 1e6:.1f} M" for n in (bare, empty, ours, ours - empty)), shown,
                          *self.judge("instructions of programs", case, ours / bare, INSTRUCTIONS_BAR, shown,
                                      f"≤ {INSTRUCTIONS_BAR} of bare"))
        return table

    def tables(self):
        ops = [(name, op, f"{op}, {threads} thread{'s' * (threads > 1)}")
               for name, (threads, live) in self.ops_workloads() if not live and self.peers(name) for op in OPS]
        whole = [(name, name, title) for name, title in self.workloads if self.has(name) and
                 name not in ("start", "memory", "counts", "sampled", "growth") and not name.startswith("ops-")]
        memory = sorted({("memory", key[1], key[1]) for key in self.figures.rounds if key[0] == "memory"})
        brackets = ("Ratios to the same allocator without a profiler, and in brackets to bare (glibc, unless the "
                    "program brings another).")
        found = [self.operations(), self.sampled()]
        if ops:
            found.append(self.beside("Operations, beside other profilers", ops, "ns", brackets))
        found += [self.beside("Programs: CPU time", whole, "cpu", brackets),
                  self.beside("Programs: wall time", whole, "wall", brackets),
                  self.counts(), self.start(), self.memory_bars(), self.peak(memory + whole)]
        return [table for table in [self.bars(), *found] if table.rows]
