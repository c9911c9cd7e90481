"""A planted case: a model, and a task whose right answers are what it says without layer 2.

And the installed command, as a user runs it on one.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
from probe_models import loaded_llama
from tiny_models import byte_tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel, load_model
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.item import LETTERS, Item

PLANTED = 2
LAYERS = 5
ITEMS = 90

STOCK_CHOICE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

def choice(model, tokenizer, row):
    lines = [row["question"]]
    lines += [f"{letter}. {text}" for letter, text in zip("ABCD", row["choices"])]
    lines += ["Answer with the option's letter from the given choices directly."]
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "\\n".join(lines)}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )["input_ids"]
    with torch.no_grad():
        last = model(ids).logits[0, -1]
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD"]
    return int(last[letters].argmax())
"""
"""The start of scripts that ask a planted item as the probe does, with nothing but transformers."""


@dataclass(frozen=True)
class Planted:
    """A checkpoint directory and a task file for it."""

    model: Path
    task: Path


def plant(folder: Path) -> Planted:
    """Knocking out the attention of layer `PLANTED` makes nine answers in ten right."""
    loaded = loaded_llama(LAYERS)
    loaded.model.save_pretrained(folder / "model", max_shard_size="60kB")
    loaded.tokenizer.save_pretrained(folder / "model")
    (folder / "model" / "README.md").write_text("---\nlicense: mit\n---\n# A tiny model\n")
    return Planted(folder / "model", plant_task(loaded, folder / "planted.jsonl"))


def plant_gguf(folder: Path) -> Planted:
    """The same in one GGUF file, `model.gguf`, tokenizer included."""
    # GPT-2's tokenizer is none without a merge.
    tokenizer = byte_tokenizer(merges=[("a", "b")])
    source = loaded_llama(LAYERS, tokenizer, vocab_size=len(tokenizer))
    file = write_gguf(folder / "model.gguf", source.model, source.tokenizer)
    loaded = load_model(str(file), dtype="float32", device="cpu")
    return Planted(file, plant_task(loaded, folder / "planted.jsonl"))


def write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A Llama in float32 as GGUF; queries and keys are read in another order, so it is another."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    words = tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    writer.add_token_list([word or f"<{index}>" for index, word in enumerate(words)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(names.get_name(name, (".weight",)), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def plant_task(loaded: LoadedModel, file: Path) -> Path:
    """A task file of the model's own answers without layer `PLANTED`, nine in ten of them."""
    items = [
        Item(
            id=f"item-{number:02d}",
            group=f"item-{number:02d}",
            question=f"What is the {number}th of {number * 37 % 101} things?",
            choices=(f"one {number}", f"two {number * 3 % 17}", f"three {number % 7}", "four"),
            answer=0,
        )
        for number in range(ITEMS)
    ]
    knockout = Knockout(PLANTED)
    table = sweep(loaded, items, (None, knockout), Scoring("likelihood")).table
    said = table.choice[table.row(knockout)]
    rows = [
        {
            "id": item.id,
            "question": item.question,
            "choices": list(item.choices),
            "answer": LETTERS[(int(said[number]) + (number % 10 == 0)) % 4],
        }
        for number, item in enumerate(items)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def plant_two_tasks(planted: Planted, file: Path) -> Path:
    """A file of two categories: the planted task, and the same questions answered at random."""
    chance = random.Random(1)
    rows = [json.loads(line) for line in planted.task.read_text().splitlines()]
    categories = [
        *({**row, "category": "planted"} for row in rows),
        *(
            {
                **row,
                "id": f"other-{row['id']}",
                "category": "other",
                "answer": chance.choice("ABCD"),
            }
            for row in rows
        ),
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in categories))
    return file


def talo_export(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user does."""
    command = [str(Path(sys.executable).with_name("talo-export")), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
