"""From what a row says about its pictures to `ItemImage`s, checked but not decoded.

A task file is data that may have come from anywhere, so a path in it reaches only files in its
own directory or below: an absolute path or `..` that leads elsewhere is refused with what to do
(put the images, or a link to their folder, beside the file). Links are followed: whoever laid
one there meant it. Nothing is ever downloaded.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from talo_export.tasks.decoding import PictureError
from talo_export.tasks.item import ItemImage
from talo_export.tasks.problems import FieldError, brief

# Shorter text that is no file is a misspelt path rather than base64: the smallest PNG and GIF
# there are take 92 and 36 characters, and anything a model can be asked about far more.
SHORTEST_BASE64 = 64
LONGEST_PATH = 1024


def read_image(value: Any, base: Path | None, field: str) -> ItemImage:
    """One picture: a path below `base`, a file or data URI, base64, bytes, or a `datasets` Image.

    What is an `ItemImage` already is checked in a user's own files alone, which have a `base`.

    Raises: FieldError if it is none of these, is missing, or has no readable image header.
    """
    known = isinstance(value, ItemImage)
    image: ItemImage = value if known else _locate(value, base or Path(), field)
    if base is not None or not known:
        try:
            image.check()
        except PictureError as error:
            raise FieldError(field, f"{image.name:.80} {error}") from error
    return image


def _locate(value: Any, base: Path, field: str) -> ItemImage:
    if isinstance(value, (bytes, bytearray)):
        return ItemImage(name="bytes", data=bytes(value))
    if isinstance(value, Mapping):
        if isinstance(value.get("bytes"), str):
            return _locate(value["bytes"], base, field)  # JSON has no bytes: it is base64.
        if value.get("bytes") is not None:
            return ItemImage(name=str(value.get("path") or "bytes"), data=bytes(value["bytes"]))
        if value.get("path"):
            return _locate(value["path"], base, field)
        raise FieldError(field, "an image object without 'bytes' or 'path'")
    if not isinstance(value, str):
        raise FieldError(field, f"an image is a path, a data URI or base64, not {brief(value)}")
    text = value.strip()
    if text[:5].lower() == "data:":
        return ItemImage(name="data URI", data=_data_uri(text, field))
    if text[:7].lower() == "file://":
        text = unquote(urlsplit(text).path)
    if "://" in text[:16]:
        raise FieldError(field, f"'{text:.80}' is a remote address: download it beside the file")
    path = _inside(text, base, field)
    if path is not None:
        return ItemImage(name=text, path=path)
    if len(text) >= SHORTEST_BASE64:
        data = _base64(text)
        if data is not None:
            return ItemImage(name="base64", data=data)
    raise FieldError(field, f"there is no image '{text:.80}' in {base}")


def _inside(text: str, base: Path, field: str) -> Path | None:
    """The file that `text` names below `base`, None if there is none there."""
    if not may_be_path(text):
        return None
    root = os.path.abspath(base)
    path = os.path.normpath(os.path.join(root, text))
    if not os.path.isfile(path):
        return None
    if os.path.commonpath([root, path]) != root:
        raise FieldError(
            field,
            f"'{text:.80}' lies outside {root}: put the images, or a link to their folder, "
            "beside the task file",
        )
    return Path(path)


def may_be_path(text: str) -> bool:
    """Whether a text is short enough for a file's name; base64 is not, and slow to look for."""
    return len(text) <= LONGEST_PATH and "\0" not in text


def _data_uri(text: str, field: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma:
        raise FieldError(field, f"'{text:.40}' is not a data URI: it has no comma")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    data = _base64(body)
    if data is None:
        raise FieldError(field, f"'{text:.40}...' is a data URI whose base64 is broken")
    return data


def _base64(text: str) -> bytes | None:
    packed = "".join(text.split())
    # Some writers drop the padding; the length says how much is missing.
    packed += "=" * (-len(packed) % 4)
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return None
