import pytest
import torch

from rasgan.errors import UserError
from rasgan.training.devices import (
    choose_device,
    memory_guarded,
    pack,
    read_later,
    send,
    slow_bf16,
    unpack,
)


def test_auto_takes_cuda_or_else_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("count", [1, 3, 24])
def test_what_a_step_sees_comes_out_of_one_parcel_as_it_went_in(count):
    order, noise = torch.randperm(2 * count), torch.randn(2, count, 200)
    sent = [order[:count], order[count:], *noise, torch.rand(count)]
    sent[2][0, 0] = float("nan")
    parcel = pack(sent)
    assert (parcel.dtype, parcel.shape) == (torch.uint8, (sum(x.nbytes for x in sent),))
    for before, after in zip(sent, unpack(parcel, sent), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0, equal_nan=True)


def test_on_a_cpu_nothing_is_copied():
    sent = [torch.arange(3), torch.rand(3, 200)]
    received = send(sent, torch.device("cpu"))
    assert all(after is before for before, after in zip(sent, received, strict=True))


@pytest.mark.gpu
def test_a_parcel_arrives_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    sent = [torch.arange(3), torch.rand(3, 200)]
    for before, after in zip(sent, send(sent, torch.device("cuda")), strict=True):
        assert after.is_cuda
        assert torch.equal(after.cpu(), before)


def test_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        choose_device("cuda")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_a_full_memory_gets_a_batch_size_to_try(error):
    with pytest.raises(UserError, match="batches of 24") as caught, memory_guarded(24):
        raise error
    assert (caught.value.about, caught.value.value) == ("batch too large", 12)


@pytest.mark.parametrize(("has_bf16", "told"), [(True, False), (False, True)])
def test_a_processor_without_bf16_is_told(monkeypatch, has_bf16, told):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_bf16)
    assert bool(slow_bf16(torch.device("cpu"))) == told


@pytest.mark.parametrize(("capability", "told"), [((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_a_gpu_that_emulates_bf16_is_told(monkeypatch, capability, told):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert bool(slow_bf16(torch.device("cuda"))) == told


def test_other_faults_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shape"), memory_guarded(24):
        raise RuntimeError("shape mismatch")


def test_values_are_read_later():
    assert read_later(torch.tensor([1.5, 2.0]))() == [1.5, 2]


@pytest.mark.gpu
def test_values_on_a_gpu_are_read_later():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    assert read_later(torch.tensor([1.5, 2.0], device="cuda"))() == [1.5, 2]
