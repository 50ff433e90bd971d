"""What a stage needs from outside: the teacher's server, and endpoints whose keys live in Airflow connections.

The library reads addresses and keys from the environment. They are put there for one stage, and neither logged nor
left behind: tasks of `airflow dags test` share one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from posttrain.run import Run

ELASTICSEARCH = "elasticsearch_default"

STAGES_WITH_TEACHER = ("improve", "synthesize", "review", "preferences")
STAGES_WITH_INDEX = ("index_evals", "decontaminate", "review")


# ---------------------------------------------------------------- the built-in teacher


def start_teacher(run_id: str) -> dict[str, str | int]:
    """Start the built-in teacher where the recipe asks for it and none of this run answers; its address.

    The server outlives the task and ends by itself when nobody has asked for an hour, should the teardown never run.
    """
    from posttrain.run import load_run
    from posttrain.storage import exists, join, read_json, write_json
    from posttrain.teacher.client import PROCEDURAL
    from posttrain.teacher.server import is_alive, start_server

    run = load_run(run_id)
    if run.recipe.teacher.connection != PROCEDURAL:
        return {}
    path = join(run.folder, "teacher.json")
    if exists(path) and is_alive(read_json(path)["url"]):
        return read_json(path)
    address = start_server(idle_seconds=3600)
    write_json(path, address)
    return address


def stop_teacher(run_id: str) -> bool:
    """Stop what `start_teacher` started; False where nothing was running."""
    from posttrain.run import load_run
    from posttrain.storage import exists, join, read_json
    from posttrain.teacher.server import stop_server

    path = join(load_run(run_id).folder, "teacher.json")
    return exists(path) and stop_server(read_json(path))


# ---------------------------------------------------------------- the environment of one stage


@contextmanager
def stage_environment(run: Run, stage: str) -> Iterator[None]:
    """The environment variables that the library reads, for the duration of a stage."""
    values: dict[str, str] = {}
    if stage in STAGES_WITH_TEACHER:
        values |= _teacher(run)
    if stage in STAGES_WITH_INDEX and run.recipe.decontaminate.index == "elasticsearch":
        values |= _elasticsearch()
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _teacher(run: Run) -> dict[str, str]:
    from posttrain.storage import exists, join, read_json
    from posttrain.teacher.client import PROCEDURAL
    from posttrain.teacher.server import is_alive

    if run.recipe.teacher.connection == PROCEDURAL:
        path = join(run.folder, "teacher.json")
        # On another machine than the setup task's nothing answers; the stage then starts a server of its own.
        return {"POSTTRAIN_TEACHER_URL": read_json(path)["url"]} if exists(path) and is_alive(read_json(path)["url"]) else {}
    connection = _connection(run.recipe.teacher.connection)
    if connection is None:
        return {}
    return _filled(OPENAI_BASE_URL=_address(connection) if connection.host else "", OPENAI_API_KEY=connection.password)


def _elasticsearch() -> dict[str, str]:
    """All variables that the library reads, those that the connection does not set as "": a key or password that the shell of
    the worker has for another server must not be sent to this one."""
    connection = _connection(ELASTICSEARCH)
    if connection is None:
        return {}
    extra = {name: "" if value is None else str(value).strip() for name, value in connection.extra_dejson.items()}
    return {
        "ELASTICSEARCH_URL": _address(connection),
        "ELASTICSEARCH_API_KEY": extra.get("api_key", ""),
        "ELASTICSEARCH_USER": connection.login or "",
        "ELASTICSEARCH_PASSWORD": connection.password or "",
        "ELASTICSEARCH_CA_FILE": extra.get("ca_certs", ""),
        "ELASTICSEARCH_VERIFY_CERTS": extra.get("verify_certs", ""),
        "ELASTICSEARCH_TIMEOUT_SECONDS": extra.get("timeout", ""),
        "ELASTICSEARCH_PATIENCE_SECONDS": extra.get("patience", ""),
    }


def _filled(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _connection(name: str) -> Connection | None:
    """An Airflow connection (its password is masked in logs), or None where none of that name is defined."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        return None


def _address(connection: Connection) -> str:
    """`scheme://host:port` as the Elasticsearch provider reads it; a host that is a URL stays, as with the OpenAI provider."""
    if "://" in (connection.host or ""):
        return str(connection.host)
    scheme = "https" if connection.schema == "https" else "http"
    return f"{scheme}://{connection.host}{f':{connection.port}' if connection.port else ''}"
