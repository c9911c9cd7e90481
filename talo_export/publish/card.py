"""The model card: a `Subject` in, the text of `README.md` out.

The number the card states is the confirmed one, with its n and interval; a knockout that is not
confirmed says so before anything else. The wording lives in `card.md.jinja`, beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import jinja2
import yaml
from huggingface_hub import ModelCard, ModelCardData

from talo_export import wording
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.errors import ProofError, TaloError
from talo_export.evidence.analyses.answers import vanishes
from talo_export.evidence.confirmation import Confirmation
from talo_export.foreign_text import code, markdown, visible
from talo_export.publish.metadata import card_data, collection_data, source_words
from talo_export.publish.next_hand import advice
from talo_export.publish.snippets import engines, loading_snippet
from talo_export.publish.subject import BASE, PLOT, Subject
from talo_export.requests.checkpoints import UndoRequest
from talo_export.requests.fields import command_line
from talo_export.requests.measurements import AskRequest, EvaluateRequest

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


def render_card(subject: Subject) -> str:
    """The whole `README.md`, front matter included, as the Hub will read it.

    Raises `ProofError` if huggingface_hub does not read back the metadata that was meant.
    """
    return _rendered("card.md.jinja", card_data(subject), _words(subject))


def render_collection(subjects: Sequence[Subject]) -> str:
    """The card of several adapters for one base, each in its `subfolder`.

    Raises as `render_card`.
    """
    verdicts = [one.confirmation.verdict for one in subjects if one.confirmation]
    words = {
        **_shared_words(subjects[0]),
        "subjects": subjects,
        "snippet": loading_snippet(subjects[0]),
        "mean_effect": _mean_effect,
        "n_confirmed": verdicts.count("confirmed"),
        "unmeasured": [one.subfolder for one in subjects if one.side_effects is None],
    }
    return _rendered("collection.md.jinja", collection_data(subjects), words)


def _rendered(template: str, data: ModelCardData, words: Mapping[str, object]) -> str:
    text = _environment().get_template(template).render(metadata=data.to_yaml(), **words)
    both = (data, read_card(text).data)
    meant, read_back = (part.to_dict() for part in both)  # type: ignore[no-untyped-call]
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
    environment.filters["code"] = code
    return environment


def _words(subject: Subject) -> dict[str, object]:
    """What the template prints, worked out once."""
    effects = sorted((subject.side_effects or {}).items(), key=lambda effect: _gain(effect[1]))
    gains = [_gain(effect) for _, effect in effects]
    confirmation, manifest = subject.confirmation, subject.manifest
    calibrated = confirmation.calibrated_gain if confirmation else None
    picture = ("picture.png",) if subject.model.vlm else ()
    return {
        **_shared_words(subject),
        "subject": subject,
        "model": subject.model,
        "task": subject.task,
        "probe": subject.record.selection,
        "confirmation": confirmation,
        "comparison": subject.record.comparison,
        "versions": manifest.versions,
        "title": _title(subject),
        "how_it_was_cut": _HOW[subject.knockout.fill],
        "fill_words": _FILL[subject.knockout.fill],
        "snippet": loading_snippet(subject),
        "advice": _advice(subject),
        "engines": engines(subject),
        "scoring": _scoring(subject),
        "source": _source(subject),
        "vanishes": confirmation is not None
        and calibrated is not None
        and vanishes(confirmation.gain, calibrated),
        "side_effects": effects,
        "n_worse": sum(gain < 0 for gain in gains),
        "n_better": sum(gain > 0 for gain in gains),
        "n_certain_losses": sum(
            effect.ci95 is not None and effect.ci95[1] < 0 for _, effect in effects
        ),
        "macro_gain": _mean(gains),
        "edits": manifest.edits,
        "files": sorted({edit.file for edit in manifest.edits}),
        "bytes_total": sum(edit.overwritten for edit in manifest.edits),
        "has_plot": PLOT in manifest.added,
        "exporting": subject.export_command(subject.base.hub_id or BASE, "DIR"),
        "asking": command_line(AskRequest(subject.where, subject.question, images=picture)),
        "evaluating": command_line(EvaluateRequest(subject.where, "YOUR_TASK")),
        "undoing": command_line(UndoRequest(subject.where, out="DIR")),
        "has_undo": UNDO_FILE in manifest.added,
    }


def _shared_words(subject: Subject) -> dict[str, object]:
    """What both cards print of the base, and how numbers and foreign text are written."""
    return {
        "base": subject.base,
        "base_link": _base_link(subject),
        "licence_text": _licence(subject),
        "text": markdown,
        "code": code,
        "visible": visible,
        "percent": wording.percent,
        "measured": wording.measured,
        "signed": wording.signed,
        "points": wording.points,
        "interval": wording.interval,
        "p_value": wording.p_value,
        "size": wording.size,
        "count": wording.count,
    }


def _gain(effect: Confirmation) -> float:
    return effect.gain or 0.0


def _mean(gains: Sequence[float]) -> float:
    return sum(gains) / len(gains) if gains else 0.0


def _mean_effect(subject: Subject) -> str:
    if subject.side_effects is None:
        return "not measured"
    return wording.signed(_mean([_gain(effect) for effect in subject.side_effects.values()]))


def _title(subject: Subject) -> str:
    task = f" for {markdown(subject.task.task)}" if subject.task else ""
    return f"{markdown(subject.base.short_name)}, {subject.knockout.label} knocked out{task}"


def _base_link(subject: Subject) -> str:
    if subject.base.hub_id is None:
        return code(subject.base.short_name)
    tree = f"/tree/{subject.base.revision}" if subject.base.revision else ""
    return f"[{subject.base.hub_id}](https://huggingface.co/{subject.base.hub_id}{tree})"


def _advice(subject: Subject) -> tuple[str, ...]:
    """To whoever builds on the checkpoint; empty where no unquantised tensor was zeroed."""
    manifest, knockout = subject.manifest, subject.knockout
    if manifest.storage != "plain" or knockout.fill != "zero":
        return ()
    in_part = [edit.tensor for edit in manifest.edits if edit.overwritten < edit.nbytes]
    zeroed = [edit.tensor for edit in manifest.edits if edit.tensor not in in_part]
    revives = bool(knockout.heads) or knockout.scope in ("o_proj", "mlp")
    return advice(zeroed, revives=revives, in_part=in_part)


def _scoring(subject: Subject) -> str:
    known = {
        "generate": "the answer read out of the greedily generated text",
        "likelihood": "the choice with the highest log-likelihood (no text is generated, so "
        "figures can differ from those of generated answers)",
    }
    stated = subject.task.scoring if subject.task else "unknown"
    return known.get(stated, stated)


def _source(subject: Subject) -> str:
    if subject.task is None:
        return "unknown"
    if subject.data_set is None:
        return markdown(source_words(subject.task))
    name = subject.data_set.repository
    return f"[{name}](https://huggingface.co/datasets/{name})"


def _licence(subject: Subject) -> str:
    base = subject.base
    name = base.license if base.license != "other" or not base.license_name else base.license_name
    return f"[{name}]({base.license_link})" if base.license_link else code(str(name))
