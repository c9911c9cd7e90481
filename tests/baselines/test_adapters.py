"""Every adapter on a vision-language model in half precision: where it sits, what it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from asking import LIKELIHOOD, QUICK
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from small_models import picture_task
from transformers import LlavaForConditionalGeneration

from talo_export.baselines.adapters import ADAPTERS, attach, detach, save_adapter
from talo_export.baselines.examples import make_example
from talo_export.baselines.training import train
from talo_export.models.loading import LoadedModel, load_model

RATE = 0.05
"""High enough to move a bfloat16 logit in two steps."""


@pytest.fixture
def half(llava_directory: Path) -> LoadedModel:
    """A LLaVA in bfloat16: its vision tower's leaf names are those of its decoder."""
    return load_model(str(llava_directory), dtype="bfloat16", device="cpu")


def logits(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_learns_from_pictures_in_the_decoder_alone_and_loads_with_plain_peft(
    name: str, half: LoadedModel, llava_directory: Path, tmp_path: Path
) -> None:
    examples = [make_example(half, item, LIKELIHOOD) for item in picture_task(2).items]
    assert all("pixel_values" in example.inputs for example in examples)
    inputs = examples[0].inputs
    before = logits(half.model, inputs)

    adapted = attach(half, name, QUICK, seed=0)
    sites = [p for p, m in half.model.named_modules() if isinstance(m, BaseTunerLayer)]
    assert bool(sites) == (name != "prompt-tuning")
    assert all(path.startswith("model.language_model.") for path in sites)
    train(adapted, examples, QUICK, RATE, seed=0)
    after = logits(adapted, inputs)[:, -1]
    assert not torch.equal(after, before[:, -1])
    save_adapter(adapted, tmp_path / "adapter")
    detach(adapted)
    assert torch.equal(logits(half.model, inputs), before)

    stock = LlavaForConditionalGeneration.from_pretrained(llava_directory, dtype=torch.bfloat16)
    # PEFT would make tuned norms float32, which a half-precision model refuses.
    loaded = PeftModel.from_pretrained(
        stock, tmp_path / "adapter", autocast_adapter_dtype=name != "ln-tuning"
    )
    plain = logits(loaded.eval(), inputs)[:, -1]
    # Tuned norms are rounded to bfloat16 there; all else is the same arithmetic.
    tolerance = 0.1 if name == "ln-tuning" else 0.0
    assert float((plain - after).abs().max()) <= tolerance
