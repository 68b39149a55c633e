"""One run in several processes: ``torchrun --nproc_per_node=N train_rasgan.py ...``.

Each process works on its share of every batch. What the method computes from the complete batch (scores,
batch-norm statistics, gradients) is exchanged here, so that N processes with batches of B / N compute what
one process computes with batches of B. In a single process every function returns its argument.
"""

import atexit
import itertools
import math
import os
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rasgan.errors import UserError
from rasgan.training.launcher import local_rank, rank, world_size
from rasgan.training.signals import StopRequest

T = TypeVar("T")
Rows = TypeVar("Rows", np.ndarray, Tensor)

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others; torch's default for gloo is 30 minutes."""
GRACE_S = 25.0
"""How long it waits after a request to stop: torchrun and SLURM kill processes 30 seconds after theirs."""
POLL = timedelta(seconds=2)
"""How often a waiting process handles signals, which Python does only between two calls."""

_stop = StopRequest()
_store = dist.HashStore()  # in `joined`, one that all processes share
_exchanges = itertools.count()


def own_device(device: torch.device) -> torch.device:
    """Return this process's own GPU, or the CPU. Raises UserError if there are too few GPUs."""
    if device.type != "cuda" or world_size() == 1:
        return device
    if local_rank() >= (there := torch.cuda.device_count()):
        raise UserError(f"there are fewer GPUs than processes: {there}.", about="processes", value=there)
    torch.cuda.set_device(local_rank())
    return torch.device("cuda", local_rank())


@contextmanager
def joined(device: torch.device, stop: StopRequest) -> Iterator[None]:
    """Join the other processes that torchrun started, if there are any, until the block ends.

    Raises UserError if another process ends or does not respond in time: `TIMEOUT`, or `GRACE_S` after a
    request to `stop`.
    """
    global _stop, _store
    if world_size() == 1:
        yield
        return
    # NCCL does not exist on Windows
    backend = "nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo"
    try:
        _stop, (_store, number, processes) = stop, _rendezvous()
        _store.set(f"process {number}", f"process {number} ({socket.gethostname()}, pid {os.getpid()})")
        dist.init_process_group(backend, store=_store, rank=number, world_size=processes, timeout=TIMEOUT)
        yield
        finish(dist.barrier(async_op=True), is_patient=True)  # rank 0 may still be writing
    except BaseException as error:
        # An exchange that never ends has a thread, and the interpreter would wait for it.
        atexit.register(os._exit, 1)
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise UserError(
                "another process of this run ended; its own message says why.", about="process ended"
            ) from error
        raise
    dist.destroy_process_group()


def finish(exchange: dist.Work, is_patient: bool = False) -> None:
    """Wait until all processes have taken part in an exchange, and handle signals meanwhile.

    Raises UserError, which names the missing processes, after `TIMEOUT` and, unless this process
    `is_patient`, `GRACE_S` after a request to stop.
    """
    if dist.get_backend() == "nccl":  # the GPU waits, not this process
        exchange.wait()
        return
    started, patience = time.monotonic(), math.inf if is_patient else GRACE_S
    number = str(next(_exchanges)).encode()
    while True:
        try:
            exchange.wait(POLL)
            return
        except RuntimeError as error:
            is_over = exchange.is_completed()
            if is_over and "Timed out" not in str(error):
                raise  # another process ended
            now = time.monotonic()
            _store.set(f"waiting {rank()}", number)
            if is_over or now - max(started, _stop.made_at) > patience:
                reason = f"{_missing(number)} has not responded for {now - started:.0f} s."
                raise UserError(reason, about="process ended") from error


def _missing(number: bytes) -> str:
    """Name the processes that are not waiting in the exchange of this number."""
    waiting = {
        other: _store.get(f"waiting {other}")
        for other in range(world_size())
        if _store.check([f"waiting {other}"])
    }
    missing = [other for other in range(world_size()) if waiting.get(other) != number]
    return ", ".join(_store.get(f"process {other}").decode() for other in missing) or "a process"


def _rendezvous() -> tuple[dist.Store, int, int]:
    """Return a new key-value store that the processes share, this one's rank, and how many there are.

    torchrun keeps one store when it restarts the processes, and torch would connect to the ports of those
    that ended (pytorch/pytorch 135712). So each start has its own prefix in the store. Rank 0 chooses it and
    sends it to the others, each of which has registered under a new random name.
    """
    table, number, processes = next(dist.rendezvous("env://", timeout=TIMEOUT))
    own = secrets.token_hex(8)
    table.set(f"name {number}", own)
    if number > 0:
        start = table.get(f"start {own}").decode()
        table.add(f"arrived {start}", 1)
        return dist.PrefixStore(start, table), number, processes
    until = time.monotonic() + TIMEOUT.total_seconds()
    while table.add(f"arrived {own}", 0) < processes - 1 and time.monotonic() < until:
        for other in range(1, processes):
            if table.check([f"name {other}"]):
                table.set(f"start {table.get(f'name {other}').decode()}", own)
        time.sleep(0.05)
    return dist.PrefixStore(own, table), number, processes


def share(rows: Rows) -> Rows:
    """Return this process's rows of a batch whose length is a multiple of the number of processes."""
    each = len(rows) // world_size()
    return rows[rank() * each : (rank() + 1) * each]


def gather(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes, equally many; gradients flow to this process's own rows.

    So a loss of all rows is the same in each process, and its gradients, summed over the processes
    (`sum_gradients`), are those of one process with the complete batch.
    """
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    finish(dist.all_gather(parts, rows.detach().contiguous(), async_op=True))
    parts[rank()] = rows
    return torch.cat(parts)


def average(x: Tensor) -> Tensor:
    """Average a tensor over the processes; gradients flow to all of them."""
    return x if world_size() == 1 else Summed.apply(x) / world_size()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients over the processes in place, in one exchange."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    finish(dist.all_reduce(together, async_op=True))
    for gradient, summed in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def gather_objects(own: T) -> list[T]:
    """Return the objects, small and picklable, of all processes."""
    if world_size() == 1:
        return [own]
    gathered: list = [None] * world_size()
    finish(dist.barrier(async_op=True))  # handles signals while it waits, which the next line does not
    dist.all_gather_object(gathered, own)
    return gathered


def check_agreement(own: Mapping[str, object]) -> None:
    """Raise UserError, in every process, if the named values of one differ from those of rank 0."""
    first, *others = gather_objects(dict(own))
    for number, other in enumerate(others, start=1):
        for name, value in first.items():
            if other[name] != value:
                differ = f"process 0 has {value}, process {number} {other[name]}"
                reason = f"the processes of this run differ in {name}: {differ}."
                raise UserError(reason, about="processes differ")


def broadcast_with_flag(values: Tensor, flag: bool) -> Tensor:
    """Broadcast rank 0's (k,) values and append the number of ranks with `flag` set: (k + 1,).

    This is one exchange: a sum to which the other ranks add zeros.
    """
    own = values if rank() == 0 else torch.zeros_like(values)
    together = torch.cat([own, torch.full_like(values[:1], float(flag))])
    if world_size() > 1:
        finish(dist.all_reduce(together, async_op=True))
    return together


def convert_batch_norm(module: nn.Module) -> None:
    """Replace each batch norm in `module` by one over the complete batch, if several processes share it.

    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` does the same, but not on CPUs.
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
    """Batch normalization by the statistics of the batches of all processes together."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, n, n, n) over all axes but the channels."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        own_variance, own_mean = torch.var_mean(values, (0, 2, 3, 4), correction=0)
        mean = average(own_mean)
        variance = average(own_variance + (own_mean - mean).square())  # E[x^2] - E[x]^2 would cancel
        with torch.no_grad():
            count = x.numel() // x.shape[1] * world_size()
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * (count / (count - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        scale, shift = (v.view(-1, 1, 1, 1) for v in (scale, self.bias - mean * scale))
        return (values * scale + shift).to(x.dtype)


class Summed(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(_ctx: object, x: Tensor) -> Tensor:
        """Sum tensors of the same shape."""
        x = x.clone(memory_format=torch.contiguous_format)
        finish(dist.all_reduce(x, async_op=True))
        return x

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:
        """Sum the gradients."""
        return Summed.apply(gradient)
