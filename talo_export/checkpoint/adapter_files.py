"""The two files of a PEFT adapter, and whether they still are what `adapter.py` wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from talo_export.checkpoint.header import read_header
from talo_export.knockout import Knockout

ADAPTER = "adapter"
"""The manifest's `storage` of an adapter."""
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
ZERO, ONE = bytes(2), bytes.fromhex("803f")
"""In bfloat16."""


def output_alone(knockout: Knockout) -> Knockout:
    """What an adapter carries out: it scales the output, whatever scope was asked for around it.

    So a layer whose keys and values others read too can be asked for by its whole attention.
    """
    whole = knockout.scope == "attention" and not knockout.heads
    return replace(knockout, scope="o_proj") if whole else knockout


def scaling_vectors(directory: Path) -> dict[str, bool]:
    """The vectors of an adapter -> whether each scales to zero: a module's output whole, or some of
    its inputs and leaves the others. Raises `TaloError` on bad files."""
    path = directory / WEIGHTS
    if not path.is_file():
        return {}
    header = read_header(path)
    with path.open("rb") as file:
        found = {}
        for name, entry in header.tensors.items():
            file.seek(entry.offset)
            raw = file.read(entry.nbytes)
            values = {raw[at : at + len(ONE)] for at in range(0, len(raw), len(ONE))}
            of_inputs = entry.dtype == "BF16" and entry.shape[:1] == (1,)
            found[name] = values == {ZERO} or (of_inputs and values == {ZERO, ONE})
    return found
