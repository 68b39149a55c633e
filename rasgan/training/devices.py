"""Where and how to compute, and how a device says that its memory is full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rasgan.errors import UserError


def choose_device(name: str) -> torch.device:
    """Choose CUDA, else MPS, else the CPU for "auto"; otherwise `name`, or UserError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_there in there.items() if is_there)
    elif not there[name]:
        usable = ", ".join(device for device, is_there in there.items() if is_there)
        raise UserError(f"torch finds no {name} device here; usable: {usable}.", about="device")
    return torch.device(name)


def configure(device: torch.device) -> None:
    """Set up torch for training on `device`.

    On a GPU float32 products may use TF32, and convolutions take only algorithms that repeat themselves bit
    for bit.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.deterministic = True


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Compute in bfloat16 where it is safe, for ``precision="bf16"``; weights and sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def read_later(values: Tensor) -> Callable[[], list[float]]:
    """Start to copy (k,) `values` to the host; the function returned waits for them and nothing after them.

    A GPU goes on with what is queued behind the copy meanwhile.
    """
    if values.device.type != "cuda":
        return values.tolist
    copied, done = values.to("cpu", non_blocking=True), torch.cuda.Event()
    done.record()

    def read() -> list[float]:
        done.synchronize()
        return copied.tolist()

    return read


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that some memory is full."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def memory_guarded(batch_size: int) -> Iterator[None]:
    """Turn "out of memory" inside the block into a sentence with a batch size to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"the memory is too small for batches of {batch_size} of networks this wide.",
            about="batch too large" if batch_size > 1 else "width too large",
            value=batch_size // 2,
        ) from error
