"""Where and how to compute, and how a device says that its memory is full."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rasgan.errors import UserError


def choose_device(name: str) -> torch.device:
    """Return the device named "cpu" or "cuda"; for "auto", CUDA if available, else the CPU.

    Raises UserError if CUDA is not available. Apple's MPS is not supported: several versions of PyTorch
    compute 3-D convolutions incorrectly on it, or crash (pytorch/pytorch 130256, 175190, 197114).
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    elif name == "cuda" and not torch.cuda.is_available():
        raise UserError("PyTorch finds no CUDA device on this machine.", about="device")
    return torch.device(name)


def configure(device: torch.device) -> None:
    """Set up torch for training on `device`.

    On a GPU float32 products may use TF32, and convolutions take only algorithms that repeat themselves bit
    for bit.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.deterministic = True


def slow_bf16(device: torch.device) -> str | None:
    """Return in words why bfloat16 would make this device slower, not faster; None where it has it."""
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this processor has no bf16 instructions: steps take 17 to 50 times as long"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return "this GPU is older than Ampere and only emulates bf16: steps may take longer"
    return None


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Compute in bfloat16 where it is safe, for ``precision="bf16"``; weights and sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def send(tensors: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """Return tensors of the host on `device`; a copy to a GPU does not wait for what is computed there."""
    if device.type == "cuda":
        return [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return [tensor.to(device) for tensor in tensors]


def read_later(values: Tensor) -> Callable[[], list[float]]:
    """Start to copy (k,) `values` to the host, and return a function that waits for the copy alone."""
    if values.device.type != "cuda":
        return values.tolist
    copied, done = values.to("cpu", non_blocking=True), torch.cuda.Event()
    done.record()

    def read() -> list[float]:
        done.synchronize()
        return copied.tolist()

    return read


FULL_MEMORY = re.compile(r"DefaultCPUAllocator|out of memory|CU(DNN|BLAS)_STATUS_ALLOC_FAILED", re.IGNORECASE)
"""Messages of PyTorch's CPU allocator, CUDA, cuDNN and cuBLAS where the error has no type of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that some memory is full."""
    is_typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_typed or (isinstance(error, RuntimeError) and FULL_MEMORY.search(str(error)) is not None)


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
