"""The model card: `CardFacts` in, the text of `README.md` out.

The number the card states is the confirmed one, with its n and interval; a knockout that is not
confirmed says so before anything else. The wording lives in `card.md.jinja`, beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
import yaml
from huggingface_hub import ModelCard

from talo_export import wording
from talo_export.errors import ProofError, TaloError
from talo_export.evidence.analyses.answers import vanishes
from talo_export.publish.facts import BASE, CardFacts
from talo_export.publish.metadata import card_data, collection_data
from talo_export.publish.snippets import engines, loading_snippet

_CUT = {
    "attention": "the self-attention",
    "o_proj": "the self-attention's output projection",
    "mlp": "the feed-forward block",
    "layer": "the self-attention and the feed-forward block",
}
_HOW = {
    "zero": "set to zero",
    "uniform": "set to uniform averaging (every weight 1/d_out)",
    "mean": "set to its tensors' means",
}
_FILL = {
    "zero": "exact zeros",
    "uniform": "1/d_out in every weight and 0 in every bias",
    "mean": "each tensor's own mean",
}


def render_card(facts: CardFacts) -> str:
    """The whole `README.md`, front matter included, as the Hub will read it.

    Raises `ProofError` if huggingface_hub does not read back the metadata that was meant.
    """
    return _rendered("card.md.jinja", card_data(facts), _words(facts))


def render_collection(facts: Sequence[CardFacts]) -> str:
    """The card of several adapters for one base, each in its `subfolder`.

    Raises as `render_card`.
    """
    first = facts[0]
    words = {
        **_shared_words(first),
        "facts": facts,
        "snippet": loading_snippet(first),
        "mean_effect": _mean_effect,
        "n_confirmed": sum(
            one.confirmation is not None and one.confirmation.verdict == "confirmed"
            for one in facts
        ),
        "unmeasured": [one.subfolder for one in facts if one.side_effects is None],
    }
    return _rendered("collection.md.jinja", collection_data(facts), words)


def _rendered(template: str, data: Any, words: Mapping[str, object]) -> str:
    text = _environment().get_template(template).render(metadata=data.to_yaml(), **words)
    card: Any = read_card(text)
    meant, read_back = data.to_dict(), card.data.to_dict()
    if read_back != meant:
        raise ProofError(
            "The card's metadata does not survive being read back by huggingface_hub: "
            f"wrote {meant}, read {read_back}."
        )
    return text


def read_card(text: str) -> ModelCard:
    """Parse a card as the Hub does. Raises `TaloError` where its metadata is malformed."""
    try:
        return ModelCard(text)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise TaloError(f"The card's metadata cannot be read: {error}") from error


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("talo_export.publish", ""),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["tick"] = "`{}`".format
    return environment


def _words(facts: CardFacts) -> dict[str, object]:
    """What the template prints, worked out once."""
    base, effects = facts.base, facts.side_effects or ()
    gains = [effect.gain for effect in effects]
    confirmation = facts.confirmation
    calibrated = confirmation.calibrated_gain if confirmation else None
    return {
        **_shared_words(facts),
        "facts": facts,
        "task": facts.task,
        "confirmation": confirmation,
        "title": _title(facts),
        "base_name": base.hub_id or BASE,
        "what_was_cut": _CUT[facts.knockout.scope],
        "how_it_was_cut": _HOW[facts.knockout.fill],
        "fill_words": _FILL[facts.knockout.fill],
        "snippet": loading_snippet(facts),
        "engines": engines(facts),
        "scoring": _scoring(facts),
        "source": _source(facts),
        "vanishes": confirmation is not None
        and calibrated is not None
        and vanishes(confirmation.gain, calibrated),
        "side_effects": sorted(effects, key=lambda effect: effect.gain),
        "n_worse": sum(gain < 0 for gain in gains),
        "n_better": sum(gain > 0 for gain in gains),
        "n_certain_losses": sum(
            effect.ci95 is not None and effect.ci95[1] < 0 for effect in effects
        ),
        "macro_gain": sum(gains) / len(gains) if gains else 0.0,
        "files": sorted({edit.file for edit in facts.edits}),
        "bytes_total": sum(edit.bytes for edit in facts.edits),
    }


def _shared_words(facts: CardFacts) -> dict[str, object]:
    """What both cards print of the base, and how numbers and foreign text are written."""
    return {
        "base": facts.base,
        "base_link": _base_link(facts),
        "licence_text": _licence(facts),
        "text": inline,
        "percent": wording.percent,
        "measured": wording.measured,
        "signed": wording.signed,
        "points": wording.points,
        "interval": wording.interval,
        "p_value": wording.p_value,
        "size": wording.size,
        "count": wording.count,
    }


def _mean_effect(facts: CardFacts) -> str:
    if facts.side_effects is None:
        return "not measured"
    gains = [effect.gain for effect in facts.side_effects]
    return wording.signed(sum(gains) / len(gains))


def inline(text: str) -> str:
    """Text from elsewhere, on one line and inert: no markup, no new table column."""
    inert = wording.one_line(text)
    for mark in "\\`*_[]<>|":
        inert = inert.replace(mark, "\\" + mark)
    return inert


def _title(facts: CardFacts) -> str:
    task = f" for {inline(facts.task.name)}" if facts.task else ""
    return f"{facts.base.short_name}, layer {facts.knockout.layer} knocked out{task}"


def _base_link(facts: CardFacts) -> str:
    if facts.base.hub_id is None:
        return f"`{facts.base.short_name}`"
    tree = f"/tree/{facts.base.revision}" if facts.base.revision else ""
    return f"[{facts.base.hub_id}](https://huggingface.co/{facts.base.hub_id}{tree})"


def _scoring(facts: CardFacts) -> str:
    known = {
        "generate": "the letter read out of the greedily generated answer",
        "likelihood": "the choice with the highest log-likelihood (no text is generated, so "
        "figures can differ from those of generated answers)",
    }
    stated = facts.task.scoring if facts.task else "unknown"
    return known.get(stated, stated)


def _source(facts: CardFacts) -> str:
    if facts.task is None:
        return "unknown"
    dataset = facts.task.dataset_id
    if dataset is None:
        return inline(facts.task.source)
    return f"[{dataset}](https://huggingface.co/datasets/{dataset})"


def _licence(facts: CardFacts) -> str:
    base = facts.base
    name = base.license if base.license != "other" or not base.license_name else base.license_name
    return f"[{name}]({base.license_link})" if base.license_link else f"`{name}`"
