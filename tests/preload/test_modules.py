"""Loaded objects: which library a frame is in, whatever was there before and whoever unloaded it."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import hspy
import pytest

FRAMES_BELOW = ["__libc_start_call_main", "__libc_start_main_impl", "_start"]


def by_module(moment):
    """Live bytes by file name of the module, rows of one name together."""
    found = {}
    for row in hspy.top(moment, "-n0", "--by", "module")["rows"]:
        name = (row["where"]["module"] or "").rsplit("/", 1)[-1]
        found[name] = found.get(name, 0) + row["bytes"]
    return found


def stacks_of(moment, function):
    """(file name of the module, functions leaf first) of each live stack whose leaf is function."""
    return [(stack["frames"][0]["module"].rsplit("/", 1)[-1],
             [frame.get("function") for frame in stack["frames"]])
            for row in hspy.top(moment, "-n0", "--by", "site")["rows"] for stack in row["stacks"]
            if row["where"].get("function") == function]


# The C library does not call dlclose for its own modules. NSS modules it never unloads.

@pytest.mark.parametrize("first, second", [("lib_frame_a", "lib_frame_b"), ("lib_frame_mute_a", "lib_frame_mute_b"),
                                           ("lib_frame_a", "copy")])
def test_unloaded_by_the_c_library(first, second, tmp_path, monkeypatch):
    """mute: not even by the call that start files make. copy: of the same code, only the file differs."""
    modules = tmp_path / "gconv"
    modules.mkdir()
    shutil.copy(hspy.victim(f"{first}.so"), modules)
    shutil.copy(hspy.victim("lib_frame_b.so"), modules / "other.so")
    (modules / "gconv-modules").write_text("".join(
        f"module {name.upper()}// INTERNAL {name} 1\n" for name in (first, "other")))
    monkeypatch.setenv("GCONV_PATH", str(modules))
    library = tmp_path / f"{second}.so"
    shutil.copy(hspy.victim(f"{first if second == 'copy' else second}.so"), library)
    rounds = 4
    run = hspy.run([hspy.victim("prog_gconv"), first, "other", library, rounds], tmp_path / "run", sample=1)
    # Otherwise the run proves nothing.
    assert run.truth["unloaded"] == run.truth["same_address"] == rounds
    moment = f"{run.dir}@mark:end"
    found = by_module(moment)
    assert found[f"{first}.so"] == found[library.name] == run.truth["each"]
    for module, functions in stacks_of(moment, "frame_keep"):
        if module == library.name:
            assert functions == ["frame_keep", "call_library", "main", *FRAMES_BELOW]
        else:
            assert functions[1] == "gconv_init", functions
            assert functions[-5:] == ["call_iconv", "main", *FRAMES_BELOW], functions


def test_three_hundred_libraries(tmp_path):
    n = 300
    libraries = [tmp_path / f"plugin{i:03}.so" for i in range(n)]
    for library in libraries:
        shutil.copy(hspy.victim("lib_frame_a.so"), library)
    run = hspy.run([hspy.victim("prog_modules"), *libraries], tmp_path / "run", sample=1)
    found = by_module(f"{run.dir}@mark:end")
    assert {found.get(library.name) for library in libraries} == {100}
    assert all(functions == ["frame_keep", "call_library", "main", *FRAMES_BELOW]
               for _, functions in stacks_of(f"{run.dir}@mark:end", "frame_keep"))


def loadings(n, tmp_path, **settings):
    """n loadings at as many addresses; (snapshot as JSON, its moment, run)"""
    libraries = [hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so")]
    run = hspy.run([hspy.victim("prog_modules"), "-n", n, *libraries], tmp_path, sample=1, timeout=600, **settings)
    moment = f"{tmp_path}@mark:end"
    return hspy.dump(moment), moment, run


def expect_one_number_each(modules):
    assert len({(m["path"], m["start"]) for m in modules}) == len(modules)


def test_many_loadings(tmp_path):
    shot, moment, run = loadings(3000, tmp_path)
    assert shot["info"]["losses"]["modules"] == 0
    expect_one_number_each(shot["modules"])
    assert sum("lib_frame" in m["path"] for m in shot["modules"]) == 3000
    found = by_module(moment)
    assert found["lib_frame_a.so"] == found["lib_frame_b.so"] == run.truth["live"] // 2


NOT_RECORDED = "not every loaded library could be recorded"


def test_no_room_for_libraries(tmp_path):
    """A state of 256 KiB holds fewer: said, and those that it holds are right."""
    shot, moment, _ = loadings(3000, tmp_path, state_max="256KiB")
    assert shot["info"]["losses"]["modules"] > 0
    assert NOT_RECORDED in hspy.command("top", moment).stderr
    assert set(by_module(moment)) >= {"lib_frame_a.so", "lib_frame_b.so"}


@pytest.mark.slow
def test_more_loadings_than_numbers(tmp_path):
    """There are 32 767: frames of later ones are in no module, and say so; no figure is wrong."""
    n = 33500
    shot, moment, run = loadings(n, tmp_path)
    named = sum("lib_frame" in m["path"] for m in shot["modules"])
    assert len(shot["modules"]) == 32767 and shot["info"]["losses"]["modules"] >= n - named
    found = by_module(moment)
    assert found["lib_frame_a.so"] + found["lib_frame_b.so"] == 100 * named
    assert sum(row["bytes"] for row in hspy.top(moment, "-n0")["rows"]) >= run.truth["live"]
    assert found[""] == 100 * (n - named)
    assert NOT_RECORDED in hspy.command("top", moment).stderr


# Build ids come from memory, not from files.

SHA1 = "-Wl,--build-id=sha1"


def build(path, *options, name="frame_keep"):
    """A library of one function that keeps a block."""
    source = path.with_suffix(".c")
    source.write_text(f"#include <stdlib.h>\nvoid *kept;\nvoid *{name}(size_t n)\n"
                      "{\n\tkept = malloc(n);\n\treturn kept;\n}\n")
    subprocess.run(["gcc", "-g", "-O1", "-shared", "-fPIC", "-o", path, source, *options], check=True)
    return path


def build_id_of(path):
    notes = subprocess.run(["readelf", "-nW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", notes)
    return found.group(1) if found else None


def headers_of(path):
    return subprocess.run(["readelf", "-lW", path], stdout=subprocess.PIPE, text=True, check=True).stdout


def module_after_run(library, directory, **options):
    """How the snapshot describes a library that was loaded, and the functions of its stack."""
    run = hspy.run([hspy.victim("prog_modules"), library], directory, sample=1, **options)
    moment = f"{directory}@mark:end"
    (module,) = [m for m in hspy.dump(moment)["modules"] if m["path"] == str(library)]
    ((_, functions),) = stacks_of(moment, "frame_keep")
    assert functions == ["frame_keep", "call_library", "main", *FRAMES_BELOW]
    assert run.truth["live"] == 100
    return module


@pytest.mark.parametrize("n_bytes", [8, 16, 20, 32])
def test_build_ids_of_any_length(n_bytes, tmp_path):
    wanted = bytes(range(1, n_bytes + 1)).hex()
    library = build(tmp_path / "plugin.so", f"-Wl,--build-id=0x{wanted}")
    assert module_after_run(library, tmp_path / "run")["build_id"] == wanted


@pytest.mark.parametrize("option", ["-Wl,--build-id=none", "-Wl,--build-id=0x" + "ab" * 64],
                         ids=["none", "64-bytes"])
def test_no_build_id_that_could_be_kept(option, tmp_path):
    library = build(tmp_path / "plugin.so", option)
    assert module_after_run(library, tmp_path / "run").get("build_id") in (None, "")


def test_build_id_behind_other_notes(tmp_path):
    """Properties of the processor come first, in a segment of their own with other padding."""
    other = tmp_path / "note.s"
    other.write_text('.section .note.GNU-stack,"",@progbits\n.section .note.before,"a",@note\n.balign 4\n'
                     '.long 6, 5, 7\n.asciz "Other"\n.balign 4\n.byte 1,2,3,4,5\n.balign 4\n')
    library = build(tmp_path / "plugin.so", SHA1, "-Wl,-z,ibt", other)
    assert headers_of(library).count(" NOTE ") > 1
    assert module_after_run(library, tmp_path / "run")["build_id"] == build_id_of(library)


def test_addresses_that_are_not_offsets(tmp_path):
    library = build(tmp_path / "plugin.so", SHA1, "-Wl,-Ttext-segment=0x40000")
    assert re.search(r"LOAD +0x000000 0x0*40000 ", headers_of(library))
    module = module_after_run(library, tmp_path / "run")
    assert module["build_id"] == build_id_of(library)
    assert int(module["start"], 16) - int(module["load_bias"], 16) == 0x40000


def test_segments_without_headers(tmp_path):
    """Program headers are not in memory: the path has to do."""
    script = subprocess.run(["ld", "-shared", "--verbose"], stdout=subprocess.PIPE, text=True, check=True).stdout
    script = re.search(r"\n={20,}\n(.*)\n={20,}\n", script, re.S).group(1)
    script, n = re.subn(r"(SEGMENT_START\(\"text-segment\", 0\)) \+ SIZEOF_HEADERS", r"\1 + 0x1000", script)
    assert n == 1
    (tmp_path / "script").write_text(script)
    library = build(tmp_path / "plugin.so", SHA1, f"-Wl,-T,{tmp_path}/script")
    assert re.search(r"LOAD +0x001000 0x0*1000 ", headers_of(library))
    assert module_after_run(library, tmp_path / "run").get("build_id") in (None, "")


def test_library_without_a_file(tmp_path):
    library = build(tmp_path / "plugin.so", SHA1)
    memory = os.memfd_create("plugin", 0)
    try:
        os.write(memory, library.read_bytes())
        path = f"/proc/self/fd/{memory}"
        run = hspy.run([hspy.victim("prog_modules"), path], tmp_path / "run", sample=1, pass_fds=(memory,))
    finally:
        os.close(memory)
    (module,) = [m for m in hspy.dump(f"{run.dir}@mark:end")["modules"] if m["path"] == path]
    assert module["build_id"] == build_id_of(library)
    assert by_module(f"{run.dir}@mark:end")[path.rsplit("/", 1)[-1]] == 100


def may_open_mappings(pid):
    try:
        return any(os.stat(link) for link in pathlib.Path(f"/proc/{pid}/map_files").iterdir())
    except PermissionError:
        return False


def test_library_replaced_while_it_runs(tmp_path):
    """An upgrade: the new file at the path is another build, and its names are not for the old code."""
    library = build(tmp_path / "plugin.so", SHA1)
    build_id = build_id_of(library)
    server = hspy.Server([hspy.victim("prog_modules"), "-w", library], tmp_path / "run", stop=None,
                         settings={"sample": 1})
    with server:
        server.wait_until(lambda: "ready" in server.log.read_text())
        new = build(tmp_path / "upgrade.so", SHA1, "-O2", name="another_function")
        os.replace(new, library)
        assert build_id_of(library) != build_id
        hspy.heapspy("snapshot", server.process.pid, "-o", tmp_path / "now.hspy")
        names = hspy.names_of(hspy.top(tmp_path / "now.hspy", "-n0", "--by", "site")["rows"])
        assert "another_function" not in names and "call_library" in names
        # The mapping still leads to the old file, for who may look there.
        assert ("frame_keep" in names) == may_open_mappings(server.process.pid)
        server.process.stdin.write(b"\n")
    moment = f"{tmp_path}/run@mark:end"
    (module,) = [m for m in hspy.dump(moment)["modules"] if m["path"] == str(library)]
    assert module["build_id"] == build_id
    done = hspy.command("top", "--json", "-n0", "--by", "site", moment)
    rows = json.loads(done.stdout)["rows"]
    assert hspy.names_of(rows).isdisjoint({"another_function", "frame_keep"})
    assert "another build id" in done.stderr and "plugin.so" in done.stderr
    assert sum(row["bytes"] for row in rows if str(library) == row["where"].get("module")) == 200


def storm(seconds, tmp_path):
    libraries = [hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so")]
    run = hspy.run([hspy.victim("prog_dlstorm"), seconds, *libraries], tmp_path, sample=1, timeout=60 + 4 * seconds)
    moment = f"{tmp_path}@mark:end"
    found = by_module(moment)
    for name in ("lib_frame_a", "lib_frame_b"):
        assert run.truth[name]["n"] > 0 and found[f"{name}.so"] == run.truth[name]["live_bytes"], name
    churn = run.truth["churn"]
    assert hspy.sites(moment)["churn"] == (churn["live_bytes"], churn["live"], churn["bytes"], churn["n"])
    stacks = stacks_of(moment, "frame_keep")
    assert {module for module, _ in stacks} == {"lib_frame_a.so", "lib_frame_b.so"}
    for _, functions in stacks:
        assert functions[:3] == ["frame_keep", "call_library", "load"], functions
        assert functions[3] == "start_thread", functions
    assert {functions[1] for _, functions in stacks_of(moment, "churn")} == {"allocate"}
    expect_one_number_each(hspy.dump(moment)["modules"])


def test_loading_and_unloading_under_load(tmp_path):
    storm(3, tmp_path)


@pytest.mark.slow
def test_loading_and_unloading_under_load_for_long(tmp_path):
    storm(180, tmp_path)


def test_libraries_that_do_not_see_our_malloc(tmp_path):
    """In another namespace, or bound to libc first: their own blocks are unseen, their frames are known."""
    run = hspy.run([hspy.victim("prog_namespace"), hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so")],
                   tmp_path, sample=1)
    stacks = stacks_of(f"{tmp_path}@mark:end", "make_block")
    assert len(stacks) == 2 and not stacks_of(f"{tmp_path}@mark:end", "frame_keep")
    for _, functions in stacks:
        assert functions == ["make_block", "frame_call", "main", *FRAMES_BELOW]
    assert hspy.sites(f"{run.dir}@mark:end")["make_block"][:2] == (20000, 20)
