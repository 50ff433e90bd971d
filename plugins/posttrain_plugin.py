"""The only file that Airflow's plugin scanner runs; the operators and the review page live in the package beside it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from posttrain_airflow.review_page.mount import EXTERNAL_VIEWS, FASTAPI_APP


class PosttrainPlugin(AirflowPlugin):
    name = "posttrain"
    fastapi_apps = [FASTAPI_APP]
    external_views = EXTERNAL_VIEWS
