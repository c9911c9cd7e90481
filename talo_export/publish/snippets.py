"""Code a reader can paste: how this model is loaded and asked one question.

The tests run every one of these in a fresh process against a tiny model of its kind.
"""

from __future__ import annotations

from talo_export.publish.facts import BASE, CardFacts


def loading_snippet(facts: CardFacts) -> str:
    """Load and ask once, with transformers (and peft for an adapter), nothing of ours."""
    return "\n".join([*_load(facts), "", *_ask(facts)])


def short_snippet(repo_id: str, *, auto_class: str) -> str:
    """Three lines that load a checkpoint from the Hub, for the end of a push."""
    return "\n".join(
        [
            f"from transformers import {auto_class}",
            "",
            f'model = {auto_class}.from_pretrained("{repo_id}", dtype="auto")',
        ]
    )


def _load(facts: CardFacts) -> list[str]:
    auto, reader = facts.auto_class, "AutoProcessor" if facts.is_vlm else "AutoTokenizer"
    name = "processor" if facts.is_vlm else "tokenizer"
    base = facts.base.hub_id or BASE
    imports = [f"from transformers import {auto}, {reader}"]
    if facts.kind == "checkpoint":
        return [
            *imports,
            "",
            f'model = {auto}.from_pretrained("{facts.where}", dtype="auto")',
            f'{name} = {reader}.from_pretrained("{facts.where}")',
        ]
    at = f', revision="{facts.base.revision}"' if facts.base.revision else ""
    return [
        "from peft import PeftModel",
        *imports,
        "",
        f'base = {auto}.from_pretrained("{base}"{at}, dtype="auto")',
        f'model = PeftModel.from_pretrained(base, "{facts.where}")',
        f'{name} = {reader}.from_pretrained("{base}"{at})',
    ]


def _ask(facts: CardFacts) -> list[str]:
    question = facts.example_question.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    name = "processor" if facts.is_vlm else "tokenizer"
    if facts.is_vlm:
        content = [
            "content = [",
            '    {"type": "image", "path": "picture.png"},',
            f'    {{"type": "text", "text": "{question}"}},',
            "]",
            'messages = [{"role": "user", "content": content}]',
        ]
    else:
        content = [f'messages = [{{"role": "user", "content": "{question}"}}]']
    if facts.has_chat_template:
        inputs = [
            *content,
            f"inputs = {name}.apply_chat_template(",
            "    messages, add_generation_prompt=True, tokenize=True, return_dict=True,",
            '    return_tensors="pt",',
            ").to(model.device)" if not facts.is_vlm else ").to(model.device, model.dtype)",
        ]
    elif facts.is_vlm:
        inputs = [
            "from PIL import Image",
            "",
            "# This model has no chat template: write the prompt its base was trained on.",
            f'prompt = getattr(processor, "image_token", "<image>") + "\\n{question}"',
            'picture = Image.open("picture.png").convert("RGB")',
            'inputs = processor(text=prompt, images=picture, return_tensors="pt")'
            ".to(model.device, model.dtype)",
        ]
    else:
        inputs = [f'inputs = tokenizer("{question}", return_tensors="pt").to(model.device)']
    return [
        *inputs,
        "output = model.generate(**inputs, max_new_tokens=32, do_sample=False)",
        'answer = output[0, inputs["input_ids"].shape[1] :]',
        f"print({name}.decode(answer, skip_special_tokens=True))",
    ]
