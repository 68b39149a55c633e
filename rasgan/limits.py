"""Limits on numbers, shared by command-line options and the settings of a run."""

import math
import operator
from collections.abc import Mapping

LIMITS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "under": operator.lt}


def broken_limit(value: float, limits: Mapping[str, float]) -> str:
    """Return "" if a number is within limits, else a text such as "must be at least 1".

    Keys of `limits` that are not in `LIMITS` are ignored.
    """
    if not math.isfinite(value):
        return "must be a finite number"
    limits = {name: limits[name] for name in LIMITS if name in limits}
    if all(LIMITS[name](value, limit) for name, limit in limits.items()):
        return ""
    return "must be " + " and ".join(f"{name.replace('_', ' ')} {limit}" for name, limit in limits.items())
