import numpy as np
import pytest

from rasgan.history import smooth


def test_a_cubic_passes_the_filter_unchanged():
    steps = np.linspace(-1, 1, 80)
    cubic = 2 * steps**3 - steps + 0.5
    assert smooth(cubic) == pytest.approx(cubic)


def test_noise_shrinks(rng):
    noise = rng.standard_normal(2000)
    assert smooth(noise).std() < 0.3 * noise.std()


@pytest.mark.parametrize("steps", [0, 1, 50])
def test_a_short_curve_comes_back_as_it_is(steps, rng):
    values = rng.standard_normal(steps)
    assert np.array_equal(smooth(values), values)


def test_the_input_is_left_alone(rng):
    values = rng.standard_normal(60)
    before = values.copy()
    smooth(values)[:] = 0
    smooth(values[:10])[:] = 0
    assert np.array_equal(values, before)


def test_the_middle_equals_a_least_squares_cubic_over_the_window(rng):
    values = rng.standard_normal(101)
    offsets = np.arange(-25, 26)
    fit = np.polynomial.Polynomial.fit(offsets, values[25:76], 3)
    assert smooth(values)[50] == pytest.approx(fit(0))
