"""The Airflow connection `elasticsearch_default` becomes the environment of a stage, and of nothing else."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.decontaminate.elastic import Server
from posttrain_airflow.services import stage_environment


def server_of(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], stage: str = "decontaminate") -> Server:
    monkeypatch.setenv("AIRFLOW_CONN_ELASTICSEARCH_DEFAULT", json.dumps({"conn_type": "elasticsearch"} | connection))
    decontaminate = SimpleNamespace(index="elasticsearch")
    with stage_environment(SimpleNamespace(recipe=SimpleNamespace(decontaminate=decontaminate)), stage):
        return Server.from_environment()


def test_host_user_and_password_with_tls(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    assert server_of(monkeypatch, {
        "host": "es.example.com", "port": 9243, "schema": "https", "login": "elastic", "password": "s3cret",
        "extra": {"ca_certs": str(ca), "patience": 30},
    }) == Server("https://es.example.com:9243", "", "elastic", "s3cret", str(ca), True, 60, 30)


def test_certificates_are_verified_unless_the_connection_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"host": "es", "schema": "https"}
    assert server_of(monkeypatch, connection) == Server("https://es:9200")
    for no in (False, "false"):
        assert server_of(monkeypatch, connection | {"extra": {"verify_certs": no}}).verify_certs is False


def test_the_key_of_another_server_is_not_sent_to_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "a2V5IG9mIGFub3RoZXI=")
    monkeypatch.setenv("ELASTICSEARCH_VERIFY_CERTS", "false")
    found = server_of(monkeypatch, {"host": "https://es:9200", "extra": {"api_key": "b3du"}})
    assert (found.api_key, found.verify_certs) == ("b3du", True)
    assert server_of(monkeypatch, {"host": "https://es:9200", "login": "me", "password": "pw"}).api_key == ""
    assert os.environ["ELASTICSEARCH_API_KEY"] == "a2V5IG9mIGFub3RoZXI=", "put back when the stage is over"
