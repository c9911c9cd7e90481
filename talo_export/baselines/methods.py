"""The methods that are compared, each a small value: which means it combines, nothing else.

A method sees the labelled items of a cell (its shots) and then answers the test items. It may
train an adapter, switch a layer off, correct the prior of the answers, or show the items in the
prompt; the named methods are the combinations worth a row in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from talo_export.errors import UsageError


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the comparison. `adapter` is a name of `adapters.ADAPTERS`, None for none."""

    name: str
    says: str
    """What it does, for a person, in a few words."""
    adapter: str | None = None
    knockout: bool = False
    """Sweep the shots, select a layer, answer without it (the base where none earns it)."""
    calibrated: bool = False
    """Subtract each answer's mean log-probability over the shots before comparing."""
    in_context: bool = False
    """Show the shots, answered, before each test item."""

    @property
    def learns(self) -> bool:
        """Whether it uses the labelled items at all; the base does not, and has no shots."""
        return self.adapter is not None or self.knockout or self.calibrated or self.in_context


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("base", "the model as it is"),
        Method("knockout", "one layer's attention switched off", knockout=True),
        Method("calibration", "the answers' prior corrected", calibrated=True),
        Method(
            "knockout+calibration", "a layer off, the prior corrected", knockout=True,
            calibrated=True,
        ),
        Method("few-shot", "the items as examples in the prompt", in_context=True),
        Method("lora", "low-rank updates of the decoder's matrices", adapter="lora"),
        Method("dora", "LoRA with magnitude and direction apart", adapter="dora"),
        Method("rslora", "LoRA scaled by the root of its rank", adapter="rslora"),
        Method("ia3", "learned scales on attention and feed-forward", adapter="ia3"),
        Method("oft", "orthogonal rotations of the decoder's matrices", adapter="oft"),
        Method("prompt-tuning", "learned vectors before the prompt", adapter="prompt-tuning"),
        Method("ln-tuning", "the decoder's norms alone", adapter="ln-tuning"),
        Method("knockout+lora", "LoRA on the model without the layer", adapter="lora",
               knockout=True),
    )
}  # fmt: skip

DEFAULT_METHODS = ("base", "knockout", "calibration", "knockout+calibration", "few-shot", "lora")
"""What a plain `compare` runs: ours, its training-free rivals, and the usual fine-tuning."""


def methods_named(names: Sequence[str]) -> tuple[Method, ...]:
    """The named methods in the table's order, the base always first; `all` names every one.

    Raises UsageError for an unknown name, naming all there are.
    """
    unknown = [name for name in names if name not in METHODS and name != "all"]
    if unknown:
        raise UsageError(
            f"There is no method {unknown[0]!r}. Choose among: {', '.join(METHODS)}, or all."
        )
    wanted = {"base", *(METHODS if "all" in names else names)}
    return tuple(method for name, method in METHODS.items() if name in wanted)
