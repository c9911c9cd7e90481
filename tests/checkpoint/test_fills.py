"""Fills are rounded as torch rounds them, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from talo_export.checkpoint import fills, ranges
from talo_export.checkpoint.header import read_header
from talo_export.errors import UsageError

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}


def in_torch(value: float, dtype: torch.dtype) -> bytes:
    return bytes(torch.empty(1, dtype=dtype).fill_(value).view(torch.uint8).tolist())


@given(st.floats(-60000, 60000))
@example(1 / 3)
@example(1.00390625)  # Halfway between two bfloat16 numbers.
@example(65504.0)
@example(5.960464477539063e-08)
@example(-0.0)
@settings(max_examples=300)
def test_a_number_is_encoded_as_torch_fills_a_tensor_with_it(value: float) -> None:
    for name, dtype in DTYPES.items():
        assert fills.encode(value, name) == in_torch(value, dtype), name


@pytest.mark.parametrize("name", DTYPES)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 40))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_mean_of_a_tensor_on_disk_is_torchs(
    tmp_path: Path, name: str, seed: int, rows: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(rows, 17, generator=generator).to(DTYPES[name])
    path = tmp_path / "x.safetensors"
    save_file({"pad": torch.ones(3, dtype=torch.uint8), "t": tensor}, path)
    mean = fills.tensor_mean(path, read_header(path).tensors["t"])
    assert mean == pytest.approx(tensor.double().mean().item(), rel=1e-12, abs=1e-15)
    assert fills.encode(mean, name) == in_torch(tensor.double().mean().item(), DTYPES[name])


def test_the_mean_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"t": torch.arange(1000, dtype=torch.float32)}, path)
    monkeypatch.setattr(ranges, "CHUNK_BYTES", 64)
    assert fills.tensor_mean(path, read_header(path).tensors["t"]) == np.arange(1000).mean()


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_mean_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"t": torch.tensor([[1.0, value]])}, path)
    with pytest.raises(UsageError, match="finite"):
        fills.pattern("mean", path, read_header(path).tensors["t"], d_out=1, is_bias=False)
