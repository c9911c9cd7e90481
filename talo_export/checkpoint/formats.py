"""How a checkpoint stores its weights, and which bytes of it decode to exactly zero.

A plain checkpoint stores one tensor a parameter. Quantised ones store a parameter as several
tensors (codes, scales, offsets), and what decodes to zero differs from format to format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from talo_export.errors import TaloError


def storage_format(config: Mapping[str, Any]) -> str:
    """The name of the storage format, `plain` where `config.json` declares no quantisation.

    Raises `TaloError` naming a format whose bytes of zero are not known.
    """
    quantization = config.get("quantization_config")
    if quantization is None:
        text = config.get("text_config")
        quantization = text.get("quantization_config") if isinstance(text, Mapping) else None
    if not quantization:
        return "plain"
    method = quantization.get("quant_method") if isinstance(quantization, Mapping) else quantization
    raise TaloError(
        f"the base is stored in the quantised format {method!r}, whose bytes of zero are not "
        "known here: export from the unquantised base."
    )
