"""Small pictures in real encodings, for tests of the tasks room."""

from __future__ import annotations

import io

from PIL import Image


def encoded(color: str = "red", size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    """The bytes of a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind)
    return buffer.getvalue()


def palette_with_transparency() -> bytes:
    """A palette PNG one of whose colours is transparent, as many diagrams are."""
    picture = Image.new("P", (8, 6), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=0)
    return buffer.getvalue()
