"""A shape that several modules draw."""

import numpy as np
import pytest


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
