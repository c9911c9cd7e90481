"""`ask`: base and patched model on the user's own question, as stock transformers answers it."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from results import NOTHING, probe_result
from small_models import write_llama, write_llava
from transformers import PreTrainedModel

from talo_export import api
from talo_export.cli.output import inert_console
from talo_export.commands import ask
from talo_export.commands.ask_models import Answer, Asked, AskResult
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.requests.measurements import AskRequest
from talo_export.runs.directory import RunDirectory

QUESTION = "Which state is shown?"
TOKENS = 12

STOCK = """
import json, sys
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

said = []
for directory in sys.argv[3:]:
    model = AutoModelForImageTextToText.from_pretrained(directory)
    processor = AutoProcessor.from_pretrained(directory)
    content = [{"type": "image"}, {"type": "text", "text": sys.argv[2]}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(text=text, images=Image.open(sys.argv[1]), return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    answer = output[0, inputs["input_ids"].shape[1] :]
    said.append(processor.decode(answer, skip_special_tokens=True).strip())
print(json.dumps(said))
assert not any(name.startswith("talo_export") for name in sys.modules)
"""


@dataclass(frozen=True)
class Cut:
    """A tiny vision-language model, the same without a layer's attention, and a picture."""

    base: Path
    patched: Path
    picture: Path
    folder: Path


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("ask")
    base, patched, picture = write_llava(folder / "base"), folder / "patched", folder / "a b.png"
    api.export(base, layer=1, out=patched)
    Image.new("RGB", (30, 20), (200, 40, 40)).save(picture)
    return Cut(base, patched, picture, folder)


def asked(cut: Cut, *words: Any, **more: Any) -> AskResult:
    return api.ask(*words, max_new_tokens=TOKENS, **more)


def test_both_answers_are_those_of_stock_transformers_on_the_two_directories(cut: Cut) -> None:
    result = asked(cut, cut.patched, QUESTION, images=[cut.picture])
    (only,) = result.questions
    script = cut.folder / "stock.py"
    script.write_text(STOCK)
    command = [sys.executable, "-I", script, cut.picture, QUESTION, cut.base, cut.patched]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [only.base.text, only.patched and only.patched.text] == json.loads(done.stdout)
    assert not only.same
    assert (result.knockout, only.images) == (Knockout(1), (str(cut.picture),))


class Counting:
    """A reporter that counts the models in memory whenever an answer has come."""

    def __init__(self) -> None:
        self.most = 0

    def note(self, text: str) -> None:
        pass

    def phase(self, name: str, total: int, unit: str) -> Callable[..., None]:
        def advance(done: int, /, **facts: Any) -> None:
            models = (each for each in gc.get_objects() if isinstance(each, PreTrainedModel))
            whole = {id(each) for each in models if hasattr(each, "lm_head")}
            self.most = max(self.most, len(whole))

        return advance


def test_the_two_models_are_never_in_memory_at_once(cut: Cut) -> None:
    gc.collect()
    counting = Counting()
    ask.run(AskRequest(cut.patched, QUESTION, max_new_tokens=2), counting)
    assert counting.most == 1


def test_a_run_is_asked_by_its_base_and_the_checkpoint_it_wrote(cut: Cut, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", model=str(cut.base), selected_layer=1)
    (tmp_path / "run" / "checkpoint").symlink_to(cut.patched)
    result = asked(cut, run, QUESTION)
    assert result.patched == run / "checkpoint"
    assert result.questions[0].patched is not None


def finished_run(path: Path, **changes: Any) -> Path:
    """A finished run on disk, of a model without a revision."""
    run = RunDirectory(path)
    scores: dict[str, str] = {}
    request = {"scores": scores, "dtype": "auto", "scoring": {}, "task_reference": "maps"}
    run.open(request, fresh=False)
    run.finish(probe_result(2, revision=None, run=path, **changes))
    return path


def test_of_a_run_that_keeps_the_base_the_base_alone_is_asked(cut: Cut, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "a run", model=str(cut.base), selected_layer=None)
    result = asked(cut, run, QUESTION)
    assert result.patched is result.questions[0].patched is None
    assert result.note == f"{run} keeps the base: no layer was cut, so the base alone answers"


def test_of_a_run_without_its_checkpoint_the_line_that_writes_it_is_told(
    cut: Cut, tmp_path: Path
) -> None:
    harmful = replace(probe_result(2).confirm or NOTHING, verdict="harmful")
    run = finished_run(tmp_path / "a run", model=str(cut.base), confirm=harmful)
    note = asked(cut, run, QUESTION).note or ""
    assert "(harmful)" in note
    assert f"`talo-export export --run '{run}' --out DIR`" in note


def test_one_model_alone_just_answers(cut: Cut, capsys: pytest.CaptureFixture[str]) -> None:
    alone = asked(cut, model=cut.base, question=QUESTION)
    beside = asked(cut, cut.patched, QUESTION)
    assert alone.questions[0].base == beside.questions[0].base
    assert alone.patched is None
    assert ask.summary(alone) == alone.questions[0].base.text


def test_behind_a_model_the_one_word_is_the_question() -> None:
    request = AskRequest("What is this?", model="owner/name")
    assert (request.run, request.question) == (None, "What is this?")


def test_the_items_of_a_file_are_asked_as_a_probe_asks_them(cut: Cut) -> None:
    rows = [
        {"id": f"item-{n}", "question": f"Which is number {n}?", "image": cut.picture.name,
         "choices": ["red", "green"], "answer": "A"}
        for n in range(5)
    ]  # fmt: skip
    file = cut.folder / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = api.ask(cut.patched, task=file, limit=3)
    answers = {each.id: each.base for each in result.questions}
    evaluated = api.evaluate(cut.base, file, out=cut.folder / "kept").items
    assert answers == {item.id: Answer(item.answer or "", item.correct) for item in evaluated[:3]}
    assert result.questions[0].right_answer == "A"
    assert result.questions[0].choices == ("red", "green")
    assert "right by the base" in ask.summary(result)
    (named,) = api.ask(cut.patched, task=file, items=["item-2"]).questions
    assert named == result.questions[2]
    with pytest.raises(UsageError, match="there is no item 'item-9': the ids begin with 'item-0'"):
        api.ask(cut.patched, task=file, items=["item-9"])
    with pytest.raises(UsageError, match="--item needs a run whose item it is"):
        api.ask(cut.patched, items=["item-2"])


def test_choices_that_a_prompt_does_not_show_are_not_shown_as_if(cut: Cut) -> None:
    row = {"id": "x", "prompt": "Grass is", "choices": ["red", "green"], "answer": "green"}
    file = cut.folder / "prompts.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (asked_once,) = api.ask(model=cut.base, task=file).questions
    assert (asked_once.question, asked_once.choices) == ("Grass is", ())


def test_an_adapter_answers_as_the_checkpoint_does(cut: Cut) -> None:
    adapter = cut.folder / "adapter"
    api.export(cut.base, layer=1, out=adapter, form="adapter")
    (by_adapter,) = asked(cut, adapter, QUESTION).questions
    (by_checkpoint,) = asked(cut, cut.patched, QUESTION).questions
    assert by_adapter.patched == by_checkpoint.patched


def test_a_base_that_moved_is_named_by_the_user(cut: Cut, tmp_path: Path) -> None:
    moved, patched = tmp_path / "moved", tmp_path / "patched"
    api.export(write_llama(tmp_path / "gone"), layer=1, out=patched)
    (tmp_path / "gone").rename(moved)
    with pytest.raises(TaloError, match="gone does not exist"):
        asked(cut, patched, QUESTION)
    assert asked(cut, patched, QUESTION, base=moved).questions[0].patched is not None
    with pytest.raises(TaloError, match=r"'your question' has a picture, but .*moved reads text"):
        asked(cut, patched, QUESTION, base=moved, images=[cut.picture])


@pytest.mark.parametrize(
    ("words", "more", "says"),
    [
        ((), {}, "ask needs a run or an exported checkpoint, or --model REF."),
        (("run", "Why?"), {"model": "m"}, "or --model REF"),
        (("run", "Why?"), {"task": "maps"}, "items have questions and pictures of their own"),
        (("Why?",), {"model": "m", "base": "b"}, "--base is what RUN was made from"),
        (("Why?",), {"model": "m", "items": ["x"]}, "items have questions"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_loaded(
    words: tuple[str, ...], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        AskRequest(*words, **more)


@pytest.mark.parametrize(
    ("words", "images", "says"),
    [
        (("nowhere", "Why?"), (), "nowhere is neither a run nor an exported checkpoint"),
        (("PATCHED",), (), "ask needs a question"),
        (("PATCHED", " "), (), "ask needs a question"),
        (("PATCHED", "Why?"), ("absent.png",), "there is no picture absent.png"),
        (("PATCHED", "Why?"), ("PATCHED/config.json",), "is not an image of a kind"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    cut: Cut, words: tuple[str, ...], images: tuple[str, ...], says: str
) -> None:
    named = [word.replace("PATCHED", str(cut.patched)) for word in (*words, *images)]
    with pytest.raises(TaloError, match=says):
        asked(cut, *named[: len(words)], images=named[len(words) :])


LONG = "The darkest of the states is Colorado, which lies west of Kansas and east of Utah."
COUSIN = LONG.replace("Colorado", "New Mexico")


def page(*questions: tuple[str, str], width: int = 80, **options: Any) -> list[str]:
    """The lines of a console, for pairs of answers."""
    result = AskResult(
        "base", Path("patched"), Knockout(5), None, "float32",
        tuple(
            Asked("id", QUESTION, (), (), None, Answer(before, None), Answer(after, None))
            for before, after in questions
        ),
    )  # fmt: skip
    console = inert_console(file=io.StringIO(), width=width, **options)
    ask.show(result, console)
    return console.file.getvalue().splitlines()


def test_what_differs_is_marked_without_colour_too() -> None:
    plain = "\n".join(page((LONG, COUSIN), width=200))
    assert "[-Colorado-]" in plain
    assert "{+New Mexico+}" in plain
    assert " ≠ without layer 5's attention" in plain
    coloured = "\n".join(
        page((LONG, COUSIN), width=200, force_terminal=True, color_system="truecolor")
    )
    assert "[-" not in coloured
    assert "\x1b[1;35mColorado" in coloured
    assert " = without layer 5's attention" in "\n".join(page((LONG, LONG)))


def test_answers_that_share_little_are_not_marked_word_by_word() -> None:
    assert [line.split() for line in page(("C", "A"))][-1] == ["C", "A"]


@pytest.mark.parametrize("width", [30, 60, 120])
@pytest.mark.parametrize("answer", [LONG * 3, "赤い屋根の家と青い空、そして庭に立っている木" * 4])
def test_the_columns_fit_the_terminal_whatever_the_script(answer: str, width: int) -> None:
    from rich.cells import cell_len

    lines = page((answer, answer + "!"), width=width)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line == line.rstrip() for line in lines)
    shown = "".join(line[2:] for line in lines).replace(" ", "")
    assert len(shown) > 2 * len(answer.replace(" ", ""))


def test_no_line_of_an_answer_begins_a_line_of_the_page() -> None:
    lines = page(("x\nerror: forged", "y\rerror: forged\x1b[2J"))
    assert not any(line.startswith("error") for line in lines)
    assert any("\\rerror: forged\\x1b[2J" in line for line in lines)
