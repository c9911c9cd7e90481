"""Proof by logits: a fresh process runs the export, a fork of it the base, as it is and cut.

The export is run by a script that knows stock transformers only. This process holds nothing but
the logits, read back from files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from talo_export.checkpoint.adapter_files import output_alone
from talo_export.checkpoint.files import GGUF
from talo_export.codec import from_json
from talo_export.errors import ProofError
from talo_export.knockout import Knockout

STOCK_LOAD = Path(__file__).with_name("stock_load.py")

RELATIVE_TOLERANCE = 1e-5
"""Of the largest logit. The same operations on the same bytes give the same bits on one machine;
this only forgives kernels that choose their order of summation by memory alignment."""


@dataclass(frozen=True)
class LoadReport:
    """The keys that did not fit when transformers loaded a checkpoint."""

    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
    mismatched_keys: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """No key is named."""
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)


@dataclass(frozen=True)
class StockRun:
    """What a stock process saw of one directory."""

    class_name: str
    load: LoadReport
    found: Mapping[str, np.ndarray]
    """By example: logits, or what was asked for instead (see `stock_load.py`)."""
    first: LoadReport | None = None
    """Of the model that a fork of the process ran before."""


@dataclass(frozen=True)
class LogitProof:
    """The `load` and `logits` parts of `verify --json`."""

    class_name: str
    load: LoadReport
    base_load: LoadReport
    """Of the base: an export can only load as cleanly as it does."""
    max_abs_difference_to_knockout: float
    max_abs_difference_to_base: float
    largest_logit: float

    @property
    def problems(self) -> tuple[str, ...]:
        """Where it does not load as the base does, does not equal the live knockout, or is the
        base still: one sentence each."""
        found = []
        if self.load != self.base_load:
            found.append("it does not load as the base does: other keys are reported.")
        if self.max_abs_difference_to_knockout > RELATIVE_TOLERANCE * self.largest_logit:
            found.append("it does not compute what the live knockout does.")
        if self.max_abs_difference_to_base <= self.max_abs_difference_to_knockout:
            found.append("it still computes what the base does.")
        return tuple(found)

    @property
    def ok(self) -> bool:
        """Nothing is amiss."""
        return not self.problems


def prove_export(
    export: Path,
    base: Path,
    knockout: Knockout,
    inputs: Path | None = None,
    *,
    is_adapter: bool = False,
    trust_remote_code: bool = False,
) -> LogitProof:
    """Compare the logits of the export with those of the live knockout and of the base.

    `base` is a checkpoint's directory or a `.gguf` file, of which `export` has one of that name.
    An export that is an adapter is run on the base, through stock PEFT.
    `inputs` is a safetensors file of forward arguments named EXAMPLE/ARGUMENT, by default the
    least that the model runs on, mostly a few text tokens. Raises `ProofError` where one of the
    processes fails or logits are not finite.
    """
    knockout = output_alone(knockout) if is_adapter else knockout
    with tempfile.TemporaryDirectory(prefix="talo-export-") as folder:
        out = Path(folder) / "live.safetensors"
        # Both processes must see the same example: the first makes it up, the second is given it.
        given = inputs or Path(folder) / "inputs.safetensors"
        request = {
            "path": str(Path(__file__).parents[2]),
            "base": str(base),
            "out": str(out),
            "knockout": knockout.to_json(),
            "inputs": str(given),
            "make_inputs": inputs is None,
            "trust_remote_code": trust_remote_code,
        }
        exported = run_stock(
            base if is_adapter else place_of(export, base),
            given,
            adapter=export if is_adapter else None,
            trust_remote_code=trust_remote_code,
            first=request,
        )
        live = load_file(out)
    assert exported.first is not None
    knocked_out, original = _part(live, "knockout/"), _part(live, "base/")
    return LogitProof(
        class_name=exported.class_name,
        load=exported.load,
        base_load=exported.first,
        max_abs_difference_to_knockout=max_difference(exported.found, knocked_out),
        max_abs_difference_to_base=max_difference(exported.found, original),
        largest_logit=max(float(np.abs(logits).max()) for logits in knocked_out.values()),
    )


def place_of(export: Path, base: Path) -> Path:
    """What an engine loads of an export: the directory, or of a GGUF base the file in it."""
    return export / base.name if base.suffix == GGUF else export


def run_stock(
    checkpoint: Path,
    inputs: Path | None = None,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    new_tokens: int | None = None,
    pad_token: int | None = None,
    trust_remote_code: bool = False,
    first: Mapping[str, Any] | None = None,
) -> StockRun:
    """Load a checkpoint's directory, or one GGUF file, in a fresh interpreter by plain
    `from_pretrained`, and run it.

    With `new_tokens` it generates that many at most for every example instead of giving logits.
    `first` is what a fork of that interpreter does before (`live_logits.report`).
    """
    options = ["--dtype", dtype, "--device", device]
    options += ["--adapter", str(adapter)] if adapter else []
    options += [] if threads is None else ["--threads", str(threads)]
    options += [] if new_tokens is None else ["--new-tokens", str(new_tokens)]
    options += [] if pad_token is None else ["--pad-token", str(pad_token)]
    options += ["--trust-remote-code"] if trust_remote_code else []
    options += [] if first is None else ["--first", json.dumps(first)]
    options += [] if inputs is None else ["--inputs", str(inputs)]
    lines, found = _run(checkpoint, options)
    report = json.loads(lines[-1])
    if report["talo_export"]:
        raise ProofError(f"the stock process imported {report['talo_export'][0]}.")
    return StockRun(
        class_name=report["class"],
        load=from_json(LoadReport, report, "its report"),
        found=found,
        first=None if first is None else from_json(LoadReport, lines[-2], "its report"),
    )


def max_difference(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> float:
    """The largest absolute difference over all examples. Raises `ProofError` on NaN, or none."""
    if not left or left.keys() != right.keys():
        raise ProofError("the two runs did not give logits for the same examples.")
    for example in left:
        if left[example].shape != right[example].shape:
            raise ProofError(f"example {example} has logits of two shapes.")
        if not (np.isfinite(left[example]).all() and np.isfinite(right[example]).all()):
            raise ProofError(f"example {example} has logits that are not finite numbers.")
    return max(float(np.abs(left[example] - right[example]).max()) for example in left)


def _part(found: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)}


def _run(checkpoint: Path, options: list[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """The lines that the script prints, and its OUT."""
    with tempfile.TemporaryDirectory(prefix="talo-export-") as folder:
        out = str(Path(folder) / "logits.safetensors")
        command = [sys.executable, "-I", str(STOCK_LOAD), str(checkpoint), out, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            # An error of ours is a sentence; of another library's, the name says more than that.
            reason = re.sub(r"^talo_export\.errors\.\w+: ", "", said[-1])
            raise ProofError(f"a fresh process could not load or run the model: {reason}")
        return done.stdout.splitlines(), load_file(out)
