"""What to do with a finished run, as lines to copy: the same at a terminal and on the page."""

from __future__ import annotations

from pathlib import Path

from talo_export.publish.snippets import loading_line
from talo_export.requests.checkpoints import ExportRequest, PushRequest, VerifyRequest
from talo_export.requests.fields import command_line
from talo_export.requests.measurements import AskRequest
from talo_export.runs.result import ProbeResult


def next_steps(result: ProbeResult) -> list[tuple[str, str]]:
    """(what it does, the line), in the order one would.

    What is not confirmed is not offered to be published: `push` refuses it.
    """
    lines: list[tuple[str, str]] = []
    if result.checkpoint is not None:
        if result.auto_class is not None:
            lines.append(("load", _loading(result.checkpoint, result.model, result.auto_class)))
        items = () if result.example is None else (result.example.id,)
        lines.append(("ask", command_line(AskRequest(result.run, items=items))))
        lines.append(("check", command_line(VerifyRequest(result.checkpoint))))
        if result.verdict == "confirmed":
            lines.append(("publish", command_line(PushRequest(result.run, "OWNER/NAME"))))
    elif result.verdict in ("confirmed", "unconfirmed"):
        lines.append(("write", command_line(ExportRequest(run=result.run, out="DIR"))))
    if result.next_command is not None:
        lines.append(("next", result.next_command))
    return lines


def _loading(checkpoint: Path, model: str, auto_class: str) -> str:
    """The call that loads it from where the command was run.

    Of a GGUF file's name alone, transformers would read the base if that lies there.
    """
    if not model.endswith(".gguf"):
        return loading_line(str(checkpoint), auto_class)
    file = checkpoint / Path(model).name
    where = str(checkpoint) if checkpoint.is_absolute() else "."
    return loading_line(where, auto_class, gguf_file=str(file))
