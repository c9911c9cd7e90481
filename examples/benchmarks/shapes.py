"""Models of the sizes people have, with random weights: what a sweep costs asks for no skill.

Each is built from its architecture's own configuration class with the numbers of the published
configs, straight on the device, in bfloat16, or in float32 on a processor that would emulate that;
a prompt of 60 words stands around one picture, with as many image tokens as the model's processor
would make of it. `small` is the same code on the same architecture with few, narrow layers and a
small picture: for a machine without an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from accelerate import cpu_offload
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from talo_export.models.dtypes import is_native
from talo_export.models.finding import find_decoder
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import Encoded
from talo_export.tasks.item import Item

Made = tuple[nn.Module, dict[str, Tensor]]


def built(name: str, device: torch.device, *, small: bool = False) -> tuple[LoadedModel, Encoded]:
    """The model of this name on the device, and its prompt. Offloaded ones stay in host memory."""
    torch.manual_seed(0)
    make, offloaded = SHAPES[name]
    before = torch.get_default_dtype()
    native = device.type != "cpu" or is_native(torch.bfloat16)
    torch.set_default_dtype(torch.bfloat16 if native else torch.float32)
    try:
        with torch.device("cpu" if offloaded else device):
            model, inputs = make(small)
    finally:
        torch.set_default_dtype(before)
    model.eval().requires_grad_(False)
    if offloaded:
        cpu_offload(model, execution_device=device)
    loaded = LoadedModel(
        model=model, processor=None, tokenizer=None, decoder=find_decoder(model),
        directory=Path("nowhere"), name=name, revision=None, is_vlm="pixel_values" in inputs,
    )  # fmt: skip
    inputs = {key: value.to(device) for key, value in inputs.items()}
    item = Item(id="x", group="x", question="?", choices=("a", "b", "c"), answer=0)
    length = inputs["input_ids"].shape[1]
    return loaded, Encoded(item, inputs, length, ((5,), (6,), (7,)), lettered=True)


def smolvlm_256m(small: bool) -> Made:
    """SmolLM2's 30 layers of 576; a square picture in 4 x 4 tiles and whole, 1,088 image tokens.

    The published config is an Idefics 3 of these sizes. It runs on a CPU, too.
    """
    side, patch, scale, tiles = (64, 16, 2, 3) if small else (512, 16, 4, 17)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 2} if small else {
             "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
             "num_attention_heads": 12}  # fmt: skip
    words = llama(64, 2, 1, 96, 3, 256) if small else llama(576, 9, 3, 1536, 30, 49280)
    token = words["vocab_size"] - 8
    config = tf.Idefics3Config(
        vision_config={**tower, "image_size": side, "patch_size": patch},
        text_config={**words, "model_type": "llama", "pad_token_id": 0},
        image_token_id=token, scale_factor=scale, pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    inputs = around(tiles * (side // patch // scale) ** 2, token)
    inputs["pixel_values"] = torch.randn(1, tiles, 3, side, side)
    return tf.Idefics3ForConditionalGeneration(config), inputs


def qwen2_vl_2b(small: bool) -> Made:
    """28 layers of 1,536; a picture of 1008 x 756 pixels, 972 image tokens."""
    rows, columns = (4, 8) if small else (54, 72)
    # transformers keeps the three parts of its rotary positions in the rope's parameters.
    heads = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1,
             "intermediate_size": 96, "num_hidden_layers": 3, "vocab_size": 256,
             "rope_parameters": rope(1e6, [4, 6, 6])} if small else {
             "hidden_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 2,
             "intermediate_size": 8960, "num_hidden_layers": 28, "vocab_size": 151936,
             "rope_parameters": rope(1e6, [16, 24, 24])}  # fmt: skip
    tower = {"depth": 2, "embed_dim": 32, "num_heads": 2} if small else {
             "depth": 32, "embed_dim": 1280, "num_heads": 16}  # fmt: skip
    token = heads["vocab_size"] - 8
    config = tf.Qwen2VLConfig(
        text_config={**heads, "max_position_embeddings": 32768},
        vision_config={**tower, "hidden_size": heads["hidden_size"], "mlp_ratio": 4},
        image_token_id=token, video_token_id=token + 1, vision_start_token_id=token + 2,
        vision_end_token_id=token + 3, tie_word_embeddings=True,
    )  # fmt: skip
    inputs = around(rows * columns // 4, token)
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == token).long()
    inputs["image_grid_thw"] = torch.tensor([[1, rows, columns]])
    inputs["pixel_values"] = torch.randn(rows * columns, 3 * 2 * 14 * 14)
    return tf.Qwen2VLForConditionalGeneration(config), inputs


def llava_next_8b(small: bool) -> Made:
    """Llama 3's 32 layers of 4,096; 672 x 672 pixels, five tiles, 2,928 image tokens."""
    side = 28 if small else 336
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
             "num_attention_heads": 2} if small else {
             "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
             "num_attention_heads": 16}  # fmt: skip
    words = llama(64, 2, 1, 96, 3, 256) if small else llama(4096, 32, 8, 14336, 32, 128320)
    words = {**words, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}
    token = words["vocab_size"] - 8
    config = tf.LlavaNextConfig(
        vision_config=tf.CLIPVisionConfig(
            **tower, image_size=side, patch_size=14, projection_dim=tower["hidden_size"]
        ),
        text_config=tf.LlamaConfig(**words),
        image_token_id=token,
        image_grid_pinpoints=[[side, 2 * side], [2 * side, side], [2 * side, 2 * side],
                              [3 * side, side], [side, 3 * side]],
        image_seq_length=(side // 14) ** 2,
    )  # fmt: skip
    # The whole picture once, then its four tiles with a newline after each row of patches.
    patches = side // 14
    inputs = around(patches**2 + 2 * patches * (2 * patches + 1), token)
    inputs["pixel_values"] = torch.randn(1, 5, 3, side, side)
    inputs["image_sizes"] = torch.tensor([[2 * side, 2 * side]])
    return tf.LlavaNextForConditionalGeneration(config), inputs


def decoder_40b(small: bool) -> Made:
    """The decoder of InternVL2-40B (a Yi of 34B): 60 layers of 7,168, 1,792 tokens of a picture."""
    words = llama(64, 2, 1, 96, 3, 256) if small else llama(7168, 56, 8, 20480, 60, 64000)
    ids = torch.randint(16, words["vocab_size"], (1, 40 if small else 1792 + 60))
    with no_init_weights() if not small else torch.no_grad():
        model = tf.LlamaForCausalLM(tf.LlamaConfig(**words))
    if not small:
        # 34 billion numbers are not drawn one by one: a matrix is the same draw over and over.
        draw = 0.02 * torch.randn(2**22)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                flat = parameter.data.view(-1)
                for at in range(0, flat.numel(), len(draw)):
                    part = flat[at : at + len(draw)]
                    part.copy_(draw[: len(part)])
            else:
                parameter.data.fill_(1.0)
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def llama(width: int, heads: int, kv: int, inner: int, layers: int, words: int) -> dict[str, Any]:
    return {
        "hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": kv,
        "intermediate_size": inner, "num_hidden_layers": layers, "vocab_size": words,
        "max_position_embeddings": 8192,
    }  # fmt: skip


def rope(theta: float, section: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta, "mrope_section": section}


def around(tokens: int, token: int) -> dict[str, Tensor]:
    """Thirty words, a picture of so many tokens, thirty words."""
    words = torch.randint(16, token, (1, 60))
    ids = torch.cat([words[:, :30], torch.full((1, tokens), token), words[:, 30:]], dim=1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


SHAPES: dict[str, tuple[Callable[[bool], Made], bool]] = {
    "smolvlm-256m": (smolvlm_256m, False),
    "qwen2-vl-2b": (qwen2_vl_2b, False),
    "llava-next-8b": (llava_next_8b, False),
    "decoder-40b": (decoder_40b, True),
}
"""Name -> (its maker, whether its weights stay in host memory)."""
