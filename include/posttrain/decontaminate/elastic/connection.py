"""The way to an Elasticsearch server: where it is, who asks, how long to wait for it. 8 and 9 are spoken to.

    ELASTICSEARCH_URL                http(s)://host:port, port 9200 where none is named
    ELASTICSEARCH_API_KEY            or ELASTICSEARCH_USER and ELASTICSEARCH_PASSWORD
    ELASTICSEARCH_CA_FILE            certificates that sign the server's own; without it those of the system
    ELASTICSEARCH_VERIFY_CERTS       true; `false` takes any certificate, for a test server
    ELASTICSEARCH_TIMEOUT_SECONDS    60: how long one request may take
    ELASTICSEARCH_PATIENCE_SECONDS   120: how long a request that fails is tried again

A request that fails for the moment (no connection, no answer in time, 429, 502, 503, 504) is sent again after .25 s, then
after twice as long each time, 10 s at most. Every request can be sent twice: searches, and documents under their own ids.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_DELAY = 0.25
LONGEST_DELAY = 10.0

FOR_THE_MOMENT = (429, 502, 503, 504)
"""Too many requests; a proxy whose server is away; shards that are not there yet after a start."""

_NEVER_HEALS = {
    "certificate has expired": "its certificate has expired: the server needs a new one",
    "doesn't match": "its certificate is for another host name: name the host as the certificate does ({error})",
    "no certificate or crl found": "{ca} holds no certificate: ELASTICSEARCH_CA_FILE (connection: ca_certs) is a PEM file",
    "CERTIFICATE_VERIFY_FAILED":
        "its certificate is not trusted: name its CA in ELASTICSEARCH_CA_FILE (connection: ca_certs), now {ca}",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port: write http:// (connection schema http), or name the TLS port",
}
"""A part of what the transport says → why it is not asked again; the first that fits."""

_OFF, _ON = ("false", "0", "no", "off"), ("", "true", "1", "yes", "on")


class ElasticsearchUnusable(RuntimeError):
    """No address, no answer in time, the wrong version, or a refusal. The message says what to do."""


class Refused(Exception):
    """A part of a request was refused for the moment; what was accepted is not sent again."""


@dataclass(frozen=True)
class Server:
    """Where the server is and how it is asked. Secrets are not shown by `repr`."""

    url: str
    api_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    verify_certs: bool = True
    timeout_seconds: float = 60.0
    patience_seconds: float = 120.0

    @classmethod
    def from_environment(cls) -> Server:
        """The server of the ELASTICSEARCH_* variables. Raises ElasticsearchUnusable, naming the variable that is wrong."""
        own = {name: os.environ.get(f"ELASTICSEARCH_{name}", "").strip() for name in (
            "URL", "API_KEY", "USER", "PASSWORD", "CA_FILE", "VERIFY_CERTS", "TIMEOUT_SECONDS", "PATIENCE_SECONDS")}
        if not own["URL"]:
            raise ElasticsearchUnusable(
                "decontaminate.index is elasticsearch, but there is no server: define the Airflow connection "
                "elasticsearch_default or set ELASTICSEARCH_URL; the embedded index needs none")
        if own["CA_FILE"] and not Path(own["CA_FILE"]).is_file():
            raise ElasticsearchUnusable(f"ELASTICSEARCH_CA_FILE: no such file: {own['CA_FILE']}")
        if own["PASSWORD"] and not (own["USER"] or own["API_KEY"] or urlsplit(_with_port(own["URL"])).username):
            raise ElasticsearchUnusable("ELASTICSEARCH_PASSWORD is set without ELASTICSEARCH_USER (connection: login)")
        if own["VERIFY_CERTS"].lower() not in (*_ON, *_OFF):
            raise ElasticsearchUnusable(f"ELASTICSEARCH_VERIFY_CERTS is true or false, not {own['VERIFY_CERTS']!r}")
        return cls(
            _with_port(own["URL"]), own["API_KEY"], own["USER"], own["PASSWORD"], own["CA_FILE"],
            own["VERIFY_CERTS"].lower() not in _OFF,
            _seconds("TIMEOUT_SECONDS", own, cls.timeout_seconds), _seconds("PATIENCE_SECONDS", own, cls.patience_seconds))

    @property
    def address(self) -> str:
        """The URL without a user or password in it, for messages."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _with_port(url: str) -> str:
    form = f"ELASTICSEARCH_URL is http://host:port or https://host:port, not {url.rpartition('@')[2]!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ElasticsearchUnusable(f"{form}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ElasticsearchUnusable(form)
    return url if port else parts._replace(netloc=f"{parts.netloc.rstrip(':')}:9200").geturl()


def _seconds(name: str, values: dict[str, str], default: float) -> float:
    try:
        found = float(values[name] or default)
    except ValueError:
        found = -1.0
    if not 0 < found < float("inf"):
        raise ElasticsearchUnusable(f"ELASTICSEARCH_{name} is a number of seconds above 0, not {values[name]!r}")
    return found


# ---------------------------------------------------------------- a connection that waits


@dataclass(frozen=True)
class Cluster:
    """A client and the patience to use it with. Threads may share it."""

    client: Elasticsearch
    server: Server

    def ask(self, what: str, request: Callable[[], Answer]) -> Answer:
        """The answer to a request that is sent again while it fails for the moment.

        Raises ElasticsearchUnusable at once where waiting cannot help, else when the patience is over.
        """
        import elasticsearch

        delay, deadline = FIRST_DELAY, None
        while True:
            try:
                return request()
            except (elasticsearch.ApiError, elasticsearch.TransportError, Refused) as error:
                if why := _hopeless(error, self.server):
                    raise ElasticsearchUnusable(f"{what}: the Elasticsearch server at {self.server.address}: {why}") from error
                now = time.monotonic()
                deadline = now + self.server.patience_seconds if deadline is None else deadline
                if now + delay > deadline:
                    raise ElasticsearchUnusable(
                        f"{what}: the Elasticsearch server at {self.server.address} does not answer, tried for "
                        f"{self.server.patience_seconds:g} s: {_said(error)}; start again when it does: what is done is kept"
                        f"{_hint(error, self.server)}"
                    ) from error
                log.warning("%s: %s; again in %.2f s", what, _said(error), delay)
                time.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)


def _hopeless(error: Exception, server: Server) -> str:
    """Why the request is not sent again, or ""."""
    import elasticsearch

    if isinstance(error, elasticsearch.ApiError):
        status = error.meta.status
        if status in FOR_THE_MOMENT:
            return ""
        if status == 401:
            return f"it {_not_let_in(server)} ({status} {error})"
        if status == 403:
            return f"it refuses this user or key ({status} {error}): see docs/elasticsearch.md for the rights that are needed"
        return f"it answers {status} {error}: {str(error.body)[:500]}"
    if isinstance(error, elasticsearch.TransportError):
        return next((why.format(ca=server.ca_file or "that of the system", error=error.message)
                     for sign, why in _NEVER_HEALS.items() if sign in error.message), "")
    return ""


def _not_let_in(server: Server) -> str:
    if server.api_key:
        return "does not take this API key; it is given encoded, as the server gave it out: base64 of id:key"
    user = server.user or urlsplit(server.url).username
    return f"does not take user {user} with this password" if user else "wants a user and password, or an API key"


def _hint(error: Exception, server: Server) -> str:
    hung_up = "RemoteDisconnected" in _said(error) and server.url.startswith("http:")
    return "; if it speaks TLS on this port, write https:// (connection schema https)" if hung_up else ""


def _said(error: Exception) -> str:
    """What failed; the text of a transport error says only its kind."""
    import elasticsearch

    return error.message if isinstance(error, elasticsearch.TransportError) else str(error)


@contextmanager
def connect(server: Server | None = None) -> Iterator[Cluster]:
    """A connection to `server`, else to that of the environment, whose version is checked first.

    An Airflow connection `elasticsearch_default` is put into the environment by the caller. Raises ElasticsearchUnusable.
    """
    import elasticsearch

    server = server or Server.from_environment()
    options: dict[str, Any] = {}
    if server.api_key:
        options["api_key"] = server.api_key
    elif server.user:
        # Encoded here: the client encodes in ASCII, and passwords need not be.
        options["basic_auth"] = base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
    if server.url.startswith("https:"):
        options |= {"verify_certs": server.verify_certs, "ssl_show_warn": False}
        if server.ca_file and server.verify_certs:
            options["ca_certs"] = server.ca_file
        if not server.verify_certs:
            log.warning("the certificate of %s is not verified: anyone in between can read the password", server.address)
    with elasticsearch.Elasticsearch(
        server.url, request_timeout=server.timeout_seconds, max_retries=0, retry_on_timeout=False, **options,
    ) as client:
        cluster = Cluster(client, server)
        # Without an Accept header of a version, so that a server of another major version answers too and says what it is.
        about = cluster.ask("connecting", lambda: _about(client, server))
        check_versions(elasticsearch.__versionstr__, about, server.address)
        log.info("Elasticsearch %s at %s", about, server.address)
        yield cluster


def _about(client: Elasticsearch, server: Server) -> str:
    import elasticsearch

    try:
        return str(client.perform_request("GET", "/").body["version"]["number"])
    except (elasticsearch.UnsupportedProductError, KeyError, TypeError) as error:
        raise ElasticsearchUnusable(f"what answers at {server.address} is not Elasticsearch 8 or 9") from error


def check_versions(client: str, server: str, address: str) -> None:
    """A client speaks to servers of its own major version and of the next. Raises ElasticsearchUnusable: what to install."""
    own, there = int(client.partition(".")[0]), int(server.partition(".")[0])
    if there not in (8, 9):
        raise ElasticsearchUnusable(f"the Elasticsearch server at {address} is {server}; 8 and 9 are supported")
    if there not in (own, own + 1):
        raise ElasticsearchUnusable(
            f"the Elasticsearch server at {address} is {server}, and the Python client {client} does not speak to it: "
            f"pip install 'elasticsearch>={there},<{there + 1}'")
