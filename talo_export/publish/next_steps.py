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
            gguf = Path(result.model).name if result.model.endswith(".gguf") else None
            where = str(result.checkpoint)
            lines.append(("load", loading_line(where, result.auto_class, gguf_file=gguf)))
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
