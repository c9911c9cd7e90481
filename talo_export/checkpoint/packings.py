"""The ways a projection is stored as several tensors, and which of their bytes make it zero.

Each is a row of a table: how `config.json` declares it, which tensors it must and may have, which
of them are zeroed. The decoding rule that makes it so stands above the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talo_export.checkpoint import fills

ZERO_BYTES = (*fills.FLOATS, "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4",
              "F6_E2M3", "F6_E3M2")  # fmt: skip
"""Dtypes in which bytes of 0x00 are +0.0. (F8_E8M0, a scale's dtype, has no zero at all.)"""
_F8 = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
RUNTIME = ("input_scale", "input_zero_point", "input_global_scale", "input_scale_ub",
            "activation_scale", "output_scale", "k_scale", "v_scale")  # fmt: skip
"""Components that act on activations: zero weights give zero whatever they are."""


@dataclass(frozen=True, slots=True)
class Packing:
    """One way to store a projection. Components are named as what follows the module's name."""

    name: str
    methods: tuple[str, ...]
    """`quant_method`s in `config.json` under which it occurs."""
    signature: Mapping[str, tuple[str, ...]]
    """Components that must be there, with the dtypes they may have."""
    zeroed: tuple[str, ...]
    """Components (where there) whose bytes become 0x00."""
    kept: tuple[str, ...]
    """Components that may be there and stay."""
    inputs_axis: int = 1
    """Which dimension of what is zeroed counts inputs, or groups of them."""
    codes: str = ""
    """Where scales are zeroed: the codes that they scale."""
    zero_points: str = ""
    """Beside them: the codes that stand for zero; the one in the middle where there are none."""
    layouts: tuple[str, ...] = ()
    """What `config.json` may call a layout in which inputs lie so; the first where it says none."""


PACKINGS = (
    # Floating-point codes times a scale: https://arxiv.org/abs/2209.05433.
    Packing(
        "fp8",
        ("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"),
        {".weight": _F8},
        zeroed=(".weight",),
        kept=(".weight_scale", ".weight_scale_inv"),
    ),
    # (code - zero point) * scale: both the codes and the zero points become 0.
    Packing(
        "int8",
        ("compressed-tensors",),
        {".weight": ("I8",), ".weight_scale": fills.FLOATS},
        zeroed=(".weight", ".weight_zero_point"),
        kept=(".weight_scale",),
    ),
    # code * SCB / 127, rows: https://arxiv.org/abs/2208.07339.
    Packing(
        "bitsandbytes int8",
        ("bitsandbytes",),
        {".weight": ("I8",), ".SCB": ("F32",)},
        zeroed=(".weight",),
        kept=(".SCB", ".weight_format"),
    ),
    # (code - zero point) * scale, codes and zero points packed: a scale of 0 is enough.
    Packing(
        "GPTQ",
        ("gptq",),
        {".qweight": ("I32",), ".scales": fills.FLOATS},
        zeroed=(".scales",),
        kept=(".qweight", ".qzeros", ".g_idx"),
        inputs_axis=0,
        layouts=("gptq", "gptq_v2"),
        codes=".qweight",
        zero_points=".qzeros",
    ),
    Packing(
        "AWQ",
        ("awq",),
        {".qweight": ("I32",), ".qzeros": ("I32",), ".scales": fills.FLOATS},
        zeroed=(".scales",),
        kept=(".qweight", ".qzeros"),
        inputs_axis=0,
        layouts=("gemm",),
        codes=".qweight",
        zero_points=".qzeros",
    ),
    Packing(
        "pack-quantized",
        ("compressed-tensors",),
        {
            ".weight_packed": ("I32",),
            ".weight_scale": fills.FLOATS,
            ".weight_shape": ("I64", "I32"),
        },
        zeroed=(".weight_scale",),
        kept=(".weight_packed", ".weight_shape", ".weight_zero_point", ".weight_g_idx"),
        codes=".weight_packed",
        zero_points=".weight_zero_point",
    ),
    # Small floating-point codes times block scales that may have no zero: the code 0 is 0.0.
    # https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
    Packing(
        "NVFP4, MXFP4 or MXFP6 (compressed-tensors)",
        ("compressed-tensors",),
        {".weight_packed": ("U8",), ".weight_scale": ("F8_E4M3", "U8", "F8_E8M0")},
        zeroed=(".weight_packed",),
        kept=(".weight_scale", ".weight_global_scale"),
    ),
    Packing(
        "NVFP4 (modelopt)",
        ("modelopt",),
        {".weight": ("U8",), ".weight_scale": ("F8_E4M3",), ".weight_scale_2": ("F32",)},
        zeroed=(".weight",),
        kept=(".weight_scale", ".weight_scale_2"),
    ),
    Packing(
        "MXFP4",
        ("mxfp4",),
        {"_blocks": ("U8",), "_scales": ("U8", "F8_E8M0")},
        zeroed=("_blocks",),
        kept=("_scales",),
    ),
)

FOUR_BIT_TABLE = ".weight.quant_map"
FOUR_BIT = Packing(
    "bitsandbytes 4 bit",
    ("bitsandbytes",),
    {
        ".weight": ("U8", "I8", *fills.FLOATS),
        FOUR_BIT_TABLE: ("F32",),
        ".weight.absmax": ("F32", "U8"),
    },
    zeroed=(),
    kept=(
        ".weight.nested_absmax",
        ".weight.nested_quant_map",
        ".weight.quant_state.bitsandbytes__nf4",
        ".weight.quant_state.bitsandbytes__fp4",
    ),
)
"""Codes into a table of sixteen values, which lies beside them: https://arxiv.org/abs/2305.14314.
Two codes a byte, whatever dtype is declared for them (`bnb_4bit_quant_storage`).
The code of 0.0 is read from that table (7 in NF4, 0 in FP4)."""

KNOWN_METHODS = tuple(
    sorted({"gguf", *(m for packing in (*PACKINGS, FOUR_BIT) for m in packing.methods)})
)
COMPONENTS = tuple(
    sorted(
        {c for packing in (*PACKINGS, FOUR_BIT) for c in (*packing.signature, *packing.kept)},
        key=len,
        reverse=True,
    )
)
