"""Static files, storage, uploads."""

from typing import Any

from config import places
from config.settings.environment import PRIVATE, VAR, env

# --- Files ----------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [places.STATIC]
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = PRIVATE
if PRIVATE:
    # Nothing is collected there, but WhiteNoise warns about a folder that does not exist.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)

MEDIA_ROOT = VAR / "storage"
# Storage in a bucket, with credentials as boto3 reads them; empty: a folder.
S3_BUCKET = env("S3_BUCKET", default="")
# How long the server of the bucket may be silent, each time; it is asked three times, unless
# AWS_MAX_ATTEMPTS says otherwise. Web workers wait as long.
S3_TIMEOUT_SECONDS = env.float("S3_TIMEOUT_SECONDS", default=20)
STORAGES: dict[str, Any] = {
    # Images, releases and checkpoints. Never served by address: views check who may read them.
    "default": (
        {
            "BACKEND": "annotation.storage.bucket.BucketStorage",
            "OPTIONS": {
                "bucket_name": S3_BUCKET,
                # The server of the bucket, where it is not Amazon's.
                "endpoint_url": env("S3_ENDPOINT_URL", default="") or None,
            },
        }
        if S3_BUCKET
        else {"BACKEND": "annotation.storage.folder.FolderStorage"}
    ),
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if PRIVATE
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
# The largest request of somebody who has logged in or has a token; strangers may send 1 MiB.
LARGEST_BODY_MB = env.int("LARGEST_BODY_MB", default=4096)
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
