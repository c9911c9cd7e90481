"""`talo-export doctor`: what this machine offers, what is missing, and how to get it.

Facts only: nothing is installed, downloaded or changed. A token is reported as there or not
there, never shown.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import torch
from huggingface_hub import constants, get_token, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from talo_export.checkpoint.manifest import version_of
from talo_export.codec import Recorded
from talo_export.publish.back_ends import BackEnd, back_ends
from talo_export.wording import size

LOW_DISK = 5 * 10**9
LOW_MEMORY = 2 * 10**9


@dataclass(frozen=True)
class PackageFacts:
    """One distribution. `version` is None where it is not installed; `install` mends that."""

    name: str
    version: str | None
    install: str = "pip install talo-export"


@dataclass(frozen=True)
class DeviceFacts:
    """One device torch can compute on, and the number formats a small product came out right in."""

    name: str
    description: str
    memory_bytes: int | None
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class HubFacts:
    """How the Hub is reached, and what of it lies here."""

    endpoint: str
    offline: bool
    token: bool
    cache: str
    cached_models: int
    cached_bytes: int


@dataclass(frozen=True)
class Finding:
    """Something that is missing or will get in the way, and what to do about it."""

    what: str
    do: str
    serious: bool


@dataclass(frozen=True)
class Examination(Recorded):
    """The whole examination: the document of `doctor --json`."""

    ok: bool
    """Nothing serious was found."""
    python: str
    system: str
    cores: int
    packages: tuple[PackageFacts, ...]
    """What talo-export itself needs."""
    back_ends: tuple[BackEnd, ...]
    devices: tuple[DeviceFacts, ...]
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: tuple[tuple[str, int], ...]
    """(what lies there, free bytes)."""
    hub: HubFacts
    findings: tuple[Finding, ...]


def examine() -> Examination:
    """Look at this machine. Takes a second or two, most of it torch."""
    memory = psutil.virtual_memory()
    devices, hub = _devices(), _hub()
    packages = tuple(PackageFacts(name, version_of(name)) for name in _requirements())
    disk = (
        ("the Hub cache", _free(Path(constants.HF_HUB_CACHE))),
        ("the current directory", _free(Path.cwd())),
    )
    problems = findings(packages, hub, memory.available, disk, cuda=_cuda_state())
    return Examination(
        ok=not any(finding.serious for finding in problems),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=os.cpu_count() or 1,
        packages=packages,
        back_ends=back_ends(),
        devices=devices,
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk_free_bytes=disk,
        hub=hub,
        findings=problems,
    )


def findings(
    packages: tuple[PackageFacts, ...],
    hub: HubFacts,
    memory_available: int,
    disk: tuple[tuple[str, int], ...],
    *,
    cuda: str,
) -> tuple[Finding, ...]:
    """What follows from the facts. `cuda` is `none`, `works` or `broken`."""
    possible = (
        (
            cuda == "broken",
            "this torch is built for CUDA but sees no device",
            "look at `nvidia-smi`: the driver may be missing or older than this torch needs",
        ),
        *((free < LOW_DISK, f"only {size(free)} free for {where}", "make room")
          for where, free in disk),
        (
            memory_available < LOW_MEMORY,
            f"only {size(memory_available)} of memory available",
            "close something, or choose a smaller model",
        ),
        (
            hub.offline,
            "HF_HUB_OFFLINE is set: nothing is downloaded or pushed",
            "unset HF_HUB_OFFLINE",
        ),
        (
            not hub.token,
            "there is no token: needed only to push and for gated or private models",
            "hf auth login",
        ),
    )  # fmt: skip
    return (
        *(Finding(f"{package.name} is not installed", package.install, True)
          for package in packages if package.version is None),
        *(Finding(what, do, False) for there, what, do in possible if there),
    )  # fmt: skip


def _requirements() -> list[str]:
    """Names of what talo-export itself declares to need, extras left out."""
    try:
        declared = metadata.requires("talo-export") or []
    except metadata.PackageNotFoundError:
        declared = []
    mandatory = [line for line in declared if "extra ==" not in line]
    names = {line.split(";")[0].translate(_AFTER_NAME).split()[0] for line in mandatory}
    return sorted(names | {"torch", "transformers", "safetensors", "huggingface-hub"})


_AFTER_NAME = str.maketrans(dict.fromkeys("<>=!~[(", " "))


def _devices() -> tuple[DeviceFacts, ...]:
    capability = torch.backends.cpu.get_cpu_capability()
    description = f"{os.cpu_count()} cores, {capability}"
    devices = [DeviceFacts("cpu", description, psutil.virtual_memory().total, _dtypes("cpu"))]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        name = f"cuda:{index}"
        devices.append(DeviceFacts(name, facts.name, facts.total_memory, _dtypes(name)))
    if torch.backends.mps.is_available():
        devices.append(DeviceFacts("mps", platform.processor(), None, _dtypes("mps")))
    return tuple(devices)


def _dtypes(device: str) -> tuple[str, ...]:
    """Number formats in which the device multiplies two small matrices correctly."""
    works = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        if _multiplies(device, dtype):
            works.append(str(dtype).removeprefix("torch."))
    return tuple(works)


def _multiplies(device: str, dtype: torch.dtype) -> bool:
    try:
        ones = torch.ones(16, 16, dtype=dtype, device=device)
        return bool(((ones @ ones) == 16).all().item())
    except (RuntimeError, NotImplementedError, TypeError):
        return False


def _cuda_state() -> str:
    if torch.version.cuda is None:
        return "none"
    return "works" if torch.cuda.is_available() else "broken"


def _hub() -> HubFacts:
    models, n_bytes = 0, 0
    try:
        cache = scan_cache_dir()
        models = sum(repo.repo_type == "model" for repo in cache.repos)
        n_bytes = cache.size_on_disk
    except CacheNotFound:
        pass
    return HubFacts(
        endpoint=without_credentials(constants.ENDPOINT),
        offline=bool(constants.HF_HUB_OFFLINE),
        token=get_token() is not None,
        cache=str(constants.HF_HUB_CACHE),
        cached_models=models,
        cached_bytes=n_bytes,
    )


def without_credentials(url: str) -> str:
    """A URL without the user and password that may stand in it."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _free(path: Path) -> int:
    """Free bytes where `path` lies or would lie."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
