"""heapspy run --allocator: this machine's jemalloc, tcmalloc and mimalloc behind the library, jemalloc's
extended API seen by an object of its own, and what the commands say of all that."""
import json
import os
import pathlib
import shutil
import subprocess

import hspy
import pytest

LIBRARIES = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc.so.4",
             "tcmalloc_minimal": "libtcmalloc_minimal.so.4", "mimalloc": "libmimalloc.so.2"}
OBJECT = hspy.BUILD / "preload" / "libheapspy-jemalloc.so"

# Keeps 1000 blocks of 1000 bytes, frees as many by each of the ways there are.
EXTENDED = """
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *kept[1000];

__attribute__((noinline)) static void keep_extended(int i)
{
	kept[i] = mallocx(1000, MALLOCX_ZERO);
}

__attribute__((noinline)) static void pass_extended(int i)
{
	void *block = mallocx(500, 0);

	block = rallocx(block, 700, 0);
	xallocx(block, 700, 0, 0);
	if (i % 3 == 0)
		dallocx(block, 0);
	else if (i % 3 == 1)
		sdallocx(block, 700, 0);
	else
		free(block);
}

int main(int argc, char **argv)
{
	for (int i = 0; i < 1000; i++) {
		keep_extended(i);
		pass_extended(i);
	}
	puts("ready");
	fflush(stdout);
	if (argc > 1)
		pause();
	return 7;
}
"""

ASKING = """
#include <dlfcn.h>
#include <stdio.h>
#define mallocx(...) ((__typeof__(&mallocx))dlsym(RTLD_DEFAULT, "mallocx"))(__VA_ARGS__)
#define rallocx(...) ((__typeof__(&rallocx))dlsym(RTLD_DEFAULT, "rallocx"))(__VA_ARGS__)
#define xallocx(...) ((__typeof__(&xallocx))dlsym(RTLD_DEFAULT, "xallocx"))(__VA_ARGS__)
#define dallocx(...) ((__typeof__(&dallocx))dlsym(RTLD_DEFAULT, "dallocx"))(__VA_ARGS__)
#define sdallocx(...) ((__typeof__(&sdallocx))dlsym(RTLD_DEFAULT, "sdallocx"))(__VA_ARGS__)
"""


@pytest.fixture(autouse=True)
def empty_directory(tmp_path_factory, monkeypatch):
    """Where a run without --dir may write: by chance even a brief one has a sample."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def compile_c(place, name, text, *words):
    source = place / f"{name}.c"
    source.write_text(text)
    output = place / name
    subprocess.run(["gcc", "-g", "-O1", "-fno-builtin", "-D_GNU_SOURCE", source, "-o", output,
                    *map(str, words)], check=True)
    return output


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A program that is linked with jemalloc and calls mallocx and its kin."""
    return compile_c(tmp_path_factory.mktemp("extended"), "extended", EXTENDED, "-ljemalloc")


def run(*argv, options=(), expect=0, **environment):
    done = subprocess.run([str(hspy.COMMAND), "run", *map(str, options), "--", *map(str, argv)],
                          env=dict(os.environ, LC_ALL="C.UTF-8", **environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == expect, done
    return done


def refusal(*argv, options=(), **environment):
    """The one line that is said instead of starting the command."""
    done = run(*argv, options=options, expect=125, **environment)
    assert not done.stdout and done.stderr.startswith("heapspy: ") and done.stderr.count("\n") == 1, done
    return done.stderr[len("heapspy: "):-1]


def preloaded(*options, shell="sh", **environment):
    """LD_PRELOAD as a command finds it, as a list."""
    done = run(shell, "-c", "echo $LD_PRELOAD", options=["-q", *options], **environment)
    return done.stdout.strip().split(":")


def last(directory):
    return hspy.snapshots(directory)[-1]


@pytest.mark.parametrize("allocator", LIBRARIES)
def test_the_allocator_is_behind_and_figures_are_right(allocator, tmp_path):
    run(hspy.victim("prog_basic"), options=["--dir", tmp_path / "run", "--sample", 1, "--allocator", allocator],
        expect=7)
    snapshot = last(tmp_path / "run")
    assert pathlib.Path(hspy.info(snapshot)["next_malloc"]).name == LIBRARIES[allocator]
    live, blocks, made, made_blocks = hspy.sites(snapshot)["keep_blocks"]
    assert (live, blocks, made, made_blocks) == (1000000, 1000, 1000000, 1000)
    assert hspy.sites(snapshot)["churn_blocks"] == (0, 0, 40000000, 40000)
    assert hspy.top(snapshot)["moment"]["next_malloc"] == hspy.info(snapshot)["next_malloc"]
    assert f"; malloc of {LIBRARIES[allocator]}\n" in hspy.heapspy("top", snapshot)


@pytest.mark.parametrize("allocator", LIBRARIES)
def test_every_operator_new(allocator, tmp_path):
    """The allocator's own never calls malloc."""
    done = run(hspy.victim("prog_exact_cxx"), 2, 5000,
               options=["--dir", tmp_path / "run", "--sample", 1, "--allocator", allocator])
    found = hspy.sites(f"{tmp_path}/run@mark:end")
    for name, site in json.loads(done.stdout).items():
        assert found[name] == (site["live_bytes"], site["live"], site["bytes"], site["n"]), name


def test_moments_with_different_allocators_are_told_apart(tmp_path):
    for name, options in (("a", []), ("b", ["--allocator=jemalloc"]), ("c", ["--allocator=jemalloc"])):
        run(hspy.victim("prog_basic"), options=["--dir", tmp_path / name, *options], expect=7)
    assert "Different allocators" not in hspy.heapspy("diff", "--force", tmp_path / "b", tmp_path / "c")
    text = hspy.heapspy("diff", "--force", tmp_path / "a", tmp_path / "b")
    assert "\nDifferent allocators: malloc of libc.so.6 before, of libjemalloc.so.2 after.\n" in text


def test_order_in_ld_preload():
    bump = hspy.victim("lib_bump.so")
    first, second, third, *others = preloaded("--allocator=jemalloc", LD_PRELOAD=f"libm.so.6:{bump}")
    assert (first, second) == (str(hspy.LIBRARY.resolve()), str(OBJECT.resolve()))
    assert os.path.isabs(third) and third.endswith("/libjemalloc.so.2")
    assert others == ["libm.so.6", bump]
    # Who has no jemalloc shall not believe in one.
    assert [pathlib.Path(path).name for path in preloaded("--allocator=mimalloc")] == [
        "libheapspy.so", "libmimalloc.so.2"]
    assert preloaded() == [first]


def test_a_copy_elsewhere_is_found_as_the_loader_finds_it(tmp_path):
    shutil.copy("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", tmp_path)
    assert preloaded("--allocator=mimalloc", LD_LIBRARY_PATH=str(tmp_path))[1] == str(
        tmp_path / "libmimalloc.so.2")


@pytest.mark.parametrize("children", ["all", "exec", "none"])
def test_children_have_it_too(children, tmp_path):
    # The program stands behind a shell that stays: a child.
    run("sh", "-c", f"{hspy.victim('prog_basic')}; grep -q libmimalloc /proc/self/maps",
        options=["--dir", tmp_path / "run", "--allocator=mimalloc", "--children", children, "--sample", 1])
    found = {hspy.info(path)["comm"]: hspy.info(path)["next_malloc"]
             for path in (tmp_path / "run").rglob("*.hspy")}
    assert all(name.endswith("libmimalloc.so.2") for name in found.values())
    assert ("prog_basic" in found) == (children != "none") and "sh" in found


# The extended API

def extended_sites(directory):
    found = hspy.sites(last(directory))
    return found["keep_extended"], found["pass_extended"][:2]


def test_a_program_linked_with_jemalloc_gets_the_object(extended, tmp_path):
    run(extended, options=["--dir", tmp_path / "run", "--sample", 1], expect=7)
    assert extended_sites(tmp_path / "run") == ((1000000, 1000, 1000000, 1000), (0, 0))
    # By hand without it, nothing of mallocx is seen: what the object is there for.
    bare = hspy.run([extended], tmp_path / "bare", expect=7, sample=1)
    assert "keep_extended" not in hspy.sites(bare.last)


def test_a_jemalloc_in_ld_preload_or_by_option_counts_as_well(tmp_path):
    # Linked with nothing: it takes what it finds.
    asks = compile_c(tmp_path, "asks", EXTENDED.replace("#include <stdio.h>", ASKING))
    copy = shutil.copy("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", tmp_path / "libother-name.so")
    for number, (options, environment) in enumerate([(["--allocator=jemalloc"], {}), ([], {"LD_PRELOAD": copy})]):
        directory = tmp_path / str(number)
        run(asks, options=["--dir", directory, "--sample", 1, *options], expect=7, **environment)
        assert extended_sites(directory) == ((1000000, 1000, 1000000, 1000), (0, 0))


def test_libraries_are_followed_to_the_one_that_brings_it(tmp_path):
    """By what it exports, three libraries deep, through DT_RUNPATH."""
    (tmp_path / "deep").mkdir()
    here = "-Wl,--enable-new-dtags,-rpath,$ORIGIN"
    compile_c(tmp_path / "deep", "libthird.so", "int mallocx(void) { return 3; }", "-shared", "-fPIC")
    compile_c(tmp_path / "deep", "libsecond.so", "int mallocx(void); int second(void) { return mallocx(); }",
              "-shared", "-fPIC", here, f"-L{tmp_path}/deep", "-lthird")
    program = compile_c(tmp_path, "program", "int second(void); int puts(const char *); char *getenv(char *);"
                        "int main(void) { puts(getenv(\"LD_PRELOAD\")); return second() != 3; }",
                        "-Wl,-rpath,$ORIGIN/deep", f"-L{tmp_path}/deep", "-lsecond",
                        f"-Wl,-rpath-link,{tmp_path}/deep")
    done = run(program, options=["-q"], expect=1)
    assert str(OBJECT.resolve()) in done.stdout.split("\n")[0].split(":")
    script = tmp_path / "script"
    script.write_text(f"#!{program}\n")
    script.chmod(0o755)
    assert str(OBJECT.resolve()) in run(script, options=["-q"], expect=1).stdout


def test_what_a_script_starts_is_not_known_beforehand(extended, tmp_path):
    """The two ways out that the manual names, and the warning of who has not taken one."""
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\n{extended}\n")
    script.chmod(0o755)
    for number, (options, environment) in enumerate([
            (["--allocator=jemalloc"], {}), ([], {"LD_PRELOAD": str(OBJECT)}), ([], {})]):
        directory = tmp_path / str(number)
        run(script, options=["--dir", directory, "--sample", 1, *options], expect=7, **environment)
        (inner,) = directory.glob("extended.*")
        if number < 2:
            assert extended_sites(inner) == ((1000000, 1000, 1000000, 1000), (0, 0))
        else:
            assert "keep_extended" not in hspy.sites(last(inner))
            assert "not seen" in hspy.command("top", inner).stderr


def copy_heapspy(place):
    """The command and the library, without the object for jemalloc."""
    for folder, file in (("analyzer", hspy.COMMAND), ("preload", hspy.LIBRARY)):
        (place / folder).mkdir(parents=True)
        shutil.copy(file, place / folder)


def test_without_the_object_it_goes_on_and_says_so(extended, tmp_path):
    copy_heapspy(tmp_path)
    done = subprocess.run([tmp_path / "analyzer" / "heapspy", "run", "-v", "--dir", tmp_path / "run", "--", extended],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 7
    assert "; mallocx and its kin are not seen: libheapspy-jemalloc.so is not beside " in done.stderr
    assert OBJECT.name not in done.stderr.split("LD_PRELOAD=")[1].split("\n")[0]
    done = subprocess.run([tmp_path / "analyzer" / "heapspy", "doctor", "--", extended], stdout=subprocess.PIPE,
                          text=True, check=False)
    assert "\nnote  allocator  jemalloc (" in done.stdout and "are not seen" in done.stdout


def test_verbose_says_what_is_preloaded_and_why(extended, tmp_path):
    done = run(extended, options=["-v", "--dir", tmp_path / "run"], expect=7)
    first, second = done.stderr.splitlines()[:2]
    assert first.startswith("heapspy: allocator of extended: jemalloc (/") and first.endswith(
        "/libjemalloc.so.2); mallocx and its kin are seen too, by libheapspy-jemalloc.so")
    assert second.startswith(f"heapspy: LD_PRELOAD={hspy.LIBRARY.resolve()}:{OBJECT.resolve()}")
    done = run("sh", "-c", "exit 0", options=["-v", "--dir", tmp_path / "sh"])
    assert done.stderr.startswith("heapspy: allocator of ") and ": glibc (/" in done.stderr.splitlines()[0]


# What cannot be

def test_unknown_values_are_listed():
    assert refusal("true", options=["--allocator=jemaloc"]) == (
        "--allocator: 'jemaloc' is not jemalloc, tcmalloc, tcmalloc_minimal or mimalloc")
    assert refusal("true", options=["--allocator"]) .startswith("--allocator: '--' is not ")


def without(name, tmp_path, *words):
    """Runs words where the library directory has no such file, in a mount namespace of its own."""
    libraries = "/usr/lib/x86_64-linux-gnu"
    script = (f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/up {tmp_path}/work && mount -t overlay overlay "
              f"-o lowerdir={libraries},upperdir={tmp_path}/up,workdir={tmp_path}/work {libraries} "
              f'&& rm {libraries}/{name}* || exit 99; exec "$@"')
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if done.returncode in (1, 99) and "heapspy: " not in done.stderr + done.stdout:
        pytest.skip(f"cannot hide a library here: {done.stderr.strip()}")
    return done


def test_not_installed(tmp_path):
    done = without("libjemalloc.so.2", tmp_path, hspy.COMMAND, "run", "--allocator=jemalloc", "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (
        125, "", "heapspy: --allocator=jemalloc: libjemalloc.so.2 is not installed (Debian: libjemalloc2); a copy "
        "elsewhere is found by LD_LIBRARY_PATH\n")


@pytest.mark.parametrize("name", ["a b", "a:b", "a$ORIGIN"])
def test_a_place_that_ld_preload_cannot_name(name, tmp_path):
    copy_heapspy(tmp_path / name)
    command = tmp_path / name / "analyzer" / "heapspy"
    done = subprocess.run([command, "run", "--", "true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    text = f"'{tmp_path}/{name}/preload/libheapspy.so' cannot stand in LD_PRELOAD"
    assert (done.returncode, done.stdout) == (125, "") and done.stderr.startswith("heapspy: " + text)
    done = subprocess.run([command, "doctor", "--", "true"], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and text in done.stdout.splitlines()[0]


def test_programs_that_do_not_take_it(extended):
    own, static = (hspy.BUILD / "tests" / "unit" / f"program_{kind}" for kind in ("own_malloc", "static"))
    for allocator in LIBRARIES:
        assert "brings a malloc of its own" in refusal(own, options=["--allocator", allocator])
        assert "is statically linked" in refusal(static, options=["--allocator", allocator])
    for allocator in ("tcmalloc", "tcmalloc_minimal", "mimalloc"):
        assert refusal(extended, options=["--allocator", allocator]) == (
            f"--allocator={allocator}: extended calls mallocx of libjemalloc.so.2 by name, and blocks of two "
            "allocators would meet; run it without --allocator")


def test_programs_that_take_a_part(tmp_path):
    for kind in ("hidden_malloc", "je_malloc"):
        program = hspy.BUILD / "tests" / "unit" / f"program_{kind}"
        done = run(program, options=["--dir", tmp_path / kind, "--allocator=mimalloc"])
        assert done.stderr.startswith(f"heapspy: --allocator=mimalloc reaches only a part: program_{kind} ")
        assert "reaches" not in run(program, options=["-q", "--dir", tmp_path / kind, "--allocator=mimalloc"]).stderr


def test_redis_with_another_than_its_own():
    """Linked with jemalloc: what stands before it serves, and that is said."""
    done = run("redis-server", "--version", options=["-v", "--interval", 0, "--allocator=tcmalloc_minimal"])
    assert "libtcmalloc_minimal.so.4), before libjemalloc.so.2" in done.stderr.splitlines()[0]


# Running processes

def allocator_line(pid):
    done = hspy.command("doctor", pid)
    (line,) = [line for line in done.stdout.splitlines() if line.split()[1] == "allocator"]
    return line.split(None, 2)[0], line.split(None, 2)[2]


@pytest.mark.parametrize("preload, level, text", [
    ([], "note", "jemalloc; extended calls mallocx or its kin, which are not seen: start it by heapspy run, or with "
     "libheapspy-jemalloc.so behind libheapspy.so in LD_PRELOAD"),
    ([OBJECT], "ok", "jemalloc; mallocx and its kin are seen too, by libheapspy-jemalloc.so"),
])
def test_doctor_says_which_allocator_a_process_has(extended, tmp_path, preload, level, text):
    env = hspy.environment(tmp_path / "run", [hspy.LIBRARY, *preload])
    with subprocess.Popen([extended, "wait"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            assert allocator_line(process.pid) == (level, text)
        finally:
            process.kill()


@pytest.mark.parametrize("library, text", [
    ("libjemalloc.so.2", "jemalloc; nothing that is loaded calls mallocx or its kin"),
    ("libtcmalloc.so.4", "tcmalloc"), ("libmimalloc.so.2", "mimalloc"), ("lib_bump.so", "lib_bump.so"),
    (None, "glibc")])
def test_doctor_names_allocators(tmp_path, library, text):
    behind = [] if not library else [hspy.victim(library) if "bump" in library else library]
    env = hspy.environment(tmp_path / "run", [hspy.LIBRARY, *behind])
    program = hspy.BUILD / "tests" / "unit" / "program_plain"
    with subprocess.Popen([program, "wait"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline()
            assert allocator_line(process.pid) == ("ok", text)
        finally:
            process.kill()


def test_doctor_lists_what_there_is():
    done = hspy.command("doctor")
    (line,) = [line for line in done.stdout.splitlines() if line.split()[1] == "allocators"]
    assert line.endswith("for heapspy run --allocator: jemalloc, tcmalloc, tcmalloc_minimal, mimalloc")


def test_doctor_shows_the_allocator_of_a_command(extended):
    text = hspy.heapspy("doctor", "--", extended)
    assert "\nok    allocator  jemalloc (/" in text and "are seen too, by libheapspy-jemalloc.so\n" in text
    text = hspy.heapspy("doctor", "--", hspy.BUILD / "tests" / "unit" / "program_plain")
    assert "\nok    allocator  glibc (/" in text
