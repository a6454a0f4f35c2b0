"""Writers into a bucket are killed on the way: what has its name is the old or the new, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET, NAME = "killed", "releases/a.jsonl"
OLD, NEW = b"old" * 50, bytes(range(256)) * 8
EVERY = int(os.environ.get("KILL_AT_EVERY", "3"))
"""Of the lines that handle storage, at which one is killed: 1 for all of them."""
KEYS = {
    "AWS_ACCESS_KEY_ID": "of-a-test",
    "AWS_SECRET_ACCESS_KEY": "of-a-test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("before", [OLD, None], ids=["over an earlier one", "anew"])
def test_a_writer_killed_at_any_step_leaves_nothing_half_done(
    address: str, before: bytes | None
) -> None:
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket=BUCKET)
    command = [sys.executable, "-m", "tests.annotation.storage.dying_writer"]
    writer = subprocess.Popen(
        [*command, address, BUCKET, NAME, NEW.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None

    def attempt(die_at: int) -> tuple[str, bytes | None]:
        client.delete_object(Bucket=BUCKET, Key=NAME)
        if before is not None:
            client.put_object(Bucket=BUCKET, Key=NAME, Body=before)
        print(die_at, file=writer.stdin, flush=True)
        said = writer.stdout.readline().strip()
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix=NAME).get("Contents", [])
        found = client.get_object(Bucket=BUCKET, Key=NAME)["Body"].read() if listed else None
        return said, found

    said, found = attempt(0)
    steps = int(said)
    assert (steps > 30, found) == (True, NEW)
    results = [attempt(step) for step in range(1, steps + 1, EVERY)]
    writer.communicate()
    print(f"{len(results)} kills at {steps} steps")
    assert {said for said, _ in results} == {"killed"}
    seen = {found for _, found in results}
    assert seen == {before, NEW}
    assert results[0][1] == before
