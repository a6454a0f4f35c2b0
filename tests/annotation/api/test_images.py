"""Pictures in and out over REST."""

import hashlib

import pytest

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
