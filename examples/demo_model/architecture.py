"""The demo model before training: a stock LLaVA, its tokenizer, its processor, all from configs."""

from __future__ import annotations

import re

import torch
from curriculum import MOST_MARKS, lesson
from exercises import WORDS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from talo_export.demo.drawing import SIZE
from talo_export.demo.questions import TRAINED_KINDS
from talo_export.tasks.item import LETTERS
from talo_export.tasks.prompts import LETTER_INSTRUCTION

PATCH = 12
IMAGE_TOKENS = (SIZE // PATCH) ** 2
PIECES = 480
"""Entries of the vocabulary that are learnt from text; the words of the maps come on top."""
WIDTH = 128
LAYERS = 8
VISION_LAYERS = 4

SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = """{{- bos_token -}}
{%- for message in messages -%}
{{- '<|' + ('assistant' if message['role'] == 'assistant' else 'user') + '|>' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{- '<image>' -}}{%- else -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- if message['role'] == 'assistant' -%}{{- eos_token -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE learnt from the texts of some lessons, and the words of the maps.

    What every multiple-choice question repeats is one token each: the instruction at its end, and
    the letter before a choice with its line break and point. The letter then stands directly
    before the first word of its choice, which is the easiest place to learn to look at.
    """
    lessons = (lesson(seed, n, MOST_MARKS, 0, TRAINED_KINDS)[1] for n in range(10_000, 13_000))
    texts = [text for turns in lessons for turn in turns for text in (turn.user, turn.answer)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        (re.sub(re.escape(LETTER_INSTRUCTION), "", t) for t in texts), trainer
    )
    marks = [LETTER_INSTRUCTION, *(f"\n{letter}." for letter in LETTERS[:8])]
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in marks])
    # With a space before it or without: "Texas" is the same word whether it is an answer, one of
    # the choices or seen in a picture.
    tokenizer.add_tokens(
        [AddedToken(word, lstrip=True, single_word=True, normalized=False) for word in WORDS]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>", "<|user|>", "<|assistant|>"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures to `SIZE` x `SIZE`, scaled to [-1, 1], by PIL alone."""
    pictures = CLIPImageProcessorPil(
        size={"height": SIZE, "width": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """A LLaVA with random weights: CLIP's vision transformer, two-layer projector, Llama."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=352,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        # Biases let a head look at "the token before", whatever it is, by rotary positions alone.
        attention_bias=True,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        # The usual 0.02 suits a width of 2048; this is about one over the square root of ours.
        initializer_range=0.08,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    # Heads that start out with preferences of their own, for words and for distances.
    for layer in model.model.language_model.layers:
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            torch.nn.init.normal_(projection.weight, std=WIDTH**-0.5)
            torch.nn.init.normal_(projection.bias)
    # What sixteen sub-layers add up to should not drown the embeddings (GPT-2's scaling).
    for layer in model.model.language_model.layers:
        for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.normal_(projection.weight, std=(2 * LAYERS * WIDTH) ** -0.5)
    # CLIP's position embeddings start so small that the patches drown them.
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=0.3)
    for projection in (
        model.model.multi_modal_projector.linear_1,
        model.model.multi_modal_projector.linear_2,
    ):
        torch.nn.init.normal_(projection.weight, std=WIDTH**-0.5)
    model.generation_config = GenerationConfig(
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return model
