"""One notion of "out of memory", and one of the peak."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from talo_export.models.memory import PeakMemory, is_out_of_memory, peak_memory


def test_an_allocation_that_fails_on_the_cpu_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    ],
)
def test_every_allocator_is_understood(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), ValueError("the question is: out of memory?")]
)
def test_other_failures_are_none(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_asking_does_not_load_torch() -> None:
    code = (
        "import sys\n"
        "from talo_export.models.memory import is_out_of_memory\n"
        "assert is_out_of_memory(MemoryError())\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_phase_forgets_the_peak_of_the_one_before() -> None:
    device = torch.device("cpu")
    memory = PeakMemory(device)
    memory.begin()
    large = torch.ones(64 << 20, dtype=torch.uint8)
    assert memory.read().used >= large.nbytes
    assert memory.read().used < peak_memory(device).used
    del large
    memory.begin()
    assert memory.read().used < 32 << 20
