"""What is special about each platform that sends people: names of parameters, and its addresses.

A new platform is one line of PLATFORMS and one of ``Study.Platform``.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

LONGEST_ID = 200


@dataclass(frozen=True, kw_only=True)
class Platform:
    """``participant``, ``study`` and ``session`` are the usual names of the query parameters."""

    participant: str
    study: str
    session: str
    placeholders: tuple[str, str, str]
    """What is written after each name, for the platform to put the ids in; for people to copy."""
    hosts: tuple[str, ...] = ()
    """Domains to which people may be led back; empty for any."""
    unaccepted: str = ""
    """The session's id while somebody only looks at the task."""


PLATFORMS = {
    "prolific": Platform(
        participant="PROLIFIC_PID",
        study="STUDY_ID",
        session="SESSION_ID",
        placeholders=("{{%PROLIFIC_PID%}}", "{{%STUDY_ID%}}", "{{%SESSION_ID%}}"),
        hosts=("prolific.com", "prolific.co"),
    ),
    "mturk": Platform(
        participant="workerId",
        study="hitId",
        session="assignmentId",
        placeholders=("${workerId}", "${hitId}", "${assignmentId}"),
        hosts=("mturk.com",),
        unaccepted="ASSIGNMENT_ID_NOT_AVAILABLE",
    ),
    "other": Platform(
        participant="participant",
        study="study",
        session="session",
        placeholders=("PARTICIPANT", "STUDY", "SESSION"),
    ),
}


def fault_of_address(address: str, platform: str) -> str:
    """Why people may not be led to ``address`` from a study of ``platform``; empty if they may."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "This is not an address."
    if parts.scheme != "https" or not host or any(sign.isspace() for sign in address):
        return "An address here begins with https:// and names a site."
    if parts.username is not None or parts.password is not None:
        return "An address here names no user and no password."
    if _is_number(host) or "." not in host:
        return "An address here names a public site, such as app.prolific.com."
    hosts = PLATFORMS[platform].hosts
    if hosts and not any(host == one or host.endswith(f".{one}") for one in hosts):
        return f"From this platform people are led back to {' or '.join(hosts)} only."
    return ""


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
