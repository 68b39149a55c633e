"""Where to compute, and how a device says that its memory is full."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rasgan.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """Choose CUDA, else MPS, else the CPU for "auto"; otherwise check that `name` is there.

    Raises
    ------
    UserError
        If the device asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_there in there.items() if is_there)
    elif not there[name]:
        usable = ", ".join(device for device, is_there in there.items() if is_there)
        raise UserError(f"--device {name}: torch finds no such device here; usable: {usable}.")
    return torch.device(name)


@contextmanager
def memory_guarded(batch_size: int) -> Iterator[None]:
    """Turn "out of memory" inside the block into a sentence with a batch size to try."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "DefaultCPUAllocator" not in str(error):
            raise
        raise UserError(
            f"the memory is too small for batches of {batch_size}; try --batchsize {max(1, batch_size // 2)}."
        ) from error
