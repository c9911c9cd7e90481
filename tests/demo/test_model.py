"""The shipped model is an ordinary checkpoint, and scores what its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from talo_export.demo.bundled import (
    demo_model_directory,
    demo_task_names,
    load_demo_task,
    user_text,
)
from talo_export.tasks.item import LETTERS

SCORES = Path(__file__).parents[2] / "examples" / "demo_model" / "scores.json"
SUBSAMPLE = 60


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForImageTextToText.from_pretrained(demo_model_directory()).eval()


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(demo_model_directory())


def test_the_directory_is_small_and_holds_safetensors_and_a_card() -> None:
    files = [path for path in demo_model_directory().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    assert {"model.safetensors", "config.json", "README.md"} <= {path.name for path in files}
    assert not any(path.suffix in {".bin", ".pt", ".pkl"} for path in files)


def test_plain_from_pretrained_reports_nothing_missing_or_left_over() -> None:
    _, report = AutoModelForImageTextToText.from_pretrained(
        demo_model_directory(), output_loading_info=True
    )
    assert not any(report.values()), report


def test_it_is_a_stock_llava_of_eight_to_sixteen_layers(model: Any) -> None:
    assert model.config.model_type == "llava"
    assert not model.config.to_dict().get("auto_map")
    assert 8 <= len(model.model.language_model.layers) <= 16


@pytest.mark.parametrize("name", ["maps", "positions"])
def test_greedy_answers_are_a_letter_and_score_what_the_card_says(
    model: Any, processor: Any, name: str
) -> None:
    items = load_demo_task(name).items[:SUBSAMPLE]
    texts = [
        processor.apply_chat_template(
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image"},
                        {"type": "text", "text": user_text(str(item.question), item.choices)},
                    ],
                }
            ],
            add_generation_prompt=True,
        )
        for item in items
    ]
    pictures = [item.images[0].open() for item in items]
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    with torch.inference_mode():
        tokens = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    answers = processor.batch_decode(tokens, skip_special_tokens=True)
    assert set(answers) <= set("ABCD")
    right = sum(a == LETTERS[item.answer or 0] for a, item in zip(answers, items, strict=True))
    stated = json.loads(SCORES.read_text())[name]["accuracy"]
    # Three standard errors of a subsample drawn from the 300 items.
    assert right / SUBSAMPLE == pytest.approx(
        stated, abs=3 * (stated * (1 - stated) * 0.8 / SUBSAMPLE) ** 0.5 + 0.01
    )


@pytest.mark.parametrize("name", ["maps", "positions"])
def test_a_task_is_learnt_well_above_chance_and_not_to_the_end(name: str) -> None:
    score = json.loads(SCORES.read_text())[name]
    assert score["chance"] + 0.20 <= score["accuracy"] < 0.95


def test_most_tasks_are_above_chance_by_more_than_their_noise() -> None:
    scores = json.loads(SCORES.read_text()).values()
    above = [
        score["accuracy"] - 2 * (score["chance"] * (1 - score["chance"]) / score["n"]) ** 0.5
        > score["chance"]
        for score in scores
    ]
    assert sum(above) > len(above) / 2


def test_the_card_states_the_measured_numbers_and_its_licence() -> None:
    card = (demo_model_directory() / "README.md").read_text()
    scores = json.loads(SCORES.read_text())
    assert tuple(scores) == demo_task_names()
    assert re.search(r"^license: apache-2.0$", card, re.MULTILINE)
    for name, score in scores.items():
        assert re.search(rf"\| `{name}` \|.*\| {100 * score['accuracy']:.1f} % \|", card), name
