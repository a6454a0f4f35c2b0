"""Decodes pictures that strangers sent, in a process of its own with little memory.

Started by ``annotation.images`` as a script, without the project on its path. It answers each
request on stdin (8 bytes of length, then the file) with one JSON line on stdout and, when that has
no "error", the re-encoded bytes. It may be killed at any time: it holds nothing.
"""

import io
import json
import resource
import struct
import sys
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

MEMORY_BYTES = 512 * 2**20
MOST_PIXELS = 30_000_000
LONGEST_SIDE = 16_384
FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]
PNG_MODES = {"L", "LA", "RGB", "RGBA"}


class Refused(Exception):
    """Why the file is not taken, for the person who sent it."""


def reencode(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """The same picture as PNG (lossless), or JPEG when it came as one; no metadata survives."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Refused("is not a PNG, JPEG, WebP or GIF picture") from None
    width, height = picture.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise Refused(f"is too large: {width} by {height} pixels")
    was_jpeg = picture.format == "JPEG"
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise Refused(f"is broken: {error}") from None
    upright = ImageOps.exif_transpose(picture)
    output = io.BytesIO()
    if was_jpeg:
        upright = upright if upright.mode in ("L", "RGB") else upright.convert("RGB")
        clean = Image.frombytes(upright.mode, upright.size, upright.tobytes())
        clean.save(output, "JPEG", quality=95, subsampling=0, optimize=False)
    else:
        upright = _for_png(upright)
        clean = Image.frombytes(upright.mode, upright.size, upright.tobytes())
        clean.save(output, "PNG", optimize=False)
    about = {"width": clean.width, "height": clean.height}
    return output.getvalue(), {**about, "format": "jpeg" if was_jpeg else "png"}


def _for_png(picture: Image.Image) -> Image.Image:
    if picture.mode in PNG_MODES:
        return picture
    if picture.mode.startswith("I"):
        # 16 bits per pixel; models and browsers see 8.
        return picture.point(lambda value: value / 256).convert("L")
    transparent = "transparency" in picture.info or picture.mode in ("PA", "RGBa", "La")
    return picture.convert("RGBA" if transparent else "RGB")


def answer(data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        encoded, about = reencode(data)
    except Refused as refused:
        return {"error": str(refused)}, b""
    except MemoryError:
        return {"error": "needs too much memory to decode"}, b""
    except Exception as error:
        # A decoder's surprise must reach the sender as a refusal, not as a dead process.
        return {"error": f"cannot be decoded: {type(error).__name__}"}, b""
    return {**about, "bytes": len(encoded)}, encoded


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # The cap above is the one that counts; Pillow's own would only warn, or refuse in its words.
    Image.MAX_IMAGE_PIXELS = None
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(8):
        (length,) = struct.unpack(">Q", head)
        about, encoded = answer(requests.read(length))
        answers.write(json.dumps(about).encode() + b"\n" + encoded)
        answers.flush()


if __name__ == "__main__":
    main()
