"""Loss records of a run."""

import numpy as np
from scipy.signal import savgol_filter

SMOOTHING_WINDOW = 51
"""Steps under the Savitzky-Golay filter of the loss curves, as in jpjuvo/64-3D-RaSGAN."""


def smooth(values: np.ndarray, window: int = SMOOTHING_WINDOW, order: int = 3) -> np.ndarray:
    """Smooth a curve by a Savitzky-Golay filter.

    Parameters
    ----------
    values : (s,) array
        One value for every step; left unchanged.
    window : int
        Steps under the filter, odd.
    order : int
        Degree of the polynomial fitted in each window.

    Returns
    -------
    smoothed : (s,) float array
        At both ends the polynomial of the first and last full window. A curve shorter than `window` has no
        such window and comes back as it is.
    """
    values = np.array(values, dtype=float)
    if len(values) < window:
        return values
    return savgol_filter(values, window, order)
