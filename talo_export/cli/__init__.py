"""The command line: one file a command; each parses, calls a job, hands the result to the sink.

Importing this stays light (no torch): `talo-export --help` must answer at once.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of `talo-export` and `python -m talo_export`."""
    from talo_export.cli.app import app

    app()
