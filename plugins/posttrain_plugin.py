"""The only file that Airflow's plugin scanner runs; the operators live in the package beside it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class PosttrainPlugin(AirflowPlugin):
    name = "posttrain"
