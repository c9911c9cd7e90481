"""Tiny random models of many architectures, each with one prompt as its processor would give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

WORDS = 64
IMAGE = 60
"""The token that stands for a piece of a picture, in every model here."""

TEXT: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}

Made = tuple[nn.Module, dict[str, Tensor]]
Maker = Callable[[], Made]


def words(length: int, seed: int = 5) -> Tensor:
    """(1, length) ordinary tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, IMAGE - 10, (1, length), generator=generator)


def text_inputs(length: int = 9) -> dict[str, Tensor]:
    """A text prompt."""
    ids = words(length)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def seen_inputs(pieces: int, kinds: str | None = None, token: int = IMAGE) -> dict[str, Tensor]:
    """Three words, a picture, four words; `kinds` names the tensor that tells the two apart."""
    ids = torch.cat([words(3), torch.full((1, pieces), token), words(4, seed=6)], dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if kinds is not None:
        inputs[kinds] = (ids == token).long()
    return inputs


def pixels(*shape: int) -> Tensor:
    """Random pixel values."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def text(config: type, model: type, **changes: Any) -> Maker:
    """A text model's maker."""

    def make() -> Made:
        return model(config(**{**TEXT, **changes})), text_inputs()

    return make


ROPE_3D = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}


def qwen_vl(config: type, model: type, vision: dict[str, Any], *, patch: int = 4) -> Maker:
    """The Qwen kind: patches of all pictures end to end, and a grid for each picture."""

    def make() -> Made:
        whole = config(
            text_config={**TEXT, "rope_parameters": ROPE_3D},
            vision_config=vision,
            image_token_id=IMAGE,
            video_token_id=IMAGE + 1,
            vision_start_token_id=IMAGE + 2,
            vision_end_token_id=IMAGE + 3,
            tie_word_embeddings=False,
        )
        inputs = seen_inputs(4, "mm_token_type_ids")
        inputs["image_grid_thw"] = torch.tensor([[1, 4, 4]])
        inputs["pixel_values"] = pixels(16, 3 * 2 * patch * patch)
        return model(whole), inputs

    return make


def qwen2_vl() -> Made:
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2,
              "patch_size": 4, "initializer_range": 0.2}  # fmt: skip
    return qwen_vl(tf.Qwen2VLConfig, tf.Qwen2VLForConditionalGeneration, vision)()


def qwen2_5_vl() -> Made:
    vision = {"depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2,
              "intermediate_size": 24, "patch_size": 4, "window_size": 16,
              "fullatt_block_indexes": [1], "initializer_range": 0.2}  # fmt: skip
    return qwen_vl(tf.Qwen2_5_VLConfig, tf.Qwen2_5_VLForConditionalGeneration, vision)()


def qwen3_vl() -> Made:
    """With DeepStack: pictures enter again after layers 0 and 1."""
    vision = {"depth": 3, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2,
              "intermediate_size": 24, "patch_size": 4, "num_position_embeddings": 16,
              "deepstack_visual_indexes": [0, 1], "initializer_range": 0.2}  # fmt: skip
    return qwen_vl(tf.Qwen3VLConfig, tf.Qwen3VLForConditionalGeneration, vision)()


CLIP = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 16, "patch_size": 8, "projection_dim": 16,
        "initializer_range": 0.2}  # fmt: skip


def llava() -> Made:
    config = tf.LlavaConfig(
        vision_config=tf.CLIPVisionConfig(**CLIP),
        text_config=tf.LlamaConfig(**TEXT),
        image_token_id=IMAGE,
        image_seq_length=4,
    )
    inputs = {**seen_inputs(4), "pixel_values": pixels(1, 3, 16, 16)}
    return tf.LlavaForConditionalGeneration(config), inputs


def llava_next() -> Made:
    config = tf.LlavaNextConfig(
        vision_config=tf.CLIPVisionConfig(**CLIP),
        text_config=tf.LlamaConfig(**TEXT),
        image_token_id=IMAGE,
        image_grid_pinpoints=[[16, 16], [32, 16]],
        image_seq_length=4,
    )
    # The whole picture in 2 x 2 pieces, and two tiles above each other, 4 x 2 with a newline a row.
    inputs = {
        **seen_inputs(16),
        "pixel_values": pixels(1, 3, 3, 16, 16),
        "image_sizes": torch.tensor([[32, 16]]),
    }
    return tf.LlavaNextForConditionalGeneration(config), inputs


def internvl() -> Made:
    config = tf.InternVLConfig(
        vision_config=tf.InternVLVisionConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            image_size=[16, 16], patch_size=[4, 4], initializer_range=0.2,
        ),
        text_config=tf.Qwen2Config(**TEXT),
        image_token_id=IMAGE,
        image_seq_length=4,
    )  # fmt: skip
    inputs = {**seen_inputs(4), "pixel_values": pixels(1, 3, 16, 16)}
    return tf.InternVLForConditionalGeneration(config), inputs


SIGLIP = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
          "num_attention_heads": 2, "image_size": 16, "patch_size": 4}  # fmt: skip


def gemma3() -> Made:
    """Sliding windows, and attention in both directions inside a picture."""
    config = tf.Gemma3Config(
        vision_config=tf.SiglipVisionConfig(**SIGLIP),
        text_config=tf.Gemma3TextConfig(
            **TEXT, sliding_window=4,
            layer_types=["sliding_attention", "full_attention"] * 2, query_pre_attn_scalar=8,
        ),
        image_token_id=IMAGE,
        mm_tokens_per_image=4,
    )  # fmt: skip
    inputs = {**seen_inputs(4, "token_type_ids"), "pixel_values": pixels(1, 3, 16, 16)}
    return tf.Gemma3ForConditionalGeneration(config), inputs


def gemma3n() -> Made:
    """Four streams, per-layer inputs, and two layers that reuse earlier layers' keys and values."""
    config = tf.Gemma3nTextConfig(
        **TEXT, vocab_size_per_layer_input=WORDS, hidden_size_per_layer_input=8, laurel_rank=4,
        altup_num_inputs=2, sliding_window=8, num_kv_shared_layers=2,
        layer_types=["sliding_attention", "full_attention"] * 2,
        activation_sparsity_pattern=[0.0] * 4,
    )  # fmt: skip
    return tf.Gemma3nForCausalLM(config), text_inputs()


def smolvlm() -> Made:
    config = tf.SmolVLMConfig(
        vision_config={**SIGLIP, "initializer_range": 0.2},
        text_config=tf.LlamaConfig(**TEXT),
        image_token_id=IMAGE,
        scale_factor=2,
        pad_token_id=0,
    )
    inputs = {
        **seen_inputs(4),
        "pixel_values": pixels(1, 1, 3, 16, 16),
        "pixel_attention_mask": torch.ones(1, 1, 16, 16, dtype=torch.bool),
    }
    return tf.SmolVLMForConditionalGeneration(config), inputs


def idefics3() -> Made:
    config = tf.Idefics3Config(
        vision_config={**SIGLIP, "initializer_range": 0.2},
        text_config=tf.LlamaConfig(**TEXT),
        image_token_id=IMAGE,
        scale_factor=2,
        pad_token_id=0,
    )
    inputs = {
        **seen_inputs(4),
        "pixel_values": pixels(1, 1, 3, 16, 16),
        "pixel_attention_mask": torch.ones(1, 1, 16, 16, dtype=torch.bool),
    }
    return tf.Idefics3ForConditionalGeneration(config), inputs


def mllama() -> Made:
    """Cross-attention layers among the others: layer 1 looks at the picture."""
    config = tf.MllamaConfig(
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_global_layers": 1, "attention_heads": 2, "image_size": 16, "patch_size": 8,
            "vision_output_dim": 32, "intermediate_layers_indices": [0], "max_num_tiles": 1,
            "supported_aspect_ratios": [[1, 1]], "initializer_range": 0.2,
        },
        text_config={
            **TEXT, "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        image_token_index=IMAGE,
    )  # fmt: skip
    model = tf.MllamaForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        if "gate" in name:
            # Gates begin at 0, where a picture changes nothing.
            nn.init.constant_(parameter, 0.7)
    inputs = {
        **seen_inputs(1),
        "pixel_values": pixels(1, 1, 1, 3, 16, 16),
        "aspect_ratio_ids": torch.tensor([[1]]),
        "aspect_ratio_mask": torch.ones(1, 1, 1, dtype=torch.long),
    }
    mask = torch.zeros(1, inputs["input_ids"].shape[1], 1, 1, dtype=torch.long)
    mask[:, 3:] = 1
    inputs["cross_attention_mask"] = mask
    return model, inputs


HYBRID = {
    "layer_types": ["linear_attention", "full_attention"] * 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 3,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
           "shared_expert_intermediate_size": 24}  # fmt: skip

MAKERS: dict[str, Maker] = {
    "llama": text(tf.LlamaConfig, tf.LlamaForCausalLM),
    "qwen2": text(tf.Qwen2Config, tf.Qwen2ForCausalLM),
    "gemma2": text(tf.Gemma2Config, tf.Gemma2ForCausalLM, sliding_window=4,
                   query_pre_attn_scalar=8),
    "phi3": text(tf.Phi3Config, tf.Phi3ForCausalLM),
    "gpt2": text(tf.GPT2Config, tf.GPT2LMHeadModel, n_embd=32, n_layer=4, n_head=4,
                 n_positions=128),
    "opt": text(tf.OPTConfig, tf.OPTForCausalLM, ffn_dim=48, word_embed_proj_dim=32),
    "gpt_neox": text(tf.GPTNeoXConfig, tf.GPTNeoXForCausalLM),
    "cohere": text(tf.CohereConfig, tf.CohereForCausalLM, logit_scale=0.5),
    "granite": text(tf.GraniteConfig, tf.GraniteForCausalLM, logits_scaling=4.0,
                    residual_multiplier=0.5),
    "mixtral": text(tf.MixtralConfig, tf.MixtralForCausalLM, num_local_experts=4),
    "qwen3_moe": text(tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM, **EXPERTS),
    "qwen3_next": text(tf.Qwen3NextConfig, tf.Qwen3NextForCausalLM, **HYBRID, **EXPERTS),
    "bamba": text(tf.BambaConfig, tf.BambaForCausalLM, attn_layer_indices=[1, 3],
                  mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=8,
                  mamba_expand=2, mamba_chunk_size=4),
    "falcon_h1": text(tf.FalconH1Config, tf.FalconH1ForCausalLM, mamba_n_heads=4,
                      mamba_d_head=8, mamba_d_ssm=32, mamba_n_groups=1, mamba_d_state=8,
                      mamba_chunk_size=4),
    "gpt_oss": text(tf.GptOssConfig, tf.GptOssForCausalLM, num_local_experts=4,
                    num_experts_per_tok=2, sliding_window=4),
    "gemma3n": gemma3n,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "llava": llava,
    "llava_next": llava_next,
    "internvl": internvl,
    "gemma3": gemma3,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "mllama": mllama,
}  # fmt: skip
