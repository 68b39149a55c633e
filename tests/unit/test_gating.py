"""The gate's decisions, compared with values computed by hand."""

from rasgan.gating import Gate


def test_gate_is_shut_at_exactly_200_percent():
    gate = Gate()
    gate.update(0.5, 1.0)
    assert not gate.is_open


def test_decisions_equal_those_computed_by_hand():
    losses = [(1.4, 1.4), (0.5, 3.0), (0.3, 4.0), (0.4, 3.5), (2.0, 1.0), (2.5, 0.8), (1.0, 1.0)]
    gate, decisions, ratios = Gate(), [], []
    for loss_d, loss_g in losses:
        gate.update(loss_d, loss_g)
        decisions.append(gate.is_open)
        ratios.append(gate.steps_per_d)
    # smooth_d: .42 .444 .401 .401 .880 1.366 1.257; smooth_g: .42 1.194 2.036 2.475 2.033 1.663 1.464
    assert decisions == [True, False, False, False, False, True, True]
    assert ratios == [1, 1, 1, 1, 1, 1, 5]


def test_scaling_both_losses_changes_no_decision(rng):
    small, large = Gate(), Gate()
    for loss_d, loss_g in rng.uniform(0, 3, (200, 2)):
        small.update(loss_d, loss_g)
        large.update(64 * loss_d, 64 * loss_g)
        assert small.is_open == large.is_open


def test_disabled_gate_never_shuts():
    gate = Gate(enabled=False)
    for _ in range(5):
        gate.update(0.0, 100.0)
        assert gate.is_open
    assert gate.steps_per_d == 1


def test_ratio_grows_while_the_discriminator_waits_and_can_be_reset():
    gate = Gate()
    for _ in range(6):
        gate.update(1.0, 9.0)
    assert (gate.steps_per_d, gate.ratio) == (1, 5)  # trained on the first step only
    gate.reset_ratio()
    assert (gate.ratio, gate.is_open) == (1, False)
