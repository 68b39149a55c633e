"""Random numbers derived from seed and place."""

import numpy as np

from rasgan.seeding import NOISE, ORDER_D, ORDER_G, batch_order, choose, noise, rng_for


def test_each_epoch_has_its_own_order_without_repeats():
    places = [(purpose, epoch) for purpose in (ORDER_D, ORDER_G) for epoch in (0, 1)]
    orders = [batch_order(3, *place, shapes=50, batch_size=8) for place in places]
    for order in orders:
        assert (order.shape, len(np.unique(order)), order.max() < 50) == ((6, 8), 48, True)
    assert len({order.tobytes() for order in orders}) == 4
    batch_order.cache_clear()
    np.testing.assert_array_equal(orders[0], batch_order(3, *places[0], shapes=50, batch_size=8))


def test_noise_is_standard_normal_float32():
    z = noise(rng_for(0, NOISE, 7), 100, 200)
    assert z.shape == (100, 200)
    assert str(z.dtype) == "torch.float32"
    assert abs(z.mean().item()) < 0.02
    assert abs(z.std().item() - 1) < 0.02
    assert not z.equal(noise(rng_for(0, NOISE, 8), 100, 200))


def test_chosen_indices_depend_on_seed_and_set():
    chosen = choose(3, 1, available=50, count=20)
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen.min() <= chosen.max() < 50
    assert np.array_equal(chosen, choose(3, 1, 50, 20))
    for other in (choose(4, 1, 50, 20), choose(3, 2, 50, 20)):
        assert not np.array_equal(chosen, other)
    assert np.array_equal(choose(3, 1, 7, 7), np.arange(7))
