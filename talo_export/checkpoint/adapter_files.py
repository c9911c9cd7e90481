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


def output_alone(knockout: Knockout) -> Knockout:
    """What an adapter carries out: it scales the output, whatever scope was asked for around it.

    So a layer whose keys and values others read too can be asked for by its whole attention.
    """
    return replace(knockout, scope="o_proj") if knockout.scope == "attention" else knockout


def scaling_vectors(directory: Path) -> dict[str, bool]:
    """The vectors of an adapter -> whether each is all zeros. Raises `TaloError` on bad files."""
    path = directory / WEIGHTS
    if not path.is_file():
        return {}
    header = read_header(path)
    with path.open("rb") as file:
        found = {}
        for name, entry in header.tensors.items():
            file.seek(entry.offset)
            found[name] = not file.read(entry.nbytes).strip(b"\0")
    return found
