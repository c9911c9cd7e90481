"""Knockouts in GGUF files: which tensors are a layer's attention, and their bytes of zero.

GGUF names tensors by role, the same in every architecture (`blk.3.attn_output.weight`), so the
roles come from the public `gguf` package and nothing is guessed. Every GGML block format scales
its codes by a number stored in the block, so a block of zero bytes decodes to zero; that is not
taken on trust but asked of the package's own decoder, type by type.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf.constants import (
    GGML_QUANT_SIZES,
    MODEL_TENSOR,
    TENSOR_NAMES,
    GGMLQuantizationType,
    Keys,
)
from gguf.quants import dequantize

from talo_export.checkpoint.gguf_header import GgufHeader, read_gguf
from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Heads, Layer, Mixer

OUTPUT = (MODEL_TENSOR.ATTN_OUT,)
INPUTS = (
    MODEL_TENSOR.ATTN_Q,
    MODEL_TENSOR.ATTN_K,
    MODEL_TENSOR.ATTN_V,
    MODEL_TENSOR.ATTN_QKV,
    MODEL_TENSOR.ATTN_Q_A,
    MODEL_TENSOR.ATTN_Q_B,
    MODEL_TENSOR.ATTN_KV_A_MQA,
    MODEL_TENSOR.ATTN_KV_B,
    MODEL_TENSOR.ATTN_K_B,
    MODEL_TENSOR.ATTN_V_B,
)
KEYS_AND_VALUES = (MODEL_TENSOR.ATTN_K, MODEL_TENSOR.ATTN_V)
MLP_OUTPUT = (
    MODEL_TENSOR.FFN_DOWN,
    MODEL_TENSOR.FFN_DOWN_EXP,
    MODEL_TENSOR.FFN_DOWN_SHEXP,
    MODEL_TENSOR.FFN_DOWN_CHEXP,
)


def gguf_anatomy(path: Path) -> Decoder:
    """The decoder of a GGUF file, every tensor named as in the file.

    A layer without `attn_output` has no self-attention. Where the file says that late layers use
    the keys and values of earlier ones, all k and v are `shared`. Raises `TaloError` for a file
    that is unsound, a part of a split, or no decoder.
    """
    gguf = read_gguf(path)
    architecture = gguf.fields.get(Keys.General.ARCHITECTURE)
    count = gguf.fields.get(Keys.LLM.BLOCK_COUNT.format(arch=architecture))
    if not isinstance(architecture, str) or not isinstance(count, int) or count < 1:
        raise TaloError(f"{path} does not say how many layers it has: it is not a decoder.")
    if int(gguf.fields.get(Keys.Split.LLM_KV_SPLIT_COUNT, 0)) > 1:
        raise TaloError(
            f"{path} is one part of a split file: join the parts with llama-gguf-split --merge."
        )
    if count > len(gguf.header.tensors):
        raise TaloError(f"{path} claims {count} layers, more than it has tensors.")
    sharing = gguf.fields.get(Keys.Attention.SHARED_KV_LAYERS.format(arch=architecture), 0)
    layers = tuple(_layer(gguf, index, bool(sharing)) for index in range(count))
    if not any(layer.attention for layer in layers):
        raise TaloError(f"{path} ({architecture}) has no layer with a self-attention.")
    return Decoder("blk", layers)


def block_of(type_name: str) -> tuple[int, int, bytes]:
    """Elements and bytes of one block, and the byte of which a block decodes to exactly zero.

    `type_name` is GGML's, such as `Q4_K`. Sources of the decoding: `gguf.quants`. Raises
    `TaloError` where no such byte is known.
    """
    kind = GGMLQuantizationType[type_name]
    elements, size = GGML_QUANT_SIZES[kind]
    try:
        decoded = dequantize(np.zeros((1, size), dtype=np.uint8), kind)
    except NotImplementedError as error:
        raise TaloError(
            f"the GGML type {type_name} is not known here: export from another quantisation."
        ) from error
    if np.any(decoded):
        raise TaloError(f"zero bytes do not decode to zero in the GGML type {type_name}.")
    return elements, size, b"\x00"


def _layer(gguf: GgufHeader, index: int, sharing: bool) -> Layer:
    output = _stored(gguf, OUTPUT, index)
    mixers: tuple[Mixer, ...] = ()
    if output:
        shared = _stored(gguf, KEYS_AND_VALUES, index) if sharing else ()
        inputs = tuple(name for name in _stored(gguf, INPUTS, index) if name not in shared)
        heads = _heads(gguf, output[0])
        mixers = (Mixer("self-attention", f"blk.{index}", output, inputs, shared, heads=heads),)
    elif any(name.startswith(f"blk.{index}.") for name in gguf.header.tensors):
        mixers = (Mixer("other", f"blk.{index}", ()),)
    return Layer(index, f"blk.{index}", mixers, _stored(gguf, MLP_OUTPUT, index))


def _heads(gguf: GgufHeader, output: str) -> Heads | None:
    """The heads in equal shares of the output projection's inputs, as GGML lays them out.

    None where the file says it layer by layer, or its numbers do not fit the tensor.
    """
    architecture = gguf.fields.get(Keys.General.ARCHITECTURE)
    count = gguf.fields.get(Keys.Attention.HEAD_COUNT.format(arch=architecture))
    size = gguf.fields.get(Keys.Attention.VALUE_LENGTH.format(arch=architecture))
    inputs = gguf.header.tensors[output].shape[0]
    if not isinstance(count, int) or count < 1 or inputs % count:
        return None
    if size is not None and size != inputs // count:
        return None
    return Heads(output, 1, tuple((head, inputs // count) for head in range(count)))


def _stored(gguf: GgufHeader, roles: tuple[MODEL_TENSOR, ...], index: int) -> tuple[str, ...]:
    """Weights and biases of these roles that the file has, weights first."""
    names = [
        f"{TENSOR_NAMES[role].format(bid=index)}.{part}"
        for part in ("weight", "bias")
        for role in roles
    ]
    return tuple(name for name in names if name in gguf.header.tensors)
