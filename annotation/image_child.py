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
import zlib
from typing import Any

from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

MEMORY_BYTES = 512 * 2**20
MOST_PIXELS = 30_000_000
LONGEST_SIDE = 16_384
FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]
JPEG_FORMATS = ("JPEG", "MPO")  # phones put a second picture behind the first and call it MPO
QUICK_PIXELS = 4_000_000
LONGEST_RATIO = 200
"""Qwen's processors refuse pictures that are longer."""
DEPTHS = (8, 10, 12, 14, 16)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_SIXTEEN_BITS = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS (fetch the picture with git lfs pull)",
    b"<svg": "an SVG drawing",
    b"<": "a page of HTML or XML",
    b"{": "JSON",
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\0\0\1\0": "an icon (ICO)",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"8BPS": "a Photoshop picture",
}
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"hevc"), "a HEIC picture (of a phone)"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF picture"),
    **dict.fromkeys((b"isom", b"mp42", b"qt  "), "a video"),
}
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError),
    *(struct.error, zlib.error),
)


class Refused(Exception):
    """Why the file is not taken, for the person who sent it."""


def reencode(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """The picture as people and models see it, in our own bytes: no metadata survives.

    It is upright, on white where it was transparent, 8 bits deep, of one frame; a JPEG stays one
    and everything else becomes PNG, which is lossless. "notes" says what may look different.
    """
    data = _without_texts(data)
    picture = _opened(data)
    width, height = picture.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        most = f"at most {MOST_PIXELS:,} pixels and {LONGEST_SIDE:,} a side are taken"
        raise Refused(f"is too large: {width} by {height} pixels ({most})")
    was_jpeg = picture.format in JPEG_FORMATS
    notes: list[str] = []
    try:
        upright = _loaded(picture, data, notes)
        ImageOps.exif_transpose(upright, in_place=True)
    except MemoryError:
        raise
    except _BROKEN:
        raise Refused("is broken or cut off") from None
    if not was_jpeg and getattr(picture, "is_animated", False):
        notes.append("moves: its first picture is taken")
    if _is_of_other_colours(picture.info.get("icc_profile")):
        notes.append("has a colour profile other than sRGB, which is left away as models do")
    plain = _on_white(upright, notes)
    del picture, upright
    clean = Image.frombytes(plain.mode, plain.size, plain.tobytes())
    output = io.BytesIO()
    if was_jpeg:
        clean.save(output, "JPEG", quality=95, subsampling=0, optimize=False)
    else:
        # The default would take longer over a photograph than the time that a picture has.
        level = 1 if width * height > QUICK_PIXELS else 6
        clean.save(output, "PNG", optimize=False, compress_level=level)
    if max(width, height) >= LONGEST_RATIO * min(width, height):
        notes.append(f"is {width} by {height} pixels, a shape that some models (Qwen) refuse")
    about = {"width": clean.width, "height": clean.height, "notes": notes}
    return output.getvalue(), {**about, "format": "jpeg" if was_jpeg else "png"}


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if data.startswith((_PNG, b"\xff\xd8\xff", b"GIF8")):
            raise Refused("is broken or cut off") from None
        raise Refused(f"is not a PNG, JPEG, WebP or GIF picture{_what_it_is(data)}") from None
    except _BROKEN:
        raise Refused("is broken or cut off") from None


def _what_it_is(data: bytes) -> str:
    """What people often send in place of a picture that can be read here."""
    start = data[:512].lstrip()
    found = (name for magic, name in _OTHERS.items() if start.startswith(magic))
    kind = next(found, _BRANDS.get(data[8:12], "") if data[4:8] == b"ftyp" else "")
    return f" but {kind}" if kind else ""


def _is_of_other_colours(profile: Any) -> bool:
    """Whether a colour profile names another space than sRGB, in either of ICC's writings."""
    name = "sRGB"
    return isinstance(profile, bytes) and not any(
        name.encode(encoding) in profile for encoding in ("ascii", "utf-16-be")
    )


def _without_texts(data: bytes) -> bytes:
    """A PNG without its texts, which programs make long and which are dropped in any case."""
    if not data.startswith(_PNG):
        return data
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in _PNG_TEXTS:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _loaded(picture: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """The decoded picture, with no more than 8 bits a channel."""
    if picture.mode.startswith("I"):
        picture.load()
        most = int(picture.getextrema()[1])  # type: ignore[arg-type]
        depth = _depth(most, notes)
        return picture.convert("I").point(lambda value: value / 2 ** (depth - 8)).convert("L")
    low_bytes = _SIXTEEN_BITS.get(_raw_mode(picture))
    picture.load()
    if low_bytes is None:
        return picture
    most = max(extreme[1] for extreme in picture.convert("RGB").getextrema()) << 8  # type: ignore[index]
    if most >> 14:
        return picture
    low: Any = _opened(data)
    low.tile = [low.tile[0]._replace(args=low_bytes)]
    low.load()
    depth = _depth(most | 255, notes)
    high = picture.point(lambda value: min(255, value << (16 - depth)))
    return ImageChops.add(high, low.point(lambda value: value >> (depth - 8)))


def _raw_mode(picture: Any) -> str:
    """How the bytes of the file are laid out, where the decoder says so."""
    args = picture.tile[0].args if getattr(picture, "tile", None) else ""
    return args if isinstance(args, str) else ""


def _depth(most: int, notes: list[str]) -> int:
    """The bits that are used of 16, by the largest value; fewer are scaled, and that is noted."""
    depth = next(bits for bits in DEPTHS if most < 2**bits or bits == 16)
    if depth < 16:
        notes.append(f"uses {depth} of 16 bits: its brightness was scaled to what it uses")
    return depth


def _on_white(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Grey or RGB, composed on white where it is transparent."""
    transparent = "transparency" in picture.info or picture.mode in (
        "RGBA",
        "LA",
        "PA",
        "RGBa",
        "La",
    )
    if not transparent:
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    # No copy more than needed: of the largest pictures each takes a quarter of the memory.
    above = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    opacity = above.getchannel("A")
    if opacity.getextrema() == (255, 255):  # nothing shines through
        return above.convert("RGB")
    plain = Image.new("RGB", picture.size, "white")
    plain.paste(above, mask=opacity)
    notes.append("is transparent: it is shown to people and models on white")
    if all(least == most for least, most in plain.getextrema()):  # type: ignore[misc]
        notes.append("is one colour, on white")
    return plain


def answer(data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        encoded, about = reencode(data)
    except Refused as refused:
        return {"error": str(refused)}, b""
    except MemoryError:
        return {"error": "needs too much memory to decode"}, b""
    except Exception:
        # A decoder's surprise must reach the sender as a refusal, not as a dead process.
        return {"error": "cannot be decoded"}, b""
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
