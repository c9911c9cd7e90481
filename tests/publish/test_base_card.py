"""What is carried over from the base's card, and what never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from talo_export.publish.base_card import read_base_card


def write_card(directory: Path, metadata: str) -> Path:
    (directory / "README.md").write_text(f"---\n{metadata}\n---\n# Base\n", encoding="utf-8")
    return directory


def test_licence_language_and_kind_are_read(tmp_path: Path) -> None:
    write_card(
        tmp_path, "license: Apache-2.0\nlanguage: [en, no]\npipeline_tag: image-text-to-text"
    )
    facts = read_base_card(tmp_path, "owner/base", "c" * 40)
    assert (facts.license, facts.language) == ("apache-2.0", ("en", "no"))
    assert facts.pipeline_tag == "image-text-to-text"
    assert (facts.hub_id, facts.revision, facts.gated) == ("owner/base", "c" * 40, False)


def test_a_licence_in_prose_becomes_other_with_a_name(tmp_path: Path) -> None:
    facts = read_base_card(write_card(tmp_path, "license: My Own License v2"), "b")
    assert (facts.license, facts.license_name) == ("other", "my-own-license-v2")


def test_name_and_link_of_another_licence_are_kept(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("terms")
    write_card(tmp_path, "license: other\nlicense_name: qwen-research\nlicense_link: LICENSE")
    facts = read_base_card(tmp_path, "b")
    assert (facts.license, facts.license_name, facts.license_link) == (
        "other",
        "qwen-research",
        "LICENSE",
    )


@pytest.mark.parametrize(
    ("hub_id", "link"),
    [("owner/base", "https://huggingface.co/owner/base/blob/main/LICENSE"), (None, None)],
)
def test_a_link_to_a_file_that_is_not_here_points_to_the_base_or_is_dropped(
    tmp_path: Path, hub_id: str | None, link: str | None
) -> None:
    write_card(tmp_path, "license: other\nlicense_name: x\nlicense_link: LICENSE")
    assert (
        read_base_card(tmp_path, hub_id or "b", "c" * 40 if hub_id else None).license_link == link
    )


@pytest.mark.parametrize(
    "card",
    [
        None,
        "no front matter",
        "---\nlicense: [\n---\n",
        "---\n- a\n---\n",
        "---\nlicense: 3\n---\n",
    ],
    ids=["missing", "plain", "broken", "a list", "a number"],
)
def test_a_card_that_says_nothing_usable_gives_unknown_facts(
    tmp_path: Path, card: str | None
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    facts = read_base_card(tmp_path, "b")
    assert facts.license is None
    assert facts.language == ()


def test_a_base_behind_terms_is_recognised(tmp_path: Path) -> None:
    write_card(tmp_path, "license: gemma\nextra_gated_prompt: Accept these terms.")
    assert read_base_card(tmp_path, "b").gated
