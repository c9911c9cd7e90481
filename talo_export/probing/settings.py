"""How an item is scored: everything besides the model and the task that an outcome depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from talo_export.errors import UsageError
from talo_export.tasks.item import Item

Kind = Literal["generate", "likelihood"]
Normalise = Literal["none", "tokens", "characters"]

LETTER_TOKENS = 16
"""New tokens for an item with choices: room for "The answer is (B)." and a little more."""
FREE_TOKENS = 64
"""New tokens for a free-form item."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """`generate`: greedy text, its answer read by rule. `likelihood`: the choices compared.

    `choice_text` None means: each choice's text where the item is a verbatim prompt or shows no
    letters, its letter otherwise. `normalise` divides a choice text's log-likelihood by its number
    of tokens or characters. `max_new_tokens` None means what the item's task says, else 16 for
    choices and 64 for free-form. `prompt_style` None is the tasks' own default style; `system` a
    system message, None for none.
    """

    kind: Kind = "generate"
    choice_text: bool | None = None
    normalise: Normalise = "none"
    max_new_tokens: int | None = None
    prompt_style: str | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise UsageError(
                f"max_new_tokens is {self.max_new_tokens}: an answer needs at least one token."
            )
        if self.kind == "likelihood" and self.max_new_tokens is not None:
            raise UsageError(
                "max_new_tokens is how long an answer may get, but likelihood writes none: use it "
                "with scoring generate."
            )
        if self.kind == "generate" and (self.choice_text is not None or self.normalise != "none"):
            raise UsageError(
                "choice_text and normalise compare likelihoods: use them with scoring likelihood."
            )

    def new_tokens(self, item: Item) -> int:
        """How many tokens an item may generate: ours to say, else its task's, else by its kind."""
        usual = LETTER_TOKENS if item.choices else FREE_TOKENS
        return self.max_new_tokens or item.max_new_tokens or usual

    def identity(self) -> dict[str, str]:
        """Name -> value of every setting, as text: two scorings are equal when these are."""
        return {f"scoring.{name}": str(value) for name, value in asdict(self).items()}
