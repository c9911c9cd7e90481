"""Peak memory of a process: device memory where the model is on one, else resident memory."""

from __future__ import annotations

import ctypes
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
M_MMAP_THRESHOLD = -3
MMAP_THRESHOLD = 128 * 1024
"""glibc's own starting value, which it otherwise raises as large blocks are freed."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes. `held` is what the allocator kept for itself on a device, None on the CPU."""

    used: int
    held: int | None = None


class PeakMemory:
    """Watches one process from before its model is loaded, phase by phase.

    On a CUDA device: what PyTorch allocated and reserved. Elsewhere: resident memory above what
    the interpreter and its libraries took before the model was loaded. Library code that first runs
    later counts as well: some tens of MB, about the same for every method.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = resident_bytes()

    def begin(self) -> None:
        """Begin a phase: forget the peak so far."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            forget_peak()

    def read(self) -> Peak:
        """The peak since `begin`."""
        if self._device.type == "cuda":
            return Peak(
                int(torch.cuda.max_memory_allocated(self._device)),
                int(torch.cuda.max_memory_reserved(self._device)),
            )
        return Peak(max(0, peak_resident_bytes() - self._before))


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
