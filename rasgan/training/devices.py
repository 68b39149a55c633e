"""Devices: their choice, precision, transfers, and errors when their memory is full."""

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

    On a GPU, float32 products may use TF32, and convolutions use only algorithms that are deterministic.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.deterministic = True


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 natively; others emulate it and are slower with it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Compute in bfloat16 where it is safe if `precision` is "bf16"; weights and sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def send(tensors: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """Copy tensors from the CPU to `device`. From pinned memory a GPU copies them while it computes."""
    if device.type == "cuda":
        return [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return [tensor.to(device) for tensor in tensors]


def read_later(values: Tensor) -> Callable[[], list[float]]:
    """Start to copy (k,) `values` to the CPU, and return a function that waits for them.

    It waits for this copy only, not for work that is given to the GPU later, as ``values.tolist()`` would.
    """
    if values.device.type != "cuda":
        return values.tolist
    copied, done = values.to("cpu", non_blocking=True), torch.cuda.Event()
    done.record()

    def read() -> list[float]:
        done.synchronize()
        return copied.tolist()

    return read


FULL_MEMORY = re.compile(r"DefaultCPUAllocator|out of memory|CU(DNN|BLAS)_STATUS_ALLOC_FAILED", re.IGNORECASE)
"""Messages of PyTorch's CPU allocator, CUDA, cuDNN and cuBLAS whose errors have no type of their own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that the memory of the CPU or the GPU is full."""
    is_typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_typed or (isinstance(error, RuntimeError) and FULL_MEMORY.search(str(error)) is not None)


@contextmanager
def memory_guarded(batch_size: int) -> Iterator[None]:
    """Convert out-of-memory errors inside the block into a UserError with a batch size to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"the memory is too small for batches of {batch_size} and networks of this width.",
            about="batch too large" if batch_size > 1 else "width too large",
            value=batch_size // 2,
        ) from error
