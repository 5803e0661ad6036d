"""Servers under heapspy: the two ways to start them, and what must not be left of either."""
import os

import pytest


@pytest.fixture(params=["preload", "run"])
def mode(request):
    """How the server is started, for hspy.Server; without heapspy it is "bare"."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_left(state_dir):
    """After a clean stop the directory of the states is empty."""
    yield
    assert os.listdir(state_dir) == []
