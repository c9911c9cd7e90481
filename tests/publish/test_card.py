"""What a card must say, and what it must never say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from hypothesis import given, settings
from hypothesis import strategies as st
from results import BASE, CONFIRMED, CONSTANT, TASK, subject

from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.publish.base_card import BaseCard
from talo_export.publish.card import read_card, render_card
from talo_export.publish.metadata import eval_result_files
from talo_export.publish.subject import Subject
from talo_export.wording import one_line

FULL = subject()
BARE = subject(
    base=BaseCard(name="/home/someone/models/base-2b"),
    revision=None,
    added=(),
    files={},
    versions={},
    **dict.fromkeys(("task", "selection", "confirmation", "side_effects", "comparison")),
)


def body(shown: Subject) -> str:
    return ModelCard(render_card(shown)).text


def opening(shown: Subject) -> str:
    """What a reader sees before the first heading of the second level."""
    return body(shown).split("\n## ")[0]


def test_the_metadata_links_base_licence_and_kind_of_task() -> None:
    data = ModelCard(render_card(FULL)).data.to_dict()
    assert data["base_model"] == "Owner/Base-2B"
    assert data["base_model_relation"] == "finetune"
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-text-to-text"
    assert data["language"] == ["en", "no"]


def test_data_that_only_probed_is_not_listed_as_data_that_trained() -> None:
    text = render_card(FULL)
    assert "datasets" not in ModelCard(text).data.to_dict()
    assert "derek-thomas/ScienceQA" in text


def test_the_model_index_states_the_confirmed_accuracy_not_the_probed_one() -> None:
    (result,) = ModelCard(render_card(FULL)).data.eval_results
    assert result.metric_value == pytest.approx(0.61)
    assert result.dataset_type == "derek-thomas/ScienceQA"
    assert "180 items" in result.metric_name


def test_methods_stand_with_spread_interval_and_what_diverged() -> None:
    text = body(FULL)
    lora = next(line for line in text.splitlines() if line.startswith("| lora |"))
    assert lora.startswith("| lora | 58.0 % ± 2.0 (1 of 3 diverged) | -1.0 to +5.0 | 123.4 |")
    assert "| dora | 3 of 3 out of memory |" in text
    assert "At 20 shots lora is the most accurate: 58.0 %" in text


def test_an_adapter_is_a_peft_model_and_an_adapter_of_its_base() -> None:
    data = ModelCard(render_card(subject(storage="adapter", edits=()))).data
    assert (data.library_name, data["base_model_relation"]) == ("peft", "adapter")


def test_a_gguf_file_has_a_library_of_its_own() -> None:
    assert ModelCard(render_card(subject(storage="gguf"))).data.library_name == "gguf"


def test_the_card_of_an_adapter_lists_no_tensors() -> None:
    text = body(subject(storage="adapter", edits=()))
    assert "| tensor |" not in text
    assert "`adapter_config.json` names to exactly 0" in text


def test_a_base_that_is_only_a_directory_gives_no_base_model_and_no_path() -> None:
    text = render_card(BARE)
    assert "base_model" not in ModelCard(text).data.to_dict()
    assert "base-2b" in text
    assert "/home" not in text


def test_the_confirmed_gain_stands_with_its_n_and_interval_in_the_first_paragraph() -> None:
    first = opening(FULL)
    assert "+5.0 points" in first
    assert "180 items never probed" in first
    assert "95 % interval +1.0 to +9.0" in first


def test_a_gain_that_one_choice_everywhere_gets_too_is_not_the_first_thing_a_card_says() -> None:
    card = body(subject(confirmation=CONSTANT))
    assert card.index("**No better than one choice everywhere.**") < card.index(
        "never probed it answers 25.0 %"
    )
    assert "the same everywhere gets 25.0 %" in card
    assert "No better than" not in body(FULL)


def test_an_interval_and_an_exact_test_that_disagree_are_explained() -> None:
    assert "paired 95 % interval | p, exact test |" in body(FULL)
    assert "at the edge" not in body(FULL)
    assert "at the edge" in body(subject(confirmation=replace(CONFIRMED, p_value=0.07)))


@pytest.mark.parametrize(
    ("verdict", "ci95", "says"),
    [
        ("unconfirmed", (-0.02, 0.12), "Not confirmed"),
        ("harmful", (-0.12, -0.02), "Harmful"),
    ],
)
def test_a_knockout_that_is_not_confirmed_says_so_before_anything_else(
    verdict: str, ci95: tuple[float, float], says: str
) -> None:
    confirmation = replace(CONFIRMED, verdict=verdict, ci95=ci95)
    text = body(subject(confirmation=confirmation))
    lines = [line for line in text.splitlines() if line]
    assert lines[0].startswith("# ")
    assert lines[1].startswith(f"> **{says}.**")
    assert "no gain has been confirmed" in text


def test_a_layer_named_by_hand_claims_nothing() -> None:
    text = render_card(BARE)
    assert "**Not measured.** The layer was named by hand." in text
    assert "points" not in text
    assert "model-index" not in text
    assert eval_result_files(BARE.record) == {}


@pytest.mark.parametrize(
    ("knockout", "said"),
    [
        (Knockout(3, also=(12,)), ("layers 3 and 12 knocked out", "The layers were named by hand",
         "the self-attention of decoder layers 3 and 12", "--layer 3 --layer 12")),
        (Knockout(12, "mlp"), ("layer 12 knocked out", "The layer was named by hand",
         "the feed-forward block of decoder layer 12", "--layer 12 --out OUT --scope mlp")),
        (Knockout(12, heads=((0, 4),)), ("heads 0 and 4 of layer 12 knocked out",
         "The heads were named by hand", "attention heads 0 and 4 of decoder layer 12",
         "--heads 12:0,4")),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_cut_is_named_and_how_to_do_it_again(
    knockout: Knockout, said: tuple[str, ...]
) -> None:
    text = render_card(replace(BARE, manifest=replace(BARE.manifest, format_version=0,
                                                      knockout=knockout)))  # fmt: skip
    for words in said:
        assert words in text


def test_what_got_worse_is_a_table_sorted_from_the_worst() -> None:
    text = body(FULL)
    assert "2 other tasks: 1 got worse, 1 got better, on average 0.0 points" in text
    assert text.index("| math | 250 |") < text.index("| ocr | 39 |")


def test_side_effects_nobody_measured_are_called_not_measured() -> None:
    section = body(subject(side_effects=None)).split("## What got worse")[1]
    assert section.lstrip().startswith("Not measured.")


def test_a_gain_that_vanishes_under_calibration_is_called_a_possible_answer_bias() -> None:
    vanished = subject(confirmation=replace(CONFIRMED, calibrated_gain=-0.01))
    kept = subject(confirmation=replace(CONFIRMED, calibrated_gain=0.04))
    assert "An answer bias may explain it" in body(vanished)
    assert "An answer bias" not in body(kept)
    assert "corrected in both models the gain is +4.0 points" in body(kept)


def test_every_edited_tensor_is_listed_with_dtype_shape_file_and_size() -> None:
    text = body(FULL)
    assert "| `layers.12.q_proj.weight` | BF16 | 64 × 32 | `model-1.safetensors` | 4 KiB |" in text
    assert "2 tensors in 1 file, 4.12 KiB in all, overwritten in place with exact zeros" in text
    assert "ab" * 32 in text


@pytest.mark.parametrize("shown", [FULL, BARE], ids=["full", "bare"])
def test_no_card_has_placeholders_or_holes(shown: Subject) -> None:
    text = render_card(shown)
    for hole in ("More Information Needed", "None", "{{", "}}", "{%", "TODO", "nan"):
        assert hole not in text
    assert "\n\n\n\n" not in text


def test_an_unknown_licence_is_said_to_be_unknown() -> None:
    text = render_card(BARE)
    assert "license:" not in text
    assert "Unknown: the card of `base-2b` states no licence" in text


def test_a_licence_of_its_own_is_named_and_linked() -> None:
    base = replace(BASE, license="other", license_name="qwen-research", license_link="LICENSE")
    text = render_card(subject(base=base))
    assert "license_name: qwen-research" in text
    assert "[qwen-research](LICENSE)" in text


def test_undo_names_the_command_only_where_the_original_tensors_are_kept() -> None:
    assert "talo-export undo" in body(subject(added=(UNDO_FILE,)))
    assert "talo-export undo" not in body(FULL)
    assert f"take the base at revision `{'a' * 40}`" in body(FULL)


def test_the_fill_and_the_scope_are_said_in_words() -> None:
    text = opening(subject(knockout=Knockout(3, "o_proj", "uniform")))
    assert "output projection of decoder layer 3 (of 28, counted from 0)" in text
    assert "uniform averaging" in text


def test_eval_results_are_read_back_by_the_hub_s_own_parser() -> None:
    ((name, content),) = eval_result_files(FULL.record).items()
    (entry,) = parse_eval_result_entries(yaml.safe_load(content))
    assert name == ".eval_results/maps.yaml"
    assert (entry.dataset_id, entry.task_id) == ("derek-thomas/ScienceQA", "maps")
    assert entry.value == pytest.approx(0.61)
    assert entry.dataset_revision == "b" * 40
    assert "180 items" in entry.notes
    assert "confirmed" in entry.notes


def test_eval_results_of_a_local_task_say_that_it_is_no_hub_data_set() -> None:
    task = replace(TASK, task="my maps", task_source="my maps.jsonl")
    ((name, content),) = eval_result_files(subject(task=task).record).items()
    (entry,) = parse_eval_result_entries(yaml.safe_load(content))
    assert name == ".eval_results/my-maps.yaml"
    assert "/" not in entry.dataset_id
    assert "not a Hub data set: my maps.jsonl" in entry.notes


HEADINGS = [line for line in body(FULL).splitlines() if line.startswith("## ")]


@settings(max_examples=40)
@given(name=st.text(min_size=1, max_size=40), source=st.text(min_size=1, max_size=40))
def test_no_task_name_breaks_the_card(name: str, source: str) -> None:
    shown = subject(task=replace(TASK, task=name, task_source=source))
    card = ModelCard(render_card(shown))
    headings = [line for line in card.text.splitlines() if line.startswith("## ")]
    assert headings == HEADINGS
    assert card.data.eval_results[0].dataset_name == (one_line(name) or "task")
    for path, content in eval_result_files(shown.record).items():
        assert path.count("/") == 1
        assert parse_eval_result_entries(yaml.safe_load(content))[0].value == pytest.approx(0.61)


def test_metadata_that_is_no_yaml_is_one_sentence() -> None:
    with pytest.raises(TaloError, match="metadata cannot be read"):
        read_card("---\nlicense: [\n---\n# A card\n")


def test_a_line_that_exports_again_is_quoted() -> None:
    base = replace(BASE, name="my models/a base", hub_id=None)
    text = body(subject(base=base, task=None, confirmation=None, selection=None))
    assert "talo-export export --model 'my models/a base' --layer 12 --out OUT" in text


def test_base_and_patched_model_are_asked_side_by_side_by_a_line_of_the_card() -> None:
    asks = "talo-export ask path/to/this/directory 'What is shown here?' --image picture.png"
    assert asks in body(FULL)
