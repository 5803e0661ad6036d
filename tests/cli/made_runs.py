"""Whole runs of one made-up server: sites whose blocks have known births and deaths, by epoch.

Epoch e is the time between the cuts e - 1 and e; what was there before the first cut is of epoch 0.
Every block is a sample, so figures are sums of known weights.
"""
import collections
import dataclasses
import math

import scenario
import snapshot_format as sf

NS_PER_S = 10**9
R = 512 << 10
KIB, MIB = 1 << 10, 1 << 20
FOREVER = 1 << 30
VARIANCE_UNIT = 1 << 16


@dataclasses.dataclass
class Block:
    site: str
    born: int  # epoch
    dead: int = FOREVER  # epoch in which it dies
    size: int = 4 * KIB


def weights(size, interval=R):
    """n, S, B, V, C of one sample, as the library rounds them."""
    p = -math.expm1(-size / interval)
    return (1, size, round(size / p), round(size * size * (1 - p) / (p * p) / VARIANCE_UNIT),
            round(1024 / p))


def bytes_of(size, interval=R):
    return weights(size, interval)[2]


# -- what sites do; n is the number of the last cut --

def leak(site, n, per_epoch=2, first=1, last=None, size=4 * KIB):
    return [Block(site, e, size=size) for e in range(first, (last or n) + 1) for _ in range(per_epoch)]


def churn(site, n, per_epoch=5):
    """Each gone in the epoch after its birth."""
    return [Block(site, e, e + 1) for e in range(0, n + 1) for _ in range(per_epoch)]


def lru(site, n, blocks=40, per_epoch=4):
    """Full from the start; a new block pushes the oldest out."""
    life = blocks // per_epoch
    return [Block(site, 0, 1 + i // per_epoch) for i in range(blocks)] + [
        Block(site, e, e + life) for e in range(1, n + 1) for _ in range(per_epoch)]


def turning_over(site, n, per_epoch=24):
    """Grows towards a level: at any age as many of those that are left die, n / 2.5 is the mean life."""
    lives = [math.ceil(-.4 * n * math.log((i + .5) / per_epoch)) for i in range(per_epoch)]
    return [Block(site, e, e + life) for e in range(1, n + 1) for life in lives]


def warm_up(site, n, per_epoch=3):
    """Fills in the first third, and stays."""
    return leak(site, n, per_epoch, last=n // 3)


def slowing(site, n, fast=4, slow=1):
    middle = (n + 1) // 2 - 1
    return leak(site, n, fast, last=middle) + leak(site, n, slow, first=middle + 1)


def sawtooth(site, n, periods=5, per_epoch=12):
    """All freed at once at the end of each period."""
    period = n // periods
    return [Block(site, e, (e - 1) // period * period + period + 1 if e <= period * periods else FOREVER)
            for e in range(1, n + 1) for _ in range(per_epoch)]


def container(site, n, first_mib=2, steps=4):
    """One block, each replaced by one of twice the size."""
    at = [0, *(n * i // steps for i in range(1, steps)), FOREVER]
    return [Block(site, at[i], at[i + 1], size=(first_mib << i) * MIB) for i in range(steps)]


def one_off(site, n, blocks=20):
    return [Block(site, n // 2) for _ in range(blocks)]


def steady(site, blocks=20):
    return [Block(site, 0) for _ in range(blocks)]


def shrinking(site, n, blocks=40):
    return [Block(site, 0, 1 + i * n // blocks) for i in range(blocks)]


def ramp(site, n, per_epoch=1):
    """Short lives, more and more of them."""
    return [Block(site, e, e + 1) for e in range(0, n + 1) for _ in range(1 + per_epoch * e)]


@dataclasses.dataclass
class Run:
    """n + 1 cuts, step seconds apart, the first start seconds after the start of the process.

    A site that allocates through another has that one's function innermost, and its own as the caller.
    """
    blocks: list
    n: int = 40
    step: float = 30
    start: float = 600
    interval: int = R
    sites: tuple = ()
    through: dict = dataclasses.field(default_factory=dict)  # by site: the other

    def __post_init__(self):
        self.sites = self.sites or tuple(dict.fromkeys(
            [*(block.site for block in self.blocks), *self.through.values()]))
        in_epoch = collections.Counter(block.born for block in self.blocks)
        seen = collections.Counter()
        self.samples = []
        for i, block in enumerate(self.blocks):
            seen[block.born] += 1
            # Spread over the epoch, in order; what was there before is half as old as the process.
            share = seen[block.born] / (1 + in_epoch[block.born])
            birth = self.start + (block.born - 1 + share) * self.step if block.born else self.start / 2
            self.samples.append(sf.Sample(
                0x10000 + 64 * i, block.size, int(birth * NS_PER_S), 1 + self.sites.index(block.site),
                u=(i + 1) * scenario.GOLDEN % 2**32, thread=1))

    def offset(self, site):
        """As a row is called: api+0x2010 is the first site."""
        return f"api+{0x2010 + 0x1000 * self.sites.index(site):#x}"

    def live_bytes(self, site, cut):
        return sum(bytes_of(b.size, self.interval) for b in self.blocks
                   if b.site == site and b.born <= cut < b.dead)

    def snapshot(self, cut, **info):
        cut_ns = int((self.start + cut * self.step) * NS_PER_S)
        s = sf.Snapshot(number=cut + 1, cut_ns=cut_ns, interval_bytes=self.interval, **info)
        s.modules = [sf.Module(1, "/nowhere/bin/api", 0x400000, 0x500000, 0x400000, 1, b"\x6d\x9e\x85\xcf")]
        main = [sf.Frame(0x401001, 1), sf.Frame(0x400101, 1)]
        total = 0
        for i, site in enumerate(self.sites):
            frames = [sf.Frame(0x402011 + 0x1000 * self.sites.index(name), 1)
                      for name in (self.through.get(site), site) if name]
            stack = sf.Stack(1 + i, [*frames, *main])
            born = [weights(b.size, self.interval) for b in self.blocks if b.site == site and b.born <= cut]
            stack.allocated = tuple(map(sum, zip(*born))) if born else (0,) * 5
            total += stack.allocated[2]
            s.stacks.append(stack)
        s.live = [sample for block, sample in zip(self.blocks, self.samples)
                  if block.born <= cut < block.dead]
        live = sum(bytes_of(x.size, self.interval) for x in s.live)
        s.tail = (live, cut_ns, live)
        s.info.update(bytes_seen=total, bytes_seen_end=total, samples=sum(b.born <= cut for b in self.blocks),
                      rss_bytes=live + 20 * MIB, rss_peak_bytes=live + 20 * MIB)
        s.info.update(info)
        return s

    def write(self, directory, changed=None, cuts=None):
        """The cuts as a run directory; changed(snapshot) may alter each before."""
        directory.mkdir(exist_ok=True)
        for cut in cuts if cuts is not None else range(self.n + 1):
            s = self.snapshot(cut)
            if changed:
                changed(s)
            s.write(directory / f"{cut + 1:06}.hspy")
        return directory


def everything(n=40):
    """One site for each thing that a site can do."""
    return Run([
        *leak("leak", n), *slowing("slowing", n), *container("container", n), *turning_over("turning", n),
        *sawtooth("sawtooth", n), *warm_up("warm", n), *churn("churn", n), *steady("steady"),
        *shrinking("shrinking", n), *one_off("one_off", n), *ramp("ramp", n), *lru("lru", n),
        Block("few", 3), Block("few", 30)], n=n)
