"""Objects that the loader takes and other readers stumble over: each program runs as without heapspy."""
import struct
import subprocess

import hspy
import pytest

LIBRARY = "int lib_one(void) { return 1; }\nint lib_two(void) { return 2; }\n"
CALLER = """
#include <stdlib.h>
int lib_one(void);
int main(void) { void *block = malloc(1000); free(block); return block && lib_one() == 1 ? 5 : 1; }
"""
WITHOUT_HEADERS = """
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
extern char __ehdr_start[];
int main(void)
{
	if (mprotect(__ehdr_start, 4096, PROT_NONE))
		return 1;
	for (int i = 0; i < 100; i++)
		free(malloc(1000));
	_exit(5);
}
"""
# Generated code, then other code at its place, which returns elsewhere; in between its table is unmapped.
TABLE_GONE = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
void __register_frame(void *);
static void work(void) { free(malloc(1000)); }
static void run(unsigned char *code, const char *bytes, size_t n)
{
	memcpy(code, bytes, n);
	((void (*)(void (*)(void)))code)(work);
}
int main(void)
{
	static const unsigned char cie[] = { 20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0, 0x0c, 7, 8,
		0x90, 1, 0, 0 };
	int prot = PROT_READ | PROT_WRITE;
	unsigned char *code = mmap(0, 4096, prot | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *table = mmap(0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned fde[2] = { 24, sizeof(cie) + 4 };
	size_t range[2] = { (size_t)code, 4096 };

	if (code == MAP_FAILED || table == MAP_FAILED)
		return 1;
	memcpy(table, cie, sizeof(cie));
	memcpy(table + sizeof(cie), fde, sizeof(fde));
	memcpy(table + sizeof(cie) + 8, range, sizeof(range));
	__register_frame(table);
	run(code, "\x55\x48\x89\xe5\xff\xd7\x5d\xc3", 8);
	munmap(table, 4096);
	run(code, "\x53\xff\xd7\x5b\xc3", 5);
	return 5;
}
"""
DOOR = """
#include <stdlib.h>
void dallocx(void *, int);
int main(void) { void *volatile block = malloc(1000); dallocx(block, 0); return 5; }
"""
SHT_HASH, SHT_GNU_HASH = 5, 0x6ffffff6


def compiled(directory, name, source, *words):
    text = directory / f"{name}.c"
    text.write_text(source, encoding="ascii")
    subprocess.run(["gcc", "-fno-builtin", text, "-o", directory / name, *words], check=True)
    return directory / name


def section(data, wanted):
    """Where the section of that type is in the file, and its bytes."""
    at, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for i in range(count):
        header = struct.unpack_from("<IIQQQQIIQQ", data, at + 64 * i)
        if header[1] == wanted:
            return header[4], header[5]
    raise AssertionError(f"no section of type {wanted:#x}")


def more_symbols_than_there_are(data):
    at, _ = section(data, SHT_HASH)
    struct.pack_into("<I", data, at + 4, 0x7fffffff)


def no_buckets(data):
    at, _ = section(data, SHT_HASH)
    struct.pack_into("<I", data, at, 0)


def chains_far_away(data):
    """The words of the Bloom filter are zero, so no look-up of the loader gets to a chain."""
    at, _ = section(data, SHT_GNU_HASH)
    buckets, _, words, _ = struct.unpack_from("<IIII", data, at)
    data[at + 16:at + 16 + 8 * words] = bytes(8 * words)
    for i in range(at + 16 + 8 * words, at + 16 + 8 * words + 4 * buckets, 4):
        struct.pack_into("<I", data, i, 0x7fffffff)


@pytest.mark.parametrize("style, change", [
    ("sysv", more_symbols_than_there_are), ("sysv", no_buckets), ("gnu", chains_far_away)], ids=lambda value: getattr(value, "__name__", value))
def test_odd_hash_tables(style, change, tmp_path):
    library = compiled(tmp_path, "libodd.so", LIBRARY, "-shared", "-fPIC", f"-Wl,--hash-style={style}")
    program = compiled(tmp_path, "program", CALLER, library, f"-Wl,-rpath,{tmp_path}")
    data = bytearray(library.read_bytes())
    change(data)
    library.write_bytes(data)
    bare = subprocess.run([program], stderr=subprocess.PIPE, timeout=60, check=False)
    # Where the loader itself finds nothing any more, it is to say so, as without us.
    assert bare.returncode == (127 if change in (no_buckets, chains_far_away) else 5)
    hspy.run([program], tmp_path / "run", sample=1, expect=bare.returncode, timeout=60)


@pytest.mark.parametrize("source, words", [
    (WITHOUT_HEADERS, ["-Wl,-z,now", "-Wl,-z,separate-code"]), (TABLE_GONE, [])], ids=["headers", "table"])
def test_memory_that_is_taken_away(source, words, tmp_path):
    """What the loader or the program has once shown us is read only while it is there."""
    program = compiled(tmp_path, "program", source, *words)
    hspy.run([program], tmp_path / "bare", preload=(), expect=5)
    hspy.run([program], tmp_path / "run", sample=1, expect=5)


@pytest.mark.parametrize("words", [[], ["-no-pie"]], ids=["pie", "no-pie"])
def test_unseen_door_of_a_program_that_defines_nothing(words, tmp_path):
    """Its hash table is empty then, and does not tell how many names it wants of others."""
    program = compiled(tmp_path, "program", DOOR, "-l:libjemalloc.so.2", *words)
    run = hspy.run([program], tmp_path / "run", sample=1, verbose=1, expect=5)
    assert "calls dallocx, which is not seen" in run.stderr
