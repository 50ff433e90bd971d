"""The routes. Every one asks Airflow who is there; every decision also asks for the page's own token."""

from __future__ import annotations

import functools
from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from posttrain.decontaminate.review.decision_log import DecisionLog, LogError
from posttrain.decontaminate.review.desk import Conflict, Desk, Entry, Filter, StillTooClose, UnknownItem
from posttrain.decontaminate.review.edits import Edit, ParaphraseRefused
from posttrain.decontaminate.review.queue import has_band
from posttrain.recipe import RecipeError
from posttrain.run import load_run, run_ids
from posttrain.storage import StorageError, workspace_url
from posttrain_airflow.review_page import views, waiting
from posttrain_airflow.review_page.access import User, can_decide, may_decide, may_look, own_page, token_of

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                               "form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATIC = {"review.js": "text/javascript", "review.css": "text/css"}
LONGEST_TEXT = 100_000
"""Characters of a reviewer's question or answer."""
MOST_EDITS = 100

Choice = Literal["keep", "paraphrase", "delete"]


class Ask(BaseModel):
    """What every decision names."""

    model_config = ConfigDict(extra="forbid")
    run: str = Field(min_length=1, max_length=500)


class NewTurn(BaseModel):
    """A question in the place of another one, and its answers."""

    model_config = ConfigDict(extra="forbid")
    turn: int = Field(ge=0)
    question: str = Field(default="", max_length=LONGEST_TEXT)
    answer: str = Field(default="", max_length=LONGEST_TEXT)
    worse: str = Field(default="", max_length=LONGEST_TEXT)


class DecideOne(Ask):
    item: str = Field(max_length=64)
    action: Choice | Literal["undo"]
    seen: str = Field(default="", max_length=40)
    edits: tuple[NewTurn, ...] = Field(default=(), max_length=MOST_EDITS)


class DecideAll(Ask):
    action: Choice
    expected: int = Field(ge=1)
    eval: str = ""
    source: str = ""
    measure: str = ""
    judge: str = ""
    low: float = 0.0
    high: float = 1.0


class UndoAll(Ask):
    batch: str = Field(min_length=1, max_length=40)


class GoOn(Ask):
    rest: Choice


Reviewer = [Depends(may_decide), Depends(own_page)]


def create_app() -> FastAPI:
    app = FastAPI(title="Review", dependencies=[Depends(may_look)], docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_with_headers)
    app.add_exception_handler(StorageError, _not_found)
    app.add_exception_handler(UnknownItem, _not_found)
    app.add_exception_handler(LogError, _log_is_broken)
    for path, page in {"/": runs, "/queue": queue, "/row": row}.items():
        app.get(path, response_class=HTMLResponse)(page)
    app.get("/changes")(changes)
    app.get("/static/{name}")(static)
    for path, decide in {"/decide": decide_one, "/decide-all": decide_all, "/undo-all": undo_all, "/go-on": go_on}.items():
        app.post(path, dependencies=Reviewer)(decide)
    return app


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=404)


async def _log_is_broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=503)


# ---------------------------------------------------------------- looking


def runs() -> HTMLResponse:
    """Every run of the workspace with a review band, newest first. One that cannot be read says why, and hides no other."""
    rows, unreadable = [], dict[str, str]()
    for run_id in reversed(run_ids()):
        try:
            run = load_run(run_id)
            if run.has("decontaminate") and run.has("index_evals") and has_band(run.manifest("decontaminate")):
                rows.append({"run": run, "progress": desk_of(run_id).progress(), "reviewed": run.has("review"),
                             "waiting": waiting.waiting_for(run_id) is not None})
        except (StorageError, RecipeError, FileNotFoundError) as error:
            unreadable[run_id] = str(error)
    return HTMLResponse(views.runs_page(rows, unreadable, workspace_url()))


def queue(
    user: User, run: str, eval: str = "", source: str = "", measure: str = "", status: str = "open", judge: str = "",
    low: float = 0.0, high: float = 1.0, page: int = 1,
) -> HTMLResponse:
    """The queue of a run."""
    desk = desk_of(run)
    wanted = Filter(eval=eval, source=source, measure=measure, status=status, judge=judge, low=low, high=high)
    return HTMLResponse(views.queue_page(desk, wanted, page, can_decide(user), token_of(user), _last(desk),
                                         waiting.waiting_for(desk.run.run_id)))


def row(user: User, run: str, item: str) -> HTMLResponse:
    """One row with its whole text."""
    desk = desk_of(run)
    return HTMLResponse(views.row_page(desk, desk.entry(item), can_decide(user), token_of(user), _last(desk)))


def changes(
    user: User, run: str, since: str = "", items: str = "", eval: str = "", source: str = "", measure: str = "", judge: str = "",
    low: float = 0.0, high: float = 1.0,
) -> dict[str, Any]:
    """What has been decided since the line `since`: the counts, how many open rows the filter takes, and of the rows `items`
    (ids, with commas) the cards of those that changed. Where nothing has been decided, only that."""
    desk = desk_of(run)
    lines = desk.log.lines()
    last = lines[-1].id if lines else ""
    if last == since:
        return {"last": last, "cards": {}}
    wanted = Filter(status="open", eval=eval, source=source, measure=measure, judge=judge, low=low, high=high)
    new = {line.item for line in lines if line.id.partition(".")[0] > since.partition(".")[0]}
    cards = {item: views.card(desk.entry(item), run, can_decide(user)) for item in items.split(",") if item in new}
    taken_open = sum(wanted.takes(entry) for entry in desk.entries())
    return {"last": last, "cards": cards, "progress": desk.progress(), "open": taken_open}


def static(name: str) -> FileResponse:
    """The script and the style of the page; no other file has a name here."""
    if name not in STATIC:
        raise HTTPException(404, "no such file")
    return FileResponse(views.HERE / "static" / name, media_type=STATIC[name])


# ---------------------------------------------------------------- deciding


def decide_one(asked: DecideOne, user: User) -> JSONResponse:
    """Keep, paraphrase, delete or undo one row."""
    desk, who = desk_of(asked.run), user.get_name()
    try:
        if asked.action == "undo":
            entry = desk.undo(asked.item, who, asked.seen)
        else:
            entry = desk.decide(asked.item, asked.action, who, asked.seen, [Edit(**edit.model_dump()) for edit in asked.edits])
    except Conflict as error:
        return _complaint(desk, desk.entry(asked.item), 409, error)
    except (StillTooClose, ParaphraseRefused) as error:
        return _complaint(desk, None, 422, error)
    return _decided(desk, [entry], user)


def decide_all(asked: DecideAll, user: User) -> JSONResponse:
    """One decision for every open row that the filter takes."""
    desk = desk_of(asked.run)
    wanted = Filter(status="open", **asked.model_dump(exclude={"run", "action", "expected"}))
    try:
        batch, done, left = desk.decide_all(wanted, asked.action, user.get_name(), asked.expected)
    except Conflict as error:
        return _complaint(desk, None, 409, error)
    return _decided(desk, [], user, batch=batch, rows=len(done), left=len(left))


def undo_all(asked: UndoAll, user: User) -> JSONResponse:
    """Take back a bulk decision."""
    desk = desk_of(asked.run)
    return _decided(desk, [], user, rows=len(desk.undo_all(asked.batch, user.get_name())))


def go_on(asked: GoOn, user: User) -> JSONResponse:
    """The reviewer is done: the run goes on, and what is open is treated as `rest` says."""
    desk = desk_of(asked.run)
    question = waiting.waiting_for(desk.run.run_id)
    if question is None or not waiting.answer(question, asked.rest, user):
        raise HTTPException(409, "the run does not wait any more")
    return JSONResponse({"went_on": True, "progress": desk.progress()})


def _decided(desk: Desk, entries: list[Entry], user: Any, **more: Any) -> JSONResponse:
    progress, went_on = desk.progress(), False
    if progress["open"] == 0:
        question = waiting.waiting_for(desk.run.run_id)
        went_on = question is not None and waiting.answer(question, question.default, user, queue_empty=True)
    cards = {entry.item.id: views.card(entry, desk.run.run_id, True) for entry in entries}
    return JSONResponse({"cards": cards, "progress": progress, "went_on": went_on} | more)


def _complaint(desk: Desk, entry: Entry | None, status: int, error: Exception) -> JSONResponse:
    cards = {entry.item.id: views.card(entry, desk.run.run_id, True)} if entry else {}
    return JSONResponse({"detail": str(error), "cards": cards, "progress": desk.progress()}, status_code=status)


# ---------------------------------------------------------------- the desk


@functools.lru_cache(maxsize=8)
def _log_of(workspace: str) -> DecisionLog:
    """One a process: it remembers the parts that it has read."""
    return DecisionLog(workspace)


def desk_of(run_id: str) -> Desk:
    """Raises StorageError where there is no such run or it has no band yet."""
    run = load_run(run_id)
    return Desk(run, _log_of(run.workspace))


def _last(desk: Desk) -> str:
    lines = desk.log.lines()
    return lines[-1].id if lines else ""


