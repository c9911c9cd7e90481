"""The parts of tiny models: tokenizers, configs, processors. What is asked of them is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}{{ turn['role'] }}: "
    "{% if turn['content'] is string %}{{ turn['content'] }}"
    "{% else %}{% for part in turn['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}{{ '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
VOCABULARY = 256 + len(SPECIAL)


def byte_tokenizer(
    template: str | None = TEMPLATE,
    merges: Sequence[tuple[str, str]] = (),
    *,
    adds_start: bool = True,
) -> PreTrainedTokenizerFast:
    """One token a byte, more for `merges`; may add a beginning-of-text token by itself."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, list(merges)))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if adds_start:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=["<image>"],
    )
    tokenizer.chat_template = template
    return tokenizer


def word_tokenizer(
    words: Sequence[str], template: str | None = None, **special: Any
) -> PreTrainedTokenizerFast:
    """One token a word; every other word is `<unk>`. `words` hold the special ones too."""
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", additional_special_tokens=["<image>"], **special
    )
    tokenizer.chat_template = template
    return tokenizer


def text_config(layers: int, **changes: Any) -> LlamaConfig:
    """A Llama's config, a few thousand weights a layer."""
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        # Random weights of the usual scale hardly disturb each other; these do.
        "initializer_range": 0.2,
    }
    return LlamaConfig(**{**shape, **changes})


def llava_config(text: LlamaConfig, *, image_token: int = 3) -> LlavaConfig:
    """A LLaVA around `text`: four image tokens a picture of 16 pixels."""
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=8, projection_dim=16, initializer_range=0.2,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=image_token,
        image_seq_length=4,
        initializer_range=0.2,
    )


def llava_processor(
    tokenizer: PreTrainedTokenizerFast, template: str | None = TEMPLATE
) -> LlavaProcessor:
    """The processor of such a LLaVA."""
    size = {"height": 16, "width": 16}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=template,
        image_token="<image>",
        num_additional_image_tokens=1,
    )
