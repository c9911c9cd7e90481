"""talo-export: find the decoder layer whose attention hurts a task, prove it, cut it out."""

from __future__ import annotations

__version__ = "0.1.0"
