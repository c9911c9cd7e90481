"""Rendered prompts, for a person: the text as the model is sent it, special tokens and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_items(document: dict[str, Any], to: Console) -> None:
    """Print the document of `tasks NAME --show N --json`."""
    for number, item in enumerate(document["items"]):
        if number:
            to.print()
        to.print(_heading(item), style="bold", highlight=False, markup=False)
        # As it stands: neither folded nor coloured, so that it can be copied.
        to.print(item["text"], highlight=False, markup=False, soft_wrap=True)
        to.print(f"right answer: {item['right_answer']}", style="green", markup=False)
        for picture in item["pictures"]:
            width, height = picture["size"]
            to.print(f"picture: {picture['file']}, {width} x {height}", highlight=False)


def items_summary(document: dict[str, Any]) -> str:
    """The texts alone."""
    return "\n\n".join(item["text"] for item in document["items"])


def _heading(item: dict[str, Any]) -> str:
    way = "through the chat template" if item["chat_template"] else "as it stands"
    return f"{item['id']}: {item['tokens']} tokens, {way}"
