import pytest
import torch

from rasgan.errors import UserError
from rasgan.training.devices import choose_device, memory_guarded, read_later


def test_auto_takes_the_best_device_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no cuda device.*usable: .*cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_full_memory_gets_a_batch_size_to_try(error):
    with pytest.raises(UserError, match="batches of 24") as caught, memory_guarded(24):
        raise error
    assert (caught.value.about, caught.value.value) == ("batch too large", 12)


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
