"""Where pictures are looked for: a folder, an archive, what is stored already."""

import io
import zipfile

import pytest

from annotation.image_sources import Archive, Either, Folder, Stored
from annotation.images import BadImage, Decoder
from annotation.models import Image
from tests.annotation.test_images import archive
from tests.factories import make_image, picture_bytes


@pytest.mark.django_db
def test_a_folder_finds_files_inside_it_only(tmp_path, decoder):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "a.png").write_bytes(picture_bytes())
    (tmp_path / "secret.png").write_bytes(picture_bytes())
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    folder = Folder(tmp_path / "images")
    assert folder.find("deep/a.png", decoder) is not None
    assert folder.find("b.png", decoder) is None
    assert folder.find(str(tmp_path / "secret.png"), decoder) is None
    for name in ("../secret.png", "link.png", "", "a\0.png"):
        with pytest.raises(BadImage):
            folder.find(name, decoder)


@pytest.mark.django_db
def test_an_archive_finds_by_path_and_by_name(decoder):
    one, two = picture_bytes(), picture_bytes()
    found = Archive(archive(**{"top/images/a.png": one, "top/images/b.png": two}))
    exact = found.find("top/images/a.png", decoder)
    assert found.find("images/a.png", decoder).original_sha256 == exact.original_sha256
    assert found.find("a.png", decoder).original_sha256 == exact.original_sha256
    assert found.find("c.png", decoder) is None


@pytest.mark.django_db
def test_a_name_that_fits_two_files_of_an_archive_is_refused(decoder):
    found = Archive(archive(**{"x/a.png": picture_bytes(), "y/a.png": picture_bytes()}))
    with pytest.raises(BadImage, match=r"fits several files of the archive: x/a.png, y/a.png"):
        found.find("a.png", decoder)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png", "C:\\a.png", "..\\a"])
def test_an_archive_with_an_unsafe_path_is_refused(name):
    with pytest.raises(BadImage, match="unsafe path"):
        Archive(archive(**{name: b"x"}))


def test_an_archive_with_a_link_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo("a.png")
        entry.external_attr = 0o120777 << 16
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(BadImage, match="contains a link"):
        Archive(buffer)


def test_a_bomb_in_an_archive_is_not_unpacked_whole(decoder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(300 * 2**20))
    with pytest.raises(BadImage, match="is larger than 20 MiB"):
        Archive(buffer).find("a.png", decoder)


def test_what_is_no_archive_is_refused():
    with pytest.raises(BadImage, match="is not a zip archive"):
        Archive(io.BytesIO(b"not a zip"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x1f\x8b\x08....", "compressed with gzip"),
        (b"Rar!\x1a\x07\x00", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"a.png".ljust(257, b"\0") + b"ustar\x0000", "a tar"),
    ],
)
def test_an_archive_of_another_kind_is_called_what_it_is(tmp_path, data, what):
    (tmp_path / "images.zip").write_bytes(data)
    for source in (io.BytesIO(data), tmp_path / "images.zip"):
        with pytest.raises(BadImage, match=f"^images.zip is {what}: a zip is expected"):
            Archive(source, "images.zip")


@pytest.mark.django_db
def test_a_broken_entry_of_an_archive_is_refused(decoder):
    data = archive(**{"a.png": picture_bytes()}).getvalue()
    broken = bytearray(data)
    broken[60] ^= 0xFF
    with pytest.raises(BadImage):
        Archive(io.BytesIO(bytes(broken))).find("a.png", decoder)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_member_names_zip_and_entry(decoder, kind):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        file.writestr("folder/a.png", bytes(range(256)) * 20)
    whole = buffer.getvalue()
    for place in (0, 26, 28, 35, 100):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        with pytest.raises(BadImage) as caught:
            Archive(io.BytesIO(bytes(broken)), "pictures.zip").find("a.png", decoder)
        said = "cannot be unpacked: folder/a.png in pictures.zip is damaged"
        assert str(caught.value) == said


def test_an_archive_is_named_wherever_it_is_cut_off():
    data = archive(**{"a.png": picture_bytes()}).getvalue()
    for size in (0, 10, len(data) // 2, len(data) - 5):
        with pytest.raises(BadImage, match=r"pictures\.zip is not a zip archive"):
            Archive(io.BytesIO(data[:size]), "pictures.zip")


def test_a_member_that_needs_a_password_is_named(decoder):
    data = bytearray(archive(**{"a.png": picture_bytes()}).getvalue())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    with pytest.raises(BadImage, match=r"a\.png in pictures\.zip needs a password"):
        Archive(io.BytesIO(bytes(data)), "pictures.zip").find("a.png", decoder)


@pytest.mark.django_db
def test_stored_images_are_found_by_their_content(decoder):
    image = make_image()
    assert Stored(Image.objects.all()).find(image.sha256, decoder) == image
    assert Stored(Image.objects.all()).find(image.filename, decoder) == image
    assert Stored(Image.objects.all()).find("0" * 64, decoder) is None
    assert (
        Either((Archive(archive()), Stored(Image.objects.all()))).find(image.sha256, decoder)
        == image
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"\0\0\0\x20ftypheic" + bytes(50), "a HEIC picture"),
        (b"\0\0\0\x20ftypavif" + bytes(50), "an AVIF picture"),
        (b"\n<svg xmlns='x'/>", "an SVG drawing"),
        (b"<!DOCTYPE html><title>404</title>", "a page of HTML"),
        (b'{"message": "not found"}', "JSON"),
        (b"BM" + bytes(60), "a BMP picture"),
        (b"\0\0\1\0" + bytes(60), "an icon"),
        (b"\0\0\0\x0cjP  \r\n" + bytes(60), "a JPEG 2000 picture"),
        (b"8BPS" + bytes(60), "a Photoshop picture"),
    ],
)
def test_what_came_in_place_of_a_picture_is_named(data, what):
    with Decoder() as decoder, pytest.raises(BadImage, match=f"^is not a PNG.* but {what}"):
        decoder.reencode(data)
