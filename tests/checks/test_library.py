"""What libheapspy.so exports, needs and contains: it is loaded into every program."""
import re
import subprocess

import hspy

# What a hook must never reach, because it allocates, locks, prints, or changes the target. The loader's
# functions are not here: they serve at the start, before any hook samples.
FORBIDDEN = {
    "printf", "fprintf", "sprintf", "snprintf", "vsnprintf", "vfprintf", "puts", "fputs", "fwrite", "fopen",
    "fclose", "fflush", "perror", "syslog", "strerror", "strdup", "strndup", "asprintf", "getline",
    "localtime", "localtime_r", "strftime", "getpwuid", "getaddrinfo", "opendir", "readdir", "qsort",
    "backtrace", "backtrace_symbols", "pthread_getattr_np",
    "sigaction", "signal", "setenv", "putenv", "unsetenv", "umask", "chdir", "setlocale", "mallopt",
    "mallinfo", "mallinfo2", "malloc_trim", "malloc_info", "setrlimit", "exit", "abort", "__assert_fail",
    "system", "popen", "fork", "tmpfile", "mkstemp", "realpath", "getcwd", "log", "exp", "expm1", "log1p",
    "__libc_malloc", "__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign",
    "__tls_get_addr", "fsync", "sleep", "usleep",
    # The interposed names themselves: the next definition is called through a pointer only.
    "malloc", "calloc", "realloc", "reallocarray", "free", "memalign", "aligned_alloc", "posix_memalign",
    "valloc", "pvalloc", "malloc_usable_size",
}
# glibc 2.36 is Debian 12's. 2.34 moved threads and dlsym into libc.so.6, which is all that may be needed;
# what is newer than that must be weak.
NEWEST, MANDATORY = (2, 36), (2, 34)


def output(*argv):
    return subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=60).stdout


def dynamic_symbols(library=hspy.LIBRARY):
    """(name, version or None, binding, defined) of every dynamic symbol."""
    for line in output("readelf", "--dyn-syms", "-W", library).splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[0].rstrip(":").isdigit():
            name, _, version = parts[7].replace("@@", "@").partition("@")
            yield name, version or None, parts[4], parts[6] != "UND"


def map_file(name="libheapspy.map"):
    """(names before local:, whether the node is anonymous) of the version script."""
    text = (hspy.ROOT / "preload" / name).read_text(encoding="ascii")
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", text, flags=re.S)
    head, body = text.split("{", 1)
    exported = re.search(r"global:(.*?)local:", body, re.S).group(1)
    return set(re.findall(r"[A-Za-z_][\w]*", exported)), not head.strip()


def test_exported_names_equal_the_list_and_have_no_version():
    listed, anonymous = map_file()
    assert anonymous, "a named version node stops interposition"
    found = {name: version for name, version, _, defined in dynamic_symbols() if defined}
    assert set(found) == listed
    assert not {name: version for name, version in found.items() if version}


def test_the_whole_family_is_exported():
    exported = {name for name, _, _, defined in dynamic_symbols() if defined}
    c = {"malloc", "calloc", "realloc", "reallocarray", "free", "cfree", "memalign", "aligned_alloc",
         "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized"}
    new = {f"_Z{kind}m{rest}" for kind in ("nw", "na")
           for rest in ("", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t")}
    delete = {f"_Z{kind}Pv{rest}" for kind in ("dl", "da")
              for rest in ("", "m", "RKSt9nothrow_t", "St11align_val_t", "mSt11align_val_t",
                           "St11align_val_tRKSt9nothrow_t")}
    assert c | new | delete <= exported
    # Their presence is how programs tell that jemalloc, tcmalloc or mimalloc is there.
    assert not {name for name in exported
                if name.startswith(("mallocx", "rallocx", "mallctl", "tc_", "mi_", "_Unwind", "backtrace"))}


def test_needs_the_c_library_only():
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", hspy.LIBRARY)))
    assert needed <= {"libc.so.6", "ld-linux-x86-64.so.2"}
    flags = output("readelf", "-d", hspy.LIBRARY)
    assert "NODELETE" in flags and "NOW" in flags


def test_no_general_dynamic_tls_and_no_ifunc():
    relocations = output("readelf", "-rW", hspy.LIBRARY)
    assert not re.findall(r".*(?:DTPMOD|DTPOFF|TLSDESC|IRELATIV).*", relocations)


def test_thread_local_memory_is_small():
    sizes = re.findall(r"^ +TLS +\S+ \S+ \S+ \S+ (\S+)", output("readelf", "-lW", hspy.LIBRARY), re.M)
    assert len(sizes) == 1 and int(sizes[0], 16) <= 64


def test_glibc_versions():
    for name, version, binding, defined in dynamic_symbols():
        match = re.match(r"GLIBC_(\d+)\.(\d+)", version or "")
        if defined or not match:
            continue
        wanted = tuple(map(int, match.groups()))
        assert wanted <= NEWEST, f"{name}@{version}"
        assert wanted <= MANDATORY or binding == "WEAK", f"{name}@{version} must be weak"


def test_no_import_of_functions_that_hooks_must_not_call():
    imported = {name for name, _, _, defined in dynamic_symbols() if not defined}
    assert not imported & FORBIDDEN


def test_calloc_does_not_call_itself():
    """gcc makes malloc and memset into calloc, which inside calloc never ends."""
    text = output("objdump", "-d", "--no-show-raw-insn", hspy.LIBRARY)
    body = re.search(r"<calloc>:\n(.*?)\n\n", text, re.S).group(1)
    assert not re.search(r"(call|jmp)\s+\S+ <calloc(@plt)?>", body)


# libheapspy-jemalloc.so: loaded beside, and into programs that have no jemalloc.

JEMALLOC = hspy.LIBRARY.parent / "libheapspy-jemalloc.so"
DOORS = {"mallocx", "rallocx", "xallocx", "dallocx", "sdallocx"}


def test_object_for_jemalloc_exports_what_it_is_for_and_nothing_else():
    listed, anonymous = map_file("libheapspy-jemalloc.map")
    assert anonymous and listed == DOORS
    found = {name: version for name, version, _, defined in dynamic_symbols(JEMALLOC) if defined}
    assert found == dict.fromkeys(DOORS)


def test_object_for_jemalloc_can_be_loaded_anywhere():
    flags = output("readelf", "-d", JEMALLOC)
    assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", flags)) <= {"libc.so.6"}
    assert "NODELETE" in flags and "NOW" in flags and "TEXTREL" not in flags
    imported = {name: (version, binding) for name, version, binding, defined in dynamic_symbols(JEMALLOC)
                if name and not defined}
    # Weak, for libheapspy.so may be an older one, or not there.
    assert imported.pop("heapspy_jemalloc_doors_v1") == (None, "WEAK")
    strong = {name for name, (_, binding) in imported.items() if binding != "WEAK"}
    assert strong <= {"dlsym", "malloc", "realloc", "free", "memalign", "malloc_usable_size", "memcpy", "memset"}
    assert not re.findall(r".*(?:DTPMOD|DTPOFF|TLSDESC|TPOFF|IRELATIV).*", output("readelf", "-rW", JEMALLOC))


def test_doors_of_jemalloc_are_jumps():
    """Their frames would stand on top of every stack."""
    text = output("objdump", "-d", "--no-show-raw-insn", JEMALLOC)
    for door in DOORS:
        body = re.search(rf"<{door}>:\n(.*?)\n\n", text, re.S).group(1)
        assert "call" not in body and re.search(r"\tjmp +\*", body), body
