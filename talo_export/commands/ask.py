"""`talo-export ask`: what the base says and what the patched model says, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from talo_export.commands.ask_models import Answer, Asked, AskResult, SideBySide, sides_of
from talo_export.commands.ask_questions import questions_of
from talo_export.foreign_text import visible, visible_lines
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.measurements import AskRequest
from talo_export.requests.settings import DEMO
from talo_export.tasks.prompts import lettered_choices
from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WORD = re.compile(r"\s+|\w+|[^\w\s]")
MARGIN = "  "
ALIKE = 0.5
"""Answers with less in common are set side by side as they are: every word would be marked."""


def run(request: AskRequest, reporter: Reporter = SILENT) -> AskResult:
    """Ask one side, let it go, then ask the other: no two models are in memory at once."""
    sides = sides_of(request)
    questions = questions_of(request, sides.run, model_is_demo=sides.base == DEMO)
    return SideBySide(request, sides, reporter).ask(questions, reporter)


def summary(result: AskResult) -> str:
    """The answer, or both; of many questions how many answers differ and are right."""
    if len(result.questions) == 1:
        (only,) = result.questions
        if only.patched is None:
            return only.base.text
        return f"base: {only.base.text}\n{_cut(result)}: {only.patched.text}"
    return _counts(result)


def show(result: AskResult, to: Console) -> None:
    """Question by question, the two answers in columns; what differs is marked in any case."""
    if result.note is not None:
        to.print(result.note, style="yellow")
    for number, asked in enumerate(result.questions):
        if number:
            to.print()
        _show(asked, _cut(result), to)
    if len(result.questions) > 1:
        to.print()
        to.print(_counts(result))


def _show(asked: Asked, cut: str, to: Console) -> None:
    from rich.text import Text

    question = "\n".join(filter(None, (asked.question, lettered_choices(asked.choices))))
    _print([Text(visible_lines(question), style="bold")], "", to)
    known = [f"picture {visible(image)}" for image in asked.images]
    if asked.right_answer is not None:
        known.append(f"right answer {visible(asked.right_answer)}")
    if known:
        _print([Text(", ".join(known), style="dim")], "", to)
    if asked.patched is None:
        _print([_head("answer", asked.base)], "", to)
        _print([Text(_text(asked.base))], "", to)
        return
    sign = " = " if asked.same else " ≠ "
    plain = to.color_system is None
    _print([_head("base", asked.base), _head(cut, asked.patched)], sign, to)
    _print(marked(_text(asked.base), _text(asked.patched), plain=plain), " " * len(sign), to)


def _head(name: str, answer: Answer) -> Text:
    """The column's name, and beside it, where no answer can forge it, whether it is right."""
    from rich.text import Text

    verdict = {True: ": right", False: ": wrong", None: ""}[answer.correct]
    return Text.assemble((name, "dim"), (verdict, "green" if answer.correct else "red"))


def _text(answer: Answer) -> str:
    return visible_lines(answer.text.expandtabs(4)) or "(nothing)"


def _print(texts: Sequence[Text], between: str, to: Console) -> None:
    """Side by side, wrapped by cells, behind a margin: no line of theirs begins a line of ours."""
    from rich.text import Text

    room = to.width - len(MARGIN) - len(between) * (len(texts) - 1)
    width = max(2, room // len(texts))
    for parts in zip_longest(*(text.wrap(to, width) for text in texts)):
        line = Text(MARGIN)
        for number, part in enumerate(parts):
            if number:
                line.pad_right(len(MARGIN) + width - line.cell_len)
                line.append(between, style="bold")
                between = " " * len(between)
            line.append_text(part or Text())
        line.rstrip()
        to.print(line, no_wrap=True)


def marked(before: str, after: str, *, plain: bool) -> tuple[Text, Text]:
    """Both texts, the words that differ in colour, or between marks as `git diff --word-diff` has
    them: `[-before-]`, `{+after+}`."""
    from rich.text import Text

    left, right = Text(), Text()
    words, others = WORD.findall(before), WORD.findall(after)
    compared = SequenceMatcher(None, words, others, autojunk=False)
    alike = compared.ratio() >= ALIKE
    for kind, a, b, c, d in compared.get_opcodes():
        for text, part, style, (opening, closing) in (
            (left, "".join(words[a:b]), "bold magenta", ("[-", "-]")),
            (right, "".join(others[c:d]), "bold green", ("{+", "+}")),
        ):
            differs = kind != "equal" and part
            if differs and plain and alike:
                part = f"{opening}{part}{closing}"
            text.append(part, style=style if differs else "")
    return left, right


def _cut(result: AskResult) -> str:
    return "patched" if result.knockout is None else result.knockout.without


def _counts(result: AskResult) -> str:
    """How many answers differ, and how many are right where that is known."""
    questions = result.questions
    said = [count(len(questions), "question")]
    if result.patched is not None:
        said.append(f"{sum(not asked.same for asked in questions)} answered differently")
    return ", ".join(chain(said, _right(result, questions)))


def _right(result: AskResult, questions: Sequence[Asked]) -> list[str]:
    if any(asked.right_answer is None for asked in questions):
        return []
    base = sum(bool(asked.base.correct) for asked in questions)
    if result.patched is None:
        return [f"{base} right"]
    after = sum(bool(asked.patched and asked.patched.correct) for asked in questions)
    return [f"{base} right by the base, {after} {_cut(result)}"]
