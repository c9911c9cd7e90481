"""Shrinking any transformers config until its model has a few hundred thousand random weights.

One rule a kind of key, by the words in its name; lists with one entry a layer are cut to layers
that together show every kind there is. What no rule can know about a type stands in `OVERRIDES`.
Nothing of this is used by the package: these are the subjects it is tested on.
"""

from __future__ import annotations

import re
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCABULARY = 64, 4, 2, 16, 4, 256

RULES: tuple[tuple[str, int], ...] = (
    (r"max_position_embeddings|n_positions|n_ctx|max_seq_len|max_target_positions", 128),
    (r"original_max_position_embeddings|max_source_positions", 64),
    (r"sliding_window(_size)?|local_attention_window_len|attention_window_size", 64),
    (r"(conf_)?(num_)?(hidden_|encoder_|decoder_)?layers|n_layers?|depth|num_blocks", LAYERS),
    (r"resampler_depth", 1),
    (r"(.*_)?num_key_value_heads|num_kv_heads|n_head_kv|multi_query_group_num", KV_HEADS),
    (r"linear_num_(key|value)_heads", KV_HEADS),
    (r"(.*_)?(num_)?(attention_)?heads|n_heads?|.*_n_heads|n_mamba_heads", HEADS),
    (r"qk_(rope|nope)_head_dim", HEAD_DIM // 2),
    (r"(.*_)?head_dim|d_kv|d_head|kv_channels|rotary_dim|rope_head_dim", HEAD_DIM),
    (r"mamba_d_head", 2 * HEAD_DIM),
    (r"n_groups|mamba_n_groups|mamba_ngroups", 2),
    (r"(.*_)?vocab_size|vocab_size_per_layer_input|num_embeddings|codebook_size", VOCABULARY),
    (r"(.*_)?(intermediate|ffn_hidden|ff)_(size|dim)|(.*_)?ffn_dim|d_ff|n_inner|mlp_dim", 48),
    (r"(kv|q)_lora_rank|time_step_rank|mamba_dt_rank", 16),
    (r"mamba_d_state|state_size|ssm_state_size", 8),
    (
        r"(.*_)?hidden_sizes?|d_model|n_embd|embed_dim|dim|(.*_)?hidden_dim|embedding_(size|dim)",
        HIDDEN,
    ),
    (r"codebook_dim|hidden_size_global", HIDDEN),
    (r"projection_dim|word_embed_proj_dim|emb_dim|lru_width|adapter_(in|out)_dim", HIDDEN),
    (r"(vision|projector)_(input|output)_dim|dim_ff|dff", HIDDEN),
    (r"base_channels", 32),
    (r"(num_|n_routed_|moe_num_|num_local_)experts", 4),
    (r"num_experts_per_tok(en)?|moe_topk|moe_k|(num|n)_expert_groups?|n_group|topk_group", 2),
    (r"image_size", 28),
    (r"patch_size", 14),
)

MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
VISION_TOKENS = {"<image>": 250, "<|extra_0|>": 251, "<|image token|>": 252, "IMGIMGBSZ": 253}
INDEXER = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 64,
    "indexer_compress_ratio": 4,
}

QUERYING = {"image_token_index": 250}
ZAMBA = {
    "layer_types": ["linear_attention", "hybrid"] * 2,
    "layers_block_type": ["linear_attention", "hybrid"] * 2,
    "attention_hidden_size": 2 * HIDDEN,
    "attention_head_dim": 2 * HIDDEN // HEADS,
    "num_key_value_heads": HEADS,
}

OVERRIDES: dict[str, dict[str, Any]] = {
    "blip-2": QUERYING,
    "apertus1p5": {
        "vision_config.codebook_size": 64,
        "audio_config.codebook_size": 64,
        "image_token_offset": 128,
        "audio_token_offset": 192,
    },
    "bamba": {"attn_layer_indices": [1]},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "chameleon": {"vocabulary_map": VISION_TOKENS},
    "cohere_compass": {
        "text_config.rope_parameters": {"full_attention": None, "sliding_attention": MROPE}
    },
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": None, "sliding_attention": MROPE}
    },
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "deepseek_ocr2": {
        "text_config.mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "text_config.num_experts_per_tok": 2,
        "text_config.n_group": 1,
        "text_config.topk_group": 1,
    },
    "deepseek_v2": {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "diffusion_gemma": {
        "text_config.num_experts": 4,
        "text_config.top_k_experts": 2,
        "text_config.moe_intermediate_size": 48,
    },
    "dory": {
        "num_hidden_layers": 6,
        "layer_types": ["sliding_attention", "mlp"] * 2 + ["full_attention", "mlp"],
        "n_input_layers": 2,
        "n_recurrent_layers": 2,
        "n_output_layers": 2,
    },
    "dots3_note": {"audio_config.adapter_input_size": HIDDEN},
    "ernie4_5_vl_moe": {
        "text_config.rope_parameters": MROPE | {"rope_theta": 500000.0, "mrope_section": [3, 3, 2]}
    },
    "falcon_h1": {"mamba_d_ssm": 32},
    "florence2": {
        "vision_config.embed_dim": [32, 32, 64, 64],
        "vision_config.num_heads": [4, 4, 4, 4],
        "vision_config.num_groups": [4, 4, 4, 4],
        "vision_config.depths": [1, 1, 1, 1],
    },
    "dots1": {
        "n_shared_experts": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
    },
    "emu3": {"vocabulary_map": VISION_TOKENS},
    "gemma3n": {
        "text_config.num_kv_shared_layers": 2,
        "text_config.layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma4_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "per_layer_config": {},
    },
    "glm46v": {"text_config.rope_parameters": MROPE},
    "glm4v": {"text_config.rope_parameters": MROPE},
    "glm4v_moe": {"text_config.rope_parameters": MROPE | {"mrope_section": [1, 1, 2]}},
    "glm_ocr": {"text_config.rope_parameters": MROPE},
    "glmga": {"text_config.rope_parameters": MROPE},
    "glm_moe_dsa": {"indexer_types": ["full", "full", "shared", "shared"]},
    "granite4_vision": {"deepstack_layer_map": [[-1, 0]], "downsample_rate": "1/2"},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba", "attention"]},
    "hrm_text": {"num_layers_per_stack": 2, "H_cycles": 1, "L_cycles": 2},
    "hunyuan_vl": {"text_config.rope_parameters": MROPE | {"mrope_section": [2, 2, 2, 2]}},
    "instructblip": QUERYING,
    "instructblipvideo": QUERYING | {"video_token_index": 251},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_vl": {"text_config.layer_types": ["conv", "full_attention"] * 2},
    # What comes out of its pixel shuffle: four patches side by side.
    "llama4": {"vision_config.intermediate_size": 4 * HIDDEN},
    "mamba2": {"num_heads": 8},
    "mistral_large4": {
        "text_config.indexer_types": ["full", "full", "shared", "shared"],
        "text_config.kv_source_layers": [0, 1, 0, 1],
        "text_config.no_rope_layers": [1, 0, 1, 0],
    },
    "molmo2": {"adapter_config.vision_feature_layer": [3, 1]},
    "paddleocr_vl": {"text_config.rope_parameters": MROPE},
    # timm's own names for what its tower is made of.
    "perception_lm": {
        "vision_config.architecture": "vit_pe_core_large_patch14_336",
        "vision_config.model_args": {
            "embed_dim": HIDDEN,
            "depth": 2,
            "num_heads": HEADS,
            "img_size": [28, 28],
            "ref_feat_shape": [2, 2],
            "global_pool": "",
            "use_post_transformer_norm": False,
            "init_values": 0.1,
        },
    },
    "qwen2_5_omni_thinker": {"text_config.rope_parameters": MROPE},
    "qwen2_5_vl": {"text_config.rope_parameters": MROPE},
    "qwen2_vl": {"text_config.rope_parameters": MROPE},
    "qwen4_exp": {f"text_config.{key}": value for key, value in INDEXER.items()},
    "qwen4_exp_text": INDEXER,
    "reformer": {
        "is_decoder": True,
        "axial_pos_embds_dim": [16, 48],
        "axial_pos_shape": [8, 16],
    },
    "step3p7": {"text_config.sliding_window": 64},
    "unlimited_ocr": {"text_config.num_key_value_heads": HEADS},
    "xmod": {"default_language": "en_XX"},
    "zamba": ZAMBA,
    "zamba2": ZAMBA | {"mamba_headdim": 32, "hybrid_layer_ids": [1, 3]},
}
"""Dotted key -> value, after shrinking. An entry says what the rules above cannot know, or gives
a type whose default shows none of it the parts that make it special."""


def tiny_config(model_type: str) -> PreTrainedConfig:
    """The type's default config with everything that costs memory made small."""
    default = AutoConfig.for_model(model_type)
    small = shrink(default.to_dict())
    for dotted, value in OVERRIDES.get(model_type, {}).items():
        *parents, key = dotted.split(".")
        place = small
        for parent in parents:
            place = place[parent]
        place[key] = value
    return type(default).from_dict(small)


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """The same nested config with small numbers and few layers."""
    depth = next((config[k] for k in DEPTH_KEYS if isinstance(config.get(k), int)), 0)
    kept = pick_layers(config, depth)
    small = {str(key): shrink_value(str(key), value, depth, kept) for key, value in config.items()}
    for key, size in (("head_dim", HEAD_DIM), ("num_key_value_heads", KV_HEADS)):
        if key in config and config[key] is None:
            small[key] = size
    if config.get("kv_lora_rank") and "num_attention_heads" in small:
        # Latent attention expands keys for every head: there are no fewer of them than queries.
        small["num_key_value_heads"] = small["num_attention_heads"]
    if "qk_rope_head_dim" in config and config.get("head_dim") == config["qk_rope_head_dim"]:
        small["head_dim"] = small["qk_rope_head_dim"]
    if "qk_head_dim" in small and "qk_rope_head_dim" in small:
        small["qk_head_dim"] = small["qk_nope_head_dim"] + small["qk_rope_head_dim"]
    rope = small.get("rope_parameters") or small.get("rope_scaling")
    if isinstance(rope, dict) and "mrope_section" in rope:
        head = (
            small.get("qk_rope_head_dim")
            or small.get("head_dim")
            or small["hidden_size"] // small["num_attention_heads"]
        )
        half = int(head * rope.get("partial_rotary_factor", 1.0)) // 2
        rope["mrope_section"] = [half - 2 * (half // 3), half // 3, half // 3]
    return small


DEPTH_KEYS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "num_blocks")


def pick_layers(config: dict[str, Any], depth: int) -> list[int]:
    """Which of `depth` layers to keep: the first of every kind, then the earliest others."""
    lists = [v for v in config.values() if isinstance(v, list) and len(v) == depth]
    special = config.get("per_layer_config") or {}
    kinds: dict[str, int] = {}
    for index in range(depth):
        own = special.get(index) or special.get(str(index))
        kinds.setdefault(repr(([v[index] for v in lists], own)), index)
    chosen = sorted(kinds.values())[:LAYERS]
    others = [index for index in range(depth) if index not in chosen]
    return sorted(chosen + others[: max(0, LAYERS - len(chosen))])


def shrink_value(key: str, value: Any, depth: int, kept: list[int]) -> Any:
    """One entry of a config: numbers by their key, lists by the layers kept, dicts inside."""
    if key == "per_layer_config" and isinstance(value, dict):
        at = {int(index): entry for index, entry in value.items()}
        return {kept.index(i): shrink(entry) for i, entry in at.items() if i in kept}
    if isinstance(value, dict):
        return shrink(value)
    if isinstance(value, list) and depth and len(value) == depth:
        return [shrink_value(key, value[index], 0, []) for index in kept]
    if (
        isinstance(value, list)
        and re.search(r"idx|index|indices|_layers|_ids", key)
        and all(isinstance(item, int) and 0 <= item < depth for item in value)
    ):
        return [kept.index(item) for item in value if item in kept]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return shrink_number(key, value)


def shrink_number(key: str, value: int) -> int:
    """One number by its key: never larger than it was."""
    if re.search(r"token_(id|index)$", key):
        return value if 0 <= value < 3 else 20 + value % (VOCABULARY - 20)
    for pattern, size in RULES:
        if re.fullmatch(pattern, key):
            return min(value, size) if value > 0 else value
    return value
