"""Snapshots of one made-up server, small enough to know every figure."""
import snapshot_format as sf

MINUTE = 60 * 10**9
MIB = 1 << 20
# Weights of a 4096-byte sample at 512 KiB: bytes, variance in units of 2^16, blocks in 1/1024.
B4K, V4K, C4K = 526339, 4194283, 131585
GOLDEN = 2654435769
LEAK, CACHE, PARSER, INDEX = 1, 2, 3, 4


def sample(index, size, birth_ns, stack, thread=1):
    return sf.Sample(0x10000 + 16 * index, size, birth_ns, stack, u=index * GOLDEN % 2**32, thread=thread)


def snapshot(number, cut_ns, live, **info):
    """The process at a moment; modules do not exist, so frames keep their offsets as names."""
    s = sf.Snapshot(number=number, cut_ns=cut_ns, rss_bytes=(100 + 10 * number) * MIB,
                    rss_peak_bytes=500 * MIB, **info)
    s.modules = [sf.Module(1, "/nowhere/bin/api", 0x400000, 0x500000, 0x400000, 1, b"\x6d\x9e\x85\xcf"),
                 sf.Module(2, "/nowhere/lib/libjson.so.1", 0x7F0000000000, 0x7F0000100000,
                           0x7F0000000000, 0, b"\x11\x22")]
    s.threads = ["", "main", "worker"]
    main = [sf.Frame(0x401001, 1), sf.Frame(0x400101, 1)]
    s.stacks = [
        sf.Stack(LEAK, [sf.Frame(0x402011, 1), *main]),
        sf.Stack(CACHE, [sf.Frame(0x403021, 1), *main]),
        sf.Stack(PARSER, [sf.Frame(0x7F0000004031, 2), sf.Frame(0x402051, 1), *main]),
        sf.Stack(INDEX, [sf.Frame(0x404041, 1, exact=True), *main]),
    ]
    for stack in s.stacks:
        stack.allocated = tuple(100 * x for x in (1, 4096, B4K, V4K, C4K))
        stack.deaths = {30: (10, 10 * B4K, 10 * C4K)}
    s.live = live
    seen = 400 * B4K
    s.info.update(bytes_seen=seen, bytes_seen_end=seen, samples=400, deaths=40)
    return s


def moments():
    """Minute 1, 10 and 20: LEAK grows by 60 and again 60 samples, CACHE shrinks by 40, PARSER
    renews its 20, INDEX holds one block of 64 MiB throughout."""
    index = sample(5000, 64 * MIB, 1000, INDEX)
    cache = [sample(1000 + i, 4096, 2000 + i, CACHE) for i in range(60)]
    leak = [[sample(2000 + 100 * k + i, 4096, (9 * k + 5) * MINUTE + i, LEAK, thread=2) for i in range(60)]
            for k in range(2)]
    parser = [[sample(3000 + 100 * k + i, 4096, (20 * k + 1) * MINUTE // 2 - MINUTE * (k > 0) + i, PARSER) for i in range(20)]
              for k in range(3)]
    return [snapshot(1, MINUTE, [index, *cache, *parser[0]], label=""),
            snapshot(2, 10 * MINUTE, [index, *cache[:20], *leak[0], *parser[1][:20]], label="loaded",
                     reason=3),
            snapshot(3, 20 * MINUTE, [index, *cache[:20], *leak[0][:50], *leak[1], *parser[2]],
                     reason=2)]


def write_run(directory, changed=None):
    """Writes the moments as a run directory; changed(snapshot) may alter each before."""
    directory.mkdir(exist_ok=True)
    for number, s in enumerate(moments(), 1):
        if changed:
            changed(s)
        s.write(directory / f"{number:06}.hspy")
    return directory
