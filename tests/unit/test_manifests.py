"""The manifests of `crossmodal kubernetes` are valid and fit together; docker-compose.scale.yml runs the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import ROOT
from containers import containers, described, documents, of_compose, pods

from cli.main import main

pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")

STORE = "postgresql://crossmodal@database/crossmodal"


def run(out: Path, *options: str, store: str = STORE) -> Result:
    return CliRunner().invoke(main, ["kubernetes", "--out", str(out), "--store", store, *options])


def written(out: Path, *options: str, store: str = STORE) -> list[dict[str, Any]]:
    done = run(out, *options, store=store)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [str(path) for path in sorted(out.iterdir())]
    return list(documents(out))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return written(tmp_path_factory.mktemp("kubernetes"))


def the(objects: list[dict[str, Any]], kind: str, name: str = "crossmodal-search") -> dict[str, Any]:
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def with_keys(out: Path) -> list[dict[str, Any]]:
    written(out)
    path = out / "query.yaml"
    text = path.read_text("utf8")
    assert text.count("# keys: ") == 3 + 1  # and the sentence that names them
    path.write_text(text.replace("# keys: ", ""), "utf8")
    return list(documents(out))


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_they_match_the_schemas(objects: list[dict[str, Any]], version: str) -> None:
    for each in objects:
        assert kubernetes_validate.validate(each, version, strict=True) == version
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**objects[0], "unknown": 1}, version, strict=True)


def test_kinds_and_names(objects: list[dict[str, Any]]) -> None:
    assert sorted((each["kind"], each["metadata"]["name"]) for each in objects) == [
        ("Deployment", "crossmodal-search"),
        ("HorizontalPodAutoscaler", "crossmodal-search"),
        ("Job", "crossmodal-index"),
        ("NetworkPolicy", "crossmodal-search"),
        ("NetworkPolicy", "crossmodal-search-http"),
        ("PodDisruptionBudget", "crossmodal-search"),
        ("Service", "crossmodal-search"),
    ]
    assert all("namespace" not in each["metadata"] for each in objects)


def test_pods_are_restricted(objects: list[dict[str, Any]]) -> None:
    """As Kubernetes' Pod Security Standard of that name asks, and with a read-only file system."""
    found = pods(objects)
    assert set(found) == {"query", "index"}
    for pod in found.values():
        spec = pod["spec"]
        assert spec["securityContext"] == {
            "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        for container in described(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
        assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
        assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} == {
            "emptyDir", "persistentVolumeClaim",
        }  # fmt: skip


def test_mounts_are_volumes_and_paths_are_mounted(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    keyed = with_keys(tmp_path / "keys")
    for found in (objects, keyed):
        for pod in pods(found).values():
            mounts = [mount for container in described(pod) for mount in container["volumeMounts"]]
            assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["spec"]["volumes"]}
            assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} == {"/cache", "/tmp"}
        for container in containers(found).values():
            paths = [value for value in (*container.command, *container.environment.values()) if value[0] == "/"]
            assert all({path, str(Path(path).parent)} & container.mounts for path in paths)
    assert kubernetes_validate.validate(the(keyed, "Deployment"), "1.37", strict=True)
    assert containers(keyed)["query"].command[-2:] == ["--keys", "/keys/keys.json"]
    assert "--keys" not in containers(objects)["query"].command


def test_selectors_and_ports_meet(objects: list[dict[str, Any]]) -> None:
    deployment, service = the(objects, "Deployment"), the(objects, "Service")
    pod, job = pods(objects)["query"], pods(objects)["index"]
    labels = pod["metadata"]["labels"]
    spread = [each["labelSelector"]["matchLabels"] for each in pod["spec"]["topologySpreadConstraints"]]
    selected = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        the(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(objects, "NetworkPolicy", "crossmodal-search-http")["spec"]["podSelector"]["matchLabels"],
        *spread,
    ]
    assert len(spread) == 2
    assert selected == [labels] * 6
    assert job["metadata"]["labels"] != labels
    common = the(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert common <= labels.items()
    assert common <= job["metadata"]["labels"].items()
    scaled = the(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert scaled == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 45678}]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert probes == [{"path": path, "port": "http"} for path in ("/readyz", "/readyz", "/")]
    assert service["spec"]["ports"] == [{"name": "http", "port": 45678, "targetPort": "http"}]


def test_the_network_is_dns_and_the_database(tmp_path: Path) -> None:
    several = "postgresql://ann@one:6432,two,three:6432/pictures?target_session_attrs=read-write"
    for name, store, ports in (("one", STORE, [5432]), ("several", several, [5432, 6432])):
        found = written(tmp_path / name, store=store)
        spec = the(found, "NetworkPolicy")["spec"]
        dns, database = spec["egress"]
        assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
        assert database == {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}
        assert (spec["policyTypes"], spec["ingress"]) == (["Ingress", "Egress"], [])
        http = the(found, "NetworkPolicy", "crossmodal-search-http")["spec"]
        assert http["ingress"] == [{"ports": [{"port": 45678, "protocol": "TCP"}]}]


def test_options_are_in_the_manifests(tmp_path: Path) -> None:
    image = 'a/b:1 # "quoted": {x}'
    options = ("--container-image", image, "--collection", "1e3", "--replicas", "3", "--pictures-claim", "on")
    found = written(tmp_path / "k", *options, "--password-secret", "app: $x")
    scaler = the(found, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 12)
    assert "replicas" not in the(found, "Deployment")["spec"]
    for container in containers(found).values():
        assert container.command[container.command.index("--collection") + 1] == "1e3"
        assert container.environment["CROSSMODAL_STORE"] == STORE
        assert container.secrets == {"PGPASSWORD": ("app: $x", "password")}
    for pod in pods(found).values():
        assert {container["image"] for container in described(pod)} == {image}
        claims = [
            volume["persistentVolumeClaim"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume
        ]
        assert claims == [{"claimName": "on", "readOnly": True}]


@pytest.mark.parametrize(
    ("options", "store", "message"),
    [
        ((), "postgresql://ann:secret@db/pictures", "remove the password from the address"),
        ((), "sqlite:///x", "postgresql://USER@HOST/DATABASE"),
        (("--collection", "a b"), STORE, "collection 'a b'"),
        (("--collection", "a" * 49), STORE, "at most 48 characters"),
    ],
)
def test_refusals(options: tuple[str, ...], store: str, message: str, tmp_path: Path) -> None:
    done = run(tmp_path / "k", *options, store=store)
    assert done.exit_code == 1
    assert message in done.stderr
    assert not (tmp_path / "k").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "query.yaml").write_text("edited")
    done = run(tmp_path)
    assert "query.yaml exists and may have been edited" in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("query.yaml", "edited")]


def test_out_and_store_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSMODAL_STORE", raising=False)
    for arguments in (["--out", "x"], ["--store", STORE]):
        done = CliRunner().invoke(main, ["kubernetes", *arguments])
        assert "takes --out FOLDER and --store" in done.stderr


def test_compose_runs_the_same(objects: list[dict[str, Any]]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.scale.yml").read_text("utf8"))["services"]
    database = services.pop("database")
    password = "${POSTGRES_PASSWORD:?choose a password for the database}"
    assert database["image"].split(":")[1].isdecimal()
    assert database["environment"] == {"POSTGRES_USER": "crossmodal", "POSTGRES_PASSWORD": password}
    assert set(services) == {"index", "query-1", "query-2"}
    for name, service in services.items():
        expected, found = containers(objects)[name.partition("-")[0]], of_compose(service)
        assert found.command == expected.command
        assert found.environment == expected.environment | {"PGPASSWORD": password}
        assert found.mounts == expected.mounts
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    ports = [services[name]["ports"] for name in ("query-1", "query-2")]
    assert ports == [["127.0.0.1:45678:45678"], ["127.0.0.1:45680:45678"]]


def test_the_image_can_read_a_database() -> None:
    text = (ROOT / "Dockerfile").read_text("utf8")
    assert "pip install -r requirements.txt -r requirements-scale.txt\n" in text
    assert "useradd --uid 1000 " in text
