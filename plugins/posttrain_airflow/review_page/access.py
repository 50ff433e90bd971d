"""Who may look at the page and who may decide: Airflow's own users and roles, and a token against forged requests.

Whoever may see the human-in-the-loop questions of `tulu3` may look; whoever may answer them may decide. Decisions hold for
every run of the workspace, so they are not asked for run by run.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.configuration import conf
from airflow.models import DagModel
from fastapi import Depends, Header, HTTPException, Request

DAG_ID = "tulu3"

User = Annotated[BaseUser, Depends(get_user)]

may_look = requires_access_dag("GET", DagAccessEntity.HITL_DETAIL, param_dag_id=DAG_ID)
may_decide = requires_access_dag("PUT", DagAccessEntity.HITL_DETAIL, param_dag_id=DAG_ID)


def can_decide(user: BaseUser) -> bool:
    """Whether to show the buttons; the routes ask again."""
    details = DagDetails(id=DAG_ID, team_name=DagModel.get_team_name(DAG_ID))
    return get_auth_manager().is_authorized_dag(
        method="PUT", access_entity=DagAccessEntity.HITL_DETAIL, details=details, user=user)


def token_of(user: BaseUser) -> str:
    """What a page of this server holds and no other site can know: every decision must bring it along."""
    key = conf.get_mandatory_value("api", "secret_key").encode()
    return hmac.new(key, f"posttrain-review/{user.get_id()}".encode(), hashlib.sha256).hexdigest()


def own_page(request: Request, user: User, x_review_token: Annotated[str, Header()] = "") -> None:
    """Refuse what did not come from this server's own page: the session cookie alone proves nothing."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "the request comes from another site")
    if not hmac.compare_digest(x_review_token.encode(), token_of(user).encode()):
        raise HTTPException(403, "the page is out of date; load it again")
