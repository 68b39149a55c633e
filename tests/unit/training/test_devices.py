import pytest
import torch

from rasgan.errors import UserError
from rasgan.training.devices import choose_device, memory_guarded, read_later, send


def test_auto_chooses_cuda_if_available(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UserError, match="no CUDA device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_send_does_not_copy_on_a_cpu():
    sent = [torch.arange(3), torch.rand(3, 200)]
    received = send(sent, torch.device("cpu"))
    assert all(after is before for before, after in zip(sent, received, strict=True))


@pytest.mark.gpu
def test_transfers_to_and_from_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    sent = [torch.arange(3), torch.rand(3, 200)]
    for before, after in zip(sent, send(sent, torch.device("cuda")), strict=True):
        assert after.is_cuda
        assert torch.equal(after.cpu(), before)
    assert read_later(torch.tensor([1.5, 2.0], device="cuda"))() == [1.5, 2]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_out_of_memory_suggests_half_the_batch_size(error):
    with pytest.raises(UserError, match="batches of 24") as caught, memory_guarded(24):
        raise error
    assert (caught.value.about, caught.value.value) == ("batch too large", 12)


def test_other_errors_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shape"), memory_guarded(24):
        raise RuntimeError("shape mismatch")
