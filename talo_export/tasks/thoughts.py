"""What a model put down as its answer: not its thoughts, nor a question that it invents next.

Reasoning models mark their thoughts in many ways. Thoughts that never end hold no answer, however
much they sound like one: the budget of tokens ended first.
"""

from __future__ import annotations

import re

NAMES = r"(?:[a-z]+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad)"
OPEN = (
    rf"<{NAMES}>|◁think▷|\[THINK\]|<\|begin_of_thought\|>|<\|start_thinking\|>|<\|inner_prefix\|>"
    r"|<\|channel>\s*thought|here is my thought process:"
)
CLOSE = (
    rf"</{NAMES}>|◁/think▷|\[/THINK\]|<\|end_of_thought\|>|<\|end_thinking\|>|<\|inner_suffix\|>"
    r"|<channel\|>|here is my response:"
)
OPENS, CLOSES = re.compile(OPEN, re.IGNORECASE), re.compile(CLOSE, re.IGNORECASE)
CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)(?:[^<]|<\|constrain\|>){0,80}(<\|message\|>)?")
"""OpenAI's harmony format: what is for the user stands in the channel `final`."""
LEFT_OPEN = re.compile(rf"(?:{OPEN}|<\|channel\|>analysis<\|message\|>)\s*$", re.IGNORECASE)
MARK = re.compile(
    r"think|thought|channel|message|constrain|inner_(?:pre|suf)fix|_of_box", re.IGNORECASE
)
ANSWER_TAG = re.compile(
    r"<(?P<tag>answer|final_answer|response|solution|conclusion)>(?P<tagged>.*?)(?:</(?P=tag)>|\Z)"
    r"|<\|begin_of_box\|>(?P<boxed>.*?)(?:<\|end_of_box\|>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
ROLE = r"(?:user|human|assistant|system)"
TASK = r"(?:(?:next|new|another)\s+)?(?:question|problem|exercise|task|example)\s*\d{0,3}"
NEXT_QUESTION = re.compile(
    # A label at the start of a line, or behind the end of a sentence.
    rf"(?:\n|(?<=[.!?])[ \t]|[ \t]{{2,}})[ \t]*(?:[*#>]{{1,6}}[ \t]*)?"
    rf"(?:(?:{TASK}|Q\s?\d{{0,3}}|{ROLE})\*{{0,2}}\s?[:.]|(?:{TASK}|{ROLE}|instruction)\*{{0,2}}\n"
    r"|###\s*(?:instruction|input)|问题?\s?\d{0,3}\s?[:：])"
    # Or a paragraph that asks.
    r"|\n[ \t]*\n[ \t]*(?:what|which|who|whose|where|when|why|how)\b[^\n?]{0,300}\?[ \t]*(?:\n|\Z)"
    # Or the end of the model's turn, and whatever comes after it.
    r"|<\|(?:im_end|im_start|eot_id|end|return|endoftext|end_of_text|start_header_id|user)\|>"
    r"|</s>|<eos>|<(?:end|start)_of_turn>|\[INST\]",
    re.IGNORECASE,
)


def is_mark(token: str) -> bool:
    """Whether a special token marks thoughts or an answer, and so must not be dropped unread."""
    return MARK.search(token) is not None


def left_open(prompt: str) -> str:
    """The mark with which a prompt's end opens the model's thoughts; empty where it opens none."""
    match = LEFT_OPEN.search(prompt)
    return match.group().strip() if match else ""


def without_thoughts(text: str) -> str:
    """What stands behind a model's thoughts, inside its answer tag where there is one.

    Nothing where the thoughts never ended. What was answered before a thought counts where
    nothing follows it.
    """
    text = _final_channel(text)
    ends = [match.end() for match in CLOSES.finditer(text)]
    behind = text[ends[-1] :] if ends else text
    opening = OPENS.search(behind)
    answer = behind[: opening.start()] if opening else behind
    if ends and not answer.strip():
        first = OPENS.search(text)
        answer = text[: first.start()] if first and first.start() < ends[-1] else ""
    tags = [match["tagged"] or match["boxed"] or "" for match in ANSWER_TAG.finditer(answer)]
    tags = [tag for tag in tags if tag.strip()]
    return tags[-1] if tags else answer


def up_to_next_question(text: str) -> str:
    """The text before a question, or another speaker's turn, that the model went on to invent."""
    start = len(text) - len(text.lstrip())
    match = NEXT_QUESTION.search(text, start + 1)
    return text[: match.start()] if match else text


def _final_channel(text: str) -> str:
    channels = list(CHANNEL.finditer(text))
    if channels:
        finals = [m for m in channels if m.group(1).casefold() == "final" and m.group(2)]
        return text[finals[-1].end() :].partition("<|")[0] if finals else ""
    # The same format once its special tokens were dropped.
    if re.match(r"\s*analysis[^\s.,:;]", text) or "assistantfinal" in text:
        return text.rpartition("assistantfinal")[2] if "assistantfinal" in text else ""
    return text
