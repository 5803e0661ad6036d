"""The sample server under its load: answers complete, the leak named, a clean end."""
import re
import subprocess

import hspy


def test_leak_is_named(tmp_path):
    with hspy.Server([hspy.BUILD / "samples" / "server"], tmp_path / "run",
                     settings={"interval": "1s", "sample": "64KiB"}) as server:
        server.wait_until(lambda: "listening" in server.log.read_text())
        port = re.search(r":(\d+)", server.log.read_text()).group(1)
        load = subprocess.run([hspy.BUILD / "samples" / "load", port, "6", "12000"],
                              stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        assert " 0 wrong, 0 not sent" in load.stdout
        assert server.end() == 0
    logins = int(load.stdout.split()[0])
    assert f"stopped with {logins} sessions" in server.log.read_text()
    # Its cache is full by then. By time: snapshots of peaks lie between those on time.
    rows = hspy.diff(f"{tmp_path}/run@3s", f"{tmp_path}/run@last")["rows"]
    assert rows[0]["where"]["function"] == "session_create"
    assert rows[0]["where"]["file"].endswith("session.c")
    live = hspy.sites(f"{tmp_path}/run@last")["session_create"][0]
    assert 0.5 < live / (logins * 4040) < 2
