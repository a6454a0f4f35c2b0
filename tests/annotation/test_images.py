"""Pictures that strangers send: what is taken, what it becomes, and what is refused."""

import hashlib
import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image as Picture
from PIL import ImageCms, PngImagePlugin

from annotation import images
from annotation.images import BadImage, Decoder
from annotation.models import Image
from tests.factories import picture_bytes


def encoded(picture, format, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data):
    picture = Picture.open(io.BytesIO(data))
    picture.load()
    return picture


def png_of_size(width, height):
    """A valid PNG header that claims a size, with almost no data behind it."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def archive(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    buffer.seek(0)
    return buffer


# --- re-encoding ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_png_keeps_its_pixels(decoder, mode):
    noise = Picture.effect_noise((20, 10), 80).convert(mode)
    data, about = decoder.reencode(encoded(noise, "PNG"))
    assert (about["format"], about["width"], about["height"]) == ("png", 20, 10)
    assert opened(data).mode == mode
    assert opened(data).tobytes() == noise.tobytes()
    assert decoder.taken_notes() == []


def _palette(transparent):
    picture = Picture.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0, 0, 255, 0])
    picture.putpixel((0, 0), 1)
    return encoded(picture, "PNG", **({"transparency": 1} if transparent else {}))


def _with_alpha(mode, alpha):
    picture = Picture.new("RGB", (4, 4), "black").convert(mode)
    mask = Picture.new("L", (4, 4), 255)
    mask.putpixel((0, 0), alpha)
    picture.putalpha(mask)
    return picture


TRANSPARENT = {
    "RGBA": lambda: encoded(_with_alpha("RGB", 0), "PNG"),
    "LA": lambda: encoded(_with_alpha("L", 0), "PNG"),
    "palette": lambda: _palette(transparent=True),
    "colour of RGB": lambda: encoded(_marked("RGB", (9, 9, 9)), "PNG", transparency=(9, 9, 9)),
    "WebP": lambda: encoded(_with_alpha("RGB", 0), "WEBP", lossless=True),
    "GIF": lambda: encoded(_with_alpha("RGB", 0), "GIF"),
}


def _marked(mode, colour):
    picture = Picture.new(mode, (4, 4))
    picture.putpixel((0, 0), colour)
    return picture


@pytest.mark.parametrize("form", TRANSPARENT)
def test_a_transparent_picture_is_composed_on_white(decoder, form):
    data, _ = decoder.reencode(TRANSPARENT[form]())
    assert opened(data).mode == "RGB"
    assert (opened(data).getpixel((0, 0)), opened(data).getpixel((3, 3))) == ((255,) * 3, (0,) * 3)
    assert decoder.taken_notes() == ["is transparent: it is shown to people and models on white"]
    assert decoder.taken_notes() == []


def test_half_of_white_is_grey_and_ink_that_vanishes_on_white_is_said(decoder):
    data, _ = decoder.reencode(encoded(_with_alpha("RGB", 128), "PNG"))
    assert opened(data).getpixel((0, 0)) == (127,) * 3
    decoder.taken_notes()
    white = Picture.new("RGBA", (4, 4), (255, 255, 255, 0))
    white.putpixel((1, 1), (255, 255, 255, 255))
    decoder.reencode(encoded(white, "PNG"))
    assert decoder.taken_notes()[1:] == ["is one colour, on white"]


def test_an_alpha_channel_that_hides_nothing_changes_nothing(decoder):
    noise = Picture.effect_noise((20, 10), 80).convert("RGBA")
    data, _ = decoder.reencode(encoded(noise, "PNG"))
    assert opened(data).tobytes() == noise.convert("RGB").tobytes()
    assert decoder.taken_notes() == []


def _sixteen_bits(colour_type, values):
    """A PNG of 16 bits a channel, which Pillow does not write in colour."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + struct.pack(f">{len(row)}H", *row) for row in values)
    channels = {0: 1, 2: 3, 6: 4}[colour_type]
    size = struct.pack(">II", len(values[0]) // channels, len(values))
    header = chunk(b"IHDR", size + bytes([16, colour_type, 0, 0, 0]))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colour_type", [0, 2, 6])
def test_sixteen_bits_are_scaled_by_those_that_are_used(decoder, colour_type, bits):
    most = 2**bits - 1
    channels = {0: 1, 2: 3, 6: 4}[colour_type]
    pixels = [[0] * channels, [most // 2] * channels, [most] * channels]
    if colour_type == 6:
        for pixel in pixels:
            pixel[3] = most
    row = [value for pixel in pixels for value in pixel]
    data, _ = decoder.reencode(_sixteen_bits(colour_type, [row]))
    got = [opened(data).convert("L").getpixel((x, 0)) for x in range(3)]
    assert got == [0, 127, 255]
    noted = [f"uses {bits} of 16 bits: its brightness was scaled to what it uses"]
    assert decoder.taken_notes() == ([] if bits == 16 else noted)


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_the_texts_of_a_png_are_dropped_however_long(decoder, kind):
    texts = PngImagePlugin.PngInfo()
    long = "workflow " * 300_000
    if kind == "iTXt":
        texts.add_itxt("prompt", long, zip=True)
    else:
        texts.add_text("prompt", long, zip=kind == "zTXt")
    data, _ = decoder.reencode(encoded(Picture.new("RGB", (5, 5), "red"), "PNG", pnginfo=texts))
    assert opened(data).getpixel((0, 0)) == (255, 0, 0)
    assert len(data) < 1000


def test_two_pictures_in_a_jpeg_of_a_phone_are_its_first_as_jpeg(decoder):
    first, second = (Picture.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    both = encoded(first, "MPO", save_all=True, append_images=[second])
    data, about = decoder.reencode(both)
    assert (about["format"], opened(data).format, opened(data).mode) == ("jpeg", "JPEG", "RGB")
    assert opened(data).getpixel((5, 5))[0] > 200


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_is_taken_and_that_is_said(decoder, format):
    first, *others = (Picture.new("RGB", (9, 9), colour) for colour in ("red", "blue", "green"))
    moving = encoded(first, format, save_all=True, append_images=others, duration=50)
    data, _ = decoder.reencode(moving)
    assert opened(data).convert("RGB").getpixel((4, 4))[0] > 200
    assert decoder.taken_notes() == ["moves: its first picture is taken"]


@pytest.mark.parametrize(("space", "said"), [("sRGB", 0), ("LAB", 1), ("XYZ", 1)])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_profile_of_other_colours_is_left_away_and_that_is_said(decoder, format, space, said):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    picture = Picture.new("RGB", (9, 9), (200, 30, 40))
    data, _ = decoder.reencode(encoded(picture, format, icc_profile=profile))
    assert opened(data).getpixel((4, 4))[0] == pytest.approx(200, abs=2)
    assert "icc_profile" not in opened(data).info
    assert len([note for note in decoder.taken_notes() if "colour profile" in note]) == said


@pytest.mark.parametrize("size", [(2000, 10), (10, 2000)])
def test_a_shape_that_models_refuse_is_said(decoder, size):
    decoder.reencode(encoded(Picture.new("L", size), "PNG"))
    assert "a shape that some models" in decoder.taken_notes()[0]


def test_sixteen_bits_become_eight(decoder):
    picture = Picture.new("I;16", (4, 4), 0x8000)
    data, _ = decoder.reencode(encoded(picture, "PNG"))
    assert (opened(data).mode, opened(data).getpixel((0, 0))) == ("L", 0x80)


def test_a_jpeg_stays_a_jpeg_and_looks_the_same(decoder):
    picture = Picture.linear_gradient("L").convert("RGB")
    data, about = decoder.reencode(encoded(picture, "JPEG", quality=90))
    assert about["format"] == "jpeg"
    differences = [
        abs(a - b) for a, b in zip(opened(data).tobytes(), picture.tobytes(), strict=True)
    ]
    assert max(differences) < 12


@pytest.mark.parametrize("format", ["WEBP", "GIF"])
def test_other_raster_formats_become_png(decoder, format):
    data, about = decoder.reencode(encoded(Picture.new("RGB", (5, 5), "red"), format))
    assert about["format"] == "png"
    assert opened(data).convert("RGB").size == (5, 5)


def test_metadata_does_not_survive_and_orientation_is_applied(decoder):
    exif = Picture.Exif()
    exif[0x0112] = 6  # Shown turned by 90 degrees.
    exif[0x010E] = "a secret place"
    data, about = decoder.reencode(encoded(Picture.new("RGB", (8, 4)), "JPEG", exif=exif))
    assert (about["width"], about["height"]) == (4, 8)
    assert b"secret" not in data
    assert not opened(data).getexif()


def gif_that_is_javascript():
    """Its width reads as ``/*``, and the comment that this begins ends before the script."""
    script = b"*/=1;/* script */ alert(1)//"
    data = bytearray(encoded(Picture.new("L", (0x2A2F, 1)), "GIF"))
    at = data.index(b",")  # Of the image; a comment extension stands before it.
    return bytes(data[:at] + b"\x21\xfe" + bytes([len(script)]) + script + b"\0" + data[at:])


def polyglots():
    html = b"<html><script>alert(1)</script>"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", html.decode())
    picture = Picture.effect_noise((20, 10), 80)
    zipped = archive(**{"script.html": html}).getvalue()
    return {
        "png with a text": encoded(picture, "PNG", pnginfo=notes),
        "png with html behind": encoded(picture, "PNG") + html,
        "png that is a zip": encoded(picture, "PNG") + zipped,
        "jpeg with a comment": encoded(picture, "JPEG", comment=html),
        "jpeg that is a zip": encoded(picture, "JPEG") + zipped,
        "gif with a comment": encoded(picture, "GIF", comment=html),
        "gif that is javascript": gif_that_is_javascript(),
        "webp with xmp": encoded(picture.convert("RGB"), "WEBP", xmp=html),
    }


@pytest.mark.parametrize("name", polyglots())
def test_of_a_picture_that_is_something_else_too_the_picture_survives(decoder, name):
    data = polyglots()[name]
    assert b"script" in data
    ours, about = decoder.reencode(data)
    assert b"script" not in ours
    assert not zipfile.is_zipfile(io.BytesIO(ours))
    with Picture.open(io.BytesIO(ours)) as read, Picture.open(io.BytesIO(data)) as sent:
        assert (read.format.lower(), read.size) == (about["format"], sent.size)


def test_the_same_picture_gives_the_same_bytes(decoder):
    data = encoded(Picture.effect_noise((30, 30), 50), "JPEG")
    assert decoder.reencode(data) == decoder.reencode(data)


# --- refusals ---------------------------------------------------------------------------------

SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "is not a PNG"),
    "svg": (SVG, "is not a PNG"),
    "html": (b"<html><img src=x></html>", "is not a PNG"),
    "tiff": (encoded(Picture.new("RGB", (3, 3)), "TIFF"), "is not a PNG"),
    "bmp": (encoded(Picture.new("RGB", (3, 3)), "BMP"), "is not a PNG"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a PNG"),
    "head alone": (b"\x89PNG\r\n\x1a\n", "is broken"),
    "truncated png": (encoded(Picture.effect_noise((99, 99), 50), "PNG")[:-900], "is broken"),
    "truncated jpeg": (encoded(Picture.effect_noise((99, 99), 50), "JPEG")[:-900], "is broken"),
    "many pixels": (png_of_size(10_000, 10_000), "is too large: 10000 by 10000"),
    "long": (png_of_size(20_000, 1), "is too large: 20000 by 1"),
    "missing data": (png_of_size(4000, 4000), "is broken"),
    "many bytes": (b"\0" * (images.MOST_BYTES + 1), "is larger than 20 MiB"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_sound_picture_is_refused(decoder, name):
    data, reason = BAD[name]
    with pytest.raises(BadImage) as refused:
        decoder.reencode(data)
    assert str(refused.value).startswith(reason)


def test_a_decoder_goes_on_after_a_refusal(decoder):
    with pytest.raises(BadImage):
        decoder.reencode(SVG)
    assert decoder.reencode(picture_bytes())[1]["format"] == "png"


def test_a_child_that_dies_is_a_refusal_and_is_replaced(decoder):
    decoder.reencode(picture_bytes())
    decoder._child.kill()
    decoder._child.wait()
    assert decoder.reencode(picture_bytes())[1]["format"] == "png"


def test_a_child_that_takes_too_long_is_ended(monkeypatch, tmp_path):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(images, "CHILD", sleeper)
    monkeypatch.setattr(images, "DECODE_TIMEOUT_SECONDS", 0.3)
    with Decoder() as decoder, pytest.raises(BadImage, match="within limits of time"):
        decoder.reencode(picture_bytes())


def test_a_child_that_eats_memory_is_a_refusal(monkeypatch, tmp_path):
    child = images.CHILD.read_text().replace("def main", "def main_of_another")
    hungry = tmp_path / "hungry.py"
    hungry.write_text(
        child.replace("if __name__", "if False")
        + "\ndef reencode(data):\n    return bytes(2**30), {}\n\nmain_of_another()\n"
    )
    monkeypatch.setattr(images, "CHILD", hungry)
    with Decoder() as decoder, pytest.raises(BadImage, match="too much memory"):
        decoder.reencode(picture_bytes())


# --- storing ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_picture_is_stored_once_under_its_content():
    data = encoded(Picture.effect_noise((30, 30), 50), "JPEG")
    image = images.store(data)
    assert images.store(data) == image
    assert Image.objects.count() == 1
    with image.file.open("rb") as file:
        stored = file.read()
    assert hashlib.sha256(stored).hexdigest() == image.sha256
    assert image.original_sha256 == hashlib.sha256(data).hexdigest()
    assert image.bytes == len(stored)


@pytest.mark.django_db
def test_what_we_served_is_recognised_when_it_comes_back():
    image = images.store(encoded(Picture.effect_noise((30, 30), 50), "JPEG"))
    with image.file.open("rb") as file:
        assert images.store(file.read()) == image


@pytest.mark.django_db
def test_the_same_pixels_in_other_files_are_one_image():
    picture = Picture.effect_noise((9, 9), 50)
    first = images.store(encoded(picture, "PNG", compress_level=1))
    second = images.store(encoded(picture, "PNG", compress_level=9))
    assert first == second
