"""A small random Qwen2-VL, complete on disk: weights, configuration, tokenizer, image processor.

python tiny_qwen2_vl.py DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SPECIAL = ("<pad>", "<eos>", "<image>", "<video>", "<vision>", "</vision>")
SIDE = 56
"""Of every picture, in pixels: four by four patches, merged to two by two tokens."""


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        extra_special_tokens=list(SPECIAL[2:]),
    )


def config() -> Qwen2VLConfig:
    """Four decoder layers of 64, a vision tower of two."""
    token = {word: index for index, word in enumerate(SPECIAL)}
    return Qwen2VLConfig(
        text_config={
            "vocab_size": len(SPECIAL) + 256,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            # Random weights of the usual scale hardly disturb each other; these do.
            "initializer_range": 0.2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 3, 3],
            },
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "initializer_range": 0.2,
        },
        image_token_id=token["<image>"],
        video_token_id=token["<video>"],
        vision_start_token_id=token["<vision>"],
        vision_end_token_id=token["</vision>"],
        tie_word_embeddings=False,
    )


def save(directory: Path) -> None:
    """Write it, in bfloat16 as such models are published."""
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration(config()).to(torch.bfloat16)
    model.save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    area = SIDE * SIDE
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": area, "longest_edge": area}, patch_size=14
    ).save_pretrained(directory)


if __name__ == "__main__":
    save(Path(sys.argv[1]))
