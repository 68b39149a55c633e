"""Fixtures that several test modules share."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background

SHARED_DATA = Path(os.environ.get("RASGAN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real meshes and golden voxels, which are not ours to ship."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real ModelNet meshes are not here (set RASGAN_SHARED_DATA to their folder)")
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a random generator that starts the same in every test."""
    return np.random.default_rng(20180701)


@pytest.fixture
def chair():
    """A stool with a back: the back at high axis 2, so that the front is in view."""
    grid = np.zeros((16, 16, 16), bool)
    grid[3:13, 6:8, 3:13] = True
    for i in (3, 11):
        for k in (3, 11):
            grid[i : i + 2, :6, k : k + 2] = True
    grid[3:13, 8:15, 11:13] = True
    return grid
