"""The command line: one file a command; each parses, calls a job, hands the result to the sink.

Importing this stays light (no torch): `talo-export --help` must answer at once.
"""

from __future__ import annotations

import sys
from pathlib import PurePath


def main() -> None:
    """Entry point of `talo-export`, of `hf talo-export` and of `python -m talo_export`."""
    from talo_export.cli.app import app
    from talo_export.cli.failures import exit_on_known_errors
    from talo_export.cli.streams import prepare_streams
    from talo_export.models.threads import share_processors

    prepare_streams()
    share_processors()
    # As an extension of the `hf` command this is the script hf-talo-export: its usage lines must
    # say what was typed.
    extension = PurePath(sys.argv[0]).stem == "hf-talo-export"
    with exit_on_known_errors():
        try:
            app(prog_name="hf talo-export" if extension else None)
        finally:
            # Else a failure would come when nobody is there any more to say it.
            sys.stdout.flush()
