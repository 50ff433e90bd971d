"""The routes of the review page, mounted in Airflow's real app with its real users and tokens."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from posttrain.decontaminate.presets import Measure
from posttrain.problems import build_problem
from posttrain.schema import Message, PreferencePair, RLVRExample, SFTExample

ROLES = {"rita": "user", "vera": "viewer"}
TAIL = " Write one line for each step and say it in full sentences."
PROBLEMS = [build_problem("addition", 50 + n, 4 + n, random.Random(n), template=0) for n in range(6)]
HOSTILE = "<script>window.hacked=1</script> one river two bridges three boats four barges five locks six ferries"
SHARED = {"source": "train", "category": "math", "skill": "addition", "language": "en", "license": "MIT"}
GET = ("/", "/queue?run=page", "/row?run=page&item=x", "/changes?run=page", "/static/review.js", "/static/review.css")
POST = ("/decide", "/decide-all", "/undo-all", "/go-on")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        yield made


@pytest.fixture(scope="module")
def site(
    airflow_db: Path, patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, make_review_run: Callable[..., Any],
) -> Iterator[Any]:
    """A client of Airflow's app, with a run `page` to review."""
    from fastapi.testclient import TestClient

    folder = tmp_path_factory.mktemp("review")
    patch.setenv("POSTTRAIN_WORKSPACE", str(folder / "workspace"))
    patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{name}:{role}" for name, role in ROLES.items()))
    patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(folder / "passwords.json"))
    rows = [(f"row-{n}", problem.question, problem.solution) for n, problem in enumerate(PROBLEMS)]
    items = [problem.question + TAIL for problem in PROBLEMS]
    rows.append(("hostile", HOSTILE, "</textarea><script>window.hacked=2</script>"))
    shared = HOSTILE[HOSTILE.index("one"):]  # 12 words of 24
    items.append(shared + " seven tunnels eight harbours nine piers ten anchors eleven sails twelve docks")
    make_review_run(str(folder / "workspace"), folder / "data", rows, items, "page")

    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        yield client
    purge_cached_app()


@pytest.fixture(scope="module")
def bearer(site: Any) -> Callable[[str], dict[str, str]]:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def headers(name: str) -> dict[str, str]:
        user = SimpleAuthManagerUser(username=name, role=ROLES[name])
        return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}

    return headers


@pytest.fixture(scope="module")
def rita(site: Any, bearer: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """What a reviewer's page sends along."""
    page = site.get("/posttrain-review/queue?run=page", headers=bearer("rita")).text
    token = page.split('data-token="')[1].split('"')[0]
    return bearer("rita") | {"X-Review-Token": token}


def post(site: Any, path: str, headers: dict[str, str], **body: Any) -> Any:
    return site.post(f"/posttrain-review{path}", headers=headers, json={"run": "page"} | body)


def entries(site: Any) -> dict[str, Any]:
    from posttrain_airflow.review_page.app import desk_of

    return {entry.item.example.id: entry for entry in desk_of("page").entries()}


def decide(site: Any, headers: dict[str, str], row: str, action: str, **more: Any) -> Any:
    entry = entries(site)[row]
    return post(site, "/decide", headers, **{"item": entry.item.id, "action": action, "seen": entry.seen} | more)


def test_every_route_is_listed_here(site: Any) -> None:
    from fastapi.routing import APIRoute

    from posttrain_airflow.review_page.app import create_app

    found = {(method, route.path) for route in create_app().routes if isinstance(route, APIRoute) for method in route.methods}
    listed = {("GET", path.partition("?")[0].replace("review.js", "{name}").replace("review.css", "{name}")) for path in GET}
    assert found == listed | {("POST", path) for path in POST}


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in GET), *(("POST", path) for path in POST)])
def test_nobody_without_a_login(site: Any, method: str, path: str) -> None:
    assert site.request(method, f"/posttrain-review{path}").status_code == 401
    wrong = site.request(method, f"/posttrain-review{path}", headers={"Authorization": "Bearer forged"})
    assert wrong.status_code in (401, 403)


def test_a_viewer_may_look(site: Any, bearer: Callable[[str], dict[str, str]]) -> None:
    for path in ("/", "/queue?run=page", "/changes?run=page", "/static/review.js"):
        assert site.get(f"/posttrain-review{path}", headers=bearer("vera")).status_code == 200
    page = site.get("/posttrain-review/queue?run=page", headers=bearer("vera")).text
    assert "row-0" in page and "data-do" not in page and "data-bulk" not in page


@pytest.mark.parametrize("path", POST)
def test_a_viewer_may_not_decide(site: Any, bearer: Callable[[str], dict[str, str]], path: str) -> None:
    page = site.get("/posttrain-review/queue?run=page", headers=bearer("vera")).text
    token = page.split('data-token="')[1].split('"')[0]
    assert post(site, path, bearer("vera") | {"X-Review-Token": token}).status_code == 403


@pytest.mark.parametrize("path", POST)
def test_a_request_that_another_site_forged_is_refused(
    site: Any, bearer: Callable[[str], dict[str, str]], rita: dict[str, str], path: str,
) -> None:
    """The browser sends the session cookie along by itself; it cannot know the page's token."""
    cookie = {"Cookie": "_token=" + bearer("rita")["Authorization"].removeprefix("Bearer ")}
    body = {"item": "x", "action": "keep", "expected": 1, "batch": "x", "rest": "keep"}
    assert site.get("/posttrain-review/", headers=cookie).status_code == 200, "the cookie is a login"
    for more in ({}, {"X-Review-Token": "guess"}, {"X-Review-Token": rita["X-Review-Token"], "Sec-Fetch-Site": "cross-site"}):
        refused = post(site, path, cookie | more, **body)
        assert refused.status_code == 403
        assert refused.json()["detail"] in ("the page is out of date; load it again", "the request comes from another site")
    form = site.post(f"/posttrain-review{path}", headers=rita | {"Content-Type": "text/plain"}, content='{"run": "page"}')
    assert form.status_code == 422, "what a form can send is not JSON"


def test_every_answer_says_that_only_our_own_script_may_run(site: Any, rita: dict[str, str]) -> None:
    for path in ("/", "/queue?run=page", "/static/review.js", "/queue?run=unknown"):
        headers = site.get(f"/posttrain-review{path}", headers=rita).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'") and "unsafe" not in str(policy)
        assert policy["frame-ancestors"] == "'self'" and policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"


def test_row_text_is_escaped_everywhere(site: Any, rita: dict[str, str]) -> None:
    item = entries(site)["hostile"].item.id
    for path in ("queue?run=page", f"row?run=page&item={item}", "queue?run=page&eval=%22%3E%3Cscript%3E&status="):
        page = site.get(f"/posttrain-review/{path}", headers=rita).text
        assert page.count("<script") == 1 and '<script src="static/review.js" defer></script>' in page
    assert "&lt;script&gt;window.hacked=1" in site.get("/posttrain-review/queue?run=page", headers=rita).text


EVIL = '"><script>window.hacked=3</script></textarea></option>\u202e'


def test_every_field_that_is_shown_is_escaped(
    site: Any, rita: dict[str, str], tmp_path: Path, make_review_run: Callable[..., Any],
) -> None:
    """Source, row id, system prompt, rejected answer, ground truth, eval item and its id, the judge's reason, the suggestion."""
    from posttrain.decontaminate.review.advice import ADVICE, ADVICE_SCHEMA
    from posttrain.storage import ArtifactWriter, StageResult

    asked = (Message("system", EVIL), Message("user", HOSTILE))
    shared = SHARED | {"source": f"train {EVIL}"}
    rows = [PreferencePair(id=f"pair {EVIL}", prompt=HOSTILE, chosen=(*asked, Message("assistant", EVIL)),
                           rejected=(*asked, Message("assistant", EVIL * 2)), **shared),
            RLVRExample(id=f"rlvr {EVIL}", messages=asked, ground_truth=EVIL, verifier="gsm8k", **shared)]
    item = HOSTILE[HOSTILE.index("one"):] + " seven tunnels eight harbours nine piers ten anchors eleven sails twelve docks"
    workspace = os.environ["POSTTRAIN_WORKSPACE"]
    run = make_review_run(workspace, tmp_path, rows, [item + EVIL], "evil", review={"judge": "sort"})
    from posttrain_airflow.review_page.app import desk_of

    writer = ArtifactWriter(f"{workspace}/artifacts/review_advice/evil", stage="review_advice")
    edit = {"turn": 1, "question": EVIL, "answer": EVIL, "worse": EVIL, "request_id": None}
    writer.write_table(ADVICE, pa.Table.from_pylist(
        [{"item": one.id, "edits": [edit], "complaint": EVIL, "gives_away": True, "why": EVIL} for one in desk_of("evil").items],
        schema=ADVICE_SCHEMA))
    run.record("review_advice", StageResult(writer.finish(), False, "made by a test"))
    assert len(desk_of("evil").items) == 2
    for entry in desk_of("evil").entries():
        new = {"turn": 1, "question": f"What is this? {EVIL}", "answer": f"{EVIL}\n#### 1", "worse": EVIL}
        done = site.post("/posttrain-review/decide", headers=rita, json={
            "run": "evil", "item": entry.item.id, "action": "paraphrase", "seen": entry.seen, "edits": [new]})
        assert done.status_code == 200 and all("<script" not in card for card in done.json()["cards"].values())
    item_id = desk_of("evil").items[0].id
    for path in ("queue?run=evil&status=", f"row?run=evil&item={item_id}"):
        page = site.get(f"/posttrain-review/{path}", headers=rita).text
        assert page.count("<script") == 1 and page.count("&lt;script&gt;window.hacked=3") >= 8
        assert page.count("</textarea>") == page.count("<textarea") and page.count("</option>") == page.count("<option")
    source = next(entry.item.example.source for entry in desk_of("evil").entries())
    page = site.get("/posttrain-review/queue", headers=rita, params={"run": "evil", "status": "", "source": source}).text
    assert page.count("<article") == 2, "a filter by this source takes its rows"


def test_a_run_whose_artifacts_are_gone_hides_no_other(
    site: Any, rita: dict[str, str], tmp_path: Path, make_review_run: Callable[..., Any],
) -> None:
    row = ("gone-row", PROBLEMS[0].question, PROBLEMS[0].solution)
    run = make_review_run(os.environ["POSTTRAIN_WORKSPACE"], tmp_path, [row], [PROBLEMS[0].question + TAIL + " Now."], "gone")
    shutil.rmtree(run.manifest("decontaminate").path)
    page = site.get("/posttrain-review/", headers=rita)
    assert page.status_code == 200 and "queue?run=page" in page.text and "Run gone cannot be read" in page.text
    assert site.get("/posttrain-review/queue?run=gone", headers=rita).status_code == 404
    shutil.rmtree(run.folder)


def test_a_broken_log_is_named_and_nothing_is_written(site: Any, rita: dict[str, str]) -> None:
    part = Path(os.environ["POSTTRAIN_WORKSPACE"]) / "review/decisions/99999998.jsonl"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("")
    try:
        answer = site.get("/posttrain-review/queue?run=page", headers=rita)
        assert answer.status_code == 503 and "99999998.jsonl, line 1" in answer.json()["detail"]
    finally:
        part.unlink()


def test_what_is_not_there(site: Any, rita: dict[str, str]) -> None:
    assert "no run 'nope'" in site.get("/posttrain-review/queue?run=nope", headers=rita).json()["detail"]
    for path in ("queue?run=nope", "queue?run=..%2F..%2Fetc", "row?run=page&item=nope", "static/app.py", "static/..%2Fapp.py",
                 "static/%2Fetc%2Fpasswd", "docs", "openapi.json"):
        assert site.get(f"/posttrain-review/{path}", headers=rita).status_code == 404, path
    assert post(site, "/decide", rita, item="nope", action="keep").status_code == 404
    assert post(site, "/decide", rita, item="nope", action="burn").status_code == 422
    assert post(site, "/decide", rita, item="nope", action="keep", surprise=1).status_code == 422


def test_decide_conflict_refusal_and_undo(site: Any, rita: dict[str, str]) -> None:
    answer = decide(site, rita, "row-0", "delete").json()
    assert answer["progress"]["delete"] == 1 and 'data-status="delete"' in next(iter(answer["cards"].values()))
    stale = decide(site, rita, "row-0", "keep", seen="")
    assert (stale.status_code, stale.json()["detail"]) == (409, "rita has decided this row in the meantime: delete")
    new = {"turn": 0, "question": "So: " + PROBLEMS[1].question, "answer": PROBLEMS[1].solution}
    close = decide(site, rita, "row-1", "paraphrase", edits=[new])
    assert close.status_code == 422 and "still too close: exam exam.jsonl:1" in close.json()["detail"]
    empty = decide(site, rita, "row-1", "paraphrase")
    assert empty.status_code == 422 and "write one question" in empty.json()["detail"]
    assert decide(site, rita, "row-0", "undo").json()["progress"]["delete"] == 0
    assert entries(site)["row-0"].status == "open"


def test_changes_bring_the_cards_of_what_others_decided(site: Any, rita: dict[str, str]) -> None:
    before = site.get("/posttrain-review/changes?run=page", headers=rita).json()["last"]
    decide(site, rita, "row-2", "keep")
    shown = ",".join(entries(site)[row].item.id for row in ("row-1", "row-2"))
    seen = site.get(f"/posttrain-review/changes?run=page&since={before}&items={shown}", headers=rita).json()
    assert list(seen["cards"]) == [entries(site)["row-2"].item.id] and seen["progress"]["keep"] == 1
    assert site.get(f"/posttrain-review/changes?run=page&since={before}", headers=rita).json()["cards"] == {}
    assert seen["open"] == sum(entry.status == "open" for entry in entries(site).values())
    again = site.get(f"/posttrain-review/changes?run=page&since={seen['last']}&items={shown}", headers=rita).json()
    assert again == {"cards": {}, "last": seen["last"]}, "a look at nothing new costs nothing"
    decide(site, rita, "row-2", "undo")


def test_bulk_and_its_undo(site: Any, rita: dict[str, str]) -> None:
    wrong = post(site, "/decide-all", rita, action="keep", expected=99)
    assert wrong.status_code == 409 and "takes 7 open rows now, and you saw 99" in wrong.json()["detail"]
    answer = post(site, "/decide-all", rita, action="delete", expected=7, source="train").json()
    assert (answer["rows"], answer["left"], answer["progress"]["open"], answer["went_on"]) == (7, 0, 0, False)
    assert post(site, "/undo-all", rita, batch=answer["batch"]).json()["rows"] == 7


def test_every_measure_has_a_name_and_a_row_of_any_of_them_is_shown(
    site: Any, rita: dict[str, str], tmp_path: Path, make_review_run: Callable[..., Any],
) -> None:
    from posttrain_airflow.review_page.views import MEASURES

    assert set(MEASURES) == set(get_args(Measure))
    workspace = os.environ["POSTTRAIN_WORKSPACE"]
    tower = ("tower", "The Eiffel Tower is located in Paris.", "Yes.")
    make_review_run(workspace, tmp_path, [tower], ["Where is the Eiffel Tower?"], "counted", decontaminate={"preset": "seed"})
    page = site.get("/posttrain-review/queue?run=counted", headers=rita)
    assert page.status_code == 200 and "cosine of counts" in page.text


def test_the_editor_of_a_conversation_and_of_a_pair(
    site: Any, rita: dict[str, str], tmp_path: Path, make_review_run: Callable[..., Any],
) -> None:
    from posttrain_airflow.review_page.app import desk_of

    first, second = PROBLEMS[0], PROBLEMS[1]
    talk = SFTExample(id="talk", messages=(
        Message("user", "Good morning."), Message("assistant", "Good morning!"), Message("user", first.question),
        Message("assistant", first.solution)), **SHARED)
    ask = Message("user", second.question)
    pair = PreferencePair(id="pair", prompt=second.question, chosen=(ask, Message("assistant", second.solution)),
                          rejected=(ask, Message("assistant", "#### 1")), **SHARED)
    items = [problem.question + TAIL for problem in (first, second)]
    make_review_run(os.environ["POSTTRAIN_WORKSPACE"], tmp_path, [talk, pair], items, "kinds")
    page = site.get("/posttrain-review/queue?run=kinds", headers=rita).text
    assert "in place of turn 2; the other turns stay" in page and page.count('name="worse"') == 1
    entries = {entry.item.example.id: entry for entry in desk_of("kinds").entries()}

    def replace(row: str, **edit: Any) -> Any:
        return site.post("/posttrain-review/decide", headers=rita, json={
            "run": "kinds", "item": entries[row].item.id, "action": "paraphrase", "seen": entries[row].seen, "edits": [edit]})

    close = replace("talk", turn=2, question=f"So: {first.question}", answer=first.solution)
    assert close.status_code == 422 and "still too close" in close.json()["detail"]
    new = {"question": "A crate holds 30 pears and 12 are added. What is the sum?", "answer": "30 + 12 = 42\n#### 42"}
    assert "is no question" in replace("talk", turn=1, **new).json()["detail"]
    assert "rejected side" in replace("pair", turn=0, **new).json()["detail"]
    assert replace("talk", turn=2, **new).json()["progress"]["paraphrase"] == 1
    done = replace("pair", turn=0, worse="30 + 12 = 41\n#### 41", **new).json()
    assert done["progress"] == {"rows": 2, "open": 0, "keep": 0, "paraphrase": 2, "delete": 0}
    lines = {line.row_id: line for line in desk_of("kinds").log.lines() if line.action == "paraphrase"}
    assert lines["talk"].after.startswith("user: Good morning.\nassistant: Good morning!\nuser: A crate")
    assert lines["pair"].after.endswith("rejected assistant: 30 + 12 = 41\n#### 41")


def test_nothing_waits_for_a_run_of_the_command_line(site: Any, rita: dict[str, str]) -> None:
    refused = post(site, "/go-on", rita, rest="keep")
    assert (refused.status_code, refused.json()["detail"]) == (409, "the run does not wait any more")


def test_airflow_lists_the_page(site: Any, rita: dict[str, str]) -> None:
    plugins = {plugin["name"]: plugin for plugin in site.get("/api/v2/plugins", headers=rita).json()["plugins"]}
    views = plugins["posttrain"]["external_views"]
    assert [(view["destination"], view["url_route"]) for view in views] == [
        ("nav", "posttrain-review"), ("dag_run", "posttrain-review-run")]
    assert views[1]["href"] == "/posttrain-review/queue?run={RUN_ID}"


def test_a_scheduler_does_not_load_the_page(project: Path) -> None:
    heavy = ("posttrain_airflow.review_page.app", "posttrain_airflow.review_page.access", "posttrain.decontaminate")
    code = f"import sys, posttrain_plugin; print([name for name in sys.modules if name.startswith({heavy})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project / "plugins")
    assert done.stdout.strip().splitlines()[-1] == "[]"
