"""A picture is seen as its viewer shows it, or refused with its name."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.image_utils import load_image

from talo_export.errors import TaloError
from talo_export.tasks.check import check_task
from talo_export.tasks.decoding import MOST_PIXELS, PictureError, decode, opened
from talo_export.tasks.sources import load_task

ORIENTATION = 274
LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
ROWS, COLUMNS = 48, 64
DEEP = (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 65535 // (ROWS * COLUMNS)).astype("u2")


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Image.Image:
    """Four colours, so that every turn and flip shows."""
    picture = Image.new("RGB", (64, 32), "white")
    for number, colour in enumerate(("red", "green", "blue", "black")):
        picture.paste(
            colour,
            (
                32 * (number % 2),
                16 * (number // 2),
                32 * (number % 2) + 32,
                16 * (number // 2) + 16,
            ),
        )
    return picture


@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_it_is_turned_as_transformers_turns_it(tmp_path: Path, kind: str, value: int) -> None:
    if kind not in Image.SAVE and not (Image.init() and kind in Image.SAVE):
        pytest.skip(f"this Pillow writes no {kind}")
    exif = Image.Exif()
    exif[ORIENTATION] = value
    path = tmp_path / "picture"
    path.write_bytes(saved(corners(), kind, exif=exif))
    expected = load_image(str(path))
    assert expected.size == ((32, 64) if 5 <= value <= 8 else (64, 32))
    shown = decode(path.read_bytes())
    assert shown.mode == "RGB"
    assert np.array_equal(np.asarray(shown), np.asarray(expected))


@pytest.mark.parametrize("value", [1, 3, 6, 8])
def test_a_deep_grey_is_turned_too(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    upright = decode(saved(Image.fromarray(DEEP), "PNG"))
    turned = decode(saved(Image.fromarray(DEEP), "PNG", exif=exif))
    expected = {1: upright, 3: upright.transpose(Image.Transpose.ROTATE_180),
                6: upright.transpose(Image.Transpose.ROTATE_270),
                8: upright.transpose(Image.Transpose.ROTATE_90)}[value]  # fmt: skip
    assert np.array_equal(np.asarray(turned), np.asarray(expected))


def test_broken_fields_of_a_camera_leave_it_as_it_stands() -> None:
    data = saved(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage", quality=95)
    assert decode(data).size == (64, 32)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_are_scaled(kind: str) -> None:
    shown = np.asarray(decode(saved(Image.fromarray(DEEP), kind)))[:, :, 0]
    assert shown.min() == 0
    assert shown.max() == 255
    assert np.abs(shown.astype(int) - DEEP / 257).max() <= 0.51


def test_a_deep_grey_whose_zero_is_white_is_turned_over() -> None:
    data = saved(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0})
    assert decode(data).getpixel((0, 0)) == (255, 255, 255)


def test_ten_bits_of_grey_reach_white() -> None:
    shown = decode(b"P5\n2 1\n1023\n" + struct.pack(">2H", 0, 1023))
    assert [shown.getpixel((x, 0))[0] for x in (0, 1)] == [0, 255]


def test_a_transparent_deep_grey_lies_on_white() -> None:
    shown = decode(saved(Image.fromarray(DEEP), "PNG", transparency=int(DEEP[0, 0])))
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((1, 0)) == (0, 0, 0)


@pytest.mark.parametrize("values", [DEEP.astype("i4") * 1000, DEEP.astype("f4") / 65535])
def test_greys_that_say_nothing_of_white_are_refused(values) -> None:
    with pytest.raises(PictureError, match="8 or 16 bits"):
        decode(saved(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"),
     ("YCbCr", "JPEG"), ("L", "JPEG"), ("RGB", "BMP"), ("P", "BMP"), ("RGB", "PPM")],
)  # fmt: skip
def test_other_kinds_of_pixels_are_those_of_transformers(tmp_path, mode: str, kind: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(saved(corners().convert(mode), kind))
    assert np.array_equal(np.asarray(decode(path.read_bytes())), np.asarray(load_image(str(path))))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_what_is_transparent_lies_on_white(kind: str) -> None:
    picture = corners().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 32, 16))
    shown = decode(saved(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert shown.getpixel((3, 3)) == (255, 255, 255)
    assert shown.getpixel((60, 30)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


OTHER_KINDS = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "PDF": b"%PDF-1.4\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3" + struct.pack(">2I2H", 8, 8, 8, 3),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_only_raster_formats_are_opened(tmp_path: Path, write_rows, kind: str) -> None:
    (tmp_path / "drawing").write_bytes(OTHER_KINDS[kind])
    path = write_rows({"id": "a", "question": "?", "answer": "x", "image": "drawing"})
    with pytest.raises(TaloError, match="drawing is not an image of a kind that is read here"):
        load_task(str(path))


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (MOST_PIXELS + 1, 1)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, write_rows, size) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of(*size))
    path = write_rows({"id": "a", "question": "?", "answer": "x", "image": "bomb.png"})
    with pytest.raises(TaloError, match=r"line 1.*bomb\.png has .*more than 178,956,970"):
        load_task(str(path))


@pytest.mark.filterwarnings("error")
def test_a_large_picture_brings_no_warning() -> None:
    with opened(png_of(10_000, 10_000)) as picture:
        assert picture.size == (10_000, 10_000)


def test_a_truncated_picture_is_named_by_its_item(tmp_path: Path, write_rows) -> None:
    data = saved(Image.effect_noise((64, 48), 50), "PNG")
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    path = write_rows({"id": "a", "question": "?", "answer": "x", "image": "cut.png"})
    with pytest.raises(TaloError, match=r"item a: cut\.png is not an image that can be read"):
        check_task(str(path))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF"])
def test_a_file_cut_or_changed_anywhere_is_a_picture_or_a_sentence(kind: str) -> None:
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    data = saved(corners(), kind)
    random = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data[: random.integers(1, len(data) + 1)])
        broken[random.integers(len(broken))] = random.integers(256)
        with suppress(PictureError):
            assert decode(bytes(broken)).mode == "RGB"
