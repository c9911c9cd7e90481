"""Memory: whether it was not enough, and how much of it was taken at the peak.

Nothing here imports torch by itself: a process that has not loaded it has no tensors to count.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.errors import NotEnoughMemoryError

if TYPE_CHECKING:
    import torch

MESSAGES = ("out of memory", "not enough memory", "t allocate memory", "cannot allocate memory")
"""What allocators say, in lower case: CUDA's, PyTorch's on a CPU and on Windows, the system's."""

STATUS = Path("/proc/self/status")
M_MMAP_THRESHOLD = -3
MMAP_THRESHOLD = 128 * 1024
"""glibc's own starting value, which it otherwise raises as large blocks are freed."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whatever device.

    PyTorch's CPU allocator raises a plain RuntimeError, mapping a file an OSError.
    """
    # torch.OutOfMemoryError goes by its name: a command that never loads torch asks as well.
    known = isinstance(error, MemoryError | NotEnoughMemoryError)
    if known or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(part in text for part in MESSAGES)


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes. `held` is what the allocator kept for itself on a device, None on the CPU."""

    used: int
    held: int | None = None


def peak_memory(device: torch.device) -> Peak:
    """What a CUDA device's tensors took, else the resident memory of the process, at the peak."""
    if device.type == "cuda":
        import torch

        return Peak(
            int(torch.cuda.max_memory_allocated(device)),
            int(torch.cuda.max_memory_reserved(device)),
        )
    return Peak(peak_resident_bytes())


class PeakMemory:
    """Watches one process from before its model is loaded, phase by phase.

    As `peak_memory`, but resident memory counts above what the interpreter and its libraries took
    before the model was loaded. Library code that first runs later counts as well: some tens of
    MB, about the same for every method.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0 if device.type == "cuda" else resident_bytes()

    def begin(self) -> None:
        """Begin a phase: forget the peak so far."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            forget_peak()

    def read(self) -> Peak:
        """The peak since `begin`."""
        peak = peak_memory(self._device)
        return Peak(max(0, peak.used - self._before), peak.held)


def return_what_is_freed() -> None:
    """Let glibc hand every large block back to the system as soon as it is freed.

    Left alone it keeps freed blocks in its heap, in pieces: the resident peak of a training was
    seen at twice what was ever alive at once, which would say more about the allocator than
    about the method. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)


def resident_bytes() -> int:
    """Resident memory of this process now (elsewhere than on Linux: its peak so far)."""
    return _status("VmRSS") or _lifetime_peak()


def peak_resident_bytes(process: int | None = None) -> int:
    """Peak resident memory since `forget_peak`, of this process or another one.

    Read from /proc, not from `getrusage`: across fork and exec the latter carries over the peak
    of the process that started this one, which may hold a larger model.
    """
    return _status("VmHWM", process) or (0 if process else _lifetime_peak())


def forget_peak() -> None:
    """Let the peak start again from what is resident now; does nothing off Linux."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        try:
            clear.write_text("5")
        except OSError:
            # Some containers mount /proc read-only: the peak then covers the whole process.
            return


def _status(field: str, process: int | None = None) -> int:
    path = STATUS if process is None else Path(f"/proc/{process}/status")
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _lifetime_peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
