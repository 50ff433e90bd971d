"""Where the server is, who asks, TLS, versions; and that no secret is shown."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.elastic import ElasticsearchUnusable, Server, connect
from posttrain.decontaminate.elastic.connection import check_versions


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """(a certificate for 127.0.0.1 that signs itself, the server's side of TLS with it)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")]), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "key.pem")
    return folder / "server.pem", context


def only_for(*wanted: str) -> Callable[[Any, Callable[[], Any]], Any]:
    """Passes on what has one of these Authorization headers, as a server with security does."""
    def check(request: Any, forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request.headers.get("authorization") not in wanted:
            answer.status, answer.body = 401, b'{"error":{"type":"security_exception","reason":"no credentials"},"status":401}'
        return answer

    return check


PASSWORD = "Basic " + base64.b64encode(b"elastic:s3cret").decode()
API_KEY = "ApiKey " + base64.b64encode(b"id:k3y").decode()


def test_tls_with_a_password_or_an_api_key(server, proxy, certificate) -> None:
    ca, tls = certificate
    with proxy(server, only_for(PASSWORD, API_KEY), tls) as there:
        for login in ({"user": "elastic", "password": "s3cret"}, {"api_key": API_KEY.removeprefix("ApiKey ")}):
            with connect(Server(there.url, ca_file=str(ca), **login)) as cluster:
                assert cluster.client.indices.exists(index="posttrain-evals-none").body is False
        with pytest.raises(ElasticsearchUnusable, match="refuses this user or key .401") as refused, \
                connect(Server(there.url, ca_file=str(ca), user="elastic", password="wr0ng")):
            pass
        assert "wr0ng" not in str(refused.value)


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(server, proxy, certificate, caplog) -> None:
    _, tls = certificate
    with proxy(server, only_for(PASSWORD), tls) as there:
        with pytest.raises(ElasticsearchUnusable, match="certificate is not trusted: name its CA in ELASTICSEARCH_CA_FILE"), \
                connect(Server(there.url, user="elastic", password="s3cret")):
            pass
        assert not there.requests, "no password is sent to a server that is not trusted"
        with connect(Server(there.url, user="elastic", password="s3cret", verify_certs=False)):
            assert "not verified" in caplog.text


def test_http_and_https_mixed_up_says_so(server) -> None:
    with pytest.raises(ElasticsearchUnusable, match="does not speak TLS on this port"), \
            connect(Server(server.url.replace("http:", "https:"))):
        pass


@pytest.mark.parametrize(("client", "server", "install"), [
    ("9.5.1", "8.19.0", "elasticsearch>=8,<9"), ("9.5.1", "9.5.3", ""), ("8.19.0", "9.0.0", ""), ("8.15.0", "8.19.0", ""),
])
def test_versions(client: str, server: str, install: str) -> None:
    if not install:
        check_versions(client, server, "there")
        return
    with pytest.raises(ElasticsearchUnusable, match=f"there is {server}.*client {client}.*pip install '{install}'"):
        check_versions(client, server, "there")


@pytest.mark.parametrize(("number", "message"), [
    ("8.19.0", "pip install 'elasticsearch>=8,<9'"), ("7.17.29", "8 and 9 are supported"), (None, "is not Elasticsearch"),
])
def test_the_version_is_asked_for_first_in_words_that_every_server_knows(server, proxy, number: str | None, message: str) -> None:
    def other_version(request: Any, forward: Callable[[], Any]) -> Any:
        answer = forward()
        if any("compatible-with=9" in request.headers.get(name, "") for name in ("accept", "content-type")):
            answer.status, answer.body = 400, b'{"error":{"type":"media_type_header_exception"},"status":400}'
        else:
            answer.body = json.dumps({"version": {"number": number}} if number else {"hello": "world"}).encode()
        return answer

    with proxy(server, other_version) as there:
        with pytest.raises(ElasticsearchUnusable, match=message), connect(Server(there.url)):
            pass
        assert [request.path for request in there.requests] == ["/"]


# ---------------------------------------------------------------- the environment


def test_without_an_address_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELASTICSEARCH_URL", raising=False)
    with pytest.raises(ElasticsearchUnusable, match="elasticsearch_default or set ELASTICSEARCH_URL"):
        Server.from_environment()


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    for name, value in {"URL": "https://elastic:pw@es.example.com/path", "API_KEY": "a2V5", "CA_FILE": str(tmp_path / "ca.pem"),
                        "VERIFY_CERTS": "False", "TIMEOUT_SECONDS": "5", "PATIENCE_SECONDS": "0.5"}.items():
        monkeypatch.setenv(f"ELASTICSEARCH_{name}", value)
    found = Server.from_environment()
    assert found == Server("https://elastic:pw@es.example.com:9200/path", "a2V5", "", "", str(tmp_path / "ca.pem"), False, 5, 0.5)
    assert found.address == "https://es.example.com:9200/path"
    assert "a2V5" not in repr(found)


def test_certificates_are_verified_unless_the_connection_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", "https://es:9243")
    monkeypatch.setenv("ELASTICSEARCH_VERIFY_CERTS", "")
    assert Server.from_environment().verify_certs


@pytest.mark.parametrize(("name", "value", "message"), [
    ("URL", "es:9200", "ELASTICSEARCH_URL is http://host:port"), ("URL", "http://es:port", "ELASTICSEARCH_URL is http://host:port"),
    ("CA_FILE", "/nowhere/ca.pem", "no such file: /nowhere/ca.pem"), ("VERIFY_CERTS", "maybe", "true or false, not 'maybe'"),
    ("TIMEOUT_SECONDS", "soon", "ELASTICSEARCH_TIMEOUT_SECONDS is a number"), ("PATIENCE_SECONDS", "-1", "above 0, not '-1'"),
])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://es:9200")
    monkeypatch.setenv(f"ELASTICSEARCH_{name}", value)
    with pytest.raises(ElasticsearchUnusable, match=message):
        Server.from_environment()
