"""One run in several processes: ``torchrun --nproc_per_node=N train_rasgan.py ...``.

Each process works on its share of every batch. What the method takes from the whole batch (scores, batch-norm
statistics, gradients) is exchanged here, so that N processes with batches of B / N compute what one process
computes with batches of B. In a single process every function gives back what it was given.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rasgan.errors import UserError

T = TypeVar("T")
Rows = TypeVar("Rows", np.ndarray, Tensor)


def world_size() -> int:
    """Count the processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_rank_0() -> bool:
    """Return whether this is the one process that writes files and prints."""
    return rank() == 0


def launched_by_torchrun() -> bool:
    """Return whether torchrun started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def own_device(device: torch.device) -> torch.device:
    """Return this process's own GPU, or the CPU. Raises UserError if there are too few GPUs."""
    if device.type != "cuda" or not launched_by_torchrun():
        return device
    index, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= there:
        raise UserError(f"there are {there} GPUs here, fewer than processes.", about="processes", value=there)
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun started, if there are any.

    UserError if another process dies inside the block.
    """
    if not launched_by_torchrun():
        yield
        return
    # there is no NCCL on Windows
    dist.init_process_group("nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo")
    try:
        yield
        dist.barrier()  # nobody leaves while the first process still writes
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error).lower():
            raise UserError(
                "another process of this run ended (its own message says why); every checkpoint is whole.",
                about="process ended",
            ) from error
        raise
    dist.destroy_process_group()


def share(rows: Rows) -> Rows:
    """Take this process's rows of a batch whose length the number of processes divides."""
    each = len(rows) // world_size()
    return rows[rank() * each : (rank() + 1) * each]


def gather(rows: Tensor) -> Tensor:
    """Put every process's rows, each as many, together in order; gradients flow to this process's own rows.

    A loss of all rows is then the same number everywhere, and its gradients, summed over the processes
    (`sum_gradients`), are those of one process with the whole batch.
    """
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    parts[rank()] = rows
    return torch.cat(parts)


def average(x: Tensor) -> Tensor:
    """Average a tensor of one shape over the processes; gradients flow to all of them."""
    return x if world_size() == 1 else Summed.apply(x) / world_size()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the processes' gradients in place, in one exchange."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    for gradient, summed in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def broadcast(value: T) -> T:
    """Return every process the first one's value: a tensor, or a small object that can be pickled."""
    if world_size() == 1:
        return value
    if isinstance(value, Tensor):
        value = value.contiguous()
        dist.broadcast(value, src=0)
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def check_agreement(own: Mapping[str, object]) -> None:
    """Raise UserError, in every process, if one of them holds other values than another.

    Parameters
    ----------
    own : dict
        What this process has, by what it is called: small objects that can be pickled.
    """
    if world_size() == 1:
        return
    held: list = [None] * world_size()
    dist.all_gather_object(held, dict(own))
    for name, value in held[0].items():
        others = [(number, other[name]) for number, other in enumerate(held) if other[name] != value]
        if others:
            number, other = others[0]
            differ = f"process 0 has {value}, process {number} {other}"
            raise UserError(
                f"the processes of this run differ in {name}: {differ}.", about="processes differ"
            )


def broadcast_with_flag(values: Tensor, flag: bool) -> Tensor:
    """Return every process the (k,) values of the first one and then in how many `flag` is up: (k + 1,).

    In one exchange: a sum to which the other processes add zeros.
    """
    own = values if is_rank_0() else torch.zeros_like(values)
    together = torch.cat([own, torch.full_like(values[:1], float(flag))])
    if world_size() > 1:
        dist.all_reduce(together)
    return together


def convert_batch_norm(module: nn.Module) -> None:
    """Replace the batch norms in `module` by ones over the whole batch, where several processes share it.

    As ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` does, which knows no CPU.
    """
    if world_size() == 1:
        return
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            shared = BatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            convert_batch_norm(child)


class BatchNorm(nn.BatchNorm3d):
    """Batch normalization by the statistics of the batch that all processes share."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, n, n, n) over all but the channels."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        own_variance, own_mean = torch.var_mean(values, (0, 2, 3, 4), correction=0)
        mean = average(own_mean)
        variance = average(own_variance + (own_mean - mean).square())  # E[x^2] - E[x]^2 would cancel
        self._update_running(mean.detach(), variance.detach(), x.numel() // x.shape[1] * world_size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        scale, shift = (v.view(-1, 1, 1, 1) for v in (scale, self.bias - mean * scale))
        return (values * scale + shift).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class Summed(torch.autograd.Function):
    """The sum over all processes; its own gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(_ctx: object, x: Tensor) -> Tensor:
        """Sum; every process passes a tensor of one shape."""
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:
        """Sum the gradients as `forward` sums the tensors."""
        return Summed.apply(gradient)
