"""What whoever builds on a checkpoint with zeroed tensors must know: one sentence each.

Held by `tests/publish/test_next_hand.py` with the libraries themselves: torchao and quanto
quantise, peft trains.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os.path import commonpath

from talo_export.foreign_text import code


def modules_to_leave_out(zeroed: Collection[str]) -> tuple[str, ...]:
    """Patterns of the modules that hold the tensors named `zeroed`, one a layer.

    As transformers' `modules_to_not_convert` takes them. Names on disk and in the loaded model may
    differ before the list of layers, so that part is left open: `.*layers.11.self_attn`.
    """
    layers: dict[tuple[str, ...], list[str]] = {}
    for name in zeroed:
        parts = name.split(".")
        number = next((at for at, part in enumerate(parts) if part.isdigit()), 0)
        module = "/".join(parts[max(number - 1, 0) : -1])
        layers.setdefault(tuple(parts[: number + 1]), []).append(module)
    return tuple(".*" + commonpath(modules).replace("/", ".") for modules in layers.values())


def advice(
    zeroed: Collection[str], *, revives: bool, in_part: Collection[str] = ()
) -> tuple[str, ...]:
    """For unquantised weights in which the tensors named `zeroed` are all zero, and of those
    named `in_part` the inputs of some attention heads.

    `revives`: what feeds the zeros is left, so that gradients reach them (heads, scopes `o_proj`
    and `mlp`).
    """
    sentences = []
    if zeroed:
        sentences.append(
            "Quantising to float8 (torchao, quanto) makes every logit NaN, because the scale of an "
            f"all-zero tensor is 0: give it {_leave_out(zeroed)}. Integer and 4-bit formats keep "
            "the zeros."
        )
    if in_part:
        sentences.append(
            "Quantising to int8 or float8 (torchao, quanto) keeps the cut heads at exactly 0; "
            "quanto's int4 brings back a little of those that share a group with others: give it "
            f"{_leave_out(in_part)}."
        )
    tuning = (
        "Tuning on top switches the cut part on again with the first step: exclude the layer to "
        "keep it off."
        if revives
        else "Tuning on top never reaches the cut attention: every gradient in it stays 0. Where "
        "it should learn again export with `--scope o_proj`, or tune the base and cut afterwards."
    )
    merging = "Merging with other weights puts part of it back: merge first, cut afterwards."
    return (*sentences, tuning, merging)


def _leave_out(names: Collection[str]) -> str:
    patterns = ", ".join(f'"{pattern}"' for pattern in modules_to_leave_out(names))
    return code(f"modules_to_not_convert=[{patterns}]")


def rope_advice(config: Mapping[str, object]) -> tuple[str, ...]:
    """For the config of a checkpoint whose base frequency transformers 5 wrote where older readers
    do not look; empty where they read the same."""
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else config
    rope = text.get("rope_parameters")
    theta = rope.get("rope_theta") if isinstance(rope, Mapping) else None
    if not isinstance(theta, int | float) or theta == USUAL_THETA or "rope_theta" in text:
        return ()
    return (
        f"rope_theta ({theta:g}) stands in rope_parameters alone, as transformers 5 writes it: "
        f"transformers 4 and MLX read {USUAL_THETA} instead, silently. For them add "
        f'`"rope_theta": {theta:g}` to config.json.',
    )


USUAL_THETA = 10_000
"""What a reader takes that finds none."""
