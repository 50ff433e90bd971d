"""Every test runs in a temporary workspace and a temporary AIRFLOW_HOME, set before anything imports airflow."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
_TEMPORARY = Path(tempfile.mkdtemp(prefix="posttrain-tests-"))
atexit.register(shutil.rmtree, _TEMPORARY, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW", "POSTTRAIN_", "OPENAI_", "ELASTICSEARCH_"))]:
    if not _name.startswith("POSTTRAIN_TEST_"):
        del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(_TEMPORARY / "airflow"),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    POSTTRAIN_WORKSPACE=str(_TEMPORARY / "workspace"),
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),  # `airflow standalone` calls `airflow`
    PYTHONPATH=os.pathsep.join([str(PROJECT / "include"), str(PROJECT / "plugins")]),
)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real public data: POSTTRAIN_TEST_DATA, else ../shared/data beside the project."""
    folder = Path(os.environ.get("POSTTRAIN_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"REAL DATA ABSENT: {folder} is no folder; set POSTTRAIN_TEST_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """AIRFLOW_HOME with a migrated metadata database (takes about 6 s, once, and only for tests that ask for it)."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    return Path(os.environ["AIRFLOW_HOME"])


@pytest.fixture(scope="session")
def make_review_run() -> Any:
    """`make_review_run(workspace, data, rows, items, **sections)`: a run of recipe smoke as far as `decontaminate`.

    `rows` are (id, question, answer) of SFT rows of source `train`, or examples; `items` are the questions of an eval set
    `exam`. An item that has less than half and more than a third of its words in common with a row puts it into the review band.
    """

    def make(workspace: str, data: Path, rows: list[Any], items: list[str], run_id: str = "reviewed",
             **sections: Any) -> Any:
        from posttrain import pipeline
        from posttrain.recipe import check_recipe
        from posttrain.run import start_run
        from posttrain.schema import Message, SFTExample
        from posttrain.storage import ArtifactWriter, StageResult, sha256_json

        value = yaml.safe_load((PROJECT / "include/recipes/smoke.yaml").read_text())
        value["name"] = f"smoke-{run_id}"
        value["evals"].append({"name": "exam", "load": {"kind": "file", "path": "exam.jsonl"}, "fields": ["question"]})
        value["decontaminate"] = {"preset": "tulu3", "cut_offs": {"ngram_coverage": {"review": 0.3}}}
        data.mkdir(parents=True, exist_ok=True)
        (data / "exam.jsonl").write_text("".join(json.dumps({"question": item}, ensure_ascii=False) + "\n" for item in items))
        before = os.environ.get("POSTTRAIN_DATA_ROOT")
        os.environ["POSTTRAIN_DATA_ROOT"] = str(data)
        try:
            run = start_run(check_recipe(value | sections, "test"), run_id, until="mix", workspace=workspace)
            for stage, examples in {"filter": rows, "improve": [], "synthesize": []}.items():
                made = f"{sha256_json([str(rows), items])[:12]}-{run_id}"
                writer = ArtifactWriter(f"{workspace}/artifacts/{stage}/{made}", stage=stage)
                for row in examples:
                    example = row if not isinstance(row, tuple) else SFTExample(
                        id=row[0], source="train", category="math", skill="addition", language="en", license="MIT",
                        messages=(Message("user", row[1]), Message("assistant", row[2])))
                    writer.read(example.source)
                    writer.keep(example)
                run.record(stage, StageResult(writer.finish(), False, "made by a test"))
            pipeline.index_evals(run)
            pipeline.decontaminate(run)
        finally:
            os.environ.pop("POSTTRAIN_DATA_ROOT") if before is None else os.environ.update(POSTTRAIN_DATA_ROOT=before)
        return run

    return make


@pytest.fixture(scope="session")
def object_store() -> Iterator[dict[str, str]]:
    """An S3-compatible store, moto in a process of its own; the environment by which everybody finds it.

    One for all tests: s3fs keeps its clients, with the address that they were made for, as long as the process lives.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                break
            except (URLError, OSError):
                assert server.poll() is None and time.monotonic() < deadline, "the moto server does not answer"
                time.sleep(0.2)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(scope="module")
def bucket(object_store: dict[str, str]) -> Iterator[str]:
    """A workspace in a new bucket of the object store, for this process and those that it starts."""
    import boto3

    name = f"rows-{uuid.uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in object_store.items():
            patch.setenv(variable, value)
        boto3.client("s3").create_bucket(Bucket=name)
        yield f"s3://{name}/workspace"
