"""The gate that keeps the discriminator from getting too far ahead of the generator."""

from dataclasses import asdict, dataclass

SMOOTHING = 0.3  # weight of the newest loss; `alpha` in jpjuvo/64-3D-RaSGAN, 64-3D-RaSGan.py
RATIO = 2.0  # the discriminator trains while the generator's loss is below 200 % of its own (tutorial)


@dataclass
class Gate:
    """Decide from smoothed losses whether the discriminator trains on the next step.

    Smoothed losses start at 0 and follow ``0.3 * loss + 0.7 * smoothed``. The gate starts open.
    """

    enabled: bool = True  # if False, the gate is always open
    is_open: bool = True
    smooth_d: float = 0.0
    smooth_g: float = 0.0
    steps_since_d: int = 0  # steps since the discriminator's last update
    steps_per_d: int = 1  # steps between its last two updates, the tutorial's "G/D train ratio"

    def update(self, loss_d: float, loss_g: float) -> None:
        """Add the losses of one step and decide whether the discriminator trains on the next one."""
        self.steps_since_d += 1
        if self.is_open:
            self.steps_per_d, self.steps_since_d = self.steps_since_d, 0
        self.smooth_d = SMOOTHING * loss_d + (1 - SMOOTHING) * self.smooth_d
        self.smooth_g = SMOOTHING * loss_g + (1 - SMOOTHING) * self.smooth_g
        self.is_open = not self.enabled or RATIO * self.smooth_d > self.smooth_g

    @property
    def ratio(self) -> int:
        """Steps between the discriminator's last two updates, or since the last one if that is longer."""
        return max(self.steps_per_d, self.steps_since_d)

    def reset_ratio(self) -> None:
        """Set the ratio back to 1. This changes no decision of the gate."""
        self.steps_since_d, self.steps_per_d = 0, 1

    def state_dict(self) -> dict:
        """Return all values that a resumed run needs."""
        return asdict(self)

    def load_state_dict(self, state: dict) -> None:
        """Load the values that `state_dict` returned."""
        self.__dict__.update(state)
