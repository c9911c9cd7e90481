"""What the base's own card states and may be carried over: licence, languages, kind of model.

Its evaluation results are claims about another set of weights and are never read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from talo_export.checkpoint.placing import CARD
from talo_export.wording import last_part

LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")
"""How the Hub's licence identifiers look. Which ones exist changes, so the Hub is asked at push."""

LINK = re.compile(r"(https?://)?[^\s:()<>\[\]]+")
"""What a link of Markdown may hold: an address on the web, or a file's name."""


@dataclass(frozen=True)
class BaseCard:
    """The model that was cut, as its own card states it. `hub_id` is None for a mere directory."""

    name: str
    hub_id: str | None = None
    revision: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    gated: bool = False
    """Whether the base's card asks people to accept terms before they may download it."""

    @property
    def short_name(self) -> str:
        """The last part of the name. A card never shows where a directory lies on a machine."""
        return last_part(self.name).strip("/") or "the base"


def read_base_card(
    directory: Path, name: str, revision: str | None = None, *, card: str = CARD
) -> BaseCard:
    """Read the base's card in `directory`, for what a derived model's card repeats of it.

    `revision` is the commit of a base of the Hub, whose `name` is its id.

    A card that is missing or whose metadata cannot be parsed gives unknowns, not an error: the
    card then says that the licence is unknown, which is the truth about such a base.
    """
    hub_id = name if revision else None
    data = _front_matter(directory / card)
    identifier, license_name, link = _license(data)
    if link and not LINK.fullmatch(link):
        link = None
    elif link and "://" not in link and not (directory / link).is_file():
        # The link names a file of the base's repository that is not beside these weights.
        link = f"https://huggingface.co/{hub_id}/blob/main/{link}" if hub_id else None
    return BaseCard(
        name=name,
        hub_id=hub_id,
        revision=revision,
        license=identifier,
        license_name=license_name,
        license_link=link,
        language=_texts(data.get("language")),
        pipeline_tag=_text(data.get("pipeline_tag")),
        gated=any(key.startswith("extra_gated_") for key in data),
    )


def _front_matter(card: Path) -> dict[str, object]:
    if not card.is_file():
        return {}
    block = REGEX_YAML_BLOCK.search(card.read_text(encoding="utf-8-sig", errors="replace"))
    if block is None:
        return {}
    try:
        data = yaml.safe_load(block.group(2))
    except yaml.YAMLError:
        return {}
    return {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}


def _license(data: dict[str, object]) -> tuple[str | None, str | None, str | None]:
    """(identifier, name, link) in the form the Hub takes: a foreign name becomes `other`."""
    stated = _texts(data.get("license"))
    name, link = _text(data.get("license_name")), _text(data.get("license_link"))
    if not stated:
        return (None, None, None) if not name else ("other", _slug(name), link)
    if len(stated) == 1 and LICENSE_ID.fullmatch(stated[0].lower()):
        identifier = stated[0].lower()
        if identifier == "other":
            # The Hub requires a name here; a base without one keeps its terms, unnamed.
            return "other", _slug(name) if name else "unnamed-license-of-the-base", link
        return identifier, None if name is None else _slug(name), link
    return "other", _slug(name or " and ".join(stated)), link


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.+-]+", "-", name.lower()).strip("-") or "unnamed-license-of-the-base"


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    # YAML 1.1 reads the language code `no` as False; nothing but Norwegian can be meant.
    named = ("no" if entry is False else entry for entry in values)
    return tuple(entry.strip() for entry in named if isinstance(entry, str) and entry.strip())
