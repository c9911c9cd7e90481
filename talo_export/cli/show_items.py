"""Rendered prompts, for a person: the text as the model is sent it, special tokens and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.commands.shown_items import ShownItem, ShownItems


def show_items(shown: ShownItems, to: Console) -> None:
    """Each text between a heading and what goes with it."""
    from rich.text import Text

    for number, item in enumerate(shown.items):
        if number:
            to.print()
        to.print(_heading(item), style="bold")
        # As it stands: neither folded nor coloured, so that it can be copied.
        to.print(Text(item.text), soft_wrap=True)
        to.print(f"right answer: {item.right_answer}", style="green")
        for picture in item.pictures:
            width, height = picture.size
            to.print(f"picture: {picture.file}, {width} x {height}")


def items_summary(shown: ShownItems) -> str:
    """The texts alone."""
    return "\n\n".join(item.text for item in shown.items)


def _heading(item: ShownItem) -> str:
    way = "through the chat template" if item.chat_template else "as it stands"
    return f"{item.id}: {item.tokens} tokens, {way}"
