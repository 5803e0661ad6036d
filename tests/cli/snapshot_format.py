"""A second reader and writer of snapshot format 1, made from docs/format.md alone.

It shares no code with heapspy. The tests make their snapshots with it and check the command
against what it reads.
"""
import dataclasses
import struct

MAGIC = b"\x89HSPY\r\n\0"
INFO, STRINGS, MODULES, THREADS, STACKS, LIVE, TICKS = range(1, 8)
HEADER = struct.Struct("<8sIIQQ")
SECTION = struct.Struct("<IIQQQ")
INFO_FIELDS = struct.Struct("<IIII QQ16sQQQQQ II QQQQQQQQQ IIIIII 16Q QQQ")
MODULE = struct.Struct("<IIQQQII32s")
SAMPLE = struct.Struct("<QQQII")
TICK = struct.Struct("<QQQ")
MASK = 0xFFFFFFFFFFFFFFFF

INFO_NAMES = (
    "flags reason number pid start_id start_ticks boot_id start_wall_ns start_ns cut_wall_ns cut_ns "
    "interval_bytes level variance_unit_log2 bytes_seen bytes_seen_end samples deaths self_ns "
    "state_bytes state_max_bytes rss_bytes rss_peak_bytes comm exe host label front_malloc "
    "next_malloc").split()
# What follows the peak and its time in INFO; left out of a file when all of it is 0.
INFO_MORE = {"half_bytes": "2Q", "half_peak_bytes": "2Q", "half_other_bytes": "2Q", "older_peak_bytes": "Q",
             "older_peak_level": "I", "limit_kind": "I", "limit_bytes": "Q", "limit_used_bytes": "Q",
             "cpu_max_ppm": "Q", "level_ns": "16Q", "state_errno": "I", "grow_errno": "I",
             "helper_errno": "I", "snapshot_errno": "I", "near_limit_ppm": "I", "n_pruned": "I", "keep_bytes": "Q",
             "own_bytes": "Q"}
INFO_STRINGS = ("comm", "exe", "host", "label", "front_malloc", "next_malloc")


def xxh64(data):
    """XXH64 with seed 0, by its specification."""
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                          0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

    def rotl(value, n):
        return (value << n | value >> (64 - n)) & MASK

    def mix(lane, word):
        return rotl((lane + word * p2) & MASK, 31) * p1 & MASK

    whole = len(data) & ~31
    if whole:
        a, b, c, d = (p1 + p2) & MASK, p2, 0, -p1 & MASK
        for w, x, y, z in struct.iter_unpack("<4Q", data[:whole]):
            a, b, c, d = mix(a, w), mix(b, x), mix(c, y), mix(d, z)
        h = (rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)) & MASK
        for lane in (a, b, c, d):
            h = ((h ^ mix(0, lane)) * p1 + p4) & MASK
    else:
        h = p5
    h = (h + len(data)) & MASK
    at = whole
    while at + 8 <= len(data):
        h = (rotl(h ^ mix(0, int.from_bytes(data[at:at + 8], "little")), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= len(data):
        h = (rotl(h ^ int.from_bytes(data[at:at + 4], "little") * p1 & MASK, 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * p5 & MASK, 11) * p1 & MASK
    h = (h ^ h >> 33) * p2 & MASK
    h = (h ^ h >> 29) * p3 & MASK
    return h ^ h >> 32


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value):
    return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)


@dataclasses.dataclass
class Module:
    serial: int
    path: str
    start: int
    end: int
    bias: int
    flags: int = 0
    build_id: bytes = b""


@dataclasses.dataclass
class Frame:
    pc: int
    module: int = 0
    exact: bool = False


@dataclasses.dataclass
class Stack:
    id: int
    frames: list
    flags: int = 0
    approx_from: int = 0
    allocated: tuple = (0, 0, 0, 0, 0)
    thinned: tuple = None
    deaths: dict = dataclasses.field(default_factory=dict)  # bucket: (n, B, C)


@dataclasses.dataclass
class Sample:
    address: int
    size: int
    birth_ns: int
    stack: int
    u: int = 0
    thread: int = 0
    birth_level: int = 0
    level: int = 0


class Snapshot:
    """All sections as Python values; encode() and decode() convert to and from the bytes."""

    def __init__(self, **info):
        self.info = dict.fromkeys(INFO_NAMES, 0)
        self.info.update(
            reason=1, number=1, pid=4121, start_id=0xC0FFEE, boot_id=bytes(16), interval_bytes=524288,
            variance_unit_log2=16, cut_ns=1000000000, comm="api", exe="/usr/bin/api", host="host",
            label="", front_malloc="", next_malloc="/lib/libc.so.6", start_wall_ns=1700000000 * 10**9)
        self.info.update(info)
        if not self.info["cut_wall_ns"]:
            self.info["cut_wall_ns"] = self.info["start_wall_ns"] + self.info["cut_ns"]
        self.losses = [0] * 16
        self.tail = (0, 0, 0)  # peak bytes, its time, live bytes
        self.more = {}  # by name of INFO_MORE: a number, or a list of them
        self.modules, self.threads, self.stacks, self.live, self.ticks = [], ["", "main"], [], [], []

    # -- writing --

    def sections(self):
        """The bodies by kind, in the order of the file."""
        strings, offsets = bytearray(b"\0"), {"": 0}

        def intern(text):
            if text not in offsets:
                offsets[text] = len(strings)
                strings.extend(text.encode("utf-8", "surrogateescape") + b"\0")
            return offsets[text]

        values = [intern(self.info[name]) if name in INFO_STRINGS else self.info[name]
                  for name in INFO_NAMES]
        bodies = {INFO: INFO_FIELDS.pack(*values, *self.losses, *self.tail)}
        bodies[INFO] += b"".join(
            struct.pack("<" + kind, *([0] * int(kind[:-1] or 1) if name not in self.more else
                                      self.more[name] if kind[:-1] else [self.more[name]]))
            for name, kind in INFO_MORE.items() if self.more)
        modules = b"".join(
            MODULE.pack(m.serial, intern(m.path), m.start, m.end, m.bias, m.flags, len(m.build_id),
                        m.build_id) for m in self.modules)
        threads = b"".join(struct.pack("<I", intern(name)) for name in self.threads)
        live = b"".join(
            SAMPLE.pack(s.address, s.size | s.thread << 48,
                        s.birth_ns | s.birth_level << 56 | s.level << 60, s.stack, s.u)
            for s in self.live)
        bodies[STRINGS] = bytes(strings)
        bodies[MODULES], bodies[THREADS] = modules, threads
        bodies[STACKS] = b"".join(map(encode_stack, self.stacks))
        bodies[LIVE] = live
        bodies[TICKS] = b"".join(TICK.pack(*tick) for tick in self.ticks)
        return bodies

    def encode(self):
        return assemble(self.sections())

    def write(self, path):
        with open(path, "wb") as out:
            out.write(self.encode())
        return str(path)

    # -- reading --

    @classmethod
    def decode(cls, data):
        bodies = disassemble(data)
        strings = bodies[STRINGS]

        def text(offset):
            return strings[offset:strings.index(b"\0", offset)].decode("utf-8", "surrogateescape")

        values = INFO_FIELDS.unpack_from(bodies[INFO])
        result = cls()
        result.info = dict(zip(INFO_NAMES, values))
        for name in INFO_STRINGS:
            result.info[name] = text(result.info[name])
        result.losses = list(values[len(INFO_NAMES):-3])
        result.tail = values[-3:]
        at = INFO_FIELDS.size
        for name, kind in INFO_MORE.items():
            if at + struct.calcsize("<" + kind) <= len(bodies[INFO]):
                found = struct.unpack_from("<" + kind, bodies[INFO], at)
                result.more[name] = list(found) if kind[:-1] else found[0]
                at += struct.calcsize("<" + kind)
        result.modules = [
            Module(serial, text(path), start, end, bias, flags, build_id[:n])
            for serial, path, start, end, bias, flags, n, build_id in MODULE.iter_unpack(bodies[MODULES])]
        result.threads = [text(offset) for (offset,) in struct.iter_unpack("<I", bodies[THREADS])]
        result.stacks = decode_stacks(bodies[STACKS])
        result.live = [
            Sample(address, size & (1 << 48) - 1, birth & (1 << 56) - 1, stack, u, size >> 48,
                   birth >> 56 & 15, birth >> 60)
            for address, size, birth, stack, u in SAMPLE.iter_unpack(bodies[LIVE])]
        result.ticks = list(TICK.iter_unpack(bodies.get(TICKS, b"")))
        return result


def assemble(bodies, version=1):
    """A file of section bodies (by kind)."""
    offset, table, blob = HEADER.size + SECTION.size * len(bodies), b"", b""
    start = offset
    for kind, body in bodies.items():
        table += SECTION.pack(kind, 0, start + len(blob), len(body), xxh64(body))
        blob += body + bytes(-len(body) % 8)
    head = struct.pack("<8sIIQ", MAGIC, version, len(bodies), start + len(blob))
    return head + struct.pack("<Q", xxh64(head + table)) + table + blob


def disassemble(data):
    """Section bodies by kind, with every checksum tested."""
    magic, version, n, file_bytes, checksum = HEADER.unpack_from(data)
    table = data[HEADER.size:HEADER.size + n * SECTION.size]
    assert magic == MAGIC and version == 1 and file_bytes == len(data)
    assert checksum == xxh64(data[:24] + table), "header"
    bodies = {}
    for kind, reserved, offset, size, body_checksum in SECTION.iter_unpack(table):
        body = data[offset:offset + size]
        assert reserved == 0 and offset % 8 == 0 and len(body) == size
        assert xxh64(body) == body_checksum, kind
        bodies[kind] = body
    return bodies


def encode_stack(stack):
    out = [stack.id, stack.flags, stack.approx_from, len(stack.frames)]
    pc, tag = 0, 0
    for frame in stack.frames:
        new_tag = frame.module << 1 | frame.exact
        out.append(zigzag(frame.pc - pc) << 1 | (new_tag != tag))
        if new_tag != tag:
            out.append(new_tag)
        pc, tag = frame.pc, new_tag
    out += stack.allocated
    out += [0] if stack.thinned is None else [1, *map(zigzag, stack.thinned)]
    out.append(len(stack.deaths))
    for bucket, counters in stack.deaths.items():
        out += [bucket, *counters]
    return b"".join(map(varint, out))


def decode_stacks(body):
    at = 0

    def get():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    stacks = []
    while at < len(body):
        stack = Stack(get(), [], get(), get())
        pc, tag = 0, 0
        for _ in range(get()):
            step = get()
            pc += unzigzag(step >> 1)
            if step & 1:
                tag = get()
            stack.frames.append(Frame(pc, tag >> 1, bool(tag & 1)))
        stack.allocated = tuple(get() for _ in range(5))
        if get():
            stack.thinned = tuple(unzigzag(get()) for _ in range(5))
        for _ in range(get()):
            bucket = get()
            stack.deaths[bucket] = tuple(get() for _ in range(3))
        stacks.append(stack)
    return stacks
