"""A program that locks its memory within its limit: what is reserved for the state takes no room of later locks."""
import resource

import hspy
import places
import pytest

LIMIT = 8 << 20


@pytest.fixture(name="directory")
def fixture_directory():
    with places.open_dir() as path:
        yield path


def lower_limit():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))


# The cap is small enough for the first call to succeed.
@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("flags", [1, 2, 3], ids=["current", "future", "both"])
def test_the_reserve_goes_after_a_success(flags, user, directory):
    words = ["blocks", 100, "lock", flags, "blocks", 500, "fill", 500, "label"]
    run, lines = places.beside_bare(words, directory / "run", user=user, first=lower_limit, state_max="700KiB")
    assert run.stdout.startswith("lock: 0\n")
    info = hspy.info(run.last)
    if places.is_lock_limited(user) and flags & 1:
        assert lines == [f"the program locks its memory, which is limited: the cap of the state is {LIMIT // 16} bytes "
                         "from here on"]
        assert info["state_max_bytes"] == LIMIT // 16
    else: # the limit does not hold for root; and MCL_FUTURE alone locks nothing of the state
        assert not lines and info["state_max_bytes"] == 700 << 10
    assert info["samples"] > 1000
