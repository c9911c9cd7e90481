"""A confirmed knockout of a Hub model, with every fact known. Tests change what they are about."""

from __future__ import annotations

from talo_export.knockout import Knockout
from talo_export.publish.facts import (
    BaseFacts,
    CardFacts,
    ConfirmationFacts,
    EditFacts,
    MethodFacts,
    ProbeFacts,
    SideEffect,
    TaskFacts,
)

CONFIRMED = ConfirmationFacts(
    n=180,
    base_accuracy=0.56,
    accuracy=0.61,
    gain=0.05,
    ci95=(0.01, 0.09),
    p_value=0.012,
    verdict="confirmed",
)
FULL = CardFacts(
    base=BaseFacts(
        name="Owner/Base-2B",
        hub_id="Owner/Base-2B",
        revision="a" * 40,
        license="apache-2.0",
        language=("en", "no"),
        pipeline_tag="image-text-to-text",
    ),
    knockout=Knockout(12),
    n_layers=28,
    is_vlm=True,
    edits=(
        EditFacts("model-1.safetensors", "layers.12.q_proj.weight", "BF16", (64, 32), 4096),
        EditFacts("model-1.safetensors", "layers.12.q_proj.bias", "BF16", (64,), 128),
    ),
    task=TaskFacts(
        name="maps",
        source="derek-thomas/ScienceQA, category Maps",
        scoring="generate",
        chance=0.25,
        n_items=200,
        dataset_id="derek-thomas/ScienceQA",
        dataset_revision="b" * 40,
    ),
    probe=ProbeFacts(n=20, seed=0, gain=0.15, shots=20),
    confirmation=CONFIRMED,
    side_effects=(SideEffect("math", 250, 0.40, 0.38), SideEffect("ocr", 39, 0.70, 0.72)),
    comparison=(
        MethodFacts("base", 0.56),
        MethodFacts("lora", 0.58, 123.4, 5 * 2**30, 99, 2**22, 0.02, (-0.01, 0.05)),
        MethodFacts("dora", None, not_done="3 of 3 diverged"),
    ),
    comparison_says=("At 20 shots lora is the most accurate.",),
    comparison_n=180,
    reproduce=("pip install talo-export", "talo-export probe --model Owner/Base-2B --task maps"),
    edited_files_sha256=(("model-1.safetensors", "ab" * 32),),
    has_plot=True,
    has_base_card=True,
    versions=(("talo-export", "0.1.0"), ("torch", "2.13.0")),
    date="2026-11-21",
)
