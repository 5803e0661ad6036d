"""What a hook takes of the program's stack, which may be a signal handler's of some kilobytes; docs/limits.md tells."""
import json
import os
import re
import subprocess

import hspy
import pytest

BYTES_MAX = 2048  # more than without
FRAME_BYTES_MAX = 1024
# At the start of a program alone, on its first stack; and of HEAPSPY_UNWIND=compare, for diagnosis.
LARGE = {"settings_refuse", "state_files_end_images", "walk_first"}


def stack_use(mode, directory, **settings):
    words, env = hspy.started(mode, [hspy.victim("prog_stack_use")], directory, settings)
    # The loader's own way to a function that is called for the first time takes 3 KiB.
    done = subprocess.run(words, env=env | {"LD_BIND_NOW": "1"}, stdout=subprocess.PIPE, text=True, check=True,
                          timeout=30)
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode, state, sample", [
    ("preload", None, 1), ("preload", "anon", 1), ("preload", None, "4KiB"), ("preload", None, "512KiB"), ("run", None, 1)])
def test_stack_use_of_hooks(mode, state, sample, tmp_path, state_dir):
    bare = stack_use("bare", tmp_path)
    # A run's states are where it says itself.
    settings = {"sample": sample, "interval": "20ms"} | ({"state": state or state_dir} if mode == "preload" else {})
    loaded = stack_use(mode, tmp_path / "run", **settings)
    for what, used in loaded.items():
        assert bare[what] < used or sample != 1, "nothing of ours was measured"
        assert used - bare[what] <= BYTES_MAX, (what, bare, loaded)


def test_no_function_takes_much_stack():
    """Frames of more than a kilobyte, by the subtraction at their beginning, but for those named above."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(hspy.LIBRARY)], stdout=subprocess.PIPE, text=True,
                          check=True, env=dict(os.environ, LC_ALL="C")).stdout
    large, name, n_frames = {}, None, 0
    for line in text.splitlines():
        if line.endswith(">:"):
            name = line.split("<")[1].split(">")[0].split(".")[0]
        elif match := re.search(r"\bsub +\$0x([0-9a-f]{1,8}),%rsp", line):
            n_frames += 1
            if int(match[1], 16) > FRAME_BYTES_MAX:
                large[name] = int(match[1], 16)
    assert n_frames > 100, "that is not how frames begin"
    assert set(large) <= LARGE, large
