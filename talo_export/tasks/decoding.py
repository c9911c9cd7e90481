"""From encoded bytes to the RGB picture that a viewer shows.

Orientation is applied as `transformers.image_utils.load_image` does; transparency lies on white;
deep greys are scaled, and where nothing says what white is they are refused. Raster formats
alone are opened: no interpreter is started for a picture. Of several frames the first is read.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.errors import TaloError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 178_956_970
"""Where Pillow, too, takes a picture for a decompression bomb."""
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and the value that says that 0 is white."""


class PictureError(TaloError):
    """A picture cannot be shown. From this file it is the end of a sentence about the picture."""


@contextmanager
def opened(source: Path | bytes) -> Iterator[Image.Image]:
    """A picture whose header was read and is within bounds. Raises: PictureError."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=formats) as picture:
                _check_size(*picture.size)
                yield picture
    except UnidentifiedImageError as error:
        raise PictureError(
            "is not an image of a kind that is read here: save it as PNG or JPEG"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"has more than {MOST_PIXELS:,} pixels: make it smaller") from error
    except (OSError, SyntaxError, ValueError, RuntimeError, LookupError, struct.error) as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise PictureError(f"is not an image that can be read ({reason:.80})") from error


def decode(data: bytes) -> Image.Image:
    """The picture in RGB, as a viewer shows it. Raises: PictureError."""
    from PIL import Image, ImageOps

    with opened(data) as stored:
        stored.load()
        picture = ImageOps.exif_transpose(_eight_bits(stored))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(ground, picture)
        return picture.convert("RGB")


def _check_size(width: int, height: int) -> None:
    if not width * height:
        raise PictureError("has no pixels")
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"has {width} x {height} pixels, more than {MOST_PIXELS:,}: make it smaller"
        )


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The same picture, its greys scaled to 8 bits where they are deeper; else as it is."""
    import numpy as np
    from PIL import Image

    deep = picture.mode.startswith("I;16") or (
        picture.mode == "I" and picture.format in ("PNG", "PPM")
    )
    if picture.mode in ("I", "F") and not deep:
        kind = "integers" if picture.mode == "I" else "fractions"
        raise PictureError(
            f"holds greys as {kind}, and nothing says which of them is white: save it with 8 or 16 "
            "bits a pixel"
        )
    if not deep:
        return picture
    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    values = np.asarray(picture).astype(np.uint32)
    grey = ((values * 255 + 2 ** (bits - 1)) // (2**bits - 1)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = 255 - grey
    shown = Image.fromarray(grey)
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        shown.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    # The orientation stands in the file's own fields.
    if "exif" in picture.info:
        shown.info["exif"] = picture.info["exif"]
    return shown
