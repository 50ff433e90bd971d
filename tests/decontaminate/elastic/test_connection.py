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


class Authority:
    """A certificate authority of one's own, whose certificate is `pem`."""

    def __init__(self, folder: Path, name: str) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.folder, self.name, self.key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(self._signed(self.key.public_key(), name, 1, ca=True))

    def tls(self, host: str, days: float = 1) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for this host that runs out in so many days."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key, both = ec.generate_private_key(ec.SECP256R1()), self.folder / f"{self.name}-{host}-{days}.pem"
        both.write_bytes(self._signed(key.public_key(), host, days, ca=False) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    def _signed(self, key: Any, subject: str, days: float, ca: bool) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        now = datetime.datetime.now(datetime.UTC)
        subject_name, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (subject, self.name))
        host = x509.IPAddress(IPv4Address(subject)) if subject[0].isdigit() else x509.DNSName(subject)
        made = (
            x509.CertificateBuilder().subject_name(subject_name).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9)).not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "own-authority")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> tuple[Path, ssl.SSLContext]:
    """(the authority's certificate, the server's side of TLS with one for 127.0.0.1)."""
    return authority.pem, authority.tls("127.0.0.1")


def only_for(*wanted: str) -> Callable[[Any, Callable[[], Any]], Any]:
    """Passes on what has one of these Authorization headers, as a server with security does."""
    def check(request: Any, forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request.headers.get("authorization") not in wanted:
            error = {"type": "security_exception", "reason": "no credentials"}
            answer.status, answer.body = 401, json.dumps({"error": error | {"root_cause": [error]}, "status": 401}).encode()
        return answer

    return check


PASSWORD = "Basic " + base64.b64encode("elastic:s3cret pässword 비밀".encode()).decode()
API_KEY = "ApiKey " + base64.b64encode(b"id:k3y").decode()


def test_tls_with_a_password_or_an_api_key(server, proxy, certificate) -> None:
    ca, tls = certificate
    with proxy(server, only_for(PASSWORD, API_KEY), tls) as there:
        for login in ({"user": "elastic", "password": "s3cret pässword 비밀"}, {"api_key": API_KEY.removeprefix("ApiKey ")}):
            with connect(Server(there.url, ca_file=str(ca), **login)) as cluster:
                assert cluster.client.indices.exists(index="posttrain-evals-none").body is False
        for login, told in (
            ({"user": "elastic", "password": "wr0ng"}, "does not take user elastic with this password"),
            ({"api_key": "wr0ng"}, "does not take this API key; .*base64 of id:key"),
            ({}, "wants a user and password, or an API key"),
        ):
            wrong = Server(there.url, ca_file=str(ca), **login)
            with pytest.raises(ElasticsearchUnusable, match=told) as refused, connect(wrong):
                pass
            assert "no credentials" in str(refused.value), "what the server said about it"
            assert "wr0ng" not in str(refused.value)


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(server, proxy, certificate, caplog) -> None:
    _, tls = certificate
    with proxy(server, only_for(PASSWORD), tls) as there:
        with pytest.raises(ElasticsearchUnusable, match="certificate is not trusted: name its CA in ELASTICSEARCH_CA_FILE"), \
                connect(Server(there.url, user="elastic", password="s3cret pässword 비밀")):
            pass
        assert not there.requests, "no password is sent to a server that is not trusted"
        with connect(Server(there.url, user="elastic", password="s3cret pässword 비밀", verify_certs=False)):
            assert "not verified" in caplog.text


@pytest.mark.parametrize(("host", "days", "message"), [
    ("es.example.com", 1, "certificate is for another host name: .*'127.0.0.1' doesn't match 'es.example.com'"),
    ("127.0.0.1", -1, "certificate has expired"),
])
def test_a_certificate_that_does_not_fit_is_refused_at_once(server, proxy, authority, host, days, message) -> None:
    with proxy(server, only_for(API_KEY), authority.tls(host, days)) as there:
        asked = Server(there.url, "aWQ6azN5", ca_file=str(authority.pem))
        with pytest.raises(ElasticsearchUnusable, match=message), connect(asked):
            pass
        assert not there.requests, "nor is the key sent"


def test_the_ca_of_another_authority_is_named(server, proxy, authority, certificate, tmp_path) -> None:
    other, no_ca = Authority(tmp_path, "other-authority").pem, tmp_path / "ca.pem"
    no_ca.write_text("lost")
    with proxy(server, only_for(API_KEY), certificate[1]) as there:
        for ca, message in ((other, f"is not trusted: .*now {other}"), (no_ca, f"{no_ca} holds no certificate.*PEM")):
            with pytest.raises(ElasticsearchUnusable, match=message), connect(Server(there.url, "aWQ6azN5", ca_file=str(ca))):
                pass


def test_a_server_that_hangs_up_on_http_may_speak_tls(server, proxy, certificate) -> None:
    with proxy(server, only_for(API_KEY), certificate[1]) as there, \
            pytest.raises(ElasticsearchUnusable, match="tried for 0.3 s.*if it speaks TLS on this port, write https://"), \
            connect(Server(there.url.replace("https:", "http:"), patience_seconds=0.3)):
        pass


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
    ("CA_FILE", "/nowhere/ca.pem", "no such file: /nowhere/ca.pem"), ("PASSWORD", "pw", "ELASTICSEARCH_PASSWORD is set without"),
    ("VERIFY_CERTS", "maybe", "true or false, not 'maybe'"),
    ("TIMEOUT_SECONDS", "soon", "ELASTICSEARCH_TIMEOUT_SECONDS is a number"), ("PATIENCE_SECONDS", "-1", "above 0, not '-1'"),
])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://es:9200")
    monkeypatch.setenv(f"ELASTICSEARCH_{name}", value)
    with pytest.raises(ElasticsearchUnusable, match=message):
        Server.from_environment()
