"""Random numbers by seed and place."""

import numpy as np

from rasgan.seeding import NOISE, ORDER_D, ORDER_G, batch_order, choose, noise, rng_for


def test_each_epoch_shows_every_shape_at_most_once():
    order = batch_order(seed=3, purpose=ORDER_D, epoch=5, shapes=50, batch_size=8)
    assert order.shape == (6, 8)
    assert len(np.unique(order)) == 48
    assert order.max() < 50


def test_networks_and_epochs_are_shuffled_independently_and_repeatably():
    orders = [
        tuple(batch_order(3, purpose, epoch, 30, 30)[0]) for purpose in (ORDER_D, ORDER_G) for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(batch_order(3, ORDER_D, 0, 30, 30)[0])


def test_noise_is_standard_normal_float32():
    z = noise(rng_for(0, NOISE, 7), 100, 200)
    assert z.shape == (100, 200)
    assert str(z.dtype) == "torch.float32"
    assert abs(z.mean().item()) < 0.02
    assert abs(z.std().item() - 1) < 0.02
    assert not z.equal(noise(rng_for(0, NOISE, 8), 100, 200))


def test_the_chosen_are_the_same_for_the_same_seed_and_others_for_another_set():
    chosen = choose(3, 1, available=50, count=20)
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen.min() <= chosen.max() < 50
    assert np.array_equal(chosen, choose(3, 1, 50, 20))
    for other in (choose(4, 1, 50, 20), choose(3, 2, 50, 20)):
        assert not np.array_equal(chosen, other)
    assert np.array_equal(choose(3, 1, 7, 7), np.arange(7))
