"""What can go wrong between boto3 and a server, in words that name the setting to look at.

Anybody who asks for a picture may read them, so they tell neither address nor name of the bucket.
"""

from __future__ import annotations

from botocore import exceptions
from botocore.exceptions import ClientError

ENDPOINT = "S3_ENDPOINT_URL"
BUCKET = "S3_BUCKET"
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
TIMEOUT = "S3_TIMEOUT_SECONDS"
REGION = "AWS_DEFAULT_REGION"
LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3")

FORBIDDEN = (
    f"the keys may not use the bucket; look at {KEYS}, and at the rights that they have, "
    "s3:ListBucket among them"
)
BUSY = "the server has too much to do"
OTHER_REGION = f"the bucket is in another region; look at {REGION}"

BY_CODE = {
    "NoSuchBucket": f"there is no such bucket; look at {BUCKET}",
    "InvalidBucketName": f"no bucket can have this name; look at {BUCKET}",
    "AccessDenied": FORBIDDEN,
    "403": FORBIDDEN,
    "InvalidAccessKeyId": f"the server does not know the access key; look at {KEYS}",
    "SignatureDoesNotMatch": f"the secret key does not belong to the access key; look at {KEYS}",
    "ExpiredToken": "the session token is over; look at AWS_SESSION_TOKEN",
    "InvalidToken": "the session token is refused; look at AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clocks of this machine and of the server differ; set them",
    "PermanentRedirect": OTHER_REGION,
    "301": OTHER_REGION,
    "AuthorizationHeaderMalformed": OTHER_REGION,
    "IllegalLocationConstraintException": OTHER_REGION,
    "QuotaExceeded": f"the bucket is full; look at its quota ({BUCKET})",
    "XMinioStorageFull": f"the server is full; look at its disk ({ENDPOINT})",
    "InsufficientStorage": f"the server is full; look at its disk ({ENDPOINT})",
    "507": f"the server is full; look at its disk ({ENDPOINT})",
    "SlowDown": BUSY,
    "ServiceUnavailable": BUSY,
    "503": BUSY,
    "RequestTimeout": "the server did not get the data in time",
}

BY_TYPE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError),
        f"the server does not answer in time; look at {ENDPOINT}, and at {TIMEOUT} if it is slow",
    ),
    (
        (exceptions.NoCredentialsError, exceptions.PartialCredentialsError),
        f"there are no keys for the bucket; look at {KEYS}",
    ),
    (
        (exceptions.SSLError,),
        f"there is no TLS connection that is trusted; look at {ENDPOINT} (http or https) and at "
        "AWS_CA_BUNDLE",
    ),
    ((exceptions.NoRegionError, exceptions.InvalidRegionError), f"look at the region, {REGION}"),
    (
        (exceptions.ParamValidationError, exceptions.UnknownEndpointError),
        f"no bucket can have this name; look at {BUCKET}",
    ),
    (
        (exceptions.InvalidChecksumConfigError,),
        "look at AWS_REQUEST_CHECKSUM_CALCULATION and AWS_RESPONSE_CHECKSUM_VALIDATION: they are "
        "when_required or when_supported",
    ),
    (
        (exceptions.ConnectionError, exceptions.HTTPClientError),
        f"the server is not reached, or breaks off; look at {ENDPOINT}",
    ),
)


def explained(error: Exception) -> str | None:
    """The words for people; None for what has nothing to do with the server."""
    answer = _answer_of(error)
    if answer is not None:
        return f"storage: {_refused(answer)}"
    for types, words in BY_TYPE:
        if isinstance(error, types):
            return f"storage: {words}"
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return f"storage: there is no server at such an address; look at {ENDPOINT}"
    if type(error).__module__.split(".")[0] in LIBRARIES:
        return f"storage: the server does not answer as S3 does; look at {ENDPOINT}"
    return None


def _answer_of(error: BaseException | None) -> ClientError | None:
    """What the server said, which boto3 may have wrapped."""
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__ or error.__context__
    return error


def _refused(answer: ClientError) -> str:
    code = str(answer.response.get("Error", {}).get("Code", ""))
    status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = BY_CODE.get(code) or BY_CODE.get(str(status))
    if known is not None:
        return known
    named = f"{code[:60]}, " if code.isalnum() and not code.isdecimal() else ""
    return f"the server refused ({named}status {status}); look at {ENDPOINT} and {KEYS}"
