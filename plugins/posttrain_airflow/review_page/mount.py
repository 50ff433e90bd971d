"""Where the page hangs in Airflow. Imported by every Airflow process, so the page itself is loaded with its first request."""

from __future__ import annotations

import threading
from typing import Any

PREFIX = "/posttrain-review"
ROUTE = "posttrain-review"
RUN_ROUTE = "posttrain-review-run"


class FirstRequest:
    """The ASGI app of the page, made when it is first asked for: FastAPI and the library cost a scheduler nothing."""

    def __init__(self) -> None:
        self._app: Any = None
        self._lock = threading.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self._app is None:
            with self._lock:
                if self._app is None:
                    from posttrain_airflow.review_page.app import create_app

                    self._app = create_app()
        await self._app(scope, receive, send)


FASTAPI_APP = {"app": FirstRequest(), "url_prefix": PREFIX, "name": "Review"}

EXTERNAL_VIEWS = [
    {"name": "Review", "href": f"{PREFIX}/", "destination": "nav", "url_route": ROUTE, "category": "browse"},
    {"name": "Review", "href": f"{PREFIX}/queue?run={{RUN_ID}}", "destination": "dag_run", "url_route": RUN_ROUTE},
]


def link_to_review(dag_id: str, run_id: str) -> str:
    """The address of a run's review page inside Airflow's UI, for a question's text."""
    from urllib.parse import quote, urlsplit

    from airflow.configuration import conf

    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/plugin/{RUN_ROUTE}"
