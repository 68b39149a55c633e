"""The gate that keeps the discriminator from running ahead of the generator; plain numbers, no torch."""

from dataclasses import asdict, dataclass

SMOOTHING = 0.3  # weight of the newest loss, jpjuvo/64-3D-RaSGAN, 64-3D-RaSGan.py (`alpha`)
RATIO = 2.0  # the discriminator trains while the generator's loss is under 200 % of its own


@dataclass
class Gate:
    """Decide from smoothed losses whether the discriminator trains on the next step.

    Smoothed losses start at 0 and follow ``0.3 * loss + 0.7 * smoothed``. The gate starts open.
    """

    enabled: bool = True  # if False the gate stays open whatever the losses
    is_open: bool = True
    smooth_d: float = 0.0
    smooth_g: float = 0.0
    steps_since_d: int = 0
    steps_per_d: int = 1

    def update(self, loss_d: float, loss_g: float) -> None:
        """Take the losses of one step and decide on the next one.

        `steps_per_d`, the tutorial's "G/D train ratio", tells how many steps passed between the
        discriminator's last two updates: 1 means that it trains on every step.
        """
        self.steps_since_d += 1
        if self.is_open:
            self.steps_per_d = self.steps_since_d
            self.steps_since_d = 0
        self.smooth_d = SMOOTHING * loss_d + (1 - SMOOTHING) * self.smooth_d
        self.smooth_g = SMOOTHING * loss_g + (1 - SMOOTHING) * self.smooth_g
        self.is_open = not self.enabled or RATIO * self.smooth_d > self.smooth_g

    @property
    def ratio(self) -> int:
        """Steps between the discriminator's last two updates, or since the last one if that is longer."""
        return max(self.steps_per_d, self.steps_since_d)

    def count_anew(self) -> None:
        """Forget how long ago the discriminator trained; no decision changes."""
        self.steps_since_d, self.steps_per_d = 0, 1

    def state_dict(self) -> dict:
        """Return all that a resumed run needs."""
        return asdict(self)

    def load_state_dict(self, state: dict) -> None:
        """Take the state of another gate."""
        self.__dict__.update(state)
