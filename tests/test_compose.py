"""The container files, as far as they can be checked without a container engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text(encoding="utf-8"))
TEXT = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
STORES = {"postgres", "redis", "elasticsearch"}
SERVICE_KEYS = {
    "build", "image", "restart", "environment", "volumes", "depends_on", "command", "ports", "healthcheck", "stop_grace_period",
}
"""The keys in use, all of the compose specification: a misspelt one would be an error only when it is started."""


def test_services() -> None:
    assert set(SERVICES) == COMPONENTS | STORES | {"init"}
    assert set(COMPOSE) == {"services", "volumes", "x-airflow"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name


@pytest.mark.parametrize("name", sorted(COMPONENTS | STORES))
def test_every_service_has_a_health_check_and_restarts(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL") and len(check["test"]) > 1
    assert re.fullmatch(r"\d+s", check["interval"]) and re.fullmatch(r"\d+s", check["timeout"]) and check["retries"] > 1
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_order_of_start() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            wanted = "service_completed_successfully" if other == "init" else "service_healthy"
            assert how["condition"] == wanted, f"{name} waits for {other}"
    for name in COMPONENTS:
        assert {"postgres", "redis", "init"} <= set(SERVICES[name]["depends_on"])
    assert set(SERVICES["init"]["depends_on"]) == {"postgres"}


def test_ports_are_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD$|SECRET|FERNET|TOKEN|_CONN|BROKER_URL|RESULT_BACKEND", key):
                secrets = re.findall(r"\$\{[A-Z_]+:\?[^}]+\}", str(value))
                assert value is None or secrets, f"{name}.{key} must come from .env"
                left = re.sub(r"\$\{[^}]+\}", "", str(value))
                assert not re.search(r"[0-9a-zA-Z+/=_-]{24,}", left.replace("postgresql+psycopg2", "")), f"{name}.{key}: {left}"


def test_env_example_lists_what_is_needed_and_holds_no_value() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    assert required == set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))
    optional = set(re.findall(r"\$\{([A-Z_]+):-", TEXT)) | {"HF_TOKEN", "AIRFLOW_CONN_OPENAI_DEFAULT"}
    assert optional == set(re.findall(r"^#([A-Z_]+)=", example, flags=re.MULTILINE))
    assert ".env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").split()


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for image in images:
        assert re.search(r":[^:/]*\d", image) and "latest" not in image, image


def test_volumes_are_declared() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    used = {mount.split(":")[0] for mount in mounts if not mount.startswith("$")}
    assert used | {"data"} == set(COMPOSE["volumes"]), "DATA_ROOT falls back to the volume `data`"


def test_image_has_the_airflow_of_the_lock_and_is_not_root() -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    airflow = re.search(r"^apache-airflow==(\S+)", lock, flags=re.MULTILINE)
    assert airflow and f"apache/airflow:slim-{airflow[1]}-python3.11" in dockerfile
    assert airflow[1] in SERVICES["worker"]["image"]
    assert "USER root" not in dockerfile, "the image's user is airflow (50000)"


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY --chown=airflow:0 (\S+) ", dockerfile, flags=re.MULTILINE)
    let_in = re.findall(r"^!(\S+)", (PROJECT / ".dockerignore").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(copied) == sorted(let_in) == ["dags", "include", "plugins", "requirements.lock"]
    assert all((PROJECT / name).exists() for name in copied)


def test_lock_lists_no_cuda_and_no_local_version() -> None:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", lock, flags=re.MULTILINE)
    assert len(pinned) > 150
    assert not [name for name, _ in pinned if name.startswith(("nvidia-", "cuda-")) or name == "triton"]
    assert not [f"{name}=={version}" for name, version in pinned if "+" in version]
