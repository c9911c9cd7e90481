"""Code a reader can paste: how this model is loaded and asked one question.

The tests run every one of these in a fresh process against a tiny model of its kind.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from talo_export.foreign_text import json_text
from talo_export.publish.base_card import BaseCard
from talo_export.publish.subject import BASE, HERE, Subject


@dataclass(frozen=True)
class Engine:
    """Another engine's name and the shell lines that run this model with it."""

    name: str
    code: str


def loading_snippet(subject: Subject) -> str:
    """Load and ask once, with transformers (and peft for an adapter), nothing of ours."""
    return "\n".join([*_load(subject), "", *_ask(subject)])


def short_snippet(repo_id: str, *, auto_class: str, gguf_file: str | None = None) -> str:
    """Three lines that load a checkpoint from the Hub, for the end of a push."""
    line = loading_line(repo_id, auto_class, gguf_file=gguf_file)
    return "\n".join([f"from transformers import {auto_class}", "", f"model = {line}"])


def loading_line(where: str, auto_class: str, *, gguf_file: str | None = None) -> str:
    """The one call that loads a checkpoint, from the Hub or from a directory of any name."""
    how = f"gguf_file={_literal(gguf_file)}" if gguf_file else 'dtype="auto"'
    return f"{auto_class}.from_pretrained({_literal(where)}, {how})"


def _literal(text: str) -> str:
    """The text as Python has it, in double quotes."""
    return json_text(json.dumps(text, ensure_ascii=False))


def adapter_snippet(
    repo_id: str, base: BaseCard, *, auto_class: str, subfolder: str | None = None
) -> str:
    """The same for an adapter: its base first."""
    first = f"from peft import PeftModel; from transformers import {auto_class}"
    return "\n".join([first, *_load_adapter(repo_id, base, auto_class, subfolder)])


def _load_adapter(where: str, base: BaseCard, auto_class: str, subfolder: str | None) -> list[str]:
    inside = f', subfolder="{subfolder}"' if subfolder else ""
    return [
        f'base = {auto_class}.from_pretrained({_named(base)}, dtype="auto")',
        f'model = PeftModel.from_pretrained(base, "{where}"{inside})',
    ]


def _named(base: BaseCard) -> str:
    """The base as arguments of what loads it, with its revision where that is known."""
    at = f', revision="{base.revision}"' if base.revision else ""
    return f'"{base.hub_id or BASE}"{at}'


def engines(subject: Subject) -> tuple[Engine, ...]:
    """What else serves a checkpoint, as far as its kind and storage allow.

    vLLM reads the directory. llama.cpp reads GGUF: the file itself, or what its own converter makes
    of weights that are not quantised, in two files where there is a vision tower.
    """
    if subject.kind == "adapter":
        return ()
    if subject.gguf_file is not None:
        fetch, here = _fetched(subject, subject.gguf_file, local_dir=".")
        file = subject.gguf_file if here == "." else f"{here}/{subject.gguf_file}"
        lines = [*fetch, f"llama-cli -m {shlex.quote(file)} -p {_quoted(subject.question)}"]
        return (Engine("llama.cpp", "\n".join(lines)),)
    vllm = Engine("vLLM", f"vllm serve {subject.where}")
    if subject.manifest.storage != "plain":
        return (vllm,)
    fetch, here = _fetched(subject, local_dir="model")
    convert = f"python llama.cpp/convert_hf_to_gguf.py {here} --outfile model.gguf"
    lines = [*fetch, convert]
    if subject.model.vlm:
        lines += [
            f"{convert} --mmproj  # writes mmproj-model.gguf",
            "llama-mtmd-cli -m model.gguf --mmproj mmproj-model.gguf --image picture.png "
            f"-p {_quoted(subject.question)}",
        ]
    else:
        lines.append(f"llama-cli -m model.gguf -p {_quoted(subject.question)}")
    return (vllm, Engine("llama.cpp, after its own converter", "\n".join(lines)))


def _fetched(subject: Subject, *files: str, local_dir: str) -> tuple[list[str], str]:
    """The line that downloads (none for a directory that is here already), and where it then is."""
    if subject.where == HERE:
        return [], HERE
    return [
        shlex.join(["hf", "download", subject.where, *files, "--local-dir", local_dir])
    ], local_dir


def _quoted(text: str) -> str:
    return shlex.quote(" ".join(text.split()))


def _load(subject: Subject) -> list[str]:
    auto, reader = subject.auto_class, "AutoProcessor" if subject.model.vlm else "AutoTokenizer"
    name = "processor" if subject.model.vlm else "tokenizer"
    imports = [f"from transformers import {auto}, {reader}"]
    if subject.gguf_file is not None:
        return [
            *imports,
            "",
            "# Not where the base lies: transformers would read a file of that name there instead.",
            f"where, file = {_literal(subject.where)}, {_literal(subject.gguf_file)}",
            f"model = {auto}.from_pretrained(where, gguf_file=file)",
            f"{name} = {reader}.from_pretrained(where, gguf_file=file)",
        ]
    if subject.kind == "checkpoint":
        return [
            *imports,
            "",
            f"model = {loading_line(subject.where, auto)}",
            f'{name} = {reader}.from_pretrained("{subject.where}")',
        ]
    return [
        "from peft import PeftModel",
        *imports,
        "",
        *_load_adapter(subject.where, subject.base, auto, subject.subfolder),
        f"{name} = {reader}.from_pretrained({_named(subject.base)})",
    ]


def _ask(subject: Subject) -> list[str]:
    question = subject.question.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    name = "processor" if subject.model.vlm else "tokenizer"
    if subject.model.vlm:
        content = [
            "content = [",
            '    {"type": "image", "path": "picture.png"},',
            f'    {{"type": "text", "text": "{question}"}},',
            "]",
            'messages = [{"role": "user", "content": content}]',
        ]
    else:
        content = [f'messages = [{{"role": "user", "content": "{question}"}}]']
    if subject.model.chat_template:
        inputs = [
            *content,
            f"inputs = {name}.apply_chat_template(",
            "    messages, add_generation_prompt=True, tokenize=True, return_dict=True,",
            '    return_tensors="pt",',
            ").to(model.device)" if not subject.model.vlm else ").to(model.device, model.dtype)",
        ]
    elif subject.model.vlm:
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
