"""Publish: from a finished run to a repository that a stranger can load.

    hf auth login
    talo-export push runs/NAME/TASK OWNER/NAME-TASK --dry-run     # checks all, sends nothing
    talo-export push runs/NAME/TASK OWNER/NAME-TASK               # the checkpoint
    talo-export push runs/NAME/TASK OWNER/NAME-TASK --as adapter  # a few kilobytes
    talo-export push runs/NAME OWNER/NAME-tasks --collection      # an adapter for each task

A knockout that was not confirmed is refused unless you say `--allow-unconfirmed`, and its card
says so in its first lines. Here a layer is named by hand, so that there is something to publish
whatever the demo's probe says, and the card says that nothing was measured.

The token comes from HF_TOKEN or the login; HF_ENDPOINT names another Hub.

python examples/05_publish.py OWNER/NAME [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from talo_export import export, push, verify
from talo_export.errors import TaloError


def main(repository: str, folder: Path) -> None:
    checkpoint = folder / "checkpoint"
    if not checkpoint.exists():
        export(layer=5, out=checkpoint)
    assert verify(checkpoint).ok
    try:
        push(checkpoint, repository, dry_run=True)
    except TaloError as refusal:
        print(f"refused: {refusal}")

    planned = push(checkpoint, repository, dry_run=True, allow_unconfirmed=True)
    print(f"would send {len(planned.files)} files, {sum(planned.files.values()):,} bytes")
    for form, name in (("checkpoint", repository), ("adapter", f"{repository}-adapter")):
        sent = push(checkpoint, name, form=form, allow_unconfirmed=True)  # type: ignore[arg-type]
        print(f"{sent.url}: {sent.verified} checksums equal the files here\n")
        print(sent.snippet, end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "runs/guide-05"))
