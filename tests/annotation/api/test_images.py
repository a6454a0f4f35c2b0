"""Pictures in and out over REST."""

import hashlib
import io

import pytest
from django.core.cache import cache
from PIL import Image as Picture

from annotation import images
from annotation.models import Image
from tests.annotation.api import body_of, record
from tests.factories import (
    picture_bytes,
)

pytestmark = pytest.mark.django_db


def test_an_uploaded_picture_comes_back_as_stored(project, api):
    uploaded = api.upload(f"projects/{project.slug}/images", picture_bytes(width=9, height=4))
    assert uploaded.status_code == 201
    about = uploaded.json()
    assert (about["width"], about["height"], about["format"]) == (9, 4, "png")
    # It belongs to nobody until a prompt shows it.
    assert api.get(f"images/{about['sha256']}").status_code == 404
    api.post(f"projects/{project.slug}/comparisons", {"comparisons": [record(about["sha256"])]})
    served = api.get(f"images/{about['sha256']}")
    assert served["Content-Type"] == "image/png"
    assert served["X-Content-Type-Options"] == "nosniff"
    assert "private" in served["Cache-Control"]
    assert hashlib.sha256(body_of(served)).hexdigest() == about["sha256"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "is not a PNG"),
        (picture_bytes(width=200, height=200)[:-60], "is broken"),
        (b"x" * (20 * 2**20 + 1), "is larger than 20 MiB"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(project, api, data, reason):
    refused = api.upload(f"projects/{project.slug}/images", data)
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith(reason)
    assert not Image.objects.exists()


def test_a_thumbnail_is_a_small_copy_and_a_small_picture_is_its_own(project, api):
    noise = Picture.effect_noise((640, 480), 90).convert("RGB")
    file = io.BytesIO()
    noise.save(file, "JPEG")
    for data, kind in ((file.getvalue(), "JPEG"), (picture_bytes(width=900, height=4), "PNG")):
        sha256 = api.upload(f"projects/{project.slug}/images", data).json()["sha256"]
        again = record(sha256, id=kind)
        api.post(f"projects/{project.slug}/comparisons", {"comparisons": [again]})
        whole = api.get(f"images/{sha256}")
        small = api.get(f"images/{sha256}", variant="thumbnail")
        sent = body_of(small) if small.streaming else small.content
        assert (sent == body_of(whole)) == (kind == "PNG")
        shown = Picture.open(io.BytesIO(sent))
        if kind == "JPEG":
            assert (shown.format, shown.size) == ("JPEG", (224, 168))
            assert small["ETag"] != whole["ETag"]
        else:
            assert (shown.format, shown.size) == ("PNG", (900, 4))
        assert small["Cache-Control"] == whole["Cache-Control"]
    assert api.get(f"images/{sha256}", variant="huge").status_code == 400


def test_thumbnails_are_made_once_and_push_nothing_else_out(monkeypatch):
    made = []
    monkeypatch.setattr(images, "_thumbnail", lambda image: made.append(image.sha256) or b"small")
    cache.set("figures", 1)
    for number in [*range(400), 399]:
        images.thumbnail(Image(sha256=f"{number:064}", bytes=10**6))
    assert len(made) == 400
    assert cache.get("figures") == 1
