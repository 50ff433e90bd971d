"""Every test runs in a temporary workspace and a temporary AIRFLOW_HOME, set before anything imports airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

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
