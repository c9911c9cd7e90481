"""Small projections in every storage format, and each format's public rule of decoding.

Written from the formats' own descriptions, independent of the code under test. A projection has
`OUT` x `IN` weights; `encode(...)` gives its tensors by what follows the module's name, `decode`
the weights they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

OUT, IN, GROUP = 16, 32, 16
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
E2M1 = torch.cat([E2M1, -E2M1])
E2M3 = torch.tensor(
    [m / 8 for m in range(8)] + [(1 + m / 8) * 2**e for e in range(3) for m in range(8)]
)
E2M3 = torch.cat([E2M3, -E2M3])
NF4 = torch.tensor(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0]
)  # fmt: skip
FP4 = torch.tensor([0.0, 0.0052083, 0.6666667, 1.0, 0.3333333, 0.5, 0.1666667, 0.25])
FP4 = torch.cat([FP4, -FP4])
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Storage:
    """A storage format: how `config.json` declares it, and its two directions."""

    declared: Mapping[str, Any]
    encode: Callable[[torch.Generator], dict[str, Tensor]]
    decode: Callable[[Tensors], Tensor]
    kept: tuple[str, ...]
    """Components that an export must not touch."""
    suffix: str = ".weight"
    """What the parameter is called in memory."""


def codes(shape: tuple[int, ...], high: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, high, shape, generator=generator)


def scales(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) + 0.5


def pack_rows(values: Tensor, order: list[int] | None = None) -> Tensor:
    """Eight 4-bit values of the last axis in one int32."""
    grouped = values.reshape(*values.shape[:-1], -1, 8)
    if order is not None:
        grouped = grouped[..., order]
    shifts = torch.arange(0, 32, 4)
    packed = (grouped.long() << shifts).sum(-1)
    return torch.where(packed >= 2**31, packed - 2**32, packed).int()


def unpack_rows(packed: Tensor, order: list[int] | None = None) -> Tensor:
    values = (packed.long().unsqueeze(-1) >> torch.arange(0, 32, 4)) & 15
    if order is not None:
        values = values[..., torch.argsort(torch.tensor(order))]
    return values.reshape(*packed.shape[:-1], -1)


def nibbles(packed: Tensor) -> Tensor:
    """Two codes a byte, the low one first."""
    packed = packed.long()
    return torch.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:-1], -1)


def fp8(generator: torch.Generator) -> dict[str, Tensor]:
    weights = torch.randn(OUT, IN, generator=generator).to(torch.float8_e4m3fn)
    return {".weight": weights, ".weight_scale_inv": scales((1, 2), generator)}


def decode_fp8(tensors: Tensors) -> Tensor:
    blocks = tensors[".weight_scale_inv"].repeat_interleave(OUT, 0).repeat_interleave(IN // 2, 1)
    return tensors[".weight"].float() * blocks


def int8_asymmetric(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".weight": (codes((OUT, IN), 256, generator) - 128).to(torch.int8),
        ".weight_scale": scales((OUT, 1), generator).bfloat16(),
        ".weight_zero_point": (codes((OUT, 1), 20, generator) + 1).to(torch.int8),
    }


def int8_with_zeros(generator: torch.Generator) -> dict[str, Tensor]:
    tensors = int8_asymmetric(generator)
    return tensors | {".weight_zero_point": torch.zeros_like(tensors[".weight_zero_point"])}


def decode_int8_asymmetric(tensors: Tensors) -> Tensor:
    shifted = tensors[".weight"].float() - tensors[".weight_zero_point"].float()
    return shifted * tensors[".weight_scale"].float()


def bnb_int8(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".weight": (codes((OUT, IN), 256, generator) - 128).to(torch.int8),
        ".SCB": scales((OUT,), generator),
        ".weight_format": torch.zeros((), dtype=torch.uint8),
    }


def decode_bnb_int8(tensors: Tensors) -> Tensor:
    return tensors[".weight"].float() * (tensors[".SCB"] / 127).unsqueeze(1)


def bnb_four_bit(table: Tensor, kind: str) -> Callable[[torch.Generator], dict[str, Tensor]]:
    def encode(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            ".weight": codes((OUT * IN // 2, 1), 256, generator).to(torch.uint8),
            ".weight.absmax": scales((OUT * IN // 64,), generator),
            ".weight.quant_map": table.clone(),
            f".weight.quant_state.bitsandbytes__{kind}": torch.tensor([1, 2], dtype=torch.uint8),
        }

    return encode


def bnb_in_bfloat16(generator: torch.Generator) -> dict[str, Tensor]:
    """The same bytes declared as another dtype, as FSDP wants them."""
    tensors = bnb_four_bit(NF4, "nf4")(generator)
    return tensors | {".weight": tensors[".weight"].flatten().view(torch.bfloat16)[:, None]}


def decode_bnb_four_bit(tensors: Tensors) -> Tensor:
    """The high nibble comes first; 64 values share a scale."""
    packed = tensors[".weight"].flatten().view(torch.uint8).long()
    values = torch.stack([packed >> 4, packed & 15], -1).flatten()
    decoded = tensors[".weight.quant_map"][values]
    return (decoded * tensors[".weight.absmax"].repeat_interleave(64)).reshape(OUT, IN)


def gptq(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".qweight": pack_rows(codes((OUT, IN), 16, generator)).T.contiguous(),
        ".qzeros": pack_rows(codes((IN // GROUP, OUT), 16, generator)),
        ".scales": scales((IN // GROUP, OUT), generator).half(),
        ".g_idx": (torch.arange(IN) // GROUP).int(),
    }


def gptq_symmetric(stored_zero: int) -> Callable[[torch.Generator], dict[str, Tensor]]:
    """8 is zero everywhere; inputs are grouped in the order of their activations."""

    def encode(generator: torch.Generator) -> dict[str, Tensor]:
        zeros = torch.full((IN // GROUP, OUT), stored_zero)
        order = torch.randperm(IN, generator=generator) // GROUP
        return gptq(generator) | {".qzeros": pack_rows(zeros), ".g_idx": order.int()}

    return encode


def decode_gptq(tensors: Tensors, added: int = 1) -> Tensor:
    """(code - (zero + 1)) * scale, by the group of the input feature."""
    groups = tensors[".g_idx"].long()
    quantised = unpack_rows(tensors[".qweight"].T)
    zeros = unpack_rows(tensors[".qzeros"])[groups].T + added
    return (quantised - zeros).float() * tensors[".scales"].float()[groups].T


def awq(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".qweight": pack_rows(codes((IN, OUT), 16, generator), AWQ_ORDER),
        ".qzeros": pack_rows(codes((IN // GROUP, OUT), 16, generator), AWQ_ORDER),
        ".scales": scales((IN // GROUP, OUT), generator).half(),
    }


def awq_symmetric(generator: torch.Generator) -> dict[str, Tensor]:
    zeros = torch.full((IN // GROUP, OUT), 8)
    return awq(generator) | {".qzeros": pack_rows(zeros, AWQ_ORDER)}


def decode_awq(tensors: Tensors) -> Tensor:
    quantised = unpack_rows(tensors[".qweight"], AWQ_ORDER)
    zeros = unpack_rows(tensors[".qzeros"], AWQ_ORDER).repeat_interleave(GROUP, 0)
    widened = tensors[".scales"].float().repeat_interleave(GROUP, 0)
    return ((quantised - zeros).float() * widened).T


def pack_quantized(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".weight_packed": pack_rows(codes((OUT, IN), 16, generator)),
        ".weight_scale": scales((OUT, IN // GROUP), generator).bfloat16(),
        ".weight_shape": torch.tensor([OUT, IN]),
    }


def pack_quantized_asymmetric(generator: torch.Generator) -> dict[str, Tensor]:
    zeros = codes((OUT, IN // GROUP), 16, generator)
    return pack_quantized(generator) | {".weight_zero_point": pack_rows(zeros.T).T.contiguous()}


def decode_pack_quantized_asymmetric(tensors: Tensors) -> Tensor:
    """Zero points are packed over the outputs, with 8 added too."""
    zeros = unpack_rows(tensors[".weight_zero_point"].T).T.repeat_interleave(GROUP, 1)
    widened = tensors[".weight_scale"].float().repeat_interleave(GROUP, 1)
    return (unpack_rows(tensors[".weight_packed"]) - zeros).float() * widened


def pack_quantized_channels(generator: torch.Generator) -> dict[str, Tensor]:
    """8 bit, a scale for each output."""
    packed = codes((OUT, IN), 256, generator).to(torch.uint8).view(torch.int32)
    scale = scales((OUT, 1), generator).bfloat16()
    return pack_quantized(generator) | {".weight_packed": packed, ".weight_scale": scale}


def decode_pack_quantized_channels(tensors: Tensors) -> Tensor:
    signed = tensors[".weight_packed"].view(torch.uint8).float() - 128
    return signed * tensors[".weight_scale"].float()


def decode_pack_quantized(tensors: Tensors) -> Tensor:
    """Signed 4-bit codes are stored with 8 added."""
    widened = tensors[".weight_scale"].float().repeat_interleave(GROUP, 1)
    return (unpack_rows(tensors[".weight_packed"]) - 8).float() * widened


def nvfp4(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        ".weight_packed": codes((OUT, IN // 2), 256, generator).to(torch.uint8),
        ".weight_scale": scales((OUT, IN // 16), generator).to(torch.float8_e4m3fn),
        ".weight_global_scale": torch.tensor([3.0]),
        ".input_global_scale": torch.tensor([2.0]),
    }


def decode_nvfp4(tensors: Tensors) -> Tensor:
    widened = tensors[".weight_scale"].float().repeat_interleave(16, 1)
    return E2M1[nibbles(tensors[".weight_packed"])] * widened / tensors[".weight_global_scale"]


def modelopt_nvfp4(generator: torch.Generator) -> dict[str, Tensor]:
    tensors = nvfp4(generator)
    return {
        ".weight": tensors[".weight_packed"],
        ".weight_scale": tensors[".weight_scale"],
        ".weight_scale_2": torch.tensor(0.25),
        ".input_scale": torch.tensor(0.5),
    }


def decode_modelopt_nvfp4(tensors: Tensors) -> Tensor:
    widened = tensors[".weight_scale"].float().repeat_interleave(16, 1)
    return E2M1[nibbles(tensors[".weight"])] * widened * tensors[".weight_scale_2"]


def mxfp6(generator: torch.Generator) -> dict[str, Tensor]:
    """Four codes in three bytes."""
    return {
        ".weight_packed": codes((OUT, IN * 3 // 4), 256, generator).to(torch.uint8),
        ".weight_scale": codes((OUT, IN // 32), 20, generator).to(torch.uint8) + 115,
    }


def decode_mxfp6(tensors: Tensors) -> Tensor:
    low, middle, high = tensors[".weight_packed"].long().reshape(OUT, -1, 3).unbind(-1)
    words = (low | middle << 8 | high << 16).unsqueeze(-1)
    values = E2M3[(words >> torch.arange(0, 24, 6)) & 63].reshape(OUT, IN)
    return values * torch.exp2(tensors[".weight_scale"].float() - 127)


def mxfp4(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        "_blocks": codes((OUT, 1, 16), 256, generator).to(torch.uint8),
        "_scales": codes((OUT, 1), 20, generator).to(torch.uint8) + 115,
    }


def decode_mxfp4(tensors: Tensors) -> Tensor:
    """Blocks of 32 share a power of two, stored with 127 added."""
    exponents = tensors["_scales"].float().unsqueeze(-1) - 127
    return (E2M1[nibbles(tensors["_blocks"])] * torch.exp2(exponents)).reshape(OUT, IN)


STORAGES = {
    "fp8": Storage({"quant_method": "fp8"}, fp8, decode_fp8, (".weight_scale_inv",)),
    "int8": Storage(
        {"quant_method": "compressed-tensors", "format": "int-quantized"},
        int8_asymmetric,
        decode_int8_asymmetric,
        (".weight_scale",),
    ),
    "int8 with zeros": Storage(
        {"quant_method": "compressed-tensors", "format": "int-quantized"},
        int8_with_zeros,
        decode_int8_asymmetric,
        (".weight_scale",),
    ),
    "bitsandbytes int8": Storage(
        {"quant_method": "bitsandbytes"}, bnb_int8, decode_bnb_int8, (".SCB", ".weight_format")
    ),
    "nf4": Storage(
        {"load_in_4bit": True},
        bnb_four_bit(NF4, "nf4"),
        decode_bnb_four_bit,
        (".weight.absmax", ".weight.quant_map", ".weight.quant_state.bitsandbytes__nf4"),
    ),
    "nf4 in bfloat16": Storage(
        {"quant_method": "bitsandbytes", "bnb_4bit_quant_storage": "bfloat16"},
        bnb_in_bfloat16,
        decode_bnb_four_bit,
        (".weight.absmax", ".weight.quant_map", ".weight.quant_state.bitsandbytes__nf4"),
    ),
    "fp4": Storage(
        {"quant_method": "bitsandbytes"},
        bnb_four_bit(FP4, "fp4"),
        decode_bnb_four_bit,
        (".weight.absmax", ".weight.quant_map", ".weight.quant_state.bitsandbytes__fp4"),
    ),
    "gptq": Storage({"quant_method": "gptq"}, gptq, decode_gptq, (".qweight", ".qzeros", ".g_idx")),
    "gptq act-order": Storage(
        {"quant_method": "gptq"}, gptq_symmetric(7), decode_gptq, (".qzeros", ".g_idx")
    ),
    "gptq_v2 act-order": Storage(
        {"quant_method": "gptq", "checkpoint_format": "gptq_v2"},
        gptq_symmetric(8),
        lambda tensors: decode_gptq(tensors, added=0),
        (".qzeros", ".g_idx"),
    ),
    "awq": Storage({"quant_method": "awq"}, awq, decode_awq, (".qweight", ".qzeros")),
    "awq symmetric": Storage(
        {"quant_method": "awq"}, awq_symmetric, decode_awq, (".qweight", ".qzeros")
    ),
    "pack-quantized asymmetric": Storage(
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        pack_quantized_asymmetric,
        decode_pack_quantized_asymmetric,
        (".weight_packed", ".weight_shape", ".weight_zero_point"),
    ),
    "pack-quantized, channels": Storage(
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        pack_quantized_channels,
        decode_pack_quantized_channels,
        (".weight_packed", ".weight_shape"),
    ),
    "pack-quantized": Storage(
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        pack_quantized,
        decode_pack_quantized,
        (".weight_packed", ".weight_shape"),
    ),
    "nvfp4": Storage(
        {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        nvfp4,
        decode_nvfp4,
        (".weight_scale", ".weight_global_scale", ".input_global_scale"),
    ),
    "nvfp4 modelopt": Storage(
        {"quant_method": "modelopt"},
        modelopt_nvfp4,
        decode_modelopt_nvfp4,
        (".weight_scale", ".weight_scale_2", ".input_scale"),
    ),
    "mxfp6": Storage(
        {"quant_method": "compressed-tensors", "format": "mxfp6-pack-quantized"},
        mxfp6,
        decode_mxfp6,
        (".weight_scale",),
    ),
    "mxfp4": Storage({"quant_method": "mxfp4"}, mxfp4, decode_mxfp4, ("_scales",), suffix=""),
}
