"""The question reaches the model: what a chat template does with it is checked, not trusted."""

from __future__ import annotations

import pytest
from probe_models import byte_tokenizer, loaded_llama, loaded_llava, picture

from talo_export.errors import TaloError
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import encode, prompt_text
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import render

ROLE = "{% for m in messages %}{{ m['role'] }}: "
END = "\n{% endfor %}assistant: "
TEXTS = f"{ROLE}{{{{ m['content'] }}}}{END}"
"""Prints a list of parts as Python does."""
JOINED = f"{ROLE}{{{{ m['role'] + m['content'] }}}}{END}"
"""Fails on a list of parts."""
FIRST_PART = f"{ROLE}{{{{ m['content'][0]['text'] }}}}{END}"
"""Drops a text, whose first character has no `text`; drops pictures."""
PARTS = (
    ROLE + "{% for p in m['content'] %}{{ '<image>' if p['type'] == 'image' else p['text'] }}"
    "{% endfor %}" + END
)


def text_model(template: object) -> LoadedModel:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    return loaded_llama(2, tokenizer)


def vision_model(template: str | None, tokenizers: str | None = None) -> LoadedModel:
    loaded = loaded_llava(2)
    loaded.processor.chat_template = template
    loaded.tokenizer.chat_template = tokenizers
    return loaded


def question(text: str = "Which one?", pictures: int = 0, **changes: object) -> Item:
    images = tuple(picture(number) for number in range(pictures))
    return Item(
        id="q", group="q", question=text, choices=("red", "green"), answer=0, images=images,
        **changes,
    )  # fmt: skip


def shown(loaded: LoadedModel, item: Item, system: str | None = None) -> str:
    text, templated = prompt_text(loaded, item, render(item), system)
    assert templated
    return text


def test_a_template_that_wants_texts_gets_texts_also_of_a_vision_model() -> None:
    for template in (TEXTS, JOINED):
        for loaded in (text_model(template), vision_model(template)):
            text = shown(loaded, question())
            assert "Which one?\nA. red\nB. green" in text
            assert "type" not in text


def test_blank_lines_of_a_question_stay() -> None:
    item = question("First.\n\n\nSecond?")
    for loaded in (text_model(TEXTS), vision_model(TEXTS), vision_model(PARTS)):
        assert "First.\n\n\nSecond?\nA. red" in shown(loaded, item)


def test_a_template_that_wants_parts_gets_parts_also_of_a_text_model() -> None:
    for template in (PARTS, FIRST_PART):
        assert shown(text_model(template), question()).startswith("user: Which one?\nA. red")


def test_a_vision_template_that_wants_texts_gets_the_pictures_in_them() -> None:
    for template in (TEXTS, JOINED):
        loaded = vision_model(template)
        assert "<image>\nWhich one?" in shown(loaded, question(pictures=1))
        encoded = encode(loaded, question(pictures=2), Scoring(kind="likelihood"))
        assert int((encoded.inputs["input_ids"] == 3).sum()) == 8


def test_a_vision_template_that_stands_with_the_tokenizer_alone_is_used() -> None:
    loaded = vision_model(None, PARTS)
    assert shown(loaded, question(pictures=1)).startswith("user: <image>Which one?")
    encoded = encode(loaded, question(pictures=1), Scoring(kind="likelihood"))
    assert int((encoded.inputs["input_ids"] == 3).sum()) == 4


def test_a_picture_goes_where_the_text_says() -> None:
    item = question("Before <image> and <image> after", pictures=2)
    expected = "user: Before <image> and <image> after\n"
    assert shown(vision_model(PARTS), item).startswith(expected)
    assert shown(vision_model(TEXTS), item).startswith(expected)
    assert shown(vision_model(PARTS), question("<image>\nWhich?", 1)).startswith(
        "user: <image>\nWhich?\n"
    )
    assert shown(vision_model(TEXTS), question("<image>\nWhich?", 1)).startswith(
        "user: <image>\nWhich?\n"
    )


@pytest.mark.parametrize(
    "template",
    [
        f"{ROLE}hello{END}",
        f"{ROLE}{{{{ m['text'] }}}}{END}",
        f"{ROLE}{{{{ m['content'][:9] }}}}{END}",
        f"{ROLE}{{{{ m | tojson }}}}{END}",
        f"{ROLE}{{{{ [m['content']] }}}}{END}",
    ],
)
def test_a_template_that_drops_or_prints_the_question_is_refused(template: str) -> None:
    for loaded in (text_model(template), vision_model(template)):
        with pytest.raises(TaloError, match=r"^the chat template of .* item 'q'.*chat_template"):
            shown(loaded, question())


def test_a_template_that_drops_a_picture_is_refused() -> None:
    first_only = PARTS.replace("in m['content']", "in m['content'][-2:]")
    assert "<image>" in shown(vision_model(first_only), question(pictures=1))
    # The text form has both pictures in it, and none of its characters is a part.
    with pytest.raises(TaloError, match="pictures of item 'q'"):
        shown(vision_model(first_only), question(pictures=2))
    with pytest.raises(TaloError, match="item 'q'"):
        shown(vision_model(FIRST_PART), question(pictures=1))


def test_a_template_that_drops_the_examples_is_refused() -> None:
    last = "{{ messages[-1]['content'] }}\nassistant: "
    asked = question(shots=(question("What came before?"),))
    assert "Which one?" in shown(text_model(last), question())
    with pytest.raises(TaloError, match=r"'What came before\?' is not in it"):
        shown(text_model(last), asked)


def test_templates_without_a_default_are_named() -> None:
    loaded = text_model({"rag": TEXTS, "tool_use": TEXTS})
    with pytest.raises(TaloError, match="chat templates rag, tool_use and none called default"):
        shown(loaded, question())
    assert "Which one?" in shown(text_model({"default": TEXTS, "rag": "x"}), question())


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no') }}", "{{ 1 + '1' }}", "{{ messages[7]['x'] + 1 }}", "{%"]
)
def test_a_template_that_raises_is_a_sentence(template: str) -> None:
    with pytest.raises(TaloError, match=r"^the chat template of .* refuses item 'q': .*\.$"):
        shown(text_model(template), question())
