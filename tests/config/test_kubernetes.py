"""What deploy/kubernetes asks of a cluster, tried without one: by Kubernetes' schemas, by Compose.

The schemas come with kubernetes-validate, so nothing is fetched.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import call_command

import factloop
from tests.config.test_compose import DOT_ENV, ROOT, services

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.37")
OBJECTS: list[dict[str, Any]] = [
    found
    for path in sorted(FOLDER.glob("*.yaml"))
    for found in yaml.safe_load_all(path.read_text())
]
PODS: dict[str, dict[str, Any]] = {
    found["metadata"]["name"]: found["spec"]["template"]["spec"]
    for found in OBJECTS
    if "template" in found.get("spec", {})
}
(SETTINGS,) = (found["data"] for found in OBJECTS if found["kind"] == "ConfigMap")
COMPOSE = services(DOT_ENV)
SECRETS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")
OURS = {"migrate", "web", "beat", "worker-cpu", "worker-gpu"}
HOME = re.findall(
    r"^FROM .* AS base$(?:.|\n)*?^WORKDIR (\S+)$", (ROOT / "Dockerfile").read_text(), re.M
)[0]
OTHERWISE = {"ALLOWED_HOSTS", "SITE_URL", "LOG_FORMAT"}
"""Of the settings: what an installation says for itself, and logs, which clusters collect."""
OF_THE_POD = {"POD_IP", "NAMESPACE"}
"""What the site does not read: other values are made of it."""


KUBELET = {"status.podIP": "10.9.8.7", "metadata.namespace": "lab", "metadata.name": "worker-gpu-0"}
"""What the kubelet would say of a pod."""


def container(name: str) -> dict[str, Any]:
    (found,) = PODS[name]["containers"]
    return found


def environment(name: str) -> dict[str, str]:
    """What a process of the pod finds, but for secrets: ``$(NAME)`` is one that came before."""
    found = dict(SETTINGS)
    for one in container(name).get("env", []):
        told = one.get("value")
        if told is None:
            told = KUBELET[one["valueFrom"]["fieldRef"]["fieldPath"]]
        found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda word: found[word[1]], told)
    return found


def named(found: dict[str, Any]) -> str:
    return f"{found['kind']}-{found['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("found", OBJECTS, ids=named)
def test_an_object_is_one_by_kubernetes_own_schema(found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize(
    "fault",
    [
        lambda spec: spec.update(containerz=[]),
        lambda spec: spec["containers"][0]["ports"][0].update(containerPort="eight thousand"),
        lambda spec: spec["containers"][0].pop("name"),
    ],
    ids=["no such member", "no number", "no name"],
)
def test_the_schema_refuses_what_is_none(fault: Any) -> None:
    (web,) = (one for one in OBJECTS if named(one) == "Deployment-web")
    wrong = copy.deepcopy(web)
    fault(wrong["spec"]["template"]["spec"])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_there_is_a_pod_for_each_service_of_compose() -> None:
    assert PODS.keys() == COMPOSE.keys()


@pytest.mark.parametrize("name", COMPOSE)
def test_a_pod_runs_what_its_service_runs(name: str) -> None:
    service, found = COMPOSE[name], container(name)
    assert found.get("args") == service.get("command")
    if name in OURS:
        for one in [found, *PODS[name].get("initContainers", [])]:
            image = f"factloop-{service['build']['target']}:{factloop.__version__}"
            assert one["image"].endswith(f"/{image}")
    else:
        assert found["image"] == service["image"]


@pytest.mark.parametrize("name", COMPOSE)
def test_a_pod_is_unprivileged_and_bounded(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    for one in [*pod["containers"], *pod.get("initContainers", [])]:
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"].get("readOnlyRootFilesystem", False) is (name in OURS)
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]
    if name in OURS:
        uid = re.findall(r"useradd .*--uid (\d+)", (ROOT / "Dockerfile").read_text())
        assert uid == [str(pod["securityContext"]["runAsUser"])]
    memory = container(name)["resources"]["limits"]["memory"].removesuffix("i").lower()
    assert COMPOSE[name]["mem_limit"] in (memory, "0")  # Docker does not bound it at 0.


@pytest.mark.parametrize("name", COMPOSE.keys() - {"migrate"})
def test_a_pod_is_asked_what_its_service_is_asked(name: str) -> None:
    service, found = COMPOSE[name], container(name)
    probe = found.get("readinessProbe") or found["livenessProbe"]
    if name == "web":
        assert probe["httpGet"]["path"] in service["healthcheck"]["test"][-1]
        for one in (probe, found["livenessProbe"]):
            (host,) = one["httpGet"]["httpHeaders"]
            assert host["value"] in environment(name)["ALLOWED_HOSTS"].split(",")
    else:
        how, *asked = service["healthcheck"]["test"]
        asked = [one.replace("$$", "$") for one in asked]
        assert probe["exec"]["command"] == (["sh", "-c", *asked] if how == "CMD-SHELL" else asked)
    grace = PODS[name].get("terminationGracePeriodSeconds", 30)
    if "lifecycle" in found:  # It begins before the hook.
        grace -= int(found["lifecycle"]["preStop"]["exec"]["command"][1])
    given, unit = re.fullmatch(r"(\d+)([sm])", service.get("stop_grace_period", "10s")).groups()  # type: ignore[union-attr]
    assert grace >= int(given) * {"s": 1, "m": 60}[unit]


def test_workers_are_never_ended_by_a_probe() -> None:
    """It asks through Redis: while that is away, what is trained would be ended."""
    for name in ("worker-cpu", "worker-gpu"):
        assert "livenessProbe" not in container(name)


@pytest.mark.parametrize("name", OURS)
def test_settings_are_those_of_compose(name: str) -> None:
    """Names that the service has, with its values where it has a default."""
    service = COMPOSE[name]["environment"]
    needed = {one for one, value in service.items() if value not in (None, "")}
    own = {one["name"] for one in container(name).get("env", [])} - OF_THE_POD
    judging = {"JUDGE_TIMEOUT_SECONDS", "JUDGE_ATTEMPTS"}  # at the defaults of config.settings
    given = SETTINGS.keys() | set(SECRETS)
    assert needed - judging <= given | own <= service.keys()
    assert given - needed == {"SITE_URL"}
    for one in SETTINGS.keys() - OTHERWISE:
        assert SETTINGS[one] == service[one], one
    for one in [container(name), *PODS[name].get("initContainers", [])]:
        sources = one["envFrom"][:2]
        assert sources == [
            {"configMapRef": {"name": "factloop"}},
            {"secretRef": {"name": "factloop"}},
        ]


def test_settings_are_names_that_are_read() -> None:
    source = "".join(path.read_text() for path in (ROOT / "config" / "settings").glob("*.py"))
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"(\w+)"', source)) | {"AWS_DEFAULT_REGION"}
    assert SETTINGS.keys() <= read


def test_no_secret_stands_in_a_file() -> None:
    assert not [one for one in OBJECTS if one["kind"] == "Secret"]
    for path in FOLDER.glob("*.yaml"):
        assert not re.search(r"(PASSWORD|SECRET_KEY|TOKEN), value", path.read_text()), path


def test_a_gpu_is_lent_once_and_its_host_keeps_its_name() -> None:
    found = container("worker-gpu")
    environment = {one["name"]: one for one in found["env"]}
    gpus = found["resources"]["limits"]["nvidia.com/gpu"]
    assert environment["WORKER_GPUS"]["value"] == str(gpus)
    assert found["args"][found["args"].index("--concurrency") + 1] == str(gpus)
    assert environment["WORKER_HOST"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    (kind,) = (one["kind"] for one in OBJECTS if one["metadata"]["name"] == "worker-gpu"
               and "template" in one["spec"])  # fmt: skip
    assert kind == "StatefulSet"


@pytest.mark.parametrize("name", OURS - {"migrate"})
def test_folders_are_those_of_compose(name: str) -> None:
    mounted = {
        one["mountPath"]: one.get("readOnly", False) for one in container(name)["volumeMounts"]
    }
    wanted = {}
    for volume in COMPOSE[name]["volumes"]:
        _, target, *mode = volume.split(":")
        wanted[target] = mode == ["ro"]
    if "shm_size" in COMPOSE[name]:
        wanted["/dev/shm"] = False
    # All else is read-only: files of requests and of beat, and, of workers, caches of compilers.
    wanted |= {"/tmp": False}
    if name.startswith("worker"):
        wanted |= {HOME: False}
    assert mounted == wanted


def test_pods_do_not_learn_of_services_by_variables() -> None:
    """One that is called redis would bring REDIS_PORT=tcp://…, among others."""
    for name in OURS:
        assert PODS[name]["enableServiceLinks"] is False


def test_beat_is_one_also_while_it_is_replaced() -> None:
    (beat,) = (one["spec"] for one in OBJECTS if named(one) == "Deployment-beat")
    assert beat["replicas"] == 1
    assert beat["strategy"] == {"type": "Recreate"}


def test_what_several_pods_write_to_can_be_mounted_by_several() -> None:
    claims = {one["metadata"]["name"]: one["spec"] for one in OBJECTS
              if one["kind"] == "PersistentVolumeClaim"}  # fmt: skip
    used = [
        volume["persistentVolumeClaim"]["claimName"]
        for pod in PODS.values()
        for volume in pod.get("volumes", [])
        if "persistentVolumeClaim" in volume
    ]
    for claim, spec in claims.items():
        assert used.count(claim) > 1
        assert spec["accessModes"] == ["ReadWriteMany"]


def test_a_pod_with_gpus_may_go_where_gpus_are() -> None:
    (one,) = PODS["worker-gpu"]["tolerations"]
    assert one["key"] in container("worker-gpu")["resources"]["limits"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "host",
    [
        "labels.example.org",
        "127.0.0.1",  # probes
        "10.9.8.7:8000",  # Prometheus, where it finds pods
        "web:8000",
        "web.lab.svc:8000",  # the same from another namespace, which the policy lets in
        "web.lab.svc.cluster.local:8000",
    ],
)
def test_the_site_answers_to_the_names_that_the_cluster_has_for_it(
    host: str, client: Any, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = environment("web")["ALLOWED_HOSTS"].split(",")
    settings.SECURE_SSL_REDIRECT = True
    settings.METRICS_TOKEN = "of prometheus"
    for path in ("/healthz/live", "/healthz/ready"):
        assert client.get(path, headers={"host": host}).status_code == 200
    said = {"host": host, "authorization": "Bearer of prometheus"}
    assert client.get("/metrics", headers=said).status_code == 200


def test_the_site_answers_to_no_other_name(client: Any, settings: Any) -> None:
    settings.ALLOWED_HOSTS = environment("web")["ALLOWED_HOSTS"].split(",")
    for host in ("10.9.8.8:8000", "web.other.svc", "evil.example.org"):
        assert client.get("/healthz/live", headers={"host": host}).status_code == 400


def test_the_site_is_sent_nothing_new_once_it_is_told_to_end() -> None:
    """An ingress hears of a pod's end at the same time as the pod, and goes on for a while."""
    hook = container("web")["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["sleep", "5"]


def test_what_is_named_is_there() -> None:
    """Services, claims and volumes that a file names, and the pods that a selector means."""
    components = {
        found["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for found in OBJECTS
        if "template" in found.get("spec", {})
    }
    claims = {one["metadata"]["name"] for one in OBJECTS if one["kind"] == "PersistentVolumeClaim"}
    for found in OBJECTS:
        spec = found.get("spec", {})
        if found["kind"] == "Service":
            assert spec["selector"]["app.kubernetes.io/component"] in components
        if "template" not in spec:
            continue
        pod = spec["template"]["spec"]
        volumes = {one["name"] for one in pod.get("volumes", [])}
        volumes |= {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", [])}
        for one in pod["containers"]:
            assert {mount["name"] for mount in one.get("volumeMounts", [])} <= volumes
        named_claims = {
            one["persistentVolumeClaim"]["claimName"]
            for one in pod.get("volumes", [])
            if "persistentVolumeClaim" in one
        }
        assert named_claims <= claims


@pytest.mark.parametrize("name", OURS - {"migrate"})
def test_a_pod_waits_until_nothing_is_left_to_migrate(name: str) -> None:
    (waiting,) = PODS[name]["initContainers"]
    assert waiting["args"] == ["factloop", "manage", "migrate", "--check"]


@pytest.mark.django_db
def test_asking_whether_something_is_left_to_migrate_ends_with_1_if_so() -> None:
    from django.db.migrations.recorder import MigrationRecorder

    call_command("migrate", check_unapplied=True)
    MigrationRecorder.Migration.objects.filter(app="benchmark").order_by("-pk")[:1].get().delete()
    with pytest.raises(SystemExit) as ended:
        call_command("migrate", check_unapplied=True)
    assert ended.value.code == 1
